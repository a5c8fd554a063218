"""What the pages of workflows show, each read at once. Read `list_workflow_rows` first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from core.identity.authorize import authorize
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.selectors.access import ScopeSet, list_scopes
from core.kernel.types import Json
from engine.domain.errors import NothingPublishedError
from engine.domain.plan import Plan
from engine.domain.plan_json import plan_from_json
from engine.models import Version, VersionStatus
from engine.selectors.access_table import ACCESS_SHOWN, AccessGrant, list_access
from engine.selectors.flow_control import Pauses, get_pauses
from engine.selectors.move_pages import can_move
from engine.selectors.runs import get_run
from engine.selectors.triggers import TriggerView, list_triggers
from engine.selectors.workflows import (
    VersionDetail,
    VersionView,
    WorkflowView,
    get_version,
    get_workflow,
    list_versions,
    list_workflows,
)

STRIP_COUNT: Final = 30
# The index on (workflow, -id) makes this a few rows for each workflow, however many runs it has.
_LAST_RUNS = """
    SELECT w.id, r.id, r.number, r.title, r.status, r.outcome, r.created_at
    FROM unnest(%s::uuid[]) AS w (id)
    CROSS JOIN LATERAL (
        SELECT id, number, title, status, outcome, created_at FROM engine_run
        WHERE workflow_id = w.id ORDER BY id DESC LIMIT %s) r
    ORDER BY w.id, r.id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """One of a workflow's last runs."""

    id: UUID
    number: int
    title: str
    status: str
    outcome: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LastChange:
    """The newest version of a workflow; `parent_id` is the scope of the workflow's project."""

    rev: int
    status: str
    author: str
    at: datetime
    parent_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowListing:
    """A workflow in the list. `runs` are the last ones, oldest first."""

    workflow: WorkflowView
    runs: tuple[LastRun, ...]
    change: LastChange | None
    may_start: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowPage:
    """A workflow with its versions, newest first, and what the reader may do."""

    workflow: WorkflowView
    versions: tuple[VersionView, ...]
    triggers: tuple[TriggerView, ...]
    runs: tuple[LastRun, ...]
    may_start: bool
    pauses: Pauses


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionPage:
    """A version with its content and with who may do what. `live_rev`: what new runs use."""

    detail: VersionDetail
    plan: Plan
    access: tuple[AccessGrant, ...]
    live_rev: int | None
    may_start: bool
    may_publish: bool
    may_move: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPage:
    """What somebody is asked who starts a run.

    `source` is the version's text. `may_start` false: `starters` says who may. `inputs` are those
    of the run to be run again.
    """

    workflow: WorkflowView
    rev: int
    inputs_schema: dict[str, Any]
    source: str
    may_start: bool
    starters: tuple[AccessGrant, ...]
    inputs: dict[str, Json]


def list_workflow_rows(
    *,
    principal: Principal,
    project_slug: str | None = None,
    after: UUID | None = None,
    limit: int,
) -> list[WorkflowListing]:
    """Return the workflows the reader may see, newest first; at most nine queries."""
    rows = list_workflows(principal=principal, project_slug=project_slug, after=after, limit=limit)
    ids = [row.id for row in rows]
    runs, changes = _last_runs(ids), _last_changes(ids)
    scopes = list_scopes(principal=principal, permission=Permission.TRIGGER_WORKFLOW)
    return [
        _listing(row, runs=runs.get(row.id, ()), change=changes.get(row.id), scopes=scopes)
        for row in rows
    ]


def get_workflow_page(
    *,
    principal: Principal,
    project_slug: str,
    workflow_slug: str,
    before_rev: int | None = None,
    limit: int,
) -> WorkflowPage:
    """Return a workflow with its versions. Raises: WorkflowMissingError."""
    workflow = get_workflow(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
    )
    versions = list_versions(
        principal=principal,
        project_slug=project_slug,
        workflow_slug=workflow_slug,
        before_rev=before_rev,
        limit=limit,
    )
    return WorkflowPage(
        workflow=workflow,
        versions=tuple(versions),
        triggers=tuple(
            list_triggers(
                principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
            )
        ),
        runs=_last_runs([workflow.id]).get(workflow.id, ()),
        may_start=_may(principal, Permission.TRIGGER_WORKFLOW, workflow.scope_id),
        pauses=get_pauses(
            principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
        ),
    )


