"""Keys to the API. Read `create_token` first."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.db.models.functions import Now
from knox.models import get_digest_token
from knox.settings import CONSTANTS

from core.identity.acts import act
from core.identity.authorize import refuse, require
from core.identity.domain.errors import (
    IdentityMissingError,
    InactiveAccountError,
    TooManyTokensError,
)
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import SYSTEM_ID, Principal
from core.identity.models import ApiToken, Project, User
from core.identity.services.checking import Checker
from core.identity.services.finding import get_token, get_user
from core.identity.services.recording import record_act
from core.identity.services.revoking import announce_revocation
from core.identity.tokens import PREFIX
from core.kernel import limits
from core.kernel.clock import SYSTEM_CLOCK
from core.kernel.record import ActorKind

_OWN = "its own account"


@act
def create_token(
    *,
    principal: Principal,
    name: str,
    user_id: UUID | None = None,
    permissions: Collection[str] | None = None,
    project_id: UUID | None = None,
    lifetime: timedelta = limits.TOKEN_LIFETIME_DEFAULT,
) -> tuple[ApiToken, str]:
    """Make a token and return it with its secret, which cannot be shown again.

    People make their own, signed in and not with a token, which would let a stolen one outlive
    itself. Tokens of machines take `manage_tokens`. Nobody makes tokens for another human: that
    would be a way to act as them.

    Args:
        principal: who makes it.
        name: what its owner knows it by.
        user_id: the account it is for, `None` for one's own.
        permissions: what it lets through of the account's access, `None` for all.
        project_id: the only project it reaches, `None` for all.
        lifetime: how long it holds.

    Returns:
        The token, and the secret: "cs_" and 64 hex digits.

    Transaction: one.

    Raises:
        AccessForbiddenError: see above.
        IdentityInvalidError: for a bad name, lifetime or permission.
        IdentityMissingError: if there is no such account or project.
        InactiveAccountError: if the account is deactivated.
        TooManyTokensError: if the account has `limits.TOKEN_COUNT_MAX` live tokens.
    """
    matched = _require_making(principal, user_id=user_id)
    chosen = None if permissions is None else sorted(set(permissions))
    _check(name=name, permissions=chosen, lifetime=lifetime)
    user = get_user(principal.user_id if user_id is None else user_id)
    _check_account(user)
    project = None if project_id is None else _get_project(project_id)
    digest, secret = get_digest_token(PREFIX)
    token = ApiToken.objects.create(
        user=user,
        digest=digest,
        token_key=secret[: CONSTANTS.TOKEN_KEY_LENGTH],
        expiry=SYSTEM_CLOCK.now() + lifetime,
        name=name,
        permissions=chosen,
        project=project,
        created_by_id=None if principal.user_id == SYSTEM_ID else principal.user_id,
    )
    record_act(
        principal=principal,
        kind="token.created",
        subject=token.pk,
        matched=matched,
        data={
            "user": str(user.pk),
            "permissions": chosen,
            "project": None if project is None else str(project.pk),
            "lifetime_seconds": int(lifetime.total_seconds()),
        },
        payloads={"name": name},
    )
    return token, secret


@act
def revoke_token(*, principal: Principal, token_id: UUID) -> None:
    """End a token: one's own always, also with the token itself; others' with `manage_tokens`.

    Transaction: one.

    Raises:
        AccessForbiddenError: without `manage_tokens`, for a token of another account.
        IdentityMissingError: if there is no such token.
    """
    token = get_token(token_id)
    user_id = token.user_id
    matched = _OWN
    if user_id != principal.user_id:
        matched = require(
            principal=principal, permission=Permission.MANAGE_TOKENS, scope_id=None
        ).matched
    token.delete()
    announce_revocation(user_ids=[user_id])
    record_act(
        principal=principal,
        kind="token.revoked",
        subject=token_id,
        matched=matched,
        data={"user": str(user_id)},
    )


def _require_making(principal: Principal, *, user_id: UUID | None) -> str:
    """Return what allows a token to be made. Raises: AccessForbiddenError."""
    if user_id is None or user_id == principal.user_id:
        if principal.token is not None:
            refuse(
                principal=principal,
                permission=Permission.MANAGE_TOKENS,
                reason="A token cannot make tokens for its own account; sign in.",
            )
        return _OWN
    matched = require(
        principal=principal, permission=Permission.MANAGE_TOKENS, scope_id=None
    ).matched
    is_human = User.objects.filter(pk=user_id, kind=ActorKind.PERSON).exists()
    if is_human and principal.kind is not ActorKind.SYSTEM:
        refuse(
            principal=principal,
            permission=Permission.MANAGE_TOKENS,
            reason="Nobody makes tokens for another human; they make their own.",
        )
    return matched


def _check(*, name: str, permissions: list[str] | None, lifetime: timedelta) -> None:
    check = Checker()
    check.title("/name", name)
    check.permissions("/permissions", permissions)
    check.that(
        "/lifetime",
        holds=timedelta(0) < lifetime <= limits.TOKEN_LIFETIME_MAX,
        message=f"A token holds for at most {limits.TOKEN_LIFETIME_MAX.days} days.",
    )
    check.finish()


def _check_account(user: User) -> None:
    if not user.is_active:
        raise InactiveAccountError
    live = ApiToken.objects.filter(user=user, expiry__gt=Now()).count()
    if live >= limits.TOKEN_COUNT_MAX:
        raise TooManyTokensError(count_max=limits.TOKEN_COUNT_MAX)


def _get_project(project_id: UUID) -> Project:
    project = Project.objects.filter(pk=project_id).first()
    if project is None:
        raise IdentityMissingError("There is no such project.")
    return project
