"""What the pages of runs show, each read at once. Read `get_run_page` first."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db.models import Case, Exists, OuterRef, Q, QuerySet, Value, When

from audit import store as ledger
from audit.domain.entry import read_entry
from audit.store import StoredEntry
from core.identity.authorize import authorize
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.models import User
from core.identity.selectors.access import ScopeSet, list_scopes
from core.kernel import limits
from core.toolkit.db import read_database_clock
from engine import loading
from engine.domain.events import Event
from engine.domain.plan import Plan
from engine.domain.state import Outcome, RunStatus
from engine.models import Run, Slot, Wait, Workflow
from engine.selectors.access_table import AccessGrant, list_access
from engine.selectors.run_links import RunLink, find_links, list_mentioned
from engine.selectors.runs import RunDetail, get_run_reading
from engine.selectors.step_views import StepReader
from engine.selectors.targets import get_run_target

# Small ones; results, inputs and outputs may have a megabyte each.
_NAMED_PAYLOADS = ("decided", "message", "reason", "difference", "why", "notes", "names")


class RunState(StrEnum):
    """What a list of runs may be narrowed to by how they stand."""

    OPEN = "open"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    HALTED = "halted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    CONTINUED = "continued"


_STATES = {
    RunState.OPEN: ~Q(status=RunStatus.CLOSED),
    RunState.QUEUED: Q(status=RunStatus.READY),
    RunState.RUNNING: Q(status=RunStatus.RUNNING),
    RunState.WAITING: Q(status=RunStatus.WAITING),
    RunState.PAUSED: Q(status=RunStatus.PAUSED),
    RunState.HALTED: Q(status=RunStatus.HALTED),
    RunState.SUCCEEDED: Q(outcome=Outcome.SUCCEEDED),
    RunState.FAILED: Q(outcome=Outcome.FAILED),
    RunState.REJECTED: Q(outcome=Outcome.REJECTED),
    RunState.EXPIRED: Q(outcome=Outcome.EXPIRED),
    RunState.CANCELLED: Q(outcome=Outcome.CANCELLED),
    RunState.CONTINUED: Q(outcome=Outcome.CONTINUED),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunListing:
    """A run in the list. `initiator_kind` is the account's.

    `waits` is what a run waits for beside people: "event", "run", "mutex", or "" for none of these.
    """

    id: UUID
    number: int
    project_slug: str
    workflow_slug: str
    version_rev: int
    title: str
    status: str
    outcome: str
    initiator_name: str
    initiator_username: str
    initiator_kind: str
    created_at: datetime
    closed_at: datetime | None
    wake_at: datetime | None
    waits: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunListFilters:
    """What the list is narrowed to; `None` means any. `mine`: started by, or for, the reader."""

    state: RunState | None = None
    project_slug: str | None = None
    workflow_slug: str | None = None
    initiator: str | None = None
    mine: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowChoice:
    """A workflow to choose in a filter."""

    project_slug: str
    slug: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunList:
    """A page of the list, newest first. `now` is the database's clock."""

    runs: tuple[RunListing, ...]
    choices: tuple[WorkflowChoice, ...]
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EventListing:
    """An entry of a run's stream with the event in it and who caused it.

    `actor_name` is "" for the engine itself.
    """

    event: Event
    actor_id: str
    actor_kind: str
    actor_name: str
    via: str
    leaf_hex: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """A run with its plan and its events from the first on, at most `PAGE_EVENT_COUNT_MAX`.

    Of the events' payloads only the small ones are read; `opened` is the one event that was asked
    for with all of them. `links` are the other runs that it names, `reader` reads more
    of its steps. `now` is the database's clock.
    """

    detail: RunDetail
    plan: Plan
    events: tuple[EventListing, ...]
    initiator_name: str
    initiator_kind: str
    on_behalf_of: str
    wake_at: datetime | None
    may_operate: bool
    may_start: bool
    now: datetime
    opened: StoredEntry | None = None
    reader: StepReader | None = None
    links: Mapping[UUID, RunLink] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPage:
    """What somebody is asked who cancels a run. `may_operate` false: `operators` says who may."""

    number: int
    title: str
    status: str
    outcome: str
    may_operate: bool
    operators: tuple[AccessGrant, ...]


