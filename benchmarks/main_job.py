"""The main job, measured: how long machines take between what people do. Read `measure`.

Everything is real: durable PostgreSQL, Redis, Celery workers as processes, a web process for the
socket. Clocks are those of one machine.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from benchmarks.harness import System
from benchmarks.results import Row, spread

_SAMPLES = 200
_THROUGHPUT_RUNS = 150
_STEPS = 10
_POLL_SECONDS = 0.002
_WAIT_SECONDS = 60.0

_MARK = """
schema: flow/v1
kind: dag
name: mark
title: Mark
steps:
  mark: {uses: python/call@1, with: {function: bench.mark}}
"""

GATED = """
schema: flow/v1
kind: dag
name: gated
title: Gated
steps:
  gate:
    approval:
      title: Go on
      subject: {run: "run.number"}
      stages: [{id: one, approvers: {groups: [deciders]}, quorum: {count: 1}}]
      expires: {after: P1D, then: reject}
  mark:
    needs: [gate]
    uses: python/call@1
    with: {function: bench.mark}
"""


def measure(system: System) -> Iterator[Row]:
    """Yield every row of the main job."""
    bench = Bench.make()
    with system.workers(1):
        bench.run_to_end("mark")  # the first run loads what the worker keeps
        yield from spread("main", "start_to_first_step_ms", bench.start_to_first_step())
        yield from spread("main", "decision_to_next_step_ms", bench.decision_to_next_step())
        with system.web() as url:
            yield from spread("main", "notice_after_commit_ms", bench.notice_after_commit(url))
    for count in (1, 2):
        yield bench.throughput(system, workers=count)
    yield bench.round_trips()


@dataclass(kw_only=True)
class Bench:
    """An organisation with a starter and a decider, and the workflows to measure."""

    starter: Any
    decider: Any
    token: str

    @classmethod
    def make(cls) -> "Bench":
        """Make the people and publish the workflows."""
        from benchmarks.organisation import make_organisation  # noqa: PLC0415 - needs Django

        starter, decider, token = make_organisation([_MARK, GATED, chain_source(_STEPS)])
        return cls(starter=starter, decider=decider, token=token)

    def start(self, slug: str) -> UUID:
        """Start a run; returns once it is committed."""
        from engine.services.runs import start_run  # noqa: PLC0415 - needs Django

        started = start_run(
            principal=self.starter, project_slug="bench", workflow_slug=slug, inputs={}
        )
        return started.run_id

    def run_to_end(self, slug: str) -> UUID:
        """Start a run and wait until it is closed."""
        run_id = self.start(slug)
        wait_until_closed(run_id)
        return run_id

    def start_to_first_step(self) -> list[float]:
        """Return milliseconds from an accepted start to its first step's first line."""
        samples = []
        for _ in range(_SAMPLES):
            run_id = self.start("mark")
            accepted = time.time_ns()
            wait_until_closed(run_id)
            samples.append((marked_at(run_id) - accepted) / 1e6)
        return samples

    def decision_to_next_step(self) -> list[float]:
        """Return milliseconds from a committed decision to the next step's first line.

        All runs wait before the first decision.
        """
        waiting = self._waiting(_SAMPLES)
        samples = []
        for run_id, request_id in waiting:
            self._decide(request_id)
            committed = time.time_ns()
            wait_until_closed(run_id)
            samples.append((marked_at(run_id) - committed) / 1e6)
        return samples

    def notice_after_commit(self, url: str) -> list[float]:
        """Return milliseconds from a committed decision to the run's signal on an open socket."""
        from websockets.sync.client import connect  # noqa: PLC0415 - only here

        headers = {"Authorization": f"Token {self.token}"}
        samples = []
        for run_id, request_id in self._waiting(_SAMPLES // 4):
            address = url.replace("http", "ws") + "/ws/"
            with connect(address, additional_headers=headers) as live:
                live.send(json.dumps({"subscribe": f"run:{run_id}"}))
                _receive(live, "subscribed")
                self._decide(request_id)
                committed = time.perf_counter()
                _receive(live, "signal")
                samples.append((time.perf_counter() - committed) * 1e3)
        return samples

    def throughput(self, system: System, *, workers: int) -> Row:
        """Return steps a second of runs that all wait when the workers start."""
        from core.toolkit import queue  # noqa: PLC0415
        from engine.models import Run  # noqa: PLC0415 - needs Django

        run_ids = [self.start("chain") for _ in range(_THROUGHPUT_RUNS)]
        with system.workers(workers):
            started = time.monotonic()
            for run_id in run_ids:
                queue.hint("engine.drive", run_id=str(run_id))
            mine = Run.objects.filter(pk__in=run_ids)
            wait_until(lambda: not mine.exclude(status="CLOSED").exists())
            seconds = time.monotonic() - started
        return Row(
            bench="main",
            metric=f"steps_per_second/{workers}_worker{'s' if workers > 1 else ''}",
            value=round(_THROUGHPUT_RUNS * _STEPS / seconds, 1),
            unit="steps/s",
            n=_THROUGHPUT_RUNS,
            note=f"{_STEPS}-step runs, audit chain on",
        )

    def round_trips(self) -> Row:
        """Return the statements a worker sends for one run of ten steps, commits included."""
        from django.db import connection  # noqa: PLC0415 - needs Django

        from core.kernel import ids  # noqa: PLC0415
        from engine import store  # noqa: PLC0415
        from engine.driver import Driver  # noqa: PLC0415

        worker = ids.uuid7()
        store.heartbeat(worker=worker, name="bench")
        driver = Driver(worker=worker)
        counts = []
        for _ in range(5):
            run_id = self.start("chain")
            count = 0

            def counting(execute: Any, *args: Any) -> Any:
                nonlocal count
                count += 1
                return execute(*args)

            with connection.execute_wrapper(counting):
                driver.drive(run_id=run_id)
            counts.append(count)
        return Row(
            bench="main",
            metric=f"round_trips/{_STEPS}_steps",
            value=statistics.median(counts),
            unit="statements",
            n=len(counts),
            note="claim to close; autocommit, so no separate commits",
        )

    def _waiting(self, count: int) -> list[tuple[UUID, UUID]]:
        from approvals.models import Request  # noqa: PLC0415 - needs Django

        run_ids = [self.start("gated") for _ in range(count)]
        mine = Request.objects.filter(run_id__in=run_ids, status="open")
        wait_until(lambda: mine.count() == count)
        return list(mine.values_list("run_id", "pk"))

    def _decide(self, request_id: UUID) -> None:
        from benchmarks.organisation import approve  # noqa: PLC0415 - needs Django

        approve(principal=self.decider, request_id=request_id)


def chain_source(length: int) -> str:
    """Return a definition of steps that do nothing, one after another."""
    steps = ["  s0: {uses: python/call@1, with: {function: bench.nothing}}"]
    steps += [
        f"  s{i}: {{needs: [s{i - 1}], uses: python/call@1, with: {{function: bench.nothing}}}}"
        for i in range(1, length)
    ]
    return "\n".join(
        ["schema: flow/v1", "kind: dag", "name: chain", "title: Chain", "steps:", *steps]
    )


def status(run_id: UUID) -> str:
    """Return a run's status now."""
    from engine.models import Run  # noqa: PLC0415 - needs Django

    return Run.objects.values_list("status", flat=True).get(pk=run_id)


def marked_at(run_id: UUID) -> int:
    """Return what `bench.mark` returned in a run, nanoseconds."""
    from audit import store  # noqa: PLC0415 - needs Django

    for entry in store.read_stream(stream=run_id, limit=100):
        result: Any = entry.payloads.get("result")
        if isinstance(result, dict) and "at" in result:
            return int(result["at"])
    msg = f"run {run_id} has no mark"
    raise LookupError(msg)


def wait_until_closed(run_id: UUID) -> None:
    """Wait until a run is closed. Raises: TimeoutError."""
    wait_until(lambda: status(run_id) == "CLOSED")


def wait_until(
    condition: Callable[[], bool],
    *,
    poll_seconds: float = _POLL_SECONDS,
    seconds: float = _WAIT_SECONDS,
) -> None:
    """Ask again and again until a condition holds. Raises: TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            msg = "the benchmark does not move on"
            raise TimeoutError(msg)
        time.sleep(poll_seconds)


def _receive(live: Any, kind: str) -> None:
    while json.loads(live.recv(timeout=10))["type"] != kind:
        continue
