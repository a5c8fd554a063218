"""Who gets as far as a socket. Read `SocketGate` first."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings

from core.toolkit.socket.identification import Claim, identify_async, is_origin_allowed, read_claim
from core.toolkit.socket.protocol import CloseCode

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

CLAIM_KEY = "countersign.claim"


class SocketGate:
    """Lets through who is signed in, and hands the claim on in the scope.

    A page of a foreign origin never gets an open socket. Somebody who is not signed in gets one for
    a moment: browsers hide the reason of a socket that never opened. Neither of them costs more
    than the question who they are; the channel layer hears of nobody who is turned away.
    """

    def __init__(self, inner: Application) -> None:
        self._inner = inner

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection."""
        claim = read_claim(scope)
        opening = await receive()
        if not is_origin_allowed(claim, allowed=settings.TRUSTED_ORIGINS):
            await refuse(send)
            return
        if await identify_async(claim) is None:
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": int(CloseCode.NOT_SIGNED_IN)})
            return

        async def receive_again() -> Message:
            nonlocal opening
            if opening:
                message, opening = opening, {}
                return message
            return await receive()

        await self._inner({**scope, CLAIM_KEY: claim}, receive_again, send)


async def deny(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:  # noqa: ARG001  # fixed by ASGI
    """Serve a path that is no socket."""
    await receive()
    await refuse(send)


async def refuse(send: Send) -> None:
    """Answer the handshake with HTTP 403."""
    await send({"type": "websocket.close"})


def claim_of(scope: MutableMapping[str, Any]) -> Claim:
    """Return what the gate read."""
    claim: Claim = scope[CLAIM_KEY]
    return claim