def list_run_rows(
    *, principal: Principal, filters: RunListFilters, after: UUID | None = None, limit: int
) -> RunList:
    """Return the runs the reader may see, newest first, after a cursor; at most 6 queries."""
    scopes = list_scopes(principal=principal, permission=Permission.VIEW_WORKFLOW)
    query = Run.objects.filter(_covered(scopes, "workflow__"), _conditions(principal, filters))
    if after is not None:
        query = query.filter(pk__lt=after)
    rows = query.select_related("workflow__project", "version", "initiator").only(
        "id",
        "number",
        "title",
        "status",
        "outcome",
        "created_at",
        "closed_at",
        "wake_at",
        "workflow__slug",
        "workflow__project__slug",
        "version__rev",
        "initiator__username",
        "initiator__name",
        "initiator__kind",
    )
    return RunList(
        runs=tuple(_run_listing(row) for row in _with_waits(rows).order_by("-pk")[:limit]),
        choices=_choices(scopes),
        now=read_database_clock(),
    )


def get_run_page(
    *,
    principal: Principal,
    run_id: UUID,
    event_seq: int | None = None,
    event_before: int | None = None,
    keep: str = "",
) -> RunPage:
    """Return one run as its page shows it; a constant number of queries.

    Args:
        principal: who reads.
        run_id: the run.
        event_seq: the number of an event to read in full, if there is one of that number.
        event_before: of events before this number other runs are named; `None`: of the newest.
        keep: the key of a step that is listed whatever is left out.

    Raises: RunMissingError.
    """
    reading = get_run_reading(principal=principal, run_id=run_id, keep=keep)
    detail = reading.detail
    row = (
        Run.objects.select_related("workflow", "initiator", "on_behalf_of")
        .only(
            "version_id",
            "wake_at",
            "workflow__scope_id",
            "initiator__name",
            "initiator__kind",
            "on_behalf_of__name",
        )
        .get(pk=run_id)
    )
    scope_id = row.workflow.scope_id
    events = tuple(list_event_listings(run_id=run_id))
    return RunPage(
        detail=detail,
        plan=_find_plan(row.version_id, detail),
        events=events,
        initiator_name=row.initiator.name,
        initiator_kind=row.initiator.kind,
        on_behalf_of=row.on_behalf_of.name if row.on_behalf_of else "",
        wake_at=row.wake_at,
        may_operate=_may(principal, Permission.OPERATE_RUN, scope_id),
        may_start=_may(principal, Permission.TRIGGER_WORKFLOW, scope_id),
        now=read_database_clock(),
        opened=None if event_seq is None else get_opened(run_id=run_id, seq=event_seq),
        reader=reading.reader,
        links=find_event_links(
            principal=principal,
            events=events,
            known=detail.relations.others,
            before=event_before,
        ),
    )


def find_event_links(
    *,
    principal: Principal,
    events: Iterable[EventListing],
    known: Mapping[UUID, RunLink],
    before: int | None,
) -> dict[UUID, RunLink]:
    """Return the runs that events name, those of the newest ones if they are very many."""
    told = [item.event for item in events if before is None or item.event.seq < before]
    named = dict.fromkeys(
        run_id for event in reversed(told) for run_id in list_mentioned(event=event)
    )
    missing = [run_id for run_id in named if run_id not in known]
    return {
        **known,
        **find_links(principal=principal, run_ids=missing[: limits.RUN_LINK_COUNT_MAX]),
    }


def _find_plan(version_id: UUID, detail: RunDetail) -> Plan:
    """Return what is drawn: nothing for a run that cannot be read, perhaps because of its plan."""
    if not detail.unreadable:
        return loading.get_rules(version_id=version_id).decider.plan
    title = detail.run.title
    return Plan(
        name=detail.run.workflow_slug,
        title=title,
        inputs_schema={},
        variables={},
        steps={},
        outputs={},
    )


def get_cancel_page(*, principal: Principal, run_id: UUID) -> CancelPage:
    """Return what somebody is asked who cancels a run. Raises: RunMissingError."""
    target = get_run_target(principal=principal, run_id=run_id)
    row = Run.objects.only("number", "title", "status", "outcome").get(pk=run_id)
    may_operate = _may(principal, Permission.OPERATE_RUN, target.scope_id)
    operators = (
        ()
        if may_operate
        else list_access(scope_id=target.scope_id, permissions=[Permission.OPERATE_RUN])
    )
    return CancelPage(
        number=row.number,
        title=row.title,
        status=row.status,
        outcome=row.outcome,
        may_operate=may_operate,
        operators=operators,
    )


