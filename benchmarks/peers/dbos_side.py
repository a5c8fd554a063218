"""The DBOS side of `make bench ONLY=engine`: a process that does what it is told, line by line.

Runs in the peer's own environment, so it imports DBOS, the standard library and `benchmarks.wire`.
A request is a line of JSON on standard input, `{"do": name, …}`; the answer is one on standard
output. DBOS is set up as its documentation asks for throughput: a connection for every thread, no
tracing, quiet logs, LISTEN/NOTIFY on, queues polled often, and no queue is listened to unless the
process is there to serve one.

python -m benchmarks.peers.dbos_side DATABASE_URL [QUEUE …]
"""

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy as sa  # type: ignore[import-not-found]  # of the peer's environment
from dbos import DBOS, DBOSClient  # type: ignore[import-not-found]  # as above

from benchmarks.wire import count_round_trips

_THREADS_MAX = 64
_POOL_SIZE = 40
_QUEUE_POLL_SECONDS = 0.05
_WAIT_SECONDS = 600.0
_TURNS_OF_THE_POOL = 5  # it hands out its connections in turn


def _nothing() -> None:
    """Do nothing, durably."""


nothing = DBOS.step(name="nothing")(_nothing)


def _chain(length: int) -> None:
    for _ in range(length):
        nothing()


chain = DBOS.workflow(name="chain")(_chain)


def _mark() -> str:
    return str(time.time_ns())


mark = DBOS.step(name="mark")(_mark)


async def _gated() -> str:
    await DBOS.recv_async("decision", timeout_seconds=_WAIT_SECONDS)
    return str(mark())


gated = DBOS.workflow(name="gated")(_gated)


def _fan(width: int) -> None:
    handles = [DBOS.enqueue_workflow("fan", chain, 1) for _ in range(width)]
    for handle in handles:
        handle.get_result(polling_interval_sec=_QUEUE_POLL_SECONDS)


fan = DBOS.workflow(name="fan")(_fan)


class Side:
    """What can be asked for, one method each."""

    def __init__(self, instance: Any, url: str) -> None:
        self._instance = instance
        self._url = url
        self._handles: dict[str, Any] = {}
        self._client: Any = None
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def chains(self, *, length: int, count: int) -> list[float]:
        """Run workflows one after another; return milliseconds each."""
        return [_milliseconds(lambda: chain(length)) for _ in range(count)]

    def throughput(self, *, drivers: int, length: int, count: int) -> float:
        """Run workflows on threads; return seconds for all."""
        with ThreadPoolExecutor(drivers) as pool:
            list(pool.map(lambda _: chain(1), range(drivers)))
            started = time.perf_counter()
            list(pool.map(lambda _: chain(length), range(count)))
            return time.perf_counter() - started

    def starts(self, *, drivers: int, count: int) -> float:
        """Enqueue workflows nobody serves yet; return seconds for all."""
        with ThreadPoolExecutor(drivers) as pool:
            list(pool.map(lambda _: DBOS.enqueue_workflow("idle", chain, 1), range(drivers)))
            started = time.perf_counter()
            list(pool.map(lambda _: DBOS.enqueue_workflow("idle", chain, 1), range(count)))
            return time.perf_counter() - started

    def fan_out(self, *, width: int) -> float:
        """Fan out to the processes that serve the queue; return seconds."""
        return _milliseconds(lambda: fan(width)) / 1e3

    def round_trips(self, *, length: int) -> int:
        """Return the requests to PostgreSQL of one workflow."""
        found: dict[int, Any] = {}

        def note(connection: Any, *_: Any) -> None:
            found[id(connection)] = connection

        engine = self._instance._sys_db.engine  # noqa: SLF001 - nothing public gives it
        sa.event.listen(engine, "checkout", note)
        for _ in range(_TURNS_OF_THE_POOL):
            chain(length)
        sa.event.remove(engine, "checkout", note)
        return count_round_trips(found.values(), lambda: chain(length))

    def park(self, *, count: int) -> list[str]:
        """Start workflows that wait for a message; return their ids."""

        async def start() -> list[Any]:
            return [await DBOS.start_workflow_async(gated) for _ in range(count)]

        handles = asyncio.run_coroutine_threadsafe(start(), self._loop).result()
        self._handles |= {handle.workflow_id: handle for handle in handles}
        return [handle.workflow_id for handle in handles]

    def send(self, *, to: str) -> int:
        """Send a workflow its message; return the wall clock after the commit, nanoseconds."""
        if self._client is None:
            self._client = DBOSClient(system_database_url=self._url)
        self._client.send(to, "yes", topic="decision")
        return time.time_ns()

    def marks(self, *, ids: list[str]) -> list[int]:
        """Return when workflows began the step after their message, nanoseconds."""

        async def read() -> list[int]:
            return [int(await self._handles[name].get_result()) for name in ids]

        return asyncio.run_coroutine_threadsafe(read(), self._loop).result()


def _milliseconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1e3


def main(url: str, queues: list[str]) -> None:
    """Answer requests until standard input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever prints must not answer
    instance = DBOS(
        config={
            "name": "bench",
            "system_database_url": url,
            "sys_db_pool_size": _POOL_SIZE,
            "max_executor_threads": _THREADS_MAX,
            "use_listen_notify": True,
            "log_level": "ERROR",
            "application_version": "bench",
            "executor_id": f"bench-{os.getpid()}",
        }
    )
    DBOS.listen_queues(queues)
    DBOS.launch()
    for name in ("fan", "idle"):
        DBOS.register_queue(name, polling_interval_sec=_QUEUE_POLL_SECONDS)
    side = Side(instance, url)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(side, request.pop("do"))(**request)
        print(json.dumps({"answer": answer}), file=answers, flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
