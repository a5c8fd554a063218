"""The language's JSON Schema over HTTP. Read `LanguageViewSet`."""

from collections.abc import Sequence

from drf_spectacular.utils import extend_schema
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from core.toolkit.api.views import ApiViewSet
from engine.domain.flow.schema import language_schema

_MEDIA_TYPE = "application/schema+json"
_KEPT = "public, max-age=3600"  # a new version of the platform may implement more of it


class LanguageViewSet(ApiViewSet):
    """What editors check definitions against while somebody types."""

    # The language is no secret, and an editor has no session.
    authentication_classes: Sequence[type[BaseAuthentication]] = ()
    permission_classes: Sequence[type[BasePermission]] = (AllowAny,)

    @extend_schema(exclude=True)  # a document, not an operation
    def retrieve(self, request: Request) -> Response:
        """Return the JSON Schema of `flow/v1`."""
        return Response(
            dict(language_schema()),
            content_type=_MEDIA_TYPE,
            headers={"Cache-Control": _KEPT},
        )
