"""What a body may weigh before Django sees it."""

import asyncio
import json
from typing import Any

from core.kernel import limits
from core.toolkit.api.body_limit import BodyLimit


async def _echo(scope, receive, send):
    body, more = b"", True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
    declared = dict(scope["headers"]).get(b"content-length", b"").decode()
    text = json.dumps({"length": len(body), "declared": declared})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})


def _send(chunks: list[bytes], *, headers: dict[bytes, bytes], kind: str = "http"):
    events = [
        {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
        for index, chunk in enumerate(chunks)
    ]
    sent = []

    async def receive():
        return events.pop(0) if events else {"type": "http.disconnect"}

    async def send(event):
        sent.append(event)

    scope: Any = {"type": kind, "path": "/api/v1/x/", "headers": list(headers.items())}
    asyncio.run(BodyLimit(_echo)(scope, receive, send))
    if not sent:
        return None, None, events
    return sent[0]["status"], json.loads(sent[1]["body"]), events


def test_a_body_within_the_limit_passes():
    status, body, _ = _send([b"{}"], headers={b"content-length": b"2"})

    assert (status, body["length"]) == (200, 2)


def test_a_body_declared_too_long_is_refused_unread():
    declared = str(limits.BODY_BYTES_MAX + 1).encode()

    status, body, unread = _send([b"{}"], headers={b"content-length": declared})

    assert (status, body["code"], len(unread)) == (413, "api.body_too_large", 1)


def test_a_chunked_body_arrives_whole_and_with_its_length():
    status, body, _ = _send([b"{", b"", b"}"], headers={b"transfer-encoding": b"chunked"})

    assert status == 200
    assert body == {"length": 2, "declared": "2"}


def test_a_chunked_body_is_refused_once_it_is_too_long():
    half = b"x" * (limits.BODY_BYTES_MAX // 2)

    status, body, unread = _send(
        [half, half, b"x", b"never read"], headers={b"transfer-encoding": b"chunked"}
    )

    assert (status, body["status"], len(unread)) == (413, 413, 1)


def test_a_client_that_leaves_midway_reaches_nobody():
    status, _, _ = _send([], headers={b"transfer-encoding": b"chunked"})

    assert status is None


def test_what_is_not_http_passes_untouched():
    status, _, _ = _send([b""], headers={b"content-length": b"9" * 20}, kind="websocket")

    assert status == 200
