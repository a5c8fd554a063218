"""From a request to the principal who makes it. Read `TokenAuthentication` first.

Both classes give DRF the account as `request.user` and the `Principal` as `request.auth`.
"""

from typing import TYPE_CHECKING, Any, cast

from django.http import HttpRequest
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.authentication import SessionAuthentication as FrameworkSession

from core.identity.domain.principal import Principal
from core.identity.models import ApiToken, User
from core.identity.selectors.principals import get_principal, make_origin
from core.identity.tokens import verify_token
from core.kernel.record import Via
from core.toolkit.api.errors import CHALLENGE, CredentialsRefusedError, CsrfRefusedError
from core.toolkit.api.origin import read_request_id, read_source_address

if TYPE_CHECKING:  # it loads this module, by settings
    from rest_framework.request import Request

_SCHEMES = frozenset({b"token", b"bearer"})
_WORD_COUNT = 2


class TokenAuthentication(BaseAuthentication):
    """Reads `Authorization: Bearer cs_…`, or `Token` in place of `Bearer`.

    It comes first, so that its challenge is the one a 401 carries.
    """

    def authenticate(self, request: "Request") -> tuple[User, Principal] | None:
        """Return the account and the principal, or `None` if the request carries no token.

        Raises:
            CredentialsRefusedError: for a token that does not hold, whatever the reason.
        """
        words = get_authorization_header(request).split()
        if not words or words[0].lower() not in _SCHEMES:
            return None
        if len(words) != _WORD_COUNT:
            raise CredentialsRefusedError("Write `Authorization: Bearer cs_…`.")
        found = verify_token(words[1].decode("latin-1"))
        if found is None:
            raise CredentialsRefusedError
        user, token = found
        return user, _principal(request, user=user, auth="token", token=token)

    def authenticate_header(self, request: "Request") -> str:
        """Return the challenge of a 401."""
        return CHALLENGE


class SessionAuthentication(FrameworkSession):
    """Takes the portal's session; whatever changes something also needs its CSRF token."""

    def authenticate(self, request: "Request") -> tuple[User, Principal] | None:
        """Return the account and the principal, or `None` without a live session.

        Raises:
            CsrfRefusedError: for a missing or wrong CSRF token.
        """
        found = super().authenticate(request)
        if found is None:
            return None
        user = cast("User", found[0])
        return user, _principal(request, user=user, auth="session")

    def enforce_csrf(self, request: "Request") -> None:
        """Refuse a request that its session's owner may not have meant to send."""
        try:
            super().enforce_csrf(cast("Any", request))
        except exceptions.PermissionDenied as error:
            raise CsrfRefusedError(str(error.detail)) from error


def _principal(
    request: "Request", *, user: User, auth: str, token: ApiToken | None = None
) -> Principal:
    django_request: HttpRequest = request._request  # noqa: SLF001  # DRF's way to the request inside
    origin = make_origin(
        user=user,
        via=Via.API,
        auth=auth,
        request_id=read_request_id(django_request),
        source_address=read_source_address(django_request),
    )
    return get_principal(user=user, origin=origin, token=token)
