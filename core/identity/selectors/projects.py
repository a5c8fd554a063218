"""Projects as far as a principal may see them. Read `get_project`."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from core.identity.authorize import authorize
from core.identity.domain.errors import IdentityMissingError
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.models import Project
from core.identity.selectors.access import list_scopes
from core.kernel import limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectView:
    """A project."""

    id: UUID
    slug: str
    title: str
    scope_id: UUID
    created_at: datetime


def get_project(*, principal: Principal | None, slug: str) -> ProjectView:
    """Return a project. Raises: IdentityMissingError, also without `view_project` there."""
    project = Project.objects.filter(slug=slug).first()
    if project is None or not _may_view(principal, project):
        raise IdentityMissingError("There is no such project.")
    return _view(project)


def list_projects(
    *, principal: Principal | None, after: str = "", limit: int = limits.PAGE_SIZE_DEFAULT
) -> list[ProjectView]:
    """Return the projects a principal may see, by slug, at most 4 queries.

    Args:
        principal: who asks.
        after: the last slug already seen, "" for the beginning.
        limit: how many at most.
    """
    scopes = list_scopes(principal=principal, permission=Permission.VIEW_PROJECT)
    if scopes.is_empty():
        return []
    projects = Project.objects.filter(slug__gt=after).order_by("slug")
    if not scopes.everything:
        projects = projects.filter(scope_id__in=scopes.scope_ids)
    return [_view(project) for project in projects[:limit]]


def _may_view(principal: Principal | None, project: Project) -> bool:
    return authorize(
        principal=principal, permission=Permission.VIEW_PROJECT, scope_id=project.scope_id
    ).allowed


def _view(project: Project) -> ProjectView:
    return ProjectView(
        id=project.pk,
        slug=project.slug,
        title=project.title,
        scope_id=project.scope_id,
        created_at=project.created_at,
    )
