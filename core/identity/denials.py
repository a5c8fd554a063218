"""Reads what the hard denials of access changes need, and registers them. Read `register` first.

The rules themselves are `core.identity.domain.changes`.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from core.identity.authorize import register_denial
from core.identity.domain.changes import (
    AccessChange,
    Administrator,
    AssignRole,
    ChangeFacts,
    ChangeMembership,
    ChangeStanding,
    Gift,
    RevokeAssignment,
    ShareProject,
    find_denial,
)
from core.identity.domain.permissions import ACCESS_PERMISSIONS, Permission
from core.identity.domain.principal import Principal
from core.identity.models import RoleAssignment, User
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.selectors import facts
from core.kernel.record import ActorKind


@dataclass(frozen=True, slots=True, kw_only=True)
class _AdministratorRow:
    """One live way in which an active person holds `manage_roles` everywhere."""

    assignment_id: UUID
    user_id: UUID
    person_id: UUID
    group_id: int | None
    is_permanent: bool


def register() -> None:
    """Let the rules about changes of access speak in `authorize`; called in `ready()`."""
    for permission in {*ACCESS_PERMISSIONS.values(), Permission.MANAGE_USERS}:
        register_denial(permission, deny_change)


def deny_change(principal: Principal, target: object) -> str | None:
    """Return why a change of access is refused whatever the roles say, or `None`.

    Anything else than an `AccessChange` is not this rule's business.
    """
    if not isinstance(target, AccessChange):
        return None
    return find_denial(principal=principal, facts=_read_facts(principal, target))


def _read_facts(principal: Principal, change: AccessChange) -> ChangeFacts:
    match change:
        case AssignRole():
            granted = facts.list_role_permissions(role=change.role)
            return _read_giving(
                principal,
                persons=_list_person_ids(user_id=change.user_id, group_id=change.group_id),
                places=[(change.scope_id, granted)],
            )
        case ShareProject():
            granted = frozenset({change.permission}) if change.is_granted else frozenset()
            return _read_giving(
                principal,
                persons=_list_person_ids(user_id=change.user_id, group_id=change.group_id),
                places=[(change.scope_id, granted)],
            )
        case ChangeMembership(is_joining=True):
            return _read_giving(
                principal,
                persons=_list_person_ids(user_id=change.user_id, group_id=None),
                places=_list_group_gifts(change.group_id),
            )
        case ChangeMembership():
            return _read_taking(
                persons=_list_person_ids(user_id=change.user_id, group_id=None),
                is_kept=lambda row: (
                    row.group_id != change.group_id or row.user_id != change.user_id
                ),
            )
        case ChangeStanding():
            return _read_taking(
                persons=_list_person_ids(user_id=change.user_id, group_id=None),
                is_kept=lambda row: change.is_activated or row.user_id != change.user_id,
            )
        case RevokeAssignment():
            return _read_taking(
                persons=_list_assigned_person_ids(change.assignment_id),
                is_kept=lambda row: row.assignment_id != change.assignment_id,
            )


def _read_giving(
    principal: Principal,
    *,
    persons: frozenset[UUID],
    places: Iterable[tuple[UUID, frozenset[Permission]]],
) -> ChangeFacts:
    everywhere = _list_held(principal, scope_id=None)
    return ChangeFacts(
        person_ids=persons,
        gifts=tuple(
            Gift(granted=granted, held=_list_held(principal, scope_id=scope_id))
            for scope_id, granted in places
        ),
        manages_roles=Permission.MANAGE_ROLES in everywhere,
    )


def _read_taking(
    *, persons: frozenset[UUID], is_kept: Callable[[_AdministratorRow], bool]
) -> ChangeFacts:
    rows = _list_administrators()
    return ChangeFacts(
        person_ids=persons,
        administrators_before=_as_values(rows),
        administrators_after=_as_values([row for row in rows if is_kept(row)]),
    )


def _list_held(principal: Principal, *, scope_id: UUID | None) -> frozenset[Permission]:
    """Return what a principal has at a scope and, with a token, may use of it."""
    chain = facts.find_chain(scope_id=scope_id)
    token = principal.token
    if chain is None or principal.kind is ActorKind.SYSTEM:
        return frozenset()
    if token is not None and token.project_id not in {None, chain.project_id}:
        return frozenset()
    held = facts.list_held_permissions(
        user_id=principal.user_id, scope_ids=[scope.id for scope in chain.scopes]
    )
    if token is None or token.permissions is None:
        return held
    return frozenset(item for item in held if item in token.permissions)


def _list_person_ids(*, user_id: UUID | None, group_id: int | None) -> frozenset[UUID]:
    itself = Q(pk__in=[] if user_id is None else [user_id])
    members = Q(groups__in=[] if group_id is None else [group_id])
    return frozenset(User.objects.filter(itself | members).values_list("person_id", flat=True))


def _list_assigned_person_ids(assignment_id: UUID) -> frozenset[UUID]:
    row = RoleAssignment.objects.filter(pk=assignment_id).values_list("user_id", "group_id").first()
    return frozenset() if row is None else _list_person_ids(user_id=row[0], group_id=row[1])


def _list_group_gifts(group_id: int) -> list[tuple[UUID, frozenset[Permission]]]:
    rows = (
        RoleAssignment.objects.live()
        .filter(group_id=group_id)
        .values_list("scope_id", "role__permissions__permission")
    )
    gifts: dict[UUID, set[Permission]] = {}
    for scope_id, permission in rows:
        if permission is not None:
            gifts.setdefault(scope_id, set()).add(Permission(permission))
    return [(scope_id, frozenset(granted)) for scope_id, granted in gifts.items()]


def _list_administrators() -> list[_AdministratorRow]:
    live = (
        RoleAssignment.objects.live()
        .holding(Permission.MANAGE_ROLES)
        .filter(scope_id=GLOBAL_SCOPE_ID)
    )
    person = {"is_active": True, "kind": ActorKind.PERSON.value}
    direct = live.filter(**{f"user__{key}": value for key, value in person.items()}).values_list(
        "pk", "user_id", "user__person_id", "group_id", "expires_at"
    )
    through = live.filter(
        **{f"group__user__{key}": value for key, value in person.items()}
    ).values_list("pk", "group__user__pk", "group__user__person_id", "group_id", "expires_at")
    return [
        _AdministratorRow(
            assignment_id=assignment_id,
            user_id=user_id,
            person_id=person_id,
            group_id=group_id,
            is_permanent=expires_at is None,
        )
        for assignment_id, user_id, person_id, group_id, expires_at in direct.union(through)
    ]


def _as_values(rows: Collection[_AdministratorRow]) -> tuple[Administrator, ...]:
    return tuple(
        Administrator(person_id=row.person_id, is_permanent=row.is_permanent) for row in rows
    )