def _may(principal: Principal, permission: Permission, scope_id: UUID) -> bool:
    return authorize(principal=principal, permission=permission, scope_id=scope_id).allowed


def _covered(scopes: ScopeSet, prefix: str) -> Q:
    if scopes.everything:
        return Q()
    covered = list(scopes.scope_ids)
    return Q(**{f"{prefix}scope_id__in": covered}) | Q(**{f"{prefix}scope__parent_id__in": covered})


def _conditions(principal: Principal, filters: RunListFilters) -> Q:
    names = {
        "workflow__project__slug": filters.project_slug,
        "workflow__slug": filters.workflow_slug,
        "initiator__username": filters.initiator,
    }
    wanted = Q(**{name: value for name, value in names.items() if value is not None})
    if filters.state is not None:
        wanted &= _STATES[filters.state]
    if filters.mine:
        wanted &= Q(initiator=principal.user_id) | Q(on_behalf_of=principal.person_id)
    return wanted


def _choices(scopes: ScopeSet) -> tuple[WorkflowChoice, ...]:
    rows: QuerySet[Workflow, Any] = (
        Workflow.objects.filter(_covered(scopes, ""))
        .order_by("project__slug", "slug")
        .values_list("project__slug", "slug")[: limits.LIST_ITEM_COUNT_MAX]
    )
    return tuple(WorkflowChoice(project_slug=project, slug=slug) for project, slug in rows)


def _with_waits(rows: QuerySet[Run]) -> QuerySet[Any]:
    """Return runs with what they wait for, by the indexes of what waits."""
    own, is_waiting = OuterRef("pk"), Q(status=RunStatus.WAITING)
    children = Run.objects.filter(parent=own, parent_reported=False)
    waits = {
        "event": Exists(Wait.objects.filter(run=own)),
        "run": Exists(children.exclude(status=RunStatus.CLOSED)),
        "mutex": Exists(Slot.objects.filter(run=own, granted_at__isnull=True)),
    }
    whens = [When(is_waiting & Q(found), then=Value(kind)) for kind, found in waits.items()]
    return rows.annotate(waits=Case(*whens, default=Value("")))


def _run_listing(row: Any) -> RunListing:
    return RunListing(
        id=row.id,
        number=row.number,
        project_slug=row.workflow.project.slug,
        workflow_slug=row.workflow.slug,
        version_rev=row.version.rev,
        title=row.title,
        status=row.status,
        outcome=row.outcome,
        initiator_name=row.initiator.name,
        initiator_username=row.initiator.username,
        initiator_kind=row.initiator.kind,
        created_at=row.created_at,
        closed_at=row.closed_at,
        wake_at=row.wake_at,
        waits=row.waits,
    )


def list_event_listings(*, run_id: UUID, until_seq: int | None = None) -> list[EventListing]:
    """Return the events of a run in order, up to an entry, with who caused them; 2 queries."""
    most = limits.PAGE_EVENT_COUNT_MAX
    entries = ledger.read_stream(
        stream=run_id,
        limit=most if until_seq is None else min(most, until_seq),
        payload_names=_NAMED_PAYLOADS,
    )
    views = [(entry, read_entry(entry.body)) for entry in entries]
    names = _names({view.actor.id for _, view in views})
    return [
        EventListing(
            event=Event(
                kind=entry.kind,
                at=entry.at,
                data=entry.data,
                payloads=entry.payloads,
                seq=entry.seq,
            ),
            actor_id=view.actor.id,
            actor_kind=view.actor.kind,
            actor_name=names.get(view.actor.id, ""),
            via=view.via,
            leaf_hex=entry.leaf.hex(),
        )
        for entry, view in views
    ]


def get_opened(*, run_id: UUID, seq: int) -> StoredEntry | None:
    """Return one entry of a run with all of its payloads, if there is one of that number."""
    entries = ledger.read_stream(stream=run_id, after_seq=seq - 1, limit=1)
    return next((entry for entry in entries if entry.seq == seq), None)


def _names(actor_ids: Collection[str]) -> dict[str, str]:
    """Return the names of the accounts among actors; 1 query."""
    known = []
    for actor_id in actor_ids:
        try:
            known.append(UUID(actor_id))
        except ValueError:
            continue  # the engine, or the platform
    rows = User.objects.filter(pk__in=known).values_list("pk", "name")
    return {str(pk): name for pk, name in rows}
