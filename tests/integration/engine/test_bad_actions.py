"""Functions that do everything wrong: their step fails with a code, and nothing else suffers."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connections

from audit import store as ledger
from core.kernel import limits
from countersign import function
from engine.domain.plan import Plan, Step, Uses
from engine.models import Run, Worker
from engine.worker import WorkerProcess
from tests.integration.engine.conftest import new_world
from tests.processes import eventually
from tests.world import Hand, fold

pytestmark = pytest.mark.django_db(transaction=True)

STOP = threading.Event()


class UnkindError(Exception):
    """An exception that cannot even be shown."""

    def __str__(self) -> str:
        raise RuntimeError("not even this")


def _sink() -> Any:
    return _sink()


def _cycle() -> Any:
    ring: list[Any] = []
    ring.append(ring)
    return ring


def _exit() -> Any:
    raise SystemExit(3)


def _raise() -> Any:
    raise UnkindError


def _die() -> Any:
    raise MemoryError("no room")


def _nest() -> Any:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    return nested


_DEEDS = {
    "megabytes": lambda: "x" * (20 * 1024 * 1024),
    "one byte too many": lambda: "x" * (limits.PAYLOAD_BYTES_MAX - 1),
    "an instant": lambda: datetime.now(tz=UTC),
    "itself": _cycle,
    "depths": _nest,
    "no number": lambda: float("nan"),
    "a lone surrogate": lambda: "\ud800",
    "a huge integer": lambda: 10**400,
    "exit": _exit,
    "sink": _sink,
    "unkind": _raise,
    "no room": _die,
}


@function("t.bad")
def _bad(*, deed: str) -> Any:
    return _DEEDS[deed]()


@function("t.busy")
def _busy() -> None:
    """Loop without end, and without ever letting go of anything."""
    while not STOP.is_set():
        pass


@function("t.fine")
def _fine() -> str:
    return "fine"


def step(step_id, called, **fields):
    arguments = {"function": called, **fields.pop("arguments", {})}
    return Step(id=step_id, verb=Uses(action="python/call@1", arguments=arguments), **fields)


def publish(world, *steps):
    plan = Plan(
        name="bad",
        title="Bad",
        inputs_schema={"type": "object"},
        variables={},
        steps={item.id: item for item in steps},
        outputs={},
    )
    world.publish(plan, author="mara")


@pytest.fixture
def world():
    STOP.clear()
    yield new_world()
    STOP.set()


@pytest.mark.parametrize("deed", _DEEDS)
def test_whatever_a_function_returns_or_raises_fails_its_step_alone(world, deed):
    publish(world, step("bad", "t.bad", arguments={"deed": deed}), step("fine", "t.fine"))
    run_id = world.start("bad", by="mara").run_id

    Hand().drive(run_id)

    run = Run.objects.get(pk=run_id)
    assert (run.status, run.outcome) == ("CLOSED", "failed")
    steps = fold(run_id).steps
    assert steps["fine#1"].outcome == "succeeded"
    error = steps["bad#1"].error
    assert error is not None, "it has failed"
    assert error.kind in {"permanent", "too-large"}
    assert 0 < len(error.message) <= limits.ERROR_CHARS_MAX
    largest = max(len(str(entry.payloads)) for entry in ledger.read_stream(stream=run_id, limit=99))
    assert largest < 10_000


def test_a_loop_without_end_is_found_and_its_process_ended(world):
    """What ends the process here only stops the loop: the rest is as with a real one."""
    publish(world, step("busy", "t.busy", timeout_seconds=1.0))
    run_id = world.start("bad", by="mara").run_id
    ended = threading.Event()
    worker = WorkerProcess(name="busy", on_hang=ended.set)
    worker.start()

    def drive():
        try:
            worker.drive(run_id=run_id)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        driving = pool.submit(drive)
        assert ended.wait(20)
        (hung,) = Worker.objects.get(pk=worker.id).hung
        assert (hung["key"], hung["kind"]) == ("busy#1", "timeout")
        Hand().drive(run_id)  # whoever takes the run next
        eventually(lambda: Run.objects.get(pk=run_id).status == "CLOSED")
        STOP.set()
        driving.result(20)
    worker.stop()

    error = fold(run_id).steps["busy#1"].error
    assert error is not None, "it has failed"
    assert error.kind == "timeout"
