"""Accounts of people and of machines. Read `create_user` and `deactivate_user` first."""

from uuid import UUID

from core.identity.acts import act
from core.identity.authorize import require
from core.identity.domain.changes import ChangeStanding
from core.identity.domain.errors import (
    IdentityInvalidError,
    IdentityMissingError,
    InactiveAccountError,
    NameTakenError,
)
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.models import ApiToken, Person, User
from core.identity.services.checking import Checker
from core.identity.services.duplicates import refusing_duplicate
from core.identity.services.finding import get_user
from core.identity.services.locking import lock_access
from core.identity.services.recording import record_act
from core.identity.services.revoking import announce_revocation
from core.kernel.errors import Problem
from core.kernel.record import ActorKind


@act
def create_user(
    *,
    principal: Principal,
    username: str,
    name: str,
    email: str = "",
    password: str | None = None,
    person_id: UUID | None = None,
    is_staff: bool = False,
) -> User:
    """Make an account of a human. It may do nothing until a role is assigned.

    Args:
        principal: who makes it.
        username: its name, in lower case; never changes.
        name: what people call the human.
        email: where notices go, "" for nowhere.
        password: `None` for an account that cannot sign in with one.
        person_id: the human, if they have an account already; `None` for a new human. Two
            accounts of one human count as one wherever humans are counted.
        is_staff: Django's flag; it opens nothing here.

    Transaction: one.

    Raises:
        AccessForbiddenError: without `manage_users`.
        IdentityInvalidError: for a bad name, address or password.
        IdentityMissingError: if there is no such human.
        NameTakenError: if there is such an account.
    """
    answer = require(principal=principal, permission=Permission.MANAGE_USERS, scope_id=None)
    user = User(username=username, name=name, email=email, kind=ActorKind.PERSON, is_staff=is_staff)
    check = _check_account(user)
    check.password("/password", password, user=user)
    check.finish()
    user.person = Person.objects.create(name=name) if person_id is None else _get_person(person_id)
    user.set_password(password)
    _save_new(user)
    record_act(
        principal=principal,
        kind="user.created",
        subject=user.pk,
        matched=answer.matched,
        data={"person": str(user.person_id), "kind": user.kind},
        payloads={"account": {"username": username, "name": name, "email": email}},
    )
    return user


@act
def create_machine(
    *, principal: Principal, username: str, name: str, kind: ActorKind, owner_id: UUID
) -> User:
    """Make an account of a service or an agent. It signs in with tokens only.

    Args:
        principal: who makes it.
        username: its name, in lower case; never changes.
        name: what people call it.
        kind: `SERVICE` or `AGENT`; either may ask and wait, and never decides.
        owner_id: the account of the human who answers for it. Separation of duties treats what
            it does as done by that human.

    Transaction: one.

    Raises:
        AccessForbiddenError: without `manage_users`.
        IdentityInvalidError: for a bad name, another kind, or an owner that is no human.
        IdentityMissingError: if there is no such owner.
        InactiveAccountError: if the owner is deactivated.
        NameTakenError: if there is such an account.
    """
    answer = require(principal=principal, permission=Permission.MANAGE_USERS, scope_id=None)
    user = User(username=username, name=name, kind=kind)
    check = _check_account(user)
    check.that(
        "/kind",
        holds=kind in {ActorKind.SERVICE, ActorKind.AGENT},
        message="A machine is a service or an agent.",
    )
    check.finish()
    owner = get_user(owner_id)
    if owner.kind != ActorKind.PERSON:
        problem = Problem(path="/owner", message="Only a human can answer for a machine.")
        raise IdentityInvalidError(problems=[problem])
    if not owner.is_active:
        raise InactiveAccountError("The owner's account is deactivated.")
    user.person_id = owner.person_id
    user.set_password(None)
    _save_new(user)
    record_act(
        principal=principal,
        kind="user.created",
        subject=user.pk,
        matched=answer.matched,
        data={"person": str(user.person_id), "kind": user.kind},
        payloads={"account": {"username": username, "name": name}},
    )
    return user


