"""Finding what a caller wants to act on, as far as it may see it. Read `get_workflow_target`.

What a caller may not see does not exist for it; what it sees but may not touch is refused by the
service.
"""

from dataclasses import dataclass
from uuid import UUID

from core.identity.authorize import authorize
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.models import Project
from core.toolkit.db import fetch_rows
from engine.domain.errors import ProjectMissingError, RunMissingError, WorkflowMissingError
from engine.models import Run

# Every start of a run asks this: the ORM takes longer to write it than the server to answer.
_WORKFLOW = """
    SELECT w.id, w.slug, p.id, p.slug, w.scope_id
    FROM engine_workflow w JOIN identity_project p ON p.id = w.project_id
    WHERE p.slug = %s AND w.slug = %s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowTarget:
    """A workflow the caller may see."""

    workflow_id: UUID
    workflow_slug: str
    project_id: UUID
    project_slug: str
    scope_id: UUID


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
    row = rows[0] if rows else None
    if row is None or not _may_view(principal, row[4]):
        raise WorkflowMissingError(workflow=f"{project_slug}/{workflow_slug}")
    return WorkflowTarget(
        workflow_id=row[0],
        workflow_slug=row[1],
        project_id=row[2],
        project_slug=row[3],
        scope_id=row[4],
    )


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


def _may_view(principal: Principal, scope_id: UUID) -> bool:
    return authorize(
        principal=principal, permission=Permission.VIEW_WORKFLOW, scope_id=scope_id
    ).allowed
