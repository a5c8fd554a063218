"""Facts about access that lists and rules need, each in one query; nothing is kept between two.

For a single question see `core.identity.selectors.case`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db.models import F, QuerySet
from django.db.models.functions import Now

from core.identity.domain.decision import ScopeChain, ScopeFact
from core.identity.domain.permissions import Permission, ScopeKind
from core.identity.domain.principal import Principal
from core.identity.models import (
    ApiToken,
    ProjectGroupShare,
    ProjectUserShare,
    RoleAssignment,
    RolePermission,
    Scope,
    User,
)
from core.identity.seed import GLOBAL_SCOPE_ID
from core.kernel.record import ActorKind

GLOBAL_CHAIN = ScopeChain(
    scopes=(ScopeFact(id=GLOBAL_SCOPE_ID, kind=ScopeKind.GLOBAL),), project_id=None
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """That an account may act now. `token_scope_id` is the scope its token is limited to."""

    token_scope_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldScope:
    """A scope where an account holds the permission asked for."""

    id: UUID
    kind: ScopeKind
    parent_id: UUID | None


def find_standing(*, principal: Principal) -> Standing | None:
    """Return whether an account is active and its token live by the database's clock; 1 query.

    `None` means no. The platform's own principal has no row and always stands.
    """
    if principal.kind is ActorKind.SYSTEM:
        return Standing(token_scope_id=None)
    if principal.token is None:
        stands = User.objects.filter(pk=principal.user_id, is_active=True).exists()
        return Standing(token_scope_id=None) if stands else None
    live = ApiToken.objects.filter(
        pk=principal.token.id,
        user_id=principal.user_id,
        user__is_active=True,
        expiry__gt=Now(),
    )
    row = live.values_list("project__scope_id").first()
    return None if row is None else Standing(token_scope_id=row[0])


def find_chain(*, scope_id: UUID | None) -> ScopeChain | None:
    """Return a scope and those above it, or `None` if there is no such scope; 1 query.

    `None` as a scope is the global one, and takes no query.
    """
    if scope_id is None or scope_id == GLOBAL_SCOPE_ID:
        return GLOBAL_CHAIN
    row = (
        Scope.objects.filter(pk=scope_id)
        .values("kind", "parent_id", "project__id", "project__slug")
        .annotate(parent_project_id=F("parent__project__id"))
        .annotate(parent_project_slug=F("parent__project__slug"))
        .first()
    )
    if row is None:
        return None
    kind = ScopeKind(row["kind"])
    if kind is ScopeKind.PROJECT:
        project = ScopeFact(id=scope_id, kind=kind, label=row["project__slug"] or "")
        scopes = (project, *GLOBAL_CHAIN.scopes)
        return ScopeChain(scopes=scopes, project_id=row["project__id"])
    above = ScopeFact(
        id=row["parent_id"], kind=ScopeKind.PROJECT, label=row["parent_project_slug"] or ""
    )
    scopes = (ScopeFact(id=scope_id, kind=kind), above, *GLOBAL_CHAIN.scopes)
    return ScopeChain(scopes=scopes, project_id=row["parent_project_id"])


def list_held_scopes(*, user_id: UUID, permission: Permission) -> list[HeldScope]:
    """Return the scopes whose live assignments give an account a permission; 1 query."""
    live = RoleAssignment.objects.live().holding(permission)
    columns = ("scope_id", "scope__kind", "scope__parent_id")
    rows: QuerySet[RoleAssignment, tuple[UUID, str, UUID | None]] = (
        live.of_user_itself(user_id)
        .values_list(*columns)
        .union(live.of_teams_of(user_id).values_list(*columns))
    )
    return [
        HeldScope(id=scope_id, kind=ScopeKind(kind), parent_id=parent_id)
        for scope_id, kind, parent_id in rows
    ]


def list_held_permissions(*, user_id: UUID, scope_ids: Collection[UUID]) -> frozenset[Permission]:
    """Return what live assignments at these scopes give an account; 1 query."""
    live = RoleAssignment.objects.live().filter(scope_id__in=scope_ids)
    column = "role__permissions__permission"
    # A role without permissions joins none: its row is a NULL.
    rows: QuerySet[RoleAssignment, str | None] = (
        live.of_user_itself(user_id)
        .values_list(column, flat=True)
        .union(live.of_teams_of(user_id).values_list(column, flat=True))
    )
    return frozenset(Permission(value) for value in rows if value is not None)


def list_role_permissions(*, role: str) -> frozenset[Permission]:
    """Return what a role (its slug) holds; nothing for a role that does not exist; 1 query."""
    rows = RolePermission.objects.filter(role__slug=role).values_list("permission", flat=True)
    return frozenset(Permission(value) for value in rows)


def list_shared_scopes(*, user_id: UUID, permission: Permission) -> frozenset[UUID]:
    """Return the scopes of the projects on which an account has a permission shared; 1 query."""
    named = {"permission__codename": permission.value}
    column = "content_object__scope_id"
    direct = ProjectUserShare.objects.filter(user_id=user_id, **named)
    through = ProjectGroupShare.objects.filter(group__user=user_id, **named)
    rows: QuerySet[ProjectUserShare, UUID] = direct.values_list(column, flat=True).union(
        through.values_list(column, flat=True)
    )
    return frozenset(rows)
