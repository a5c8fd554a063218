"""Requests that wait for something without a thread. Read `hold`, then `Holding`.

A view that has nothing to answer yet answers at once and says with `hold` what to wait for. The
ASGI application around Django keeps that answer back, waits for a signal (see
`core.toolkit.realtime`) as one small task of the event loop, and asks Django again: a whole new
request, so credentials and permissions hold each time. While it waits, Django knows nothing of it.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import structlog
from channels.layers import get_channel_layer
from django.http import HttpResponseBase
from redis.exceptions import RedisError

from core.kernel import ids, limits

if TYPE_CHECKING:
    from asgiref.typing import (
        ASGI3Application,
        ASGIReceiveCallable,
        ASGIReceiveEvent,
        ASGISendCallable,
        ASGISendEvent,
        HTTPScope,
        Scope,
    )

_log = structlog.get_logger(__name__)

_HEADER: Final = "X-Hold"  # never leaves the process
_REDIS_SECONDS: Final = 2.0  # what takes longer is not worth waiting for
_HEADER_BYTES: Final = _HEADER.lower().encode()


def hold(response: HttpResponseBase, *, seconds: float, groups: Iterable[str]) -> None:
    """Let a request wait for a signal in one of the groups, and then be asked again.

    Where no `Holding` is around the application, the answer is sent as it is.

    Args:
        response: what is answered when nothing has come in time.
        seconds: how long, from the moment the request came in.
        groups: names of `core.toolkit.realtime.publish`.
    """
    response.headers[_HEADER] = f"{seconds:g} {' '.join(groups)}"


@dataclass(slots=True)
class _Answer:
    """What Django sends for one request, kept until it is known whether it is the last."""

    events: list["ASGISendEvent"] = field(default_factory=list)
    seconds: float = 0.0
    groups: tuple[str, ...] = ()

    async def take(self, event: "ASGISendEvent") -> None:
        if event["type"] == "http.response.start":
            kept = [item for item in event["headers"] if item[0].lower() != _HEADER_BYTES]
            for name, value in event["headers"]:
                if name.lower() == _HEADER_BYTES:
                    seconds, *groups = value.decode("ascii").split(" ")
                    self.seconds, self.groups = float(seconds), tuple(groups)
            event["headers"] = kept
        self.events.append(event)


class Holding:
    """An ASGI application around another that lets requests to some addresses wait.

    At most `limits.HELD_REQUEST_COUNT_MAX` of a process wait; the others get their answer at once.
    """

    def __init__(self, application: "ASGI3Application", *, paths: Sequence[str]) -> None:
        self._application = application
        self._paths = frozenset(path.rstrip("/") for path in paths)
        self._held_count = 0

    async def __call__(
        self, scope: "Scope", receive: "ASGIReceiveCallable", send: "ASGISendCallable"
    ) -> None:
        """Serve one connection; whatever is for another address passes untouched."""
        if scope["type"] != "http" or scope["path"].rstrip("/") not in self._paths:
            await self._application(scope, receive, send)
            return
        events, is_whole = await _read_body(receive)
        if not is_whole:  # there is more of it than is kept, or the client has gone
            await self._application(scope, _replay(events, receive), send)
            return
        for event in await self._serve(scope, receive, events):
            await send(event)

    async def _serve(
        self, scope: "HTTPScope", receive: "ASGIReceiveCallable", events: "list[ASGIReceiveEvent]"
    ) -> "list[ASGISendEvent]":
        """Return the answer to send; none, if the client went meanwhile."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer = await self._ask(scope, events)
        if not answer.groups or self._held_count >= limits.HELD_REQUEST_COUNT_MAX:
            return answer.events
        self._held_count += 1
        gone = asyncio.create_task(_wait_until_gone(receive))
        try:
            async with _Ear(answer.groups) as ear:
                # Again, because what came before we listened told us nothing.
                answer = await self._ask(scope, events)
                while answer.groups and (left := began + answer.seconds - loop.time()) > 0:
                    if await ear.wait(gone, seconds=min(left, limits.CLAIM_LOOK_SECONDS)):
                        return []
                    answer = await self._ask(scope, events)
                return answer.events
        finally:
            self._held_count -= 1
            gone.cancel()

    async def _ask(self, scope: "HTTPScope", events: "list[ASGIReceiveEvent]") -> _Answer:
        answer = _Answer()
        # The client is not watched here: what Django has begun for it, Django finishes.
        await self._application(scope, _replay(events, _never), answer.take)
        return answer


class _Ear:
    """A channel that hears the signals of some groups; deaf while Redis is down."""

    def __init__(self, groups: Sequence[str]) -> None:
        self._groups = groups
        self._layer: Any = get_channel_layer()
        self._channel = ""

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                self._channel = await self._layer.new_channel()
                for group in self._groups:
                    await self._layer.group_add(group, self._channel)
        except (RedisError, OSError) as error:
            _log.warning("held_request_is_deaf", reason=type(error).__name__)
            self._channel = ""
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._channel:
            return
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                for group in self._groups:
                    await self._layer.group_discard(group, self._channel)
        except (RedisError, OSError) as error:
            _log.warning("held_request_is_deaf", reason=type(error).__name__)

    async def wait(self, gone: "asyncio.Task[None]", *, seconds: float) -> bool:
        """Wait for a signal, at most some seconds; say whether the client has gone."""
        heard = asyncio.create_task(self._hear(seconds))
        await asyncio.wait((heard, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if heard.done() and not gone.done():
            await asyncio.sleep(ids.jitter(spread=limits.HELD_SPREAD_SECONDS))
        heard.cancel()
        # It gives its place in the channel back.
        await asyncio.wait((heard,), timeout=_REDIS_SECONDS)
        return gone.done()

    async def _hear(self, seconds: float) -> None:
        if not self._channel:
            await asyncio.sleep(seconds)
            return
        try:
            await self._layer.receive(self._channel)
        except (RedisError, OSError) as error:
            _log.warning("held_request_is_deaf", reason=type(error).__name__)
            await asyncio.sleep(seconds)


async def _read_body(receive: "ASGIReceiveCallable") -> "tuple[list[ASGIReceiveEvent], bool]":
    """Return the events of a request's body, and whether that is all of it and not too much."""
    events: list[ASGIReceiveEvent] = []
    size = 0
    while size <= limits.HELD_BODY_BYTES_MAX:
        event = await receive()
        events.append(event)
        if event["type"] != "http.request":
            return events, False
        size += len(event.get("body", b""))
        if not event.get("more_body", False):
            return events, size <= limits.HELD_BODY_BYTES_MAX
    return events, False


def _replay(
    events: "list[ASGIReceiveEvent]", after: "ASGIReceiveCallable"
) -> "ASGIReceiveCallable":
    left = list(reversed(events))

    async def receive() -> "ASGIReceiveEvent":
        return left.pop() if left else await after()

    return receive


async def _never() -> "ASGIReceiveEvent":
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


async def _wait_until_gone(receive: "ASGIReceiveCallable") -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
