"""When each step queued, worked and waited for people, from a run's events. Read `make_timeline`.

Pure: the caller brings the events and the time. Everything a drawing needs is a share of the
axis in percent, because a strict content policy leaves geometry to SVG attributes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from engine.domain.events import Event, EventKind, find_decided

_TICK_COUNT_MAX: Final = 6
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_TICK_SECONDS: Final = (
    *(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1, 2, 5, 10, 15, 30),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 30, 60, 180, 366)),
)


class Doing(StrEnum):
    """What a step did for a while."""

    QUEUE = "queue"
    WORK = "work"
    PEOPLE = "people"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A stretch of a row, in percent of the axis. `is_open`: it goes on now."""

    doing: Doing
    x: float
    width: float
    seconds: float
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One attempt of a step, or a step whose turn never came (`attempt` 0, no bars).

    `seconds` is work and waiting for people, `None` where there was neither. `failed` says that
    this attempt failed or was lost, whatever became of the step afterwards.
    """

    key: str
    attempt: int
    is_last: bool
    bars: tuple[Bar, ...]
    seconds: float | None
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on the axis, `seconds` after the start."""

    x: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A run's time. `now_x` is `None` once the run has ended.

    `people_seconds` is how long at least one person was waited for: stretches that overlap count
    once. `total_seconds` is from the start to the end, or to now.
    """

    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    now_x: float | None
    total_seconds: float
    people_seconds: float


@dataclass(slots=True)
class _Stretch:
    doing: Doing
    start: datetime
    end: datetime | None = None


@dataclass(slots=True)
class _Attempt:
    number: int
    stretches: list[_Stretch] = field(default_factory=list)
    failed: bool = False


@dataclass(slots=True)
class _Track:
    """One step while the events are read."""

    ready_at: datetime | None = None
    attempts: list[_Attempt] = field(default_factory=list)
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Axis:
    start: datetime
    seconds: float

    def share(self, at: datetime) -> float:
        return round(max(0.0, min(100.0, 100 * self.offset(at) / self.seconds)), 3)

    def offset(self, at: datetime) -> float:
        return (at - self.start).total_seconds()


def make_timeline(
    events: Sequence[Event], *, needs: Mapping[str, Sequence[str]], now: datetime
) -> Timeline:
    """Return a run's time by step and attempt.

    Args:
        events: the run's events from the first one, in order.
        needs: key → keys of what it needs, for every step of the plan in its order. Compensations
            are found in the events.
        now: the present, if the run is open.

    Returns:
        Rows in the order in which they began; what has not begun stands last, in the plan's order.
    """
    if not events:
        return Timeline(rows=(), ticks=(), now_x=None, total_seconds=0, people_seconds=0)
    start, is_closed = events[0].at, events[-1].kind == EventKind.RUN_CLOSED
    end = max(start, events[-1].at if is_closed else now)
    tracks = _read(events, needs)
    axis, ticks = _axis(start, end, is_closed=is_closed)
    rows = [
        row
        for key, track in tracks.items()
        for row in _rows(key, track, axis=axis, end=end, is_closed=is_closed)
    ]
    # A sort keeps the plan's order where the instants are the same.
    began = sorted(rows, key=lambda row: row.bars[0].x if row.bars else 1_000)
    return Timeline(
        rows=tuple(began),
        ticks=ticks,
        now_x=None if is_closed else axis.share(end),
        total_seconds=axis.offset(end),
        people_seconds=_union_seconds(_people(tracks.values(), end), axis),
    )


# --- reading events ------------------------------------------------------------------------------


def _read(events: Iterable[Event], needs: Mapping[str, Sequence[str]]) -> dict[str, _Track]:
    tracks = {key: _Track() for key in needs}
    dependents: dict[str, list[str]] = {key: [] for key in needs}
    for key, own in needs.items():
        for need in own:
            dependents[need].append(key)
    for event in events:
        if event.kind == EventKind.RUN_STARTED:
            for key, own in needs.items():
                if not own:
                    tracks[key].ready_at = event.at
        for key in _ended_by(event, tracks):
            for dependent in dependents.get(key, ()):
                ends = [tracks[need].ended_at for need in needs[dependent]]
                if all(ends) and tracks[dependent].ready_at is None:
                    tracks[dependent].ready_at = event.at
    return tracks


def _ended_by(event: Event, tracks: dict[str, _Track]) -> list[str]:
    """Take an event into the tracks; return the keys that ended with it."""
    key, at = str(event.data.get("key", "")), event.at
    ended = []
    track = tracks.setdefault(key, _Track()) if key else None
    if track is not None:
        if event.kind == EventKind.STEP_COMPLETED:
            _end_attempt(track, at)
            ended.append(key)
        elif event.kind in (EventKind.ATTEMPT_FAILED, EventKind.ATTEMPT_LOST):
            _end_attempt(track, at, failed=True)
        elif event.kind == EventKind.APPROVAL_REQUESTED:
            _begin_attempt(track, at, doing=Doing.PEOPLE, number=1)
        elif event.kind == EventKind.APPROVAL_RESOLVED:
            _end_attempt(track, at)
            ended.append(key)
    record = find_decided(event) or {}
    ended += [str(item["key"]) for item in record.get("settled", ())]
    for item in ended:
        tracks.setdefault(item, _Track()).ended_at = at
    for item in record.get("next", ()):
        begun = tracks.setdefault(str(item["key"]), _Track())
        _begin_attempt(begun, at, doing=Doing.WORK, number=int(item["attempt"]))
    return ended


def _begin_attempt(track: _Track, at: datetime, *, doing: Doing, number: int) -> None:
    attempt = _Attempt(number=number)
    if track.ready_at is not None and track.ready_at < at:
        attempt.stretches.append(_Stretch(Doing.QUEUE, track.ready_at, at))
    attempt.stretches.append(_Stretch(doing, at))
    track.attempts.append(attempt)


def _end_attempt(track: _Track, at: datetime, *, failed: bool = False) -> None:
    if track.attempts:
        track.attempts[-1].stretches[-1].end = at
        track.attempts[-1].failed = failed
    track.ready_at = at  # of the next attempt, if there is one


# --- drawing -------------------------------------------------------------------------------------


def _rows(key: str, track: _Track, *, axis: _Axis, end: datetime, is_closed: bool) -> Iterable[Row]:
    waiting = _waiting_attempt(track) if track.ended_at is None and not is_closed else None
    attempts = [*track.attempts, waiting] if waiting else track.attempts
    if not attempts:
        yield Row(key=key, attempt=0, is_last=True, bars=(), seconds=None)
    for attempt in attempts:
        bars = tuple(_bar(stretch, axis=axis, end=end) for stretch in attempt.stretches)
        busy = [bar.seconds for bar in bars if bar.doing is not Doing.QUEUE]
        yield Row(
            key=key,
            attempt=attempt.number,
            is_last=attempt is attempts[-1],
            bars=bars,
            seconds=sum(busy) if busy else None,
            failed=attempt.failed,
        )


def _waiting_attempt(track: _Track) -> _Attempt | None:
    """Return the attempt that could begin, or is put off after a failure, but has not begun."""
    if track.ready_at is None or (track.attempts and not track.attempts[-1].failed):
        return None
    stretch = _Stretch(Doing.QUEUE, track.ready_at)
    return _Attempt(number=len(track.attempts) + 1, stretches=[stretch])


def _bar(stretch: _Stretch, *, axis: _Axis, end: datetime) -> Bar:
    until = stretch.end or end
    x = axis.share(stretch.start)
    return Bar(
        doing=stretch.doing,
        x=x,
        width=round(axis.share(until) - x, 3),
        seconds=max(0.0, (until - stretch.start).total_seconds()),
        is_open=stretch.end is None,
    )


def _axis(start: datetime, end: datetime, *, is_closed: bool) -> tuple[_Axis, tuple[Tick, ...]]:
    """Return the axis with its marks; an open run has room for what comes."""
    total = max((end - start) / timedelta(seconds=1), 0.001)
    step = next(
        (item for item in _TICK_SECONDS if total / item <= _TICK_COUNT_MAX), _TICK_SECONDS[-1]
    )
    seconds = total if is_closed else max(total * 1.08, float(step))
    axis = _Axis(start, seconds)
    count = min(int(seconds // step), 2 * _TICK_COUNT_MAX)
    offsets = [float(step * number) for number in range(count + 1)]
    return axis, tuple(
        Tick(x=axis.share(start + timedelta(seconds=offset)), seconds=offset) for offset in offsets
    )


def _people(tracks: Iterable[_Track], end: datetime) -> list[tuple[datetime, datetime]]:
    return sorted(
        (stretch.start, stretch.end or end)
        for track in tracks
        for attempt in track.attempts
        for stretch in attempt.stretches
        if stretch.doing is Doing.PEOPLE
    )


def _union_seconds(spans: Sequence[tuple[datetime, datetime]], axis: _Axis) -> float:
    """Return how long at least one of the spans lasted; they are in order of their starts."""
    total, reached = 0.0, 0.0
    for start, end in spans:
        begin = max(axis.offset(start), reached)
        finish = axis.offset(end)
        if finish > begin:
            total += finish - begin
            reached = finish
    return total
