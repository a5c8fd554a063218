"""Accounts, as principals and by name. Read `get_principal` first."""

from collections.abc import Collection
from uuid import UUID

from django.contrib.auth.models import Group

from core.identity.domain.principal import Principal, TokenGrant
from core.identity.models import ApiToken, User
from core.kernel.record import Actor, ActorKind, Origin, Via


def get_principal(*, user: User, origin: Origin, token: ApiToken | None = None) -> Principal:
    """Return the principal of an account that has proved itself; no query.

    Args:
        user: the account.
        origin: how it came in; see `make_origin`.
        token: the token it came with, if it did.
    """
    grant = None
    if token is not None:
        permissions = None if token.permissions is None else frozenset(token.permissions)
        grant = TokenGrant(id=token.pk, permissions=permissions, project_id=token.project_id)
    return Principal(
        user_id=user.pk,
        person_id=user.person_id,
        username=user.username,
        name=user.name,
        kind=ActorKind(user.kind),
        is_active=user.is_active,
        origin=origin,
        token=grant,
    )


def make_origin(
    *, user: User, via: Via, auth: str, request_id: str = "", source_address: str = ""
) -> Origin:
    """Return the origin of what an account does; its actor is the account itself.

    Args:
        user: the account.
        via: the channel.
        auth: how it proved itself: "session", "token", "password".
        request_id: what the log lines of the request carry.
        source_address: the client's address, if trusted hops vouch for it.
    """
    return Origin(
        actor=Actor(id=str(user.pk), kind=ActorKind(user.kind)),
        via=via,
        auth=auth,
        request_id=request_id,
        source_address=source_address,
    )


def find_by_username(*, username: str) -> User | None:
    """Return the account of that name, active or not, or `None`."""
    return User.objects.filter(username=username).first()


def map_usernames(*, usernames: Collection[str]) -> dict[str, UUID]:
    """Return the ids of those of the names that are active accounts; 1 query."""
    rows = User.objects.filter(username__in=list(usernames), is_active=True)
    return dict(rows.values_list("username", "pk"))


def map_group_names(*, names: Collection[str]) -> dict[str, int]:
    """Return the ids of those of the names that are teams; 1 query."""
    return dict(Group.objects.filter(name__in=list(names)).values_list("name", "pk"))


def list_group_ids(*, user_id: UUID) -> frozenset[int]:
    """Return the teams an account is in; 1 query."""
    return frozenset(Group.objects.filter(user=user_id).values_list("pk", flat=True))
