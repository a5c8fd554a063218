"""Signals to open sockets that something changed. Read `publish` first.

A signal holds ids, never content: whoever gets it asks again and is authorised again. It may be
lost. A thread of its own sends, over connections that stay open, so that nobody who commits waits
for Redis, and a broken Redis is asked only once in a while.
"""

import asyncio
import atexit
import os
import queue
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog
from channels.layers import get_channel_layer

from core.kernel import ids, limits
from core.toolkit.breaker import Breaker
from core.toolkit.db import after_commit

_log = structlog.get_logger(__name__)

MESSAGE_TYPE = "signal.arrived"  # names the consumer's method
_SEND_SECONDS = 2.0
_DRAIN_SECONDS = 1.0  # what a process that ends gives its last signals

BREAKER = Breaker()  # of this process


def publish(*, groups: Iterable[str], signal: Mapping[str, str | int]) -> None:
    """Tell every socket in the groups. Returns at once and never fails.

    Args:
        groups: "run.<hex>", "audience.<key>" or "user.<hex>". A socket that is in several of them
            is told once.
        signal: ids and small numbers.
    """
    names = tuple(dict.fromkeys(groups))
    if names and BREAKER.lets_through():
        _publisher().put(_Notice(groups=names, signal=dict(signal), id=ids.secret(length=12)))


def publish_on_commit(*, groups: Iterable[str], signal: Mapping[str, str | int]) -> None:
    """Tell the groups when the open transaction commits, at once if there is none.

    Transaction: joins one. Nobody is told if it rolls back.
    """
    names = tuple(groups)
    after_commit(publish, groups=names, signal=dict(signal))


def drain(*, seconds: float = _DRAIN_SECONDS) -> None:
    """Wait until what this process published so far is sent or given up, at most some seconds."""
    if _current is not None and _current.process == os.getpid():
        _current.drain(seconds=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Notice:
    groups: tuple[str, ...]
    signal: dict[str, str | int]
    id: str


class _Publisher:
    """The thread that sends, with its queue. It belongs to the process that made it."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._notices: queue.Queue[_Notice] = queue.Queue(limits.SIGNAL_QUEUE_COUNT_MAX)
        self._idle = threading.Condition()
        self._open_count = 0
        thread = threading.Thread(target=self._run, name="realtime-publisher", daemon=True)
        thread.start()

    def put(self, notice: _Notice) -> None:
        with self._idle:
            self._open_count += 1
        try:
            self._notices.put_nowait(notice)
        except queue.Full:
            BREAKER.skip_count += 1
            self._finish_one()

    def drain(self, *, seconds: float) -> None:
        with self._idle:
            self._idle.wait_for(lambda: self._open_count == 0, timeout=seconds)

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            while True:
                notice = self._notices.get()
                try:
                    runner.run(self._send(notice))
                finally:
                    self._finish_one()

    def _finish_one(self) -> None:
        with self._idle:
            self._open_count -= 1
            self._idle.notify_all()

    async def _send(self, notice: _Notice) -> None:
        if not BREAKER.lets_through():
            return
        layer = get_channel_layer()
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                for group in notice.groups:
                    message = {
                        "type": MESSAGE_TYPE,
                        "id": notice.id,
                        "group": group,
                        "signal": notice.signal,
                    }
                    await layer.group_send(group, message)
        except Exception as error:  # noqa: BLE001  # this thread's edge: it must go on whatever fails
            if BREAKER.record_failure():
                _log.warning("signals_fail", reason=type(error).__name__)
        else:
            if BREAKER.record_success():
                _log.info("signals_work_again", failure_count=BREAKER.failure_count)


_current: _Publisher | None = None
_starting = threading.Lock()


def _publisher() -> _Publisher:
    global _current  # noqa: PLW0603  # one per process; a forked child has no thread and makes its own
    with _starting:
        if _current is None or _current.process != os.getpid():
            _current = _Publisher()
        return _current


def _forget() -> None:
    global _current, _starting  # see `_publisher`
    _current, _starting = None, threading.Lock()


atexit.register(drain)
os.register_at_fork(after_in_child=_forget)
