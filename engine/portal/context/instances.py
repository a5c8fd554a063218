"""The instances of a container, or the visits to a state, as a table. Read `make_instances`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from core.toolkit.portal.address import Query
from core.toolkit.portal.words import say_count
from engine.domain.state import Outcome, StepStatus
from engine.portal.context.waiting import brief_wait, kind_of_wait
from engine.portal.naming import Titles, short_key
from engine.portal.statuses import describe_step
from engine.selectors.step_views import InstancePage, StepFilters, StepReader, StepView, Tally

PAGE: Final = "page"  # names in the address
STATE: Final = "state"
_STATUSES: Final = frozenset(StepStatus)
_OUTCOMES: Final = frozenset(Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRow:
    """An instance. `detail` says what it waits for, or why it ended so."""

    href: str
    name: str
    mark: str
    word: str
    detail: str
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFilter:
    """One way to narrow the table, and how many instances there are of it."""

    mark: str
    words: str
    href: str
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceTable:
    """A page of instances."""

    title: str
    rows: tuple[InstanceRow, ...]
    filters: tuple[InstanceFilter, ...]
    count: str
    pages: str
    before_href: str
    after_href: str


def find_instances(reader: StepReader, *, key: str, query: Query) -> InstancePage | None:
    """Return the instances of a step that an address asks for, `None` if it has none.

    Nonsense in the address asks for the first page of all of them.
    """
    state, page = query.get(STATE), query.get(PAGE)
    is_number = page.isascii() and page.isdigit() and len(page) < 6  # noqa: PLR2004  # 50 a page
    filters = StepFilters(
        status=state if state in _STATUSES else "", outcome=state if state in _OUTCOMES else ""
    )
    return reader.list_instances(key=key, number=int(page) if is_number else 1, filters=filters)


def make_instances(
    page: InstancePage, *, chosen: str, titles: Titles, query: Query, now: datetime
) -> InstanceTable:
    """Return a page of instances as a table.

    Args:
        page: what was read.
        chosen: the key of the step that is looked at.
        titles: what steps are called.
        query: the address.
        now: the present.
    """
    own = short_key(page.key)
    last = page.page_count
    return InstanceTable(
        title=_title(page),
        rows=tuple(
            _row(view, chosen=chosen, titles=titles, query=query, now=now) for view in page.steps
        ),
        filters=tuple(_filter(item, key=own, query=query) for item in page.tallies),
        count=say_count(page.count, "instance"),
        pages=f"page {page.number} of {last}" if last > 1 else "",
        before_href=query.change(step=own, page=page.number - 1) if page.number > 1 else "",
        after_href=query.change(step=own, page=page.number + 1) if page.number < last else "",
    )


def _title(page: InstancePage) -> str:
    first = page.steps[0].key if page.steps else ""
    name = first.rpartition("/")[2].partition("#")[0] if "/" in first else ""
    words = {"item": "Items", "cell": "Combinations", "turn": "Turns, newest first"}
    return words.get(name, "Visits, newest first" if first and not name else "Instances")


def _row(
    view: StepView, *, chosen: str, titles: Titles, query: Query, now: datetime
) -> InstanceRow:
    chip = describe_step(status=view.status, outcome=view.outcome, waits=kind_of_wait(view))
    return InstanceRow(
        href=query.change(step=short_key(view.key), show="", event="", page="", state=""),
        name=titles.name(view.key),
        mark=chip.mark,
        word=chip.word,
        detail=brief_wait(view, now=now) or view.error_message or "",
        is_chosen=view.key == chosen,
    )


def _filter(tally: Tally, *, key: str, query: Query) -> InstanceFilter:
    chip = describe_step(status=tally.status, outcome=tally.outcome, waits=tally.waits)
    value = tally.outcome or tally.status
    is_chosen = query.get(STATE) == value
    return InstanceFilter(
        mark=chip.mark,
        words=f"{tally.count} {chip.word.lower()}",
        href=query.change(step=key, state="" if is_chosen else value, page=""),
        is_chosen=is_chosen,
    )
