"""One open socket. Read `LiveConsumer.receive` and `LiveConsumer.signal_arrived` first."""

import asyncio
import json
from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Any

import structlog
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from core.identity.domain.principal import Principal
from core.kernel import ids, limits
from core.kernel.clock import SYSTEM_CLOCK, Clock
from core.kernel.errors import InvalidError, PlatformError
from core.kernel.types import Json
from core.toolkit.socket import protocol
from core.toolkit.socket.gate import claim_of
from core.toolkit.socket.identification import Claim, identify, identify_async
from core.toolkit.socket.protocol import CloseCode, FrameError, Subscribe, Topic
from core.toolkit.socket.topics import find_groups

_log = structlog.get_logger(__name__)

_SEEN_COUNT_MAX = 256  # signals remembered, so that one sent to several groups arrives once


class TooManyTopicsError(InvalidError):
    """A socket has all the subscriptions it may have."""

    code = "core.socket_topics"
    title = f"A socket has at most {limits.SOCKET_TOPIC_COUNT_MAX} topics."


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # the library has no types
    """Tells a client which of its topics changed.

    Who it is and what it may know is asked of the database when it subscribes and again before
    every signal; nothing learned earlier is believed. A claim that no longer holds closes the
    socket: when its account's group says so, at the next signal, or within
    `SOCKET_RECHECK_SECONDS`.
    """

    clock: Clock = SYSTEM_CLOCK
    recheck_seconds: float = limits.SOCKET_RECHECK_SECONDS

    async def connect(self) -> None:
        """Open the socket for whom the gate let through."""
        self._lock = asyncio.Lock()  # signals and the recheck do not change the topics at once
        self._topics: dict[Topic, frozenset[str]] = {}
        self._seen: OrderedDict[tuple[str, Topic], None] = OrderedDict()
        self._frame_times: deque[float] = deque(maxlen=limits.SOCKET_FRAME_COUNT_MAX)
        self._fault_count = 0
        self._recheck: asyncio.Task[None] | None = None
        self._account_group = ""
        self._is_closed = False
        self._claim = claim_of(self.scope)
        await self.accept()
        principal = await identify_async(self._claim)
        if principal is not None:
            self._account_group = f"user.{principal.user_id.hex}"
            await self.channel_layer.group_add(self._account_group, self.channel_name)
            # Again, because a revocation just before we joined told us nothing.
            principal = await identify_async(self._claim)
        if principal is None:
            await self._end(CloseCode.NOT_SIGNED_IN)
            return
        self._recheck = asyncio.create_task(self._recheck_often())

    async def disconnect(self, code: int) -> None:  # noqa: ARG002  # fixed by the framework
        """Leave all groups."""
        if self._recheck is not None:
            self._recheck.cancel()
        if self._account_group:
            await self.channel_layer.group_discard(self._account_group, self.channel_name)
        for topic in list(self._topics):
            await self._forget(topic)

    async def receive(
        self,
        text_data: str | None = None,
        bytes_data: bytes | None = None,  # noqa: ARG002  # fixed by the framework
    ) -> None:
        """Follow what the client asks for; too much nonsense closes the socket."""
        if self._is_flooding():
            await self._end(CloseCode.TOO_MANY_FRAMES)
            return
        try:
            request = protocol.read_frame(text_data)
        except FrameError as error:
            await self._answer_fault(error)
            return
        async with self._lock:
            if isinstance(request, Subscribe):
                await self._subscribe(request.topic)
            else:
                await self._unsubscribe(request.topic)

    async def signal_arrived(self, message: Mapping[str, Any]) -> None:
        """Pass a signal on for every topic it belongs to, if its client may still know."""
        group = message["group"]
        async with self._lock:
            if group == self._account_group:
                await self._prove_again()
                return
            for topic, groups in list(self._topics.items()):
                if group in groups and self._is_first(message["id"], topic):
                    await self._relay(topic, group=group, signal=message["signal"])

    async def _subscribe(self, topic: Topic) -> None:
        if topic not in self._topics and len(self._topics) >= limits.SOCKET_TOPIC_COUNT_MAX:
            await self._send(protocol.refusal(topic, TooManyTopicsError()))
            return
        if await self._authorize(topic):
            await self._send(protocol.answer("subscribed", topic))

    async def _unsubscribe(self, topic: Topic) -> None:
        await self._forget(topic)
        await self._send(protocol.answer("unsubscribed", topic))

    async def _relay(self, topic: Topic, *, group: str, signal: Mapping[str, Json]) -> None:
        if await self._authorize(topic) and group in self._topics[topic]:
            await self._send({**signal, "type": "signal", "topic": str(topic)})

    async def _prove_again(self) -> None:
        """Ask anew who this is and for every topic; close if it is nobody."""
        if await identify_async(self._claim) is None:
            await self._end(CloseCode.NOT_SIGNED_IN)
            return
        for topic in list(self._topics):
            await self._authorize(topic)

    async def _authorize(self, topic: Topic) -> bool:
        """Ask who this is and what it may know now, and move to the groups that follow.

        Returns:
            Whether the topic is open. If not, the client has been told.
        """
        if self._is_closed:
            return False
        principal, found = await _look_up(self._claim, topic)
        if principal is None:
            await self._end(CloseCode.NOT_SIGNED_IN)
            return False
        if isinstance(found, PlatformError):
            await self._forget(topic)
            await self._send(protocol.refusal(topic, found))
            return False
        before = self._topics.get(topic, frozenset())
        self._topics[topic] = found
        for group in found - before:
            await self.channel_layer.group_add(group, self.channel_name)
        await self._leave(before - found)
        return True

    async def _forget(self, topic: Topic) -> None:
        await self._leave(self._topics.pop(topic, frozenset()))

    async def _leave(self, groups: frozenset[str] | set[str]) -> None:
        """Leave the groups that no other topic needs."""
        needed = set().union(*self._topics.values())
        for group in groups - needed:
            await self.channel_layer.group_discard(group, self.channel_name)

    async def _recheck_often(self) -> None:
        spread = self.recheck_seconds / 10  # sockets that opened together do not ask together
        try:
            while not self._is_closed:
                await asyncio.sleep(self.recheck_seconds - ids.jitter(spread=spread))
                async with self._lock:
                    await self._prove_again()
        except Exception:  # noqa: BLE001  # a task's edge: who cannot be asked about is not trusted
            _log.warning("socket_recheck_failed", exc_info=True)
            await self._end(CloseCode.TRY_AGAIN_LATER)

    async def _answer_fault(self, error: FrameError) -> None:
        self._fault_count += 1
        await self._send(protocol.fault(error))
        if self._fault_count >= limits.SOCKET_FAULT_COUNT_MAX:
            await self._end(CloseCode.TOO_MUCH_NONSENSE)

    def _is_flooding(self) -> bool:
        now = self.clock.monotonic()
        full = len(self._frame_times) == self._frame_times.maxlen
        flooding = full and now - self._frame_times[0] < limits.SOCKET_FRAME_WINDOW_SECONDS
        self._frame_times.append(now)
        return flooding

    def _is_first(self, signal_id: str, topic: Topic) -> bool:
        if (signal_id, topic) in self._seen:
            return False
        self._seen[signal_id, topic] = None
        if len(self._seen) > _SEEN_COUNT_MAX:
            self._seen.popitem(last=False)
        return True

    async def _send(self, frame: Mapping[str, Json]) -> None:
        if not self._is_closed:
            await self.send(text_data=json.dumps(frame))

    async def _end(self, code: int) -> None:
        """Close the socket, once; what is still under way sends nothing any more."""
        if not self._is_closed:
            self._is_closed = True
            await self.close(code=code)


def _look_up_now(
    claim: Claim, topic: Topic
) -> tuple[Principal | None, frozenset[str] | PlatformError]:
    principal = identify(claim)
    if principal is None:
        return None, frozenset()
    try:
        return principal, find_groups(topic=topic, principal=principal)
    except PlatformError as error:
        return principal, error


_look_up = database_sync_to_async(_look_up_now, thread_sensitive=False)
