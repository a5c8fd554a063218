"""What every viewset of the API builds on. Read `ApiViewSet` first."""

from collections.abc import Sequence
from typing import Any, ClassVar

from drf_spectacular.views import SpectacularAPIView
from rest_framework.authentication import BaseAuthentication
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from core.identity.domain.principal import Principal
from core.toolkit.api import conf
from core.toolkit.api.authentication import SessionAuthentication, TokenAuthentication
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
    parser_classes: Sequence[type[BaseParser]] = (StrictJsonParser,)
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


class MayReadDocument(BasePermission):
    """Lets signed-in callers read the API's document, and anybody where a setting says so."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the request may go on."""
        return conf.shows_document_to_all() or request.user.is_authenticated


class DocumentView(SpectacularAPIView):
    """Serves the OpenAPI document."""

    authentication_classes = ApiViewSet.authentication_classes
    permission_classes = (MayReadDocument,)
    throttle_classes = ApiViewSet.throttle_classes


def principal_of(request: Request) -> Principal:
    """Return who makes an authenticated request."""
    principal = request.auth
    assert isinstance(principal, Principal), "the authentication classes set it"
    return principal
