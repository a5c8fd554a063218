"""The events tab of a run's page: its filters and one page of events. Read `make_event_tab`."""

from collections.abc import Sequence
from dataclasses import dataclass

from audit.domain.entry import SOURCE_PAYLOAD
from core.kernel import limits
from core.toolkit.portal.address import Query
from engine.portal.context.events import (
    EventFilters,
    EventPage,
    Links,
    OpenedEvent,
    list_lines,
    open_event,
)
from engine.portal.context.kind_words import KIND_WORDS
from engine.portal.context.mentions import mention_known
from engine.portal.context.sentences import Telling
from engine.portal.context.steps import StepWords
from engine.selectors.run_pages import RunPage


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTab:
    """Events, and what they may be narrowed to as (value, words)."""

    page: EventPage
    filters: EventFilters
    kinds: tuple[tuple[str, str], ...]
    steps: tuple[tuple[str, str], ...]
    actors: tuple[tuple[str, str], ...]
    older_href: str
    newest_href: str
    is_long: bool


def make_event_tab(
    page: RunPage, *, query: Query, words: Sequence[StepWords], telling: Telling
) -> EventTab:
    """Return the events the address asks for; `words` are the run's steps."""
    filters = EventFilters(kind=query.get("kind"), step=query.get("of"), actor=query.get("who"))
    events = list_lines(
        page.events,
        filters=filters,
        before=_read_number(query.get("before")),
        opened=_opened(page),
        telling=telling,
        links=Links(
            event=lambda seq: f"{query.change(tab='events', event=seq, before='')}#event-{seq}",
            step=lambda key: query.change(step=key, show="", event="", page="", state=""),
            run=lambda run_id: mention_known(run_id, page.links, now=page.now),
        ),
    )
    return EventTab(
        page=events,
        filters=filters,
        kinds=_kinds(page),
        steps=tuple((item.key, item.title) for item in words),
        actors=_actors(page),
        older_href=query.change(before=events.older_before, event=""),
        newest_href=query.change(before="", event=""),
        is_long=page.detail.run.seq > limits.PAGE_EVENT_COUNT_MAX,
    )


def _opened(page: RunPage) -> dict[int, OpenedEvent]:
    entry = page.opened
    if entry is None:
        return {}
    listing = next((item for item in page.events if item.event.seq == entry.seq), None)
    if listing is None:
        return {}
    payloads = {name: value for name, value in entry.payloads.items() if name != SOURCE_PAYLOAD}
    return {entry.seq: open_event(listing, payloads, sorted(entry.erased - {SOURCE_PAYLOAD}))}


def _kinds(page: RunPage) -> tuple[tuple[str, str], ...]:
    present = {listing.event.kind for listing in page.events}
    return tuple((kind.value, word) for kind, word in KIND_WORDS.items() if kind in present)


def _actors(page: RunPage) -> tuple[tuple[str, str], ...]:
    names = {
        item.actor_id: item.actor_name or ("The engine" if item.actor_id == "engine" else "")
        for item in page.events
    }
    return tuple(sorted(((key, name or key) for key, name in names.items()), key=lambda p: p[1]))


def _read_number(text: str) -> int | None:
    """Return the number of an event, `None` for nonsense."""
    is_number = text.isascii() and text.isdigit() and len(text) < 10  # noqa: PLR2004  # fits a seq
    return int(text) if is_number else None
