"""One log line per request, and an id that every line of it carries."""

import re
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

from core.kernel import ids
from core.kernel.clock import SYSTEM_CLOCK

_log = structlog.get_logger("countersign.http")
_WELL_FORMED = re.compile(r"[A-Za-z0-9_-]{8,64}")
_QUIET = frozenset({"/healthz", "/readyz"})


class RequestLogMiddleware:
    """Takes a request's id from `X-Request-ID` if well-formed, else makes one.

    The id is bound to structlog's context, answered in the same header, and recorded in the ledger
    by those who ask `core.toolkit.api.origin`.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer one request, with its id bound to the logging context."""
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _WELL_FORMED.fullmatch(given) else str(ids.uuid7())
        started = SYSTEM_CLOCK.monotonic()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            response = self._get_response(request)
            response["X-Request-ID"] = request_id
            if request.path not in _QUIET:
                # The path without its query, which may hold what people searched for.
                _log.info(
                    "request",
                    method=request.method,
                    path=request.path,
                    status=response.status_code,
                    ms=round((SYSTEM_CLOCK.monotonic() - started) * 1000, 1),
                )
            return response
        finally:
            structlog.contextvars.clear_contextvars()
