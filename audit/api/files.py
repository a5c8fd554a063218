"""The log as files that clients of transparency logs read. Read `LogFileViewSet` first.

Source: C2SP tlog-tiles (v1), whose paths, media types and caching these are. They stand at
`/ledger/log/`, outside the API: their form is given, and there is nothing to page or to describe.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, Final

from django.http import HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from drf_spectacular.utils import extend_schema
from rest_framework.authentication import BaseAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from audit import conf
from audit.domain.errors import HeadMissingError, NoteInvalidError
from audit.domain.merkle import TILE_WIDTH
from audit.domain.tiles import Tile, parse_tile_path
from audit.selectors import log
from core.identity.domain.principal import Principal
from core.toolkit.api.authentication import TokenAuthentication
from core.toolkit.api.views import ApiViewSet

_YEAR_SECONDS: Final = 31_536_000  # what never changes; caches take no longer for an answer
_PARTIAL_SECONDS: Final = 60  # it never changes either, and soon nobody asks for it any more
_CHECKPOINT_SECONDS: Final = 2  # about as often as entries are sealed


class LogIsPublicOrToken(BasePermission):
    """Lets anybody ask where the log is public, and whoever has a token elsewhere."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the request may go on."""
        return conf.ledger_log_is_public() or bool(request.user.is_authenticated)


class OneForm(BaseContentNegotiation):
    """Takes no notice of `Accept`: each file has one form."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """Return the first."""
        return next(iter(parsers), None)

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        """Return the first, which writes problems."""
        first = next(iter(renderers))
        return first, first.media_type


@extend_schema(exclude=True)
class LogFileViewSet(ApiViewSet):
    """The checkpoint, the tiles of hashes, and the bundles of entries."""

    # A browser's session is none: what may be cached for a year is not for shared machines.
    authentication_classes: Sequence[type[BaseAuthentication]] = (TokenAuthentication,)
    permission_classes: Sequence[type[BasePermission]] = (LogIsPublicOrToken,)
    content_negotiation_class = OneForm

    def checkpoint(self, request: Request) -> HttpResponseBase:
        """Return the newest signed tree head."""
        note = log.get_checkpoint(
            principal=_principal(request), is_public=conf.ledger_log_is_public()
        )
        return _respond(
            request,
            note.encode(),
            media_type="text/plain; charset=utf-8",
            caching=f"max-age={_CHECKPOINT_SECONDS}",
            is_public=conf.ledger_log_is_public(),
        )

    def tile(self, request: Request, path: str) -> HttpResponseBase:
        """Return a tile of hashes, or a bundle of entries."""
        tile = _parse(path)
        is_public = conf.ledger_log_is_public() and tile.level is not None
        data = log.get_tile(principal=_principal(request), is_public=is_public, tile=tile)
        is_full = tile.width == TILE_WIDTH
        return _respond(
            request,
            data,
            media_type="application/octet-stream",
            caching=f"max-age={_YEAR_SECONDS}, immutable"
            if is_full
            else f"max-age={_PARTIAL_SECONDS}",
            is_public=is_public,
        )


def _parse(path: str) -> Tile:
    try:
        return parse_tile_path(f"tile/{path}")
    except NoteInvalidError as error:
        raise HeadMissingError("No signed tree has this tile.") from error


def _principal(request: Request) -> Principal | None:
    return request.auth if isinstance(request.auth, Principal) else None


def _respond(
    request: Request, data: bytes, *, media_type: str, caching: str, is_public: bool
) -> HttpResponseBase:
    """Return the file, or that the caller's copy is still right."""
    etag = f'"{sha256(data).hexdigest()[:32]}"'
    whose = "public" if is_public else "private"
    headers = {"ETag": etag, "Cache-Control": f"{whose}, {caching}"}
    if not is_public:
        headers["Vary"] = "Authorization"
    full = HttpResponse(data, content_type=media_type, headers=headers)
    answer = get_conditional_response(request._request, etag=etag, response=full)  # noqa: SLF001  # DRF's way in
    assert answer is not None, "there is always a full one"
    return answer
