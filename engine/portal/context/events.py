"""A run's events in sentences, newest first. Read `list_lines` first.

Nothing is left out: what says little is folded into one line with a count.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

from core.toolkit.portal.words import say_count
from engine.domain.events import EventKind, find_decided
from engine.portal.context.tree import Shown, make_shown
from engine.portal.naming import short_key, title_of
from engine.portal.statuses import describe_step
from engine.selectors.run_pages import EventListing

PAGE_COUNT: Final = 50  # events of one page
_LOW_VALUE: Final = frozenset({EventKind.RUN_OWNED, EventKind.STEP_STARTED})
_FOLD_COUNT_MIN: Final = 2
_NAMES_SHOWN_MAX: Final = 4

KIND_WORDS: Final = {
    EventKind.RUN_STARTED: "Run started",
    EventKind.RUN_OWNED: "Taken by a worker",
    EventKind.STEP_STARTED: "Steps began",
    EventKind.STEP_COMPLETED: "Step succeeded",
    EventKind.ATTEMPT_FAILED: "Attempt failed",
    EventKind.ATTEMPT_LOST: "Attempt lost",
    EventKind.APPROVAL_REQUESTED: "Approval asked for",
    EventKind.APPROVAL_RESOLVED: "Approval ended",
    EventKind.RUN_CANCEL_REQUESTED: "Cancel asked for",
    EventKind.RUN_CLOSED: "Run ended",
    EventKind.RUN_HALTED: "Run halted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedEvent:
    """Everything an event holds. `payloads` are (name, value); `erased` are names."""

    leaf_hex: str
    via: str
    data: Shown
    payloads: tuple[tuple[str, Shown], ...]
    erased: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLine:
    """One event. `then` says what followed from it."""

    seq: int
    kind: str
    at: datetime
    when: str
    mark: str
    sentence: str
    message: str
    then: str
    actor: str
    actor_kind: str
    href: str
    step_href: str
    opened: OpenedEvent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Events of little value next to each other, as one line; or a single event."""

    lines: tuple[EventLine, ...]
    words: str = ""

    @property
    def is_folded(self) -> bool:
        """Whether the lines hide behind their count."""
        return bool(self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilters:
    """What the events are narrowed to; "" means any."""

    kind: str = ""
    step: str = ""
    actor: str = ""

    @property
    def is_narrow(self) -> bool:
        """Whether some events may be left out."""
        return bool(self.kind or self.step or self.actor)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """A page of events, newest first. `older_before` leads on, `None` at the end."""

    folds: tuple[Fold, ...]
    count: int
    older_before: int | None
    is_newest: bool


def list_lines(
    events: Sequence[EventListing],
    *,
    filters: EventFilters,
    before: int | None,
    opened: Mapping[int, OpenedEvent],
    link: Callable[[int], str],
    link_step: Callable[[str], str],
) -> EventPage:
    """Return one page of a run's events.

    Args:
        events: all of them, in order.
        filters: what they are narrowed to.
        before: only events with a smaller number; `None` begins with the newest.
        opened: the events to show in full, by number. One outside the page moves the page to it.
        link: an event's own address.
        link_step: a step's address.
    """
    wanted = [item for item in events if _matches(item, filters)]
    start = before
    if start is None and opened:
        start = _page_start(wanted, min(opened))
    below = [item for item in wanted if start is None or item.event.seq < start]
    shown = list(reversed(below[-PAGE_COUNT:]))
    lines = [
        _line(item, opened=opened.get(item.event.seq), link=link, link_step=link_step)
        for item in shown
    ]
    return EventPage(
        folds=tuple(_fold(lines)),
        count=len(wanted),
        older_before=shown[-1].event.seq if len(below) > PAGE_COUNT else None,
        is_newest=len(below) == len(wanted),
    )


def open_event(
    item: EventListing, payloads: Mapping[str, Any], erased: Iterable[str]
) -> OpenedEvent:
    """Return everything an event holds; `payloads` are all of its values but the address."""
    return OpenedEvent(
        leaf_hex=item.leaf_hex,
        via=item.via,
        data=make_shown(dict(item.event.data)),  # type: ignore[arg-type]  # JSON as it was read
        payloads=tuple((name, make_shown(value)) for name, value in payloads.items()),
        erased=tuple(erased),
    )


def say_exactly(at: datetime) -> str:
    """Return an instant to the millisecond, in UTC."""
    there = at.astimezone(UTC)
    return f"{there:%Y-%m-%d %H:%M:%S}.{there.microsecond // 1000:03d} UTC"


def _page_start(wanted: Sequence[EventListing], seq: int) -> int | None:
    """Return where a page starts that holds an event, `None` for the newest page."""
    if not wanted or wanted[-PAGE_COUNT:][0].event.seq <= seq:
        return None
    place = next((n for n, item in enumerate(wanted) if item.event.seq >= seq), len(wanted))
    after = wanted[min(place + PAGE_COUNT // 2, len(wanted) - 1)]
    return after.event.seq


def _matches(item: EventListing, filters: EventFilters) -> bool:
    event = item.event
    return (
        (not filters.kind or event.kind == filters.kind)
        and (not filters.actor or item.actor_id == filters.actor)
        and (not filters.step or filters.step in _steps_of(item))
    )


def _steps_of(item: EventListing) -> set[str]:
    """Return the steps an event is about, or that began or ended with it."""
    record = find_decided(item.event) or {}
    keys = [item.event.data.get("key", "")]
    keys += [entry["key"] for name in ("settled", "next") for entry in record.get(name, ())]
    return {short_key(str(key)) for key in keys if key}


def _fold(lines: Sequence[EventLine]) -> Iterable[Fold]:
    for is_low, group in groupby(
        lines, key=lambda line: line.kind in _LOW_VALUE and not line.opened
    ):
        members = tuple(group)
        if is_low and len(members) >= _FOLD_COUNT_MIN:
            yield Fold(lines=members, words=_say_fold(members))
        else:
            yield from (Fold(lines=(line,)) for line in members)


def _say_fold(lines: Sequence[EventLine]) -> str:
    owned = sum(line.kind == EventKind.RUN_OWNED for line in lines)
    parts = [f"a worker took the run {say_count(owned, 'time')}" if owned else ""]
    begun = len(lines) - owned
    parts.append(f"steps began {say_count(begun, 'time')}" if begun else "")
    text = ", ".join(part for part in parts if part)
    return f"{len(lines)} events: {text}"


def _line(
    item: EventListing,
    *,
    opened: OpenedEvent | None,
    link: Callable[[int], str],
    link_step: Callable[[str], str],
) -> EventLine:
    event = item.event
    key = short_key(str(event.data.get("key", "")))
    mark, sentence = _say(item)
    return EventLine(
        seq=event.seq,
        kind=event.kind,
        at=event.at,
        when=say_exactly(event.at),
        mark=mark,
        sentence=sentence,
        message=str(event.payloads.get("message") or event.payloads.get("reason") or ""),
        then=_say_then(item),
        actor=item.actor_name or ("The engine" if item.actor_id == "engine" else "The platform"),
        actor_kind=item.actor_kind if item.actor_name else "system",
        href=link(event.seq),
        step_href=link_step(key) if key else "",
        opened=opened,
    )


def _say(item: EventListing) -> tuple[str, str]:
    """Return an event's mark and sentence."""
    data, kind = item.event.data, item.event.kind
    title = title_of(str(data.get("key", "")))
    attempt = data.get("attempt")
    again = f" (attempt {attempt})" if isinstance(attempt, int) and attempt > 1 else ""
    outcome = str(data.get("outcome", ""))
    sentences = {
        EventKind.RUN_STARTED: ("running", "The run was started"),
        EventKind.RUN_OWNED: ("pending", f"A worker took the run, turn {data.get('epoch', '')}"),
        EventKind.STEP_STARTED: ("pending", "Steps began"),
        EventKind.STEP_COMPLETED: ("approved", f"{title} succeeded{again}"),
        EventKind.ATTEMPT_FAILED: ("failed", f"{title} failed{again}: {data.get('error', '')}"),
        EventKind.ATTEMPT_LOST: ("failed", f"{title} lost its worker{again}"),
        EventKind.APPROVAL_REQUESTED: ("waiting", f"{title} asks people"),
        EventKind.RUN_CANCEL_REQUESTED: ("cancelled", "Somebody asked to cancel the run"),
        EventKind.RUN_HALTED: ("failed", f"The run halted: {data.get('code', '')}"),
    }
    if kind == EventKind.APPROVAL_RESOLVED:
        chip = describe_step(status="ended", outcome=outcome) if outcome in _OUTCOMES else None
        word = chip.word.lower() if chip else outcome
        return (chip.mark if chip else "pending", f"{title}: {word}")
    if kind == EventKind.RUN_CLOSED:
        chip = describe_step(status="ended", outcome=outcome) if outcome in _OUTCOMES else None
        return (chip.mark if chip else "pending", f"The run ended: {outcome}")
    return (
        sentences.get(EventKind(kind), ("pending", kind)) if kind in _KINDS else ("pending", kind)
    )


def _say_then(item: EventListing) -> str:
    """Return what followed from an event: what began, what ended without executing."""
    record = find_decided(item.event) or {}
    parts = []
    begun = [title_of(str(entry["key"])) for entry in record.get("next", ())]
    if begun:
        parts.append(f"began {_list_names(begun)}")
    by_outcome: dict[str, list[str]] = {}
    for entry in record.get("settled", ()):
        if entry["outcome"] != "failed":
            by_outcome.setdefault(str(entry["outcome"]), []).append(title_of(str(entry["key"])))
    words = {"unreached": "did not reach"}
    parts += [
        f"{words.get(outcome, outcome)} {_list_names(names)}"
        for outcome, names in by_outcome.items()
    ]
    return "; ".join(parts)


def _list_names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN_MAX])
    more = len(names) - _NAMES_SHOWN_MAX
    return f"{shown} and {more} more" if more > 0 else shown


_KINDS: Final = frozenset(EventKind)
_OUTCOMES: Final = frozenset(
    {"succeeded", "approved", "overridden", "failed", "rejected", "expired"}
    | {"cancelled", "withdrawn", "voided"}
)
