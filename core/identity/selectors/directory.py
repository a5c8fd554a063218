"""Accounts and teams as far as a principal may see them. Read `list_users` first.

Whoever manages or reviews access somewhere sees all of them: they choose among them. Everybody
else sees itself and the teams it is in. What one may not see does not exist.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.contrib.auth.models import Group
from django.db.models import Count, QuerySet

from core.identity.domain.errors import IdentityMissingError
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.models import User
from core.identity.selectors.access import list_scopes
from core.kernel import limits

# Held everywhere, or held anywhere.
_EVERYWHERE: Final = (
    Permission.MANAGE_USERS,
    Permission.MANAGE_ROLES,
    Permission.REVIEW_ACCESS,
)
_ANYWHERE: Final = (Permission.MANAGE_PROJECT_ACCESS, Permission.MANAGE_WORKFLOW_ACCESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserView:
    """An account."""

    id: UUID
    person_id: UUID
    kind: str
    username: str
    name: str
    email: str
    is_active: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """A team."""

    id: int
    name: str
    member_count: int


def list_users(
    *,
    principal: Principal,
    group_id: int | None = None,
    after: str = "",
    limit: int = limits.PAGE_SIZE_DEFAULT,
) -> list[UserView]:
    """Return the accounts a principal may see, active or not, by username.

    At most 17 queries, however many there are.

    Args:
        principal: who asks.
        group_id: only the members of this team; `None` for everybody.
        after: the last username already seen, "" for the beginning.
        limit: how many at most.

    Raises:
        IdentityMissingError: if there is no such team, or the principal may not see it.
    """
    may_read_all = _may_read_all(principal)
    users = User.objects.filter(username__gt=after).order_by("username")
    if group_id is not None:
        _get_group(principal, group_id=group_id, may_read_all=may_read_all)
        users = users.filter(groups=group_id)
    if not may_read_all:
        users = users.filter(pk=principal.user_id)
    return [_view_user(user) for user in users[:limit]]


def get_user(*, principal: Principal, user_id: UUID) -> UserView:
    """Return an account. Raises: IdentityMissingError, also for one it may not see."""
    user = User.objects.filter(pk=user_id).first()
    if user is None or not (user_id == principal.user_id or _may_read_all(principal)):
        raise IdentityMissingError("There is no such account.")
    return _view_user(user)


def list_groups(
    *, principal: Principal, after: str = "", limit: int = limits.PAGE_SIZE_DEFAULT
) -> list[GroupView]:
    """Return the teams a principal may see, by name; at most 16 queries.

    Args:
        principal: who asks.
        after: the last name already seen, "" for the beginning.
        limit: how many at most.
    """
    groups = _visible_groups(principal, may_read_all=_may_read_all(principal))
    rows = _count_members(groups).filter(name__gt=after).order_by("name")
    return [_view_group(group) for group in rows[:limit]]


def get_group(*, principal: Principal, group_id: int) -> GroupView:
    """Return a team. Raises: IdentityMissingError, also for one it may not see."""
    return _get_group(principal, group_id=group_id, may_read_all=_may_read_all(principal))


def _get_group(principal: Principal, *, group_id: int, may_read_all: bool) -> GroupView:
    groups = _visible_groups(principal, may_read_all=may_read_all)
    group = _count_members(groups).filter(pk=group_id).first()
    if group is None:
        raise IdentityMissingError("There is no such team.")
    return _view_group(group)


def _may_read_all(principal: Principal) -> bool:
    return any(
        list_scopes(principal=principal, permission=permission).everything
        for permission in _EVERYWHERE
    ) or any(
        not list_scopes(principal=principal, permission=permission).is_empty()
        for permission in _ANYWHERE
    )


def _visible_groups(principal: Principal, *, may_read_all: bool) -> QuerySet[Group]:
    if may_read_all:
        return Group.objects.all()
    return Group.objects.filter(pk__in=Group.objects.filter(user=principal.user_id).values("pk"))


def _count_members(groups: QuerySet[Group]) -> QuerySet[Group]:
    return groups.annotate(member_count=Count("user"))


def _view_user(user: User) -> UserView:
    return UserView(
        id=user.pk,
        person_id=user.person_id,
        kind=user.kind,
        username=user.username,
        name=user.name,
        email=user.email,
        is_active=user.is_active,
        created_at=user.created_at,
    )


def _view_group(group: Group) -> GroupView:
    return GroupView(id=group.pk, name=group.name, member_count=getattr(group, "member_count", 0))
