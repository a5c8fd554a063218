"""Finding what a caller wants to act on, as far as it may see it. Read `get_workflow_target`.

What a caller may not see does not exist for it; what it sees but may not touch is refused by the
service.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from core.identity.authorize import authorize, authorize_each, enforce
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.models import Project
from core.toolkit.db import fetch_rows
from engine.domain.errors import ProjectMissingError, RunMissingError, WorkflowMissingError
from engine.models import Run

_WORKFLOW = """
    SELECT w.id, w.slug, p.id, p.slug, w.scope_id
    FROM engine_workflow w JOIN identity_project p ON p.id = w.project_id
    WHERE p.slug = %s AND w.slug = %s"""

# Every start of a run asks this: the version that is named, otherwise the newest published one.
_STARTABLE = """
    SELECT w.id, w.slug, p.id, p.slug, w.scope_id, v.id, v.rev, v.digest, v.status
    FROM engine_workflow w JOIN identity_project p ON p.id = w.project_id
    LEFT JOIN LATERAL (
        SELECT id, rev, digest, status FROM engine_version
        WHERE workflow_id = w.id AND (status = 'published' OR rev = %s::int)
        ORDER BY rev = %s::int DESC, rev DESC LIMIT 1) v ON true
    WHERE p.slug = %s::text AND w.slug = %s::text"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowTarget:
    """A workflow the caller may see."""

    workflow_id: UUID
    workflow_slug: str
    project_id: UUID
    project_slug: str
    scope_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundVersion:
    """A version of a workflow. `digest` is that of its plan, 32 bytes."""

    id: UUID
    rev: int
    digest: bytes
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTarget:
    """A workflow the caller may start, and the version to run, whatever its status, if any."""

    workflow: WorkflowTarget
    version: FoundVersion | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTarget:
    """A run the caller may see."""

    run_id: UUID
    workflow_id: UUID
    scope_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectTarget:
    """A project the caller may see."""

    project_id: UUID
    project_slug: str
    scope_id: UUID


def get_workflow_target(
    *, principal: Principal, project_slug: str, workflow_slug: str
) -> WorkflowTarget:
    """Return a workflow the caller may see. Raises: WorkflowMissingError."""
    rows = fetch_rows(_WORKFLOW, (project_slug, workflow_slug))
    if not rows or not _may_view(principal, rows[0][4]):
        raise WorkflowMissingError(workflow=f"{project_slug}/{workflow_slug}")
    return _make_workflow_target(rows[0])


def get_start_target(
    *, principal: Principal, project_slug: str, workflow_slug: str, rev: int | None
) -> StartTarget:
    """Return a workflow the caller may start, and what a start of it runs. Two statements.

    Args:
        principal: who asks.
        project_slug: the project's.
        workflow_slug: the workflow's.
        rev: the version to run; `None` is the newest published one.

    Raises:
        WorkflowMissingError: no such workflow, or the caller may not see it.
        AccessForbiddenError: the caller sees it but may not start it.
    """
    rows = fetch_rows(_STARTABLE, (rev, rev, project_slug, workflow_slug))
    if not rows:
        raise WorkflowMissingError(workflow=f"{project_slug}/{workflow_slug}")
    scope_id = rows[0][4]
    may_view, may_start = authorize_each(
        principal=principal,
        permissions=(Permission.VIEW_WORKFLOW, Permission.TRIGGER_WORKFLOW),
        scope_id=scope_id,
    )
    if not may_view.allowed:
        raise WorkflowMissingError(workflow=f"{project_slug}/{workflow_slug}")
    enforce(
        may_start,
        principal=principal,
        permission=Permission.TRIGGER_WORKFLOW,
        scope_id=scope_id,
    )
    version_id, found_rev, digest, status = rows[0][5:]
    version = None
    if version_id is not None:
        version = FoundVersion(id=version_id, rev=found_rev, digest=bytes(digest), status=status)
    return StartTarget(workflow=_make_workflow_target(rows[0]), version=version)


def get_run_target(*, principal: Principal, run_id: UUID) -> RunTarget:
    """Return a run the caller may see. Raises: RunMissingError."""
    row = (
        Run.objects.filter(pk=run_id).values_list("id", "workflow_id", "workflow__scope_id").first()
    )
    if row is None or not _may_view(principal, row[2]):
        raise RunMissingError(run=str(run_id))
    return RunTarget(run_id=row[0], workflow_id=row[1], scope_id=row[2])


def get_project_target(*, principal: Principal, project_slug: str) -> ProjectTarget:
    """Return a project the caller may see. Raises: ProjectMissingError."""
    row = Project.objects.filter(slug=project_slug).values_list("id", "slug", "scope_id").first()
    visible = row is not None and any(
        authorize(principal=principal, permission=permission, scope_id=row[2]).allowed
        for permission in (Permission.VIEW_PROJECT, Permission.VIEW_WORKFLOW)
    )
    if row is None or not visible:
        raise ProjectMissingError(project=project_slug)
    return ProjectTarget(project_id=row[0], project_slug=row[1], scope_id=row[2])


def _make_workflow_target(row: tuple[Any, ...]) -> WorkflowTarget:
    return WorkflowTarget(
        workflow_id=row[0],
        workflow_slug=row[1],
        project_id=row[2],
        project_slug=row[3],
        scope_id=row[4],
    )


def _may_view(principal: Principal, scope_id: UUID) -> bool:
    return authorize(
        principal=principal, permission=Permission.VIEW_WORKFLOW, scope_id=scope_id
    ).allowed