def get_version_page(
    *, principal: Principal, project_slug: str, workflow_slug: str, rev: int
) -> VersionPage:
    """Return a version with its content and with who may do what.

    Raises: WorkflowMissingError, VersionMissingError.
    """
    detail = get_version(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug, rev=rev
    )
    rows = Version.objects.select_related("workflow").defer("source", "plan", "inputs_schema")
    row = rows.get(pk=detail.version.id)
    scope_id = row.workflow.scope_id
    return VersionPage(
        detail=detail,
        plan=plan_from_json(detail.plan),
        access=list_access(scope_id=scope_id, permissions=ACCESS_SHOWN),
        live_rev=_live(row.workflow_id).values_list("rev", flat=True).first(),
        may_start=_may(principal, Permission.TRIGGER_WORKFLOW, scope_id),
        may_publish=authorize(
            principal=principal,
            permission=Permission.PUBLISH_WORKFLOW,
            scope_id=scope_id,
            target=row,
        ).allowed,
        may_move=can_move(principal=principal, scope_id=scope_id),
    )


def get_start_page(
    *,
    principal: Principal,
    project_slug: str,
    workflow_slug: str,
    again: UUID | None = None,
) -> StartPage:
    """Return what a run of a workflow's newest published version is started with.

    Args:
        principal: who asks.
        project_slug: the project.
        workflow_slug: the workflow.
        again: a run whose inputs to begin with; one of another workflow is ignored.

    Raises:
        WorkflowMissingError, RunMissingError: there is none to be seen.
        NothingPublishedError: there is nothing to run.
    """
    workflow = get_workflow(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
    )
    version = _live(workflow.id).only("rev", "inputs_schema", "source").first()
    if version is None:
        raise NothingPublishedError(workflow=workflow_slug)
    may_start = _may(principal, Permission.TRIGGER_WORKFLOW, workflow.scope_id)
    starters = (
        ()
        if may_start
        else list_access(scope_id=workflow.scope_id, permissions=[Permission.TRIGGER_WORKFLOW])
    )
    return StartPage(
        workflow=workflow,
        rev=version.rev,
        inputs_schema=version.inputs_schema,
        source=version.source,
        may_start=may_start,
        starters=starters,
        inputs={} if again is None else _inputs_of(principal, workflow, again),
    )


def _inputs_of(principal: Principal, workflow: WorkflowView, run_id: UUID) -> dict[str, Json]:
    found = get_run(principal=principal, run_id=run_id)
    place = (found.run.project_slug, found.run.workflow_slug)
    if place != (workflow.project_slug, workflow.slug) or not isinstance(found.inputs, dict):
        return {}
    return found.inputs


def _may(principal: Principal, permission: Permission, scope_id: UUID) -> bool:
    return authorize(principal=principal, permission=permission, scope_id=scope_id).allowed


def _live(workflow_id: UUID) -> QuerySet[Version]:
    """Return the published versions, the one new runs use first."""
    published = Version.objects.filter(workflow_id=workflow_id, status=VersionStatus.PUBLISHED)
    return published.order_by("-rev")


def _listing(
    row: WorkflowView, *, runs: tuple[LastRun, ...], change: LastChange | None, scopes: ScopeSet
) -> WorkflowListing:
    parent_id = change.parent_id if change else None
    may_start = scopes.covers(scope_id=row.scope_id, parent_id=parent_id)
    return WorkflowListing(
        workflow=row,
        runs=runs,
        change=change,
        may_start=may_start and row.published_rev is not None,
    )


def _last_runs(workflow_ids: list[UUID]) -> dict[UUID, tuple[LastRun, ...]]:
    """Return the last runs of workflows, oldest first; 1 query."""
    found: dict[UUID, list[LastRun]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_LAST_RUNS, (workflow_ids, STRIP_COUNT))
        for workflow_id, *values in cursor.fetchall():
            names = ("id", "number", "title", "status", "outcome", "at")
            run = LastRun(**dict(zip(names, values, strict=True)))
            found.setdefault(workflow_id, []).append(run)
    return {workflow_id: tuple(runs) for workflow_id, runs in found.items()}


def _last_changes(workflow_ids: list[UUID]) -> dict[UUID, LastChange]:
    """Return the newest versions of workflows; 1 query."""
    rows = (
        Version.objects.filter(workflow_id__in=workflow_ids)
        .order_by("workflow_id", "-rev")
        .distinct("workflow_id")
        .values_list(
            "workflow_id",
            "rev",
            "status",
            "author__name",
            "created_at",
            "workflow__scope__parent_id",
        )
    )
    return {
        workflow_id: LastChange(rev=rev, status=status, author=author, at=at, parent_id=parent_id)
        for workflow_id, rev, status, author, at, parent_id in rows
    }
