"""The end of every HTTP request, as far as identity is concerned."""

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse

from core.identity import refusals
from core.identity.attribution import attributed
from core.identity.domain.principal import Principal
from core.identity.models import User
from core.identity.selectors.principals import make_origin
from core.kernel.record import Origin, Via
from core.toolkit.api.origin import read_request_id, read_source_address

# By the beginning of the path; every other page is the portal's.
_CHANNELS: Final = (("/api/", Via.API), ("/admin/", Via.CONSOLE))


class AccessMiddleware:
    """Records what the request was refused, and attributes what it changes to its user.

    Must come after Django's AuthenticationMiddleware.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the answer of whatever is inside."""
        with refusals.recording(), attributed(lambda: _read_origin(request)):
            return self._get_response(request)


def _read_origin(request: HttpRequest) -> Origin | None:
    principal = getattr(request, "auth", None)
    if isinstance(principal, Principal):  # DRF writes here whom the API's classes found
        return principal.origin
    user = request.user
    if not isinstance(user, User):
        return None
    via = next((via for path, via in _CHANNELS if request.path.startswith(path)), Via.PORTAL)
    return make_origin(
        user=user,
        via=via,
        auth="session",
        request_id=read_request_id(request),
        source_address=read_source_address(request),
    )
