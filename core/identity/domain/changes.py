"""Changes of access, and the ones that are refused whatever the roles say.

Read `AssignRole` and the other intents first: they are the `target` of `authorize` for acts that
change who may do what. `core.identity.denials` reads the facts, `find_denial` decides:

* nobody edits their own access, through any account or team of theirs;
* nobody grants what they lack, except who manages roles everywhere (that is what the role is for,
  and it cannot grant to itself);
* the last administrator stays.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.kernel import limits
from core.kernel.errors import Problem
from core.kernel.record import ActorKind


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignRole:
    """Somebody would get a role at a scope. Exactly one of user and group is set."""

    role: str
    scope_id: UUID
    user_id: UUID | None = None
    group_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeAssignment:
    """An assignment would end."""

    assignment_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareProject:
    """Somebody would get, or lose, one permission on one project without a role."""

    permission: Permission
    scope_id: UUID
    is_granted: bool
    user_id: UUID | None = None
    group_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeMembership:
    """An account would join or leave a team."""

    group_id: int
    user_id: UUID
    is_joining: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeStanding:
    """An account would be activated or deactivated."""

    user_id: UUID
    is_activated: bool


AccessChange: TypeAlias = (
    AssignRole | RevokeAssignment | ShareProject | ChangeMembership | ChangeStanding
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Administrator:
    """A live way in which a person holds `manage_roles` everywhere.

    `is_permanent` is false for an assignment that will expire.
    """

    person_id: UUID
    is_permanent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Gift:
    """What a change would give at one place, and what the principal has there itself."""

    granted: frozenset[Permission]
    held: frozenset[Permission]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeFacts:
    """What the database says about a change of access.

    `person_ids` are the humans whose access it changes. `manages_roles` says whether the principal
    holds `manage_roles` everywhere.
    """

    person_ids: frozenset[UUID]
    gifts: tuple[Gift, ...] = ()
    manages_roles: bool = False
    administrators_before: tuple[Administrator, ...] = ()
    administrators_after: tuple[Administrator, ...] = ()


def find_denial(*, principal: Principal, facts: ChangeFacts) -> str | None:
    """Return why a change of access is refused whatever the roles say, or `None`."""
    if principal.kind is not ActorKind.SYSTEM:
        if principal.person_id in facts.person_ids:
            return "You may not change your own access; ask another administrator."
        lacking = frozenset[Permission]().union(*(gift.granted - gift.held for gift in facts.gifts))
        if lacking and not facts.manages_roles:
            names = ", ".join(sorted(lacking))
            return f"You may not give what you do not have there: {names}."
    if leaves_nobody(before=facts.administrators_before, after=facts.administrators_after):
        return "This would leave nobody who can manage roles; appoint another administrator first."
    return None


def leaves_nobody(*, before: Collection[Administrator], after: Collection[Administrator]) -> bool:
    """Return whether a change takes the last administrator away.

    Administrators whose assignment expires do not count as long as there are permanent ones:
    otherwise time alone would finish what this refuses.
    """
    permanent = any(item.is_permanent for item in before)
    if permanent:
        return not any(item.is_permanent for item in after)
    return bool(before) and not after


def check_expiry(
    *, permissions: Collection[Permission], expires_at: datetime | None, at: datetime
) -> list[Problem]:
    """Return what is wrong with an assignment's end, given what its role holds."""
    path = "/expires_at"
    if expires_at is not None and expires_at <= at:
        return [Problem(path=path, message="An assignment must end in the future.")]
    if Permission.OVERRIDE_REQUEST not in permissions:
        return []
    longest: timedelta = limits.BREAKGLASS_LIFETIME_MAX
    if expires_at is None or expires_at - at > longest:
        hours = longest.total_seconds() / 3600
        message = f"A role that can override must end within {hours:g} hours."
        return [Problem(path=path, message=message)]
    return []
