"""The list of runs. Read `make_runs` first."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.urls import reverse

from core.toolkit.portal.address import Query
from core.toolkit.portal.words import say_duration
from engine.domain.state import RunStatus
from engine.portal.paging import split_page
from engine.portal.statuses import Chip, describe_run
from engine.selectors.run_pages import RunList, RunListFilters, RunListing, RunState

FILTER_NAMES: Final = ("state", "project", "workflow", "initiator", "mine")
_STATE_WORDS: Final = {
    RunState.OPEN: "Open",
    RunState.WAITING: "Waiting",
    RunState.RUNNING: "Running",
    RunState.QUEUED: "Queued",
    RunState.PAUSED: "Paused",
    RunState.HALTED: "Halted",
    RunState.SUCCEEDED: "Succeeded",
    RunState.FAILED: "Failed",
    RunState.REJECTED: "Rejected",
    RunState.EXPIRED: "Timed out",
    RunState.CANCELLED: "Cancelled",
    RunState.CONTINUED: "Continued as another run",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A choice of a filter."""

    value: str
    words: str
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run in the list."""

    id: UUID
    href: str
    number: int
    title: str
    chip: Chip
    workflow: str
    workflow_href: str
    version: str
    initiator: str
    initiator_kind: str
    started_at: datetime
    took: str
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsContext:
    """Everything the template of the list shows."""

    rows: tuple[RunRow, ...]
    states: tuple[Choice, ...]
    projects: tuple[Choice, ...]
    workflows: tuple[Choice, ...]
    initiator: str
    is_mine: bool
    is_narrow: bool
    unknown: tuple[str, ...]
    older_href: str
    newest_href: str
    all_href: str
    mine_href: str


def read_filters(query: Query) -> tuple[RunListFilters, tuple[str, ...]]:
    """Return what the list is narrowed to, and in words what of it makes no sense."""
    text, unknown = query.get("state"), []
    state = None
    if text:
        try:
            state = RunState(text)
        except ValueError:
            unknown.append(f"There is no state “{text[:40]}”.")
    filters = RunListFilters(
        state=state,
        project_slug=query.get("project") or None,
        workflow_slug=query.get("workflow") or None,
        initiator=query.get("initiator") or None,
        mine=query.get("mine") == "1",
    )
    return filters, tuple(unknown)


def make_runs(
    page: RunList,
    *,
    query: Query,
    unknown: tuple[str, ...],
    waiting: Mapping[UUID, int],
) -> RunsContext:
    """Return the list.

    Args:
        page: one row more than are shown tells that others follow.
        query: the address.
        unknown: what in it makes no sense.
        waiting: how many decisions are waited for, by run.
    """
    shown, after = split_page(page.runs)
    projects = dict.fromkeys(choice.project_slug for choice in page.choices)
    project = query.get("project")
    workflows = sorted(
        {item.slug for item in page.choices if not project or item.project_slug == project}
    )
    return RunsContext(
        rows=tuple(_row(run, waiting=waiting.get(run.id), now=page.now) for run in shown),
        states=tuple(
            Choice(value=state.value, words=words, is_chosen=query.get("state") == state)
            for state, words in _STATE_WORDS.items()
        ),
        projects=_choices(projects, project),
        workflows=_choices(dict.fromkeys(workflows), query.get("workflow")),
        initiator=query.get("initiator")[:200],
        is_mine=query.get("mine") == "1",
        is_narrow=any(query.get(name) for name in FILTER_NAMES),
        unknown=unknown,
        older_href=query.change(after=after) if after else "",
        newest_href=query.change(after="") if query.get("after") else "",
        all_href=query.change(mine="", after=""),
        mine_href=query.change(mine="1", after=""),
    )


def _choices(values: Mapping[str, None], chosen: str) -> tuple[Choice, ...]:
    """Return choices; one that is not there stays in view while it is chosen."""
    names = [*values] if not chosen or chosen in values else [chosen[:200], *values]
    return tuple(
        Choice(value=value, words=value, is_chosen=value == chosen[:200]) for value in names
    )


def _row(run: RunListing, *, waiting: int | None, now: datetime) -> RunRow:
    place = (run.project_slug, run.workflow_slug)
    return RunRow(
        id=run.id,
        href=reverse("engine_portal:run", args=(run.id,)),
        number=run.number,
        title=run.title,
        chip=describe_run(
            status=run.status,
            outcome=run.outcome,
            waiting_count=waiting,
            wake_at=run.wake_at,
            waits=run.waits,
            now=now,
        ),
        workflow=run.workflow_slug,
        workflow_href=reverse("engine_portal:workflow", args=place),
        version=f"v{run.version_rev}",
        initiator=run.initiator_name,
        initiator_kind=run.initiator_kind,
        started_at=run.created_at,
        took=say_duration(max(run.closed_at or now, run.created_at) - run.created_at),
        is_open=run.status != RunStatus.CLOSED,
    )
