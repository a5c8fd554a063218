"""The first lines of the page of a run. Read `make_summary` first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.urls import reverse

from engine.domain.events import EventKind
from engine.domain.state import RunStatus
from engine.portal.context.steps import say_took
from engine.portal.statuses import Chip, describe_run
from engine.portal.timeline import Timeline
from engine.selectors.run_pages import RunPage


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a run is and how it stands. `problem` says why it stands still, "" if it does not."""

    id: UUID
    number: int
    title: str
    chip: Chip
    is_open: bool
    took: str
    done: str
    people: str
    people_of: str
    initiator: str
    on_behalf_of: str
    started_at: datetime
    version_words: str
    version_href: str
    problem: str
    may_cancel: bool
    may_start: bool
    again_href: str


def make_summary(page: RunPage, *, timeline: Timeline, marks: Sequence[str]) -> RunSummary:
    """Return the summary of a run; `marks` are those of its steps."""
    run = page.detail.run
    place = (run.project_slug, run.workflow_slug)
    is_open = run.status != RunStatus.CLOSED
    return RunSummary(
        id=run.id,
        number=run.number,
        title=run.title,
        chip=describe_run(
            status=run.status,
            outcome=run.outcome,
            waiting_count=list(marks).count("waiting") if page.detail.steps else None,
            wake_at=page.wake_at,
            now=page.now,
        ),
        is_open=is_open,
        took=say_took(timeline.total_seconds),
        done=f"{sum(mark == 'approved' for mark in marks)} of {len(marks)} done",
        people=say_took(timeline.people_seconds) if timeline.people_seconds else "none",
        people_of=f"of {say_took(timeline.total_seconds)}" if timeline.people_seconds else "",
        initiator=page.initiator_name,
        on_behalf_of=page.on_behalf_of,
        started_at=run.created_at,
        version_words=f"{run.workflow_slug} v{run.version_rev}",
        version_href=reverse("engine_portal:version", args=(*place, run.version_rev)),
        problem=_problem(page),
        may_cancel=page.may_operate and is_open,
        may_start=page.may_start,
        again_href=f"{reverse('engine_portal:start', args=place)}?from={run.id}",
    )


def _problem(page: RunPage) -> str:
    """Return why a run stands still or ended without a step saying so; "" if nothing is wrong."""
    if page.detail.unreadable:
        return page.detail.unreadable
    last = page.events[-1].event if page.events else None
    if last is not None and last.kind == EventKind.RUN_HALTED:
        return str(last.payloads.get("difference") or last.data.get("code") or "")
    if last is not None and last.kind == EventKind.RUN_CLOSED:
        return str(last.payloads.get("why") or "")
    return ""
