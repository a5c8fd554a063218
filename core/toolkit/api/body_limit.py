"""Bounds request bodies before Django reads them. Read `BodyLimit` first.

Django's ASGI handler spools a whole body to disk before any view can refuse it, and DRF takes a
body without `Content-Length` (a chunked one) for an empty one. Both end here.
"""

import json
from typing import TYPE_CHECKING, Any

import structlog

from core.kernel import ids, limits
from core.toolkit.api.errors import PROBLEM_MEDIA_TYPE, BodyTooLargeError, describe_error

if TYPE_CHECKING:
    from asgiref.typing import (
        ASGI3Application,
        ASGIReceiveCallable,
        ASGIReceiveEvent,
        ASGISendCallable,
        HTTPScope,
        Scope,
    )

_log = structlog.get_logger(__name__)


class BodyLimit:
    """An ASGI application around another that it hands no HTTP body over `BODY_BYTES_MAX`."""

    def __init__(self, application: "ASGI3Application") -> None:
        self._application = application

    async def __call__(
        self, scope: "Scope", receive: "ASGIReceiveCallable", send: "ASGISendCallable"
    ) -> None:
        """Serve one connection; whatever is not HTTP passes untouched."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limits.BODY_BYTES_MAX:
            await _refuse(scope, send)
        elif not declared and b"transfer-encoding" in headers:
            await self._serve_chunked(scope, receive, send)
        else:
            # The server in front holds a body to the length it declares.
            await self._application(scope, receive, send)

    async def _serve_chunked(
        self, scope: "HTTPScope", receive: "ASGIReceiveCallable", send: "ASGISendCallable"
    ) -> None:
        """Collect a body of unknown length, and hand it on with its length."""
        body = b""
        more = True
        while more:
            event = await receive()
            if event["type"] != "http.request":
                return  # the client has gone
            body += event.get("body", b"")
            more = event.get("more_body", False)
            if len(body) > limits.BODY_BYTES_MAX:
                await _refuse(scope, send)
                return
        length = (b"content-length", str(len(body)).encode())
        kept = [item for item in scope["headers"] if item[0] != b"transfer-encoding"]
        handed: list[ASGIReceiveEvent] = [
            {"type": "http.request", "body": body, "more_body": False}
        ]

        async def replay() -> "ASGIReceiveEvent":
            return handed.pop() if handed else await receive()

        await self._application({**scope, "headers": [*kept, length]}, replay, send)


async def _refuse(scope: "HTTPScope", send: "ASGISendCallable") -> None:
    error = BodyTooLargeError(
        f"The body is over {limits.BODY_BYTES_MAX} bytes.", bytes_max=limits.BODY_BYTES_MAX
    )
    request_id = str(ids.uuid7())
    _log.info("body_refused", request_id=request_id, path=scope["path"])
    answer = describe_error(error, instance=scope["path"], request_id=request_id)
    body = json.dumps(answer.body).encode()
    start: Any = {
        "type": "http.response.start",
        "status": answer.status,
        "headers": [
            (b"content-type", PROBLEM_MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", request_id.encode()),
            # What is left of the body is not read, so the connection cannot be used again.
            (b"connection", b"close"),
        ],
        "trailers": False,
    }
    await send(start)
    await send({"type": "http.response.body", "body": body, "more_body": False})
