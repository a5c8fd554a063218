"""A run's events in sentences, newest first. Read `list_lines` first.

Nothing is left out: what says little is folded into one line with a count.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from core.toolkit.portal.tree import Shown, make_shown
from core.toolkit.portal.words import say_count, say_exactly
from engine.domain.events import EventKind, find_decided
from engine.portal.context.mentions import RunMention
from engine.portal.context.sentences import Telling, tell, tell_then
from engine.portal.naming import short_key
from engine.selectors.run_pages import EventListing

PAGE_COUNT: Final = 50  # events of one page
_LOW_VALUE: Final = frozenset({EventKind.RUN_OWNED, EventKind.STEP_STARTED})
_FOLD_COUNT_MIN: Final = 2


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
    """One event. `then` says what followed from it, `run` is another run that it is about."""

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
    run: RunMention | None = None
    opened: OpenedEvent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where lines lead: an event's own address by number, a step's by short key, other runs."""

    event: Callable[[int], str]
    step: Callable[[str], str]
    run: Callable[[UUID], RunMention]


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
    telling: Telling,
    links: Links,
) -> EventPage:
    """Return one page of a run's events.

    Args:
        events: all of them, in order.
        filters: what they are narrowed to.
        before: only events with a smaller number; `None` begins with the newest.
        opened: the events to show in full, by number. One outside the page moves the page to it.
        telling: what sentences are told with.
        links: where they lead.
    """
    wanted = [item for item in events if _matches(item, filters, telling)]
    start = before
    if start is None and opened:
        start = _page_start(wanted, min(opened))
    below = [item for item in wanted if start is None or item.event.seq < start]
    shown = list(reversed(below[-PAGE_COUNT:]))
    lines = [
        _line(item, opened=opened.get(item.event.seq), telling=telling, links=links)
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


def _page_start(wanted: Sequence[EventListing], seq: int) -> int | None:
    """Return where a page starts that holds an event, `None` for the newest page."""
    if not wanted or wanted[-PAGE_COUNT:][0].event.seq <= seq:
        return None
    place = next((n for n, item in enumerate(wanted) if item.event.seq >= seq), len(wanted))
    after = wanted[min(place + PAGE_COUNT // 2, len(wanted) - 1)]
    return after.event.seq


def _matches(item: EventListing, filters: EventFilters, telling: Telling) -> bool:
    event = item.event
    return (
        (not filters.kind or event.kind == filters.kind)
        and (not filters.actor or item.actor_id == filters.actor)
        and (not filters.step or filters.step in _steps_of(item, telling))
    )


def _steps_of(item: EventListing, telling: Telling) -> set[str]:
    """Return the steps an event is about, or that began or ended with it."""
    record = find_decided(item.event) or {}
    held: Any = item.event.data.get("keys", ())
    keys = [telling.place(item.event), *held]
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
    item: EventListing, *, opened: OpenedEvent | None, telling: Telling, links: Links
) -> EventLine:
    event = item.event
    key = telling.place(event)
    told = tell(event, telling)
    return EventLine(
        seq=event.seq,
        kind=event.kind,
        at=event.at,
        when=say_exactly(event.at),
        mark=told.mark,
        sentence=told.text,
        message=str(event.payloads.get("message") or event.payloads.get("reason") or ""),
        then=tell_then(event, telling),
        actor=item.actor_name or ("The engine" if item.actor_id == "engine" else "The platform"),
        actor_kind=item.actor_kind if item.actor_name else "system",
        href=links.event(event.seq),
        step_href=links.step(short_key(key)) if key else "",
        run=links.run(told.run_id) if told.run_id else None,
        opened=opened,
    )
