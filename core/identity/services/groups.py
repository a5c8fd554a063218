"""Teams and who is in them. Read `add_member` first."""

from uuid import UUID

from django.contrib.auth.models import Group

from core.identity.acts import act
from core.identity.authorize import require
from core.identity.domain.changes import ChangeMembership
from core.identity.domain.errors import InactiveAccountError, NameTakenError
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.services.checking import Checker
from core.identity.services.duplicates import refusing_duplicate
from core.identity.services.finding import get_group, get_user
from core.identity.services.locking import lock_access
from core.identity.services.recording import record_act
from core.identity.services.revoking import announce_revocation


@act
def create_group(*, principal: Principal, name: str) -> Group:
    """Make a team, empty and without roles. Definitions name it by its name, which never changes.

    Transaction: one.

    Raises:
        AccessForbiddenError: without `manage_users`.
        IdentityInvalidError: for a bad name.
        NameTakenError: if there is such a team.
    """
    answer = require(principal=principal, permission=Permission.MANAGE_USERS, scope_id=None)
    check = Checker()
    check.username("/name", name)
    check.finish()
    taken = NameTakenError(f"There is a team {name!r} already.", name=name)
    with refusing_duplicate(table="auth_group", error=taken):
        group = Group.objects.create(name=name)
    record_act(
        principal=principal,
        kind="team.created",
        subject=group.pk,
        matched=answer.matched,
        data={"team": group.pk},
        payloads={"name": name},
    )
    return group


@act
def add_member(*, principal: Principal, group_id: int, user_id: UUID) -> None:
    """Put an account into a team. It gets every role of the team.

    Transaction: one. Idempotent on (team, account).

    Raises:
        AccessForbiddenError: without `manage_users`; for oneself; if the team has a role that
            gives what the principal lacks.
        IdentityMissingError: if there is no such team or account.
        InactiveAccountError: if the account is deactivated.
    """
    lock_access()
    answer = require(
        principal=principal,
        permission=Permission.MANAGE_USERS,
        scope_id=None,
        target=ChangeMembership(group_id=group_id, user_id=user_id, is_joining=True),
    )
    group, user = get_group(group_id), get_user(user_id)
    if not user.is_active:
        raise InactiveAccountError
    if user.groups.filter(pk=group.pk).exists():
        return
    user.groups.add(group)
    record_act(
        principal=principal,
        kind="member.added",
        subject=user.pk,
        matched=answer.matched,
        data={"team": group.pk, "person": str(user.person_id)},
    )


@act
def remove_member(*, principal: Principal, group_id: int, user_id: UUID) -> None:
    """Take an account out of a team, and the team's roles from it.

    Transaction: one. Idempotent on (team, account).

    Raises:
        AccessForbiddenError: without `manage_users`; for oneself; for the last administrator.
        IdentityMissingError: if there is no such team or account.
    """
    lock_access()
    answer = require(
        principal=principal,
        permission=Permission.MANAGE_USERS,
        scope_id=None,
        target=ChangeMembership(group_id=group_id, user_id=user_id, is_joining=False),
    )
    group, user = get_group(group_id), get_user(user_id)
    if not user.groups.filter(pk=group.pk).exists():
        return
    user.groups.remove(group)
    announce_revocation(user_ids=[user.pk])
    record_act(
        principal=principal,
        kind="member.removed",
        subject=user.pk,
        matched=answer.matched,
        data={"team": group.pk, "person": str(user.person_id)},
    )