@act
def change_user(
    *, principal: Principal, user_id: UUID, name: str | None = None, email: str | None = None
) -> User:
    """Change what an account is called and where its notices go; `None` leaves a field alone.

    Transaction: one.

    Raises:
        AccessForbiddenError: without `manage_users`.
        IdentityInvalidError: for a bad name or address.
        IdentityMissingError: if there is no such account.
    """
    answer = require(principal=principal, permission=Permission.MANAGE_USERS, scope_id=None)
    user = get_user(user_id)
    changed = {key: value for key, value in (("name", name), ("email", email)) if value is not None}
    for key, value in changed.items():
        setattr(user, key, value)
    _check_account(user).finish()
    if not changed:
        return user
    user.save(update_fields=list(changed))
    record_act(
        principal=principal,
        kind="user.changed",
        subject=user.pk,
        matched=answer.matched,
        data={"fields": sorted(changed)},
        payloads={"account": changed},
    )
    return user


@act
def deactivate_user(*, principal: Principal, user_id: UUID, reason: str = "") -> None:
    """Close an account: it can do nothing from the next request on, and its sockets close.

    Its sessions end for good and its tokens are gone, also if it is activated again; its role
    assignments stay. Accounts of machines the human answers for stay open: they have their own.

    Transaction: one. Idempotent: a closed account stays closed.

    Raises:
        AccessForbiddenError: without `manage_users`; for oneself; for the last administrator.
        IdentityInvalidError: for too long a reason.
        IdentityMissingError: if there is no such account.
    """
    lock_access()
    answer = require(
        principal=principal,
        permission=Permission.MANAGE_USERS,
        scope_id=None,
        target=ChangeStanding(user_id=user_id, is_activated=False),
    )
    _check_reason(reason)
    user = get_user(user_id)
    if not user.is_active:
        return
    tokens = {token.pk: token for token in ApiToken.objects.filter(user=user).order_by("pk")}
    for token in tokens.values():
        token.delete()
    user.is_active = False
    user.session_generation += 1
    user.save(update_fields=["is_active", "session_generation"])
    announce_revocation(user_ids=[user.pk])
    record_act(
        principal=principal,
        kind="user.deactivated",
        subject=user.pk,
        matched=answer.matched,
        data={"person": str(user.person_id), "tokens": [str(token_id) for token_id in tokens]},
        payloads={"reason": reason},
    )


@act
def activate_user(*, principal: Principal, user_id: UUID, reason: str = "") -> None:
    """Open a closed account again, with the role assignments it still has.

    Transaction: one. Idempotent: an open account stays open.

    Raises:
        AccessForbiddenError: without `manage_users`; for oneself.
        IdentityInvalidError: for too long a reason.
        IdentityMissingError: if there is no such account.
    """
    lock_access()
    answer = require(
        principal=principal,
        permission=Permission.MANAGE_USERS,
        scope_id=None,
        target=ChangeStanding(user_id=user_id, is_activated=True),
    )
    _check_reason(reason)
    user = get_user(user_id)
    if user.is_active:
        return
    user.is_active = True
    user.save(update_fields=["is_active"])
    record_act(
        principal=principal,
        kind="user.activated",
        subject=user.pk,
        matched=answer.matched,
        data={"person": str(user.person_id)},
        payloads={"reason": reason},
    )


@act
def end_sessions(*, principal: Principal, user_id: UUID) -> None:
    """End every browser session of an account, one's own without any permission.

    Transaction: one.

    Raises:
        AccessForbiddenError: without `manage_users`, for another account.
        IdentityMissingError: if there is no such account.
    """
    matched = "its own account"
    if user_id != principal.user_id:
        matched = require(
            principal=principal, permission=Permission.MANAGE_USERS, scope_id=None
        ).matched
    user = get_user(user_id)
    user.session_generation += 1
    user.save(update_fields=["session_generation"])
    announce_revocation(user_ids=[user.pk])
    record_act(principal=principal, kind="sessions.ended", subject=user.pk, matched=matched)


def _check_account(user: User) -> Checker:
    check = Checker()
    check.username("/username", user.username)
    check.title("/name", user.name)
    check.email("/email", user.email)
    return check


def _check_reason(reason: str) -> None:
    check = Checker()
    check.reason("/reason", reason)
    check.finish()


def _get_person(person_id: UUID) -> Person:
    person = Person.objects.filter(pk=person_id).first()
    if person is None:
        raise IdentityMissingError("There is no such person.")
    return person


def _save_new(user: User) -> None:
    taken = NameTakenError(
        f"There is an account {user.username!r} already.", username=user.username
    )
    with refusing_duplicate(table="identity_user", error=taken):
        user.save(force_insert=True)
