"""Roles, assignments, shares and tokens as far as a principal may see them.

Read `list_assignments` first. Everybody sees what was given to itself and to its teams. Whoever
manages access at a scope sees what was given there; whoever manages roles or reviews access
everywhere sees all of it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Prefetch, Q
from django.db.models.functions import Now

from core.identity.authorize import authorize
from core.identity.domain.errors import IdentityMissingError
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.models import (
    ApiToken,
    Project,
    ProjectGroupShare,
    ProjectUserShare,
    Role,
    RoleAssignment,
    RolePermission,
)
from core.identity.selectors.access import list_scopes
from core.kernel import limits

_EVERYWHERE: Final = (Permission.MANAGE_ROLES, Permission.REVIEW_ACCESS)
_IN_PLACE: Final = (Permission.MANAGE_PROJECT_ACCESS, Permission.MANAGE_WORKFLOW_ACCESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleView:
    """A role and what it holds, sorted."""

    id: UUID
    slug: str
    title: str
    builtin: bool
    permissions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentView:
    """A role given to an account or to a team. `project` is the slug of the scope's project."""

    id: UUID
    role: str
    scope_id: UUID
    scope_kind: str
    project: str | None
    user_id: UUID | None
    username: str | None
    group_id: int | None
    group: str | None
    expires_at: datetime | None
    granted_at: datetime
    granted_by: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareView:
    """One permission on one project, given without a role to an account or to a team."""

    permission: str
    user_id: UUID | None
    username: str | None
    group_id: int | None
    group: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """A token, without its secret. `permissions` and `project` are `None` where it limits none."""

    id: UUID
    name: str
    user_id: UUID
    username: str
    permissions: tuple[str, ...] | None
    project: str | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


def list_roles(*, after: str = "", limit: int = limits.PAGE_SIZE_DEFAULT) -> list[RoleView]:
    """Return the roles, by slug; what they hold is no secret; 2 queries."""
    held = Prefetch("permissions", queryset=RolePermission.objects.order_by("permission"))
    roles = Role.objects.filter(slug__gt=after).order_by("slug").prefetch_related(held)
    return [
        RoleView(
            id=role.pk,
            slug=role.slug,
            title=role.title,
            builtin=role.builtin,
            permissions=tuple(item.permission for item in role.permissions.all()),
        )
        for role in roles[:limit]
    ]


def list_assignments(
    *,
    principal: Principal,
    user_id: UUID | None = None,
    group_id: int | None = None,
    scope_id: UUID | None = None,
    after: UUID | None = None,
    limit: int = limits.PAGE_SIZE_DEFAULT,
) -> list[AssignmentView]:
    """Return the assignments a principal may see that have not expired, newest first.

    At most 13 queries, however many there are.

    Args:
        principal: who asks.
        user_id: only what was given to this account itself.
        group_id: only what was given to this team.
        scope_id: only what was given at this scope.
        after: the last assignment already seen.
        limit: how many at most.
    """
    wanted: dict[str, Any] = {"user_id": user_id, "group_id": group_id, "scope_id": scope_id}
    rows = _assignments(principal).live().order_by("-pk")
    rows = rows.filter(**{name: value for name, value in wanted.items() if value is not None})
    if after is not None:
        rows = rows.filter(pk__lt=after)
    return [view_assignment(row) for row in rows[:limit]]


def get_assignment(*, principal: Principal, assignment_id: UUID) -> AssignmentView:
    """Return an assignment. Raises: IdentityMissingError, also for one it may not see."""
    row = _assignments(principal).filter(pk=assignment_id).first()
    if row is None:
        raise IdentityMissingError("There is no such assignment.")
    return view_assignment(row)


