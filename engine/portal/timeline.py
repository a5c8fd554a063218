"""When each step queued, worked and waited for people, from a run's events. Read `make_timeline`.

Pure: the caller brings the events and the time. Everything a drawing needs is a share of the
axis in percent, because a strict content policy leaves geometry to SVG attributes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from engine.domain.events import Event, EventKind, find_decided
from engine.domain.keys import is_undo, number_of, parent_of
from engine.domain.machine import ENTERED, STUCK
from engine.domain.timers import Purpose, read_timer

_TICK_COUNT_MAX: Final = 6
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_TICK_SECONDS: Final = (
    *(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1, 2, 5, 10, 15, 30),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 30, 60, 180, 366)),
)


_NOBODY: Final[Mapping[str, datetime | None]] = {}
_NEVER: Final = 1_000  # right of every axis
_PASSING: Final = frozenset({ENTERED, STUCK})  # in the record of what followed, but no ends


class Doing(StrEnum):
    """What a step did for a while."""

    QUEUE = "queue"
    WORK = "work"
    PEOPLE = "people"
    WAIT = "wait"  # for time, an event, a run it called, or for being let through
    INSIDE = "inside"  # what a container holds went on


_BEGINS: Final = {
    EventKind.APPROVAL_REQUESTED: Doing.PEOPLE,
    EventKind.EVENT_AWAITED: Doing.WAIT,
    EventKind.CHILD_STARTED: Doing.WAIT,
    EventKind.EVENT_EMITTED: Doing.WORK,
    EventKind.STEP_REUSED: Doing.WORK,
}
_FAILURES: Final = frozenset(
    {EventKind.ATTEMPT_FAILED, EventKind.ATTEMPT_LOST, EventKind.ATTEMPT_UNCERTAIN}
)
_DONE: Final = frozenset(
    {
        EventKind.STEP_COMPLETED,
        EventKind.APPROVAL_RESOLVED,
        EventKind.EVENT_RECEIVED,
        EventKind.CHILD_CLOSED,
    }
)
_AT_ONCE: Final = frozenset({EventKind.EVENT_EMITTED, EventKind.STEP_REUSED})
_ENDS: Final = _DONE | {EventKind.QUESTION_RESOLVED, EventKind.WAIT_WITHDRAWN}


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

    `seconds` is all of it but queueing, `None` where there was nothing else. `failed` says that
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
    sleeps: bool = False  # waits for time from when it is ready
    is_visit: bool = False  # to a state of a machine
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
    events: Sequence[Event],
    *,
    needs: Mapping[str, Sequence[str]],
    sleepers: Mapping[str, datetime | None] = _NOBODY,
    now: datetime,
) -> Timeline:
    """Return a run's time by step and attempt.

    Args:
        events: the run's events from the first one, in order.
        needs: key → keys of what it needs, for every step of the plan in its order. Compensations
            and what has no needs of its own are found in the events.
        sleepers: keys of steps that wait for time, and since when those do that do so now: no
            event says when one began.
        now: the present, if the run is open.

    Returns:
        Rows in the order in which they began, those inside a container right after it; what has
        not begun stands last, in the plan's order.
    """
    if not events:
        return Timeline(rows=(), ticks=(), now_x=None, total_seconds=0, people_seconds=0)
    start, is_closed = events[0].at, events[-1].kind == EventKind.RUN_CLOSED
    end = max(start, events[-1].at if is_closed else now)
    tracks = _read(events, needs)
    for key, since in sleepers.items():
        track = tracks.setdefault(key, _Track())
        track.sleeps, track.ready_at = True, since or track.ready_at
    _fill_visits(tracks)
    _fill_containers(tracks)
    axis, ticks = _axis(start, end, is_closed=is_closed)
    rows = [
        row
        for key, track in tracks.items()
        for row in _rows(key, track, axis=axis, end=end, is_closed=is_closed)
    ]
    return Timeline(
        rows=tuple(_sorted(rows)),
        ticks=ticks,
        now_x=None if is_closed else axis.share(end),
        total_seconds=axis.offset(end),
        people_seconds=_union_seconds(_people(tracks.values(), end), axis),
    )


def _sorted(rows: Sequence[Row]) -> list[Row]:
    """Return rows as they began, each after the containers around it."""
    began: dict[str, tuple[float, int]] = {}
    for place, row in enumerate(rows):
        x = row.bars[0].x if row.bars else _NEVER
        known = began.get(row.key)
        began[row.key] = min(known, (x, place)) if known else (x, place)

    def order(row: Row) -> tuple[tuple[float, int], ...]:
        around = reversed([row.key, *_containers(row.key)])
        return tuple(began[key] for key in around if key in began)

    # A sort keeps the order of the attempts of one step.
    return sorted(rows, key=order)


# --- reading events ------------------------------------------------------------------------------


def _read(events: Iterable[Event], needs: Mapping[str, Sequence[str]]) -> dict[str, _Track]:
    tracks = {key: _Track() for key in needs}
    dependents: dict[str, list[str]] = {}
    for key, own in needs.items():
        for need in own:
            dependents.setdefault(need, []).append(key)
    for event in events:
        if event.kind == EventKind.RUN_STARTED:
            for key, own in needs.items():
                if not own and not _containers(key):
                    tracks[key].ready_at = event.at
        for key in _ended_by(event, tracks):
            for dependent in dependents.get(key, ()):
                ends = [tracks[need].ended_at for need in needs[dependent] if need in tracks]
                if all(ends) and tracks[dependent].ready_at is None:
                    tracks[dependent].ready_at = event.at
    return tracks


def _ended_by(event: Event, tracks: dict[str, _Track]) -> list[str]:
    """Take an event into the tracks; return the keys that ended with it."""
    key, at = str(event.data.get("key", "")), event.at
    ended = []
    if event.kind == EventKind.TIMER_FIRED:
        purpose, slept = read_timer(str(event.data.get("timer", "")))
        if purpose is Purpose.SLEEP:
            _end_sleep(tracks, slept, at)
            ended.append(slept)
    track = tracks.setdefault(key, _Track()) if key else None
    if track is not None and _take(event, track):
        ended.append(key)
    for held in _held_by(event):
        waiting = tracks.setdefault(held, _Track())
        waiting.ready_at = waiting.ready_at or at
    record = find_decided(event) or {}
    settled = record.get("settled", ())
    for item in settled:
        if item["outcome"] == ENTERED:
            _enter(tracks, str(item["key"]), at)
    ended += [str(item["key"]) for item in settled if item["outcome"] not in _PASSING]
    for item in ended:
        _end_track(tracks.setdefault(item, _Track()), at)
    for item in record.get("next", ()):
        begun = tracks.setdefault(str(item["key"]), _Track())
        _begin_attempt(begun, at, doing=Doing.WORK, number=int(item["attempt"]))
    return ended


def _take(event: Event, track: _Track) -> bool:
    """Take an event that is about a step into its track; say whether the step ended with it."""
    kind, at = event.kind, event.at
    if kind in _BEGINS:
        _begin_attempt(track, at, doing=_BEGINS[EventKind(kind)], number=1)
    elif kind == EventKind.QUESTION_ASKED and track.attempts:
        track.attempts[-1].stretches.append(_Stretch(Doing.PEOPLE, at))
    elif kind in _FAILURES:
        _end_attempt(track, at, failed=True)
    elif kind in _ENDS:
        _end_attempt(track, at, failed=bool(track.attempts) and track.attempts[-1].failed)
    if kind in _AT_ONCE or (kind == EventKind.CHILD_STARTED and event.data.get("detached")):
        _end_attempt(track, at)
        return True
    return kind in _DONE


def _held_by(event: Event) -> list[str]:
    keys: Any = event.data.get("keys", ()) if event.kind == EventKind.STEP_HELD else ()
    return [str(key) for key in keys]


def _enter(tracks: dict[str, _Track], key: str, at: datetime) -> None:
    """Begin a visit to a state; the run leaves the one it was in."""
    for other, track in tracks.items():
        is_open = track.is_visit and track.ended_at is None
        if is_open and other != key:
            _end_track(track, at)
    visit = tracks.setdefault(key, _Track())
    visit.is_visit, visit.ready_at = True, at


def _end_track(track: _Track, at: datetime) -> None:
    track.ended_at = at
    for attempt in track.attempts:
        last = attempt.stretches[-1]
        if last.end is None and last.doing is not Doing.WORK:  # what executes is told of later
            last.end = at


def _end_sleep(tracks: dict[str, _Track], key: str, at: datetime) -> None:
    since = _since(tracks, key)
    if since is not None:  # otherwise nothing tells how long it was
        stretches = [_Stretch(Doing.WAIT, since, at)]
        tracks[key].attempts.append(_Attempt(number=1, stretches=stretches))


def _since(tracks: dict[str, _Track], key: str) -> datetime | None:
    """Return since when a step could begin; of the first inside a container, since that could."""
    track = tracks.setdefault(key, _Track())
    if track.ready_at is not None or not parent_of(key) or number_of(key) > 1:
        return track.ready_at
    return _since(tracks, parent_of(key))


def _fill_visits(tracks: dict[str, _Track]) -> None:
    """Give every visit to a state that executed nothing a stretch for as long as it lasted."""
    for track in tracks.values():
        if track.is_visit and not track.attempts and track.ready_at is not None:
            stretch = _Stretch(Doing.WAIT, track.ready_at, track.ended_at)
            track.attempts.append(_Attempt(number=1, stretches=[stretch]))


def _fill_containers(tracks: dict[str, _Track]) -> None:
    """Give every container a stretch from when something inside it first began."""
    begins: dict[str, datetime] = {}
    for key, track in tracks.items():
        starts = [stretch.start for item in track.attempts for stretch in item.stretches]
        for name in _containers(key) if starts else ():
            begins[name] = min([begins[name], *starts] if name in begins else starts)
    for key, begin in begins.items():
        around = tracks.setdefault(key, _Track())
        if not around.attempts:
            stretch = _Stretch(Doing.INSIDE, begin, around.ended_at)
            around.attempts.append(_Attempt(number=1, stretches=[stretch]))


def _containers(key: str) -> list[str]:
    """Return the keys of the containers around a step, from the inside; none of an undoing."""
    if is_undo(key):
        return []
    found = []
    while key := parent_of(key):
        found.append(key)
    return found


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
    stretch = _Stretch(Doing.WAIT if track.sleeps else Doing.QUEUE, track.ready_at)
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
