"""Reading what is known of secrets, which is everything but their values. Read `list_secrets`."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet, Subquery

from core.identity.authorize import authorize_each
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.selectors.access import list_scopes
from core.kernel import limits
from core.kernel.errors import Problem
from engine.domain.errors import ProjectMissingError, SecretMissingError
from engine.domain.flow.problems import Code
from engine.domain.plan import Plan
from engine.models import Version, VersionStatus, Workflow
from engine.secrets.models import Secret
from engine.selectors.targets import get_project_target

# Either is enough to set and delete the secrets of a project.
SECRET_PERMISSIONS = (Permission.CHANGE_PROJECT, Permission.MANAGE_INTEGRATIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretView:
    """A secret without its value.

    `number` counts how often it was set; `used_by` are slugs of workflows whose live version names
    it, as far as the reader may see them, at most `limits.SECRET_WORKFLOW_COUNT_MAX`.
    """

    id: UUID
    name: str
    description: str
    number: int
    created_at: datetime
    changed_at: datetime
    changed_by: str | None
    used_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretsPage:
    """The secrets of a project for one reader, and whether that reader may change them."""

    project_slug: str
    secrets: tuple[SecretView, ...]
    may_change: bool


def list_secrets(
    *, principal: Principal, project_slug: str, after: str = "", limit: int
) -> list[SecretView]:
    """Return a project's secrets by name, after a name. Raises: ProjectMissingError."""
    project = get_project_target(principal=principal, project_slug=project_slug)
    rows = list(_rows(project.project_id).filter(name__gt=after)[:limit])
    users = _find_users(principal, project_id=project.project_id, names={r.name for r in rows})
    return [_view(row, used_by=users.get(row.name, ())) for row in rows]


def can_list_secrets(*, principal: Principal, project_slug: str) -> bool:
    """Say whether the reader may see the project, and so the names of its secrets."""
    try:
        get_project_target(principal=principal, project_slug=project_slug)
    except ProjectMissingError:
        return False
    return True


def get_secret(*, principal: Principal, project_slug: str, name: str) -> SecretView:
    """Return one secret. Raises: ProjectMissingError, SecretMissingError."""
    project = get_project_target(principal=principal, project_slug=project_slug)
    row = _rows(project.project_id).filter(name=name).first()
    if row is None:
        raise SecretMissingError(name=name[: limits.SECRET_NAME_CHARS_MAX])
    users = _find_users(principal, project_id=project.project_id, names={name})
    return _view(row, used_by=users.get(name, ()))


def get_secrets_page(*, principal: Principal, project_slug: str) -> SecretsPage:
    """Return all secrets of a project, and what the reader may do. Raises: ProjectMissingError."""
    project = get_project_target(principal=principal, project_slug=project_slug)
    answers = authorize_each(
        principal=principal, permissions=SECRET_PERMISSIONS, scope_id=project.scope_id
    )
    found = list_secrets(
        principal=principal, project_slug=project_slug, limit=limits.SECRET_COUNT_MAX
    )
    return SecretsPage(
        project_slug=project.project_slug,
        secrets=tuple(found),
        may_change=any(answer.allowed for answer in answers),
    )


def list_unknown_secrets(*, project_id: UUID, plan: Plan) -> list[Problem]:
    """Return a warning for each secret that a plan names and its project does not have."""
    if not plan.secrets:
        return []
    rows = Secret.objects.filter(project_id=project_id, name__in=plan.secrets)
    known = set(rows.values_list("name", flat=True))
    return [
        Problem(
            path="/secrets",
            message=f"The project has no secret `{name}` yet; steps that need it would fail.",
            code=str(Code.UNKNOWN_SECRET),
            severity="warning",
        )
        for name in plan.secrets
        if name not in known
    ]


def _rows(project_id: UUID) -> QuerySet[Secret]:
    rows = Secret.objects.filter(project_id=project_id).select_related("changed_by")
    return rows.defer("sealed").order_by("name")


def _find_users(
    principal: Principal, *, project_id: UUID, names: AbstractSet[str]
) -> dict[str, tuple[str, ...]]:
    """Return the slugs of the workflows whose live version names each secret, by its name."""
    if not names:
        return {}
    scopes = list_scopes(principal=principal, permission=Permission.VIEW_WORKFLOW)
    flows: QuerySet[Any] = Workflow.objects.filter(project_id=project_id)
    if not scopes.everything:
        covered = list(scopes.scope_ids)
        flows = flows.filter(Q(scope_id__in=covered) | Q(scope__parent_id__in=covered))
    live = Version.objects.filter(workflow=OuterRef("pk"), status=VersionStatus.PUBLISHED)
    named = flows.annotate(
        named=Subquery(live.order_by("-rev").values("plan__secrets")[:1])
    ).exclude(named=None)
    users: dict[str, list[str]] = {}
    for slug, declared in named.order_by("slug").values_list("slug", "named"):
        for name in names & set(declared):
            if len(users.setdefault(name, [])) < limits.SECRET_WORKFLOW_COUNT_MAX:
                users[name].append(slug)
    return {name: tuple(slugs) for name, slugs in users.items()}


def _view(row: Secret, *, used_by: tuple[str, ...]) -> SecretView:
    return SecretView(
        id=row.id,
        name=row.name,
        description=row.description,
        number=row.number,
        created_at=row.created_at,
        changed_at=row.changed_at,
        changed_by=None if row.changed_by is None else row.changed_by.username,
        used_by=used_by,
    )
