"""Passwords: checking one, and changing it into a token. Read `check_password` first."""

from datetime import timedelta

import structlog
from django.contrib.auth import authenticate

from core.identity.domain.errors import PasswordRefusedError
from core.identity.models import ApiToken, User
from core.identity.selectors.principals import get_principal, make_origin
from core.identity.services.tokens import create_token
from core.kernel.record import Via

_log = structlog.get_logger(__name__)


def check_password(*, username: str, password: str, source_address: str = "") -> User:
    """Return the account that name and password belong to.

    A wrong name takes as long as a wrong password, and is answered alike. Doorways count attempts.

    Raises:
        PasswordRefusedError: for an unknown or closed account, or a wrong password.
    """
    # PostgreSQL keeps no NUL, so no account has one in its name.
    user = authenticate(username=username.lower().replace("\x00", ""), password=password)
    if not isinstance(user, User):
        _log.warning("password_refused", source_address=source_address)
        raise PasswordRefusedError
    return user


def exchange_password(
    *,
    username: str,
    password: str,
    name: str,
    lifetime: timedelta,
    request_id: str = "",
    source_address: str = "",
) -> tuple[ApiToken, str]:
    """Make a token for whoever knows an account's password, and return it with its secret.

    There is no second factor here, so doorways offer it only where a setting says so, and count
    attempts.

    Args:
        username: the account's.
        password: what is tried.
        name: what the owner knows the token by.
        lifetime: how long it holds.
        request_id: what the log lines of the request carry.
        source_address: the client's, if trusted hops vouch for it.

    Transaction: one.

    Raises:
        PasswordRefusedError: for an unknown or closed account, or a wrong password.
        IdentityInvalidError: for a bad name or lifetime.
        TooManyTokensError: if the account has too many.
    """
    user = check_password(username=username, password=password, source_address=source_address)
    origin = make_origin(
        user=user,
        via=Via.API,
        auth="password",
        request_id=request_id,
        source_address=source_address,
    )
    principal = get_principal(user=user, origin=origin)
    return create_token(principal=principal, name=name, lifetime=lifetime)