def list_shares(*, principal: Principal, project_id: UUID) -> list[ShareView]:
    """Return the shares of a project, accounts by name, then teams by name; at most 7 queries.

    At most `limits.APPROVER_COUNT_MAX` of each. Raises: IdentityMissingError, also without
    `manage_project_access` there.
    """
    project = Project.objects.filter(pk=project_id).first()
    if project is None or not _may_manage(principal, project):
        raise IdentityMissingError("There is no such project.")
    users = ProjectUserShare.objects.filter(content_object=project).order_by("user__username")
    groups = ProjectGroupShare.objects.filter(content_object=project).order_by("group__name")
    column = "permission__codename"
    return [
        ShareView(
            permission=permission, user_id=user_id, username=username, group_id=None, group=None
        )
        for permission, user_id, username in users.values_list(column, "user_id", "user__username")[
            : limits.APPROVER_COUNT_MAX
        ]
    ] + [
        ShareView(permission=permission, user_id=None, username=None, group_id=pk, group=name)
        for permission, pk, name in groups.values_list(column, "group_id", "group__name")[
            : limits.APPROVER_COUNT_MAX
        ]
    ]


def list_tokens(
    *,
    principal: Principal,
    user_id: UUID | None = None,
    after: UUID | None = None,
    limit: int = limits.PAGE_SIZE_DEFAULT,
) -> list[TokenView]:
    """Return live tokens, newest first: one's own, or with `manage_tokens` everybody's.

    At most 4 queries.

    Args:
        principal: who asks.
        user_id: only those of this account.
        after: the last token already seen.
        limit: how many at most.
    """
    tokens = ApiToken.objects.filter(expiry__gt=Now()).select_related("user", "project")
    if not list_scopes(principal=principal, permission=Permission.MANAGE_TOKENS).everything:
        tokens = tokens.filter(user_id=principal.user_id)
    if user_id is not None:
        tokens = tokens.filter(user_id=user_id)
    if after is not None:
        tokens = tokens.filter(pk__lt=after)
    return [view_token(token) for token in tokens.order_by("-pk")[:limit]]


def view_assignment(row: RoleAssignment) -> AssignmentView:
    """Return an assignment's facts; the rows it names must be loaded."""
    place = row.scope if hasattr(row.scope, "project") else row.scope.parent
    project = getattr(place, "project", None)
    return AssignmentView(
        id=row.pk,
        role=row.role.slug,
        scope_id=row.scope_id,
        scope_kind=row.scope.kind,
        project=None if project is None else project.slug,
        user_id=row.user_id,
        username=None if row.user is None else row.user.username,
        group_id=row.group_id,
        group=None if row.group is None else row.group.name,
        expires_at=row.expires_at,
        granted_at=row.granted_at,
        granted_by=None if row.granted_by is None else row.granted_by.username,
        reason=row.reason,
    )


def view_token(token: ApiToken) -> TokenView:
    """Return a token's facts; its account and project must be loaded."""
    return TokenView(
        id=token.pk,
        name=token.name,
        user_id=token.user_id,
        username=token.user.username,
        permissions=None if token.permissions is None else tuple(token.permissions),
        project=None if token.project is None else token.project.slug,
        created_at=token.created,
        expires_at=token.expiry,
        last_used_at=token.last_used_at,
    )


def _assignments(principal: Principal) -> Any:
    rows = RoleAssignment.objects.select_related(
        "role", "scope__project", "scope__parent__project", "user", "group", "granted_by"
    )
    for permission in _EVERYWHERE:
        if list_scopes(principal=principal, permission=permission).everything:
            return rows
    seen = Q(user_id=principal.user_id) | Q(
        group__in=_team_ids(principal)  # a subquery, not one more round trip
    )
    for permission in _IN_PLACE:
        scopes = list_scopes(principal=principal, permission=permission)
        if scopes.everything:
            return rows
        seen |= Q(scope_id__in=scopes.scope_ids) | Q(scope__parent_id__in=scopes.scope_ids)
    return rows.filter(seen)


def _team_ids(principal: Principal) -> Any:
    return RoleAssignment.objects.filter(group__user=principal.user_id).values("group_id")


def _may_manage(principal: Principal, project: Project) -> bool:
    return authorize(
        principal=principal,
        permission=Permission.MANAGE_PROJECT_ACCESS,
        scope_id=project.scope_id,
    ).allowed
