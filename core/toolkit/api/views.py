"""What every viewset of the API builds on. Read `ApiViewSet` first."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from core.identity.domain.principal import Principal
from core.toolkit.api.authentication import SessionAuthentication, TokenAuthentication
from core.toolkit.api.errors import RouteMissingError
from core.toolkit.api.handler import respond_to_error
from core.toolkit.api.parsers import StrictJsonParser
from core.toolkit.api.throttling import CallerThrottle


class ApiViewSet(ViewSet):
    """A viewset for signed-in callers, JSON in and out.

    Everything is said here rather than left to framework settings, whose defaults let anybody in.
    Whether the caller *may* is asked by the service or selector the method calls.
    """

    authentication_classes: Sequence[type[BaseAuthentication]] = (
        TokenAuthentication,
        SessionAuthentication,
    )
    permission_classes: Sequence[type[BasePermission]] = (IsAuthenticated,)
    parser_classes = (StrictJsonParser,)
    renderer_classes = (JSONRenderer,)
    throttle_classes = (CallerThrottle,)

    # Action → scope of `API_THROTTLE_RATES` that limits it besides "any".
    throttle_scopes: ClassVar[dict[str, str]] = {}

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Response:
        """Return the answer, which no cache may keep: it is for this caller, at this moment."""
        answer: Response = super().finalize_response(request, response, *args, **kwargs)
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer


def principal_of(request: Request) -> Principal:
    """Return who makes an authenticated request."""
    principal = request.auth
    assert isinstance(principal, Principal), "the authentication classes set it"
    return principal


def refuse_unknown_address(request: HttpRequest) -> HttpResponse:
    """Return 404 as problem+json for whatever no route of the API matches."""
    return respond_to_error(request, RouteMissingError())
