"""The edges of threads and packages: what breaks there is noticed, and stays there."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections
from django.utils.timezone import now

from audit import store as ledger
from countersign import function
from engine import loading, registry
from engine.attempts import AttemptBook
from engine.domain.plan import Plan, Step, Uses
from engine.driver import DriveEnd
from engine.models import Run, Worker
from engine.sweep import sweep_once
from engine.worker import WorkerProcess
from tests.processes import eventually
from tests.world import Hand, World, fold

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = threading.Event()
SLOW = threading.Event()
BEGUN: list[str] = []
ENDED: list[str] = []


@function("t.edge")
def _edge(*, name, **_):
    BEGUN.append(name)
    (QUICK if name == "quick" else SLOW).wait(20)
    ENDED.append(name)


def step(step_id):
    arguments = {"function": "t.edge", "name": step_id}
    return Step(id=step_id, verb=Uses(action="python/call@1", arguments=arguments))


PLAN = Plan(
    name="edge",
    title="Edge",
    inputs_schema={"type": "object"},
    variables={},
    steps={"quick": step("quick"), "slow": step("slow")},
    outputs={},
)


class BrokenBook(AttemptBook):
    """A book with a bug in what the heartbeat asks of it."""

    def list_hung(self, *, now):
        raise KeyError(now)


@pytest.fixture
def world():
    loading.forget_all()
    for gate in (QUICK, SLOW):
        gate.clear()
    BEGUN.clear()
    ENDED.clear()
    world = World()
    world.user("mara", "requester", "editor", "publisher", "operator")
    return world


# --- the heartbeat ---------------------------------------------------------------------------


@pytest.mark.parametrize("book", [BrokenBook(), AttemptBook()])
def test_a_heartbeat_that_dies_ends_its_process_and_its_lease_and_says_so(book, caplog):
    ended = threading.Event()
    worker = WorkerProcess(name="edge", on_hang=ended.set, attempts=book)

    worker.start()
    try:
        broken = isinstance(book, BrokenBook)
        assert ended.wait(5 if broken else 1) is broken
        row = Worker.objects.get(pk=worker.id)
        assert (row.lease_until <= now()) is broken
        assert ("heartbeat_died" in caplog.text) is broken
    finally:
        worker.stop()


# --- the sweep -------------------------------------------------------------------------------


@pytest.fixture
def sweeps():
    """Register three sweeps, of which the second breaks; return what was called."""
    called = []

    def first():
        called.append("first")
        return 2

    def breaks():
        called.append("breaks")
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
        return 7

    def last():
        called.append("last")
        return 3

    for sweep in (first, breaks, last):
        registry.register_sweep(f"t.{sweep.__name__}", sweep)
    yield called
    for sweep in (first, breaks, last):
        del registry._SWEEPS[f"t.{sweep.__name__}"]


def test_a_sweep_that_breaks_keeps_no_other_from_its_turn(world, sweeps, caplog):
    world.publish(PLAN, author="mara")
    run_id = world.start("edge", by="mara").run_id
    Run.objects.filter(pk=run_id).update(wake_at=now().replace(year=2020))

    first, second = sweep_once(), sweep_once()

    assert sweeps == ["first", "breaks", "last"] * 2
    assert (first.ready, first.others, second.others) == (1, 5, 5)
    assert "engine.sweep_failed" in caplog.text
    assert "t.breaks" in caplog.text


def test_a_sweep_that_loses_its_connection_costs_the_next_one_nothing(world, sweeps):
    def severed():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    def counts():
        return Run.objects.count() + 1

    registry.register_sweep("t.severed", severed)
    registry.register_sweep("t.counts", counts)
    try:
        assert sweep_once().others == 2 + 3 + 1
    finally:
        del registry._SWEEPS["t.severed"]
        del registry._SWEEPS["t.counts"]


# --- the driver ------------------------------------------------------------------------------


def in_thread(job):
    try:
        return job()
    finally:
        connections.close_all()


def test_a_driver_that_lost_its_run_waits_for_what_it_still_executes(world):
    world.publish(PLAN, author="mara")
    run_id = world.start("edge", by="mara").run_id
    loser = Hand()

    with ThreadPoolExecutor(1) as pool:
        driving = pool.submit(in_thread, lambda: loser.drive(run_id))
        eventually(lambda: len(BEGUN) == 2)
        loser.die()
        assert Hand().driver._claim(run_id) is not None
        QUICK.set()  # its append finds that the run is somebody else's
        eventually(lambda: ENDED == ["quick"])
        with pytest.raises(TimeoutError):
            driving.result(timeout=0.5)
        SLOW.set()

        assert driving.result(20) is DriveEnd.TAKEN_OVER
    assert ENDED == ["quick", "slow"]
    assert not fold(run_id).closed
    late = [item for item in ledger.read_stream(stream=run_id, limit=99) if "late" in item.kind]
    assert [item.data for item in late] == [
        {"key": "quick#1", "attempt": 1},
        {"key": "slow#1", "attempt": 1},
    ]
