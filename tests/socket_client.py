"""A websocket client that talks to the ASGI application directly. Read `SocketClient`.

`channels.testing` has one too, but importing it takes daphne and Twisted, which nothing else needs.
"""

import json
from typing import Any

from asgiref.testing import ApplicationCommunicator

_SECONDS = 5


class SocketClient(ApplicationCommunicator):
    """One connection to a path of the application."""

    def __init__(self, application: Any, path: str, *, headers: list[tuple[bytes, bytes]]) -> None:
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": b"",
            "headers": headers,
            "subprotocols": [],
        }
        super().__init__(application, scope)
        self.is_open = False

    async def open(self) -> None:
        """Connect; `is_open` says whether the server agreed."""
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output(timeout=_SECONDS)
        self.is_open = answer["type"] == "websocket.accept"

    async def send(self, text: str | bytes) -> None:
        """Send one frame, text or binary."""
        kind = "bytes" if isinstance(text, bytes) else "text"
        await self.send_input({"type": "websocket.receive", kind: text})

    async def receive(self) -> dict[str, Any]:
        """Return the next frame, read as JSON."""
        message = await self.receive_output(timeout=_SECONDS)
        assert message["type"] == "websocket.send", message
        frame: dict[str, Any] = json.loads(message["text"])
        return frame

    async def receive_close(self) -> int:
        """Return the code the server closes with, which must be the next thing it does."""
        message = await self.receive_output(timeout=_SECONDS)
        assert message["type"] == "websocket.close", message
        code: int = message["code"]
        return code

    async def ask(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Send a frame and return the next one."""
        await self.send(json.dumps(frame))
        return await self.receive()

    async def close(self) -> None:
        """Go away, and wait until the application is done with it."""
        if not self.future.done():
            await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(timeout=_SECONDS)
