"""Access in bulk: lists, audiences, holders. Read `list_scopes` first.

These answer for many things at once what `authorize` answers for one, and agree with it wherever
no rule about the single thing (`register_denial`) objects.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.contrib.auth.models import Group
from django.db.models import Q

from core.identity.domain import audience, decision
from core.identity.domain.permissions import (
    PERSON_ONLY,
    SHAREABLE,
    SYSTEM_PERMISSIONS,
    Permission,
    ScopeKind,
)
from core.identity.domain.principal import Principal
from core.identity.models import (
    ProjectGroupShare,
    ProjectUserShare,
    Role,
    RoleAssignment,
    User,
)
from core.identity.selectors import facts
from core.kernel import limits
from core.kernel.record import ActorKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeSet:
    """Where somebody holds a permission.

    `everything` means at every scope there is. Otherwise a project is covered if its scope is in
    `scope_ids`, a workflow if its scope or its parent (the project's) is.
    """

    everything: bool
    scope_ids: frozenset[UUID]

    def covers(self, *, scope_id: UUID, parent_id: UUID | None = None) -> bool:
        """Return whether the permission is held at a scope, given the scope above it."""
        return self.everything or scope_id in self.scope_ids or parent_id in self.scope_ids

    def is_empty(self) -> bool:
        """Return whether the permission is held nowhere."""
        return not self.everything and not self.scope_ids


NOWHERE: Final = ScopeSet(everything=False, scope_ids=frozenset())
EVERYWHERE: Final = ScopeSet(everything=True, scope_ids=frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """An active account that holds a permission, and the human it leads to."""

    user_id: UUID
    person_id: UUID
    username: str
    name: str
    email: str
    kind: ActorKind


def list_scopes(*, principal: Principal | None, permission: Permission) -> ScopeSet:
    """Return where a principal holds a permission now; at most 3 queries, however much there is.

    Lists filter by it and then page: `scope_id IN … OR parent_id IN …`.
    """
    if principal is None or not principal.is_active:
        return NOWHERE
    standing = facts.find_standing(principal=principal)
    if standing is None or decision.deny_kind(principal=principal, permission=permission):
        return NOWHERE
    if principal.kind is ActorKind.SYSTEM:
        return EVERYWHERE if permission in SYSTEM_PERMISSIONS else NOWHERE
    token = principal.token
    if token is not None and token.permissions is not None and permission not in token.permissions:
        return NOWHERE
    held = facts.list_held_scopes(user_id=principal.user_id, permission=permission)
    everything = any(scope.kind is ScopeKind.GLOBAL for scope in held)
    shared = (
        facts.list_shared_scopes(user_id=principal.user_id, permission=permission)
        if permission in SHAREABLE and not everything
        else frozenset()
    )
    limit = standing.token_scope_id
    if limit is None:
        return EVERYWHERE if everything else _collect(held=held, shared=shared)
    return _limit(everything=everything, held=held, shared=shared, limit=limit)


def list_audience_keys(*, principal: Principal | None) -> tuple[str, ...]:
    """Return the audience keys of what a principal is, sorted; 3 queries, none for nobody.

    They say which rows may concern an account. What its token leaves out and what it may do with
    a row is for `list_scopes` and `authorize`.
    """
    if principal is None or not principal.is_active or principal.kind is ActorKind.SYSTEM:
        return ()
    if facts.find_standing(principal=principal) is None:
        return ()
    user_id = principal.user_id
    keys = {audience.format_user_key(user_id)}
    group_ids = Group.objects.filter(user=user_id).values_list("pk", flat=True)
    keys.update(audience.format_group_key(group_id) for group_id in group_ids)
    live = RoleAssignment.objects.live()
    columns = ("role__slug", "scope__kind", "scope_id")
    rows = (
        live.of_user_itself(user_id)
        .values_list(*columns)
        .union(live.of_teams_of(user_id).values_list(*columns))
    )
    keys.update(
        audience.format_role_key(role=role, scope_kind=ScopeKind(kind), scope_id=scope_id)
        for role, kind, scope_id in rows
    )
    return tuple(sorted(keys))


def list_holder_keys(*, permission: Permission, scope_id: UUID | None) -> tuple[str, ...]:
    """Return the audience keys of whoever holds a permission at a scope, sorted; 2 queries.

    One key for each role with the permission at each scope from there up; unlike a list of people
    they stay right when assignments change. Shares have no keys. Nothing for an unknown scope.
    """
    chain = facts.find_chain(scope_id=scope_id)
    if chain is None:
        return ()
    roles = Role.objects.filter(permissions__permission=permission).values_list("slug", flat=True)
    return tuple(
        sorted(
            audience.format_role_key(role=role, scope_kind=scope.kind, scope_id=scope.id)
            for role in roles
            for scope in chain.scopes
        )
    )


def find_holders(
    *, permission: Permission, scope_id: UUID | None, among: Collection[UUID] | None = None
) -> tuple[Holder, ...]:
    """Return the active accounts that hold a permission at a scope now, by username; 2 queries.

    Args:
        permission: what they may do.
        scope_id: where; `None` is the whole platform.
        among: account ids to choose from, `None` for all.

    Returns:
        At most `limits.APPROVER_COUNT_MAX` accounts; pass `among` where a complete answer counts.
        Machines are left out of what only people may do. Tokens and the rules of `register_denial`
        play no part.
    """
    chain = facts.find_chain(scope_id=scope_id)
    if chain is None:
        return ()
    grants = (
        RoleAssignment.objects.live()
        .holding(permission)
        .filter(scope_id__in=[scope.id for scope in chain.scopes])
    )
    direct = grants.filter(user__isnull=False).values("user_id")
    teams = grants.filter(group__isnull=False).values("group_id")
    condition = Q(pk__in=direct) | Q(pk__in=User.objects.filter(groups__in=teams).values("pk"))
    if permission in SHAREABLE and chain.project_id is not None:
        condition |= _shared_with(permission=permission, project_id=chain.project_id)
    users = User.objects.filter(condition, is_active=True)
    if permission in PERSON_ONLY:
        users = users.filter(kind=ActorKind.PERSON)
    if among is not None:
        users = users.filter(pk__in=list(among))
    rows = users.order_by("username").values_list(
        "pk", "person_id", "username", "name", "email", "kind"
    )[: limits.APPROVER_COUNT_MAX]
    return tuple(
        Holder(
            user_id=user_id,
            person_id=person_id,
            username=username,
            name=name,
            email=email,
            kind=ActorKind(kind),
        )
        for user_id, person_id, username, name, email, kind in rows
    )


def _shared_with(*, permission: Permission, project_id: UUID) -> Q:
    named = {"permission__codename": permission.value, "content_object_id": project_id}
    teams = ProjectGroupShare.objects.filter(**named).values("group_id")
    return Q(pk__in=ProjectUserShare.objects.filter(**named).values("user_id")) | Q(
        pk__in=User.objects.filter(groups__in=teams).values("pk")
    )


def _collect(*, held: Collection[facts.HeldScope], shared: frozenset[UUID]) -> ScopeSet:
    return ScopeSet(everything=False, scope_ids=shared | {scope.id for scope in held})


def _limit(
    *, everything: bool, held: Collection[facts.HeldScope], shared: frozenset[UUID], limit: UUID
) -> ScopeSet:
    """Return what is left of somebody's scopes with a token for one project, given its scope."""
    if everything or limit in shared or any(scope.id == limit for scope in held):
        return ScopeSet(everything=False, scope_ids=frozenset({limit}))
    inside = frozenset(scope.id for scope in held if scope.parent_id == limit)
    return ScopeSet(everything=False, scope_ids=inside)
