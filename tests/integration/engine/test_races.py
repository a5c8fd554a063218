"""Many at once, with real connections: nothing lost, nothing doubled, no chain broken."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django.db import DatabaseError, connection, connections

from audit import store as ledger
from core.kernel import limits
from countersign import function
from engine import loading, store
from engine.domain.errors import RunClosedError
from engine.domain.plan import Plan, Step, Uses
from engine.models import Run
from engine.services.runs import cancel_run
from engine.sweep import sweep_once
from engine.worker import WorkerProcess
from tests.processes import eventually
from tests.world import Hand, World, fold

pytestmark = pytest.mark.django_db(transaction=True)

GATE = threading.Event()
EXECUTED: list[str] = []


@function("t.race")
def _race(**_):
    EXECUTED.append("x")


@function("t.gate")
def _gate(**_):
    GATE.wait(20)


def chain(length, name="race", function_name="t.race"):
    steps = {}
    for number in range(length):
        verb = Uses(action="python/call@1", arguments={"function": function_name})
        needs = (f"s{number - 1}",) if number else ()
        steps[f"s{number}"] = Step(id=f"s{number}", verb=verb, needs=needs)
    return Plan(
        name=name,
        title="t",
        inputs_schema={"type": "object"},
        variables={},
        steps=steps,
        outputs={},
    )


@pytest.fixture
def world():
    loading.forget_all()
    EXECUTED.clear()
    GATE.clear()
    world = World()
    world.user("mara", "requester", "editor", "publisher", "operator")
    return world


def at_once(*jobs):
    """Run jobs in threads that start together; return their results in order."""
    barrier = threading.Barrier(len(jobs))

    def run(job):
        try:
            barrier.wait(10)
            return job()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result() for future in [pool.submit(run, job) for job in jobs]]


def test_one_key_from_many_at_once_starts_one_run(world):
    world.publish(chain(1), author="mara")

    for number in range(10):
        key = f"key-{number}"
        started = at_once(*[lambda key=key: world.start("race", by="mara", key=key)] * 6)

        assert len({item.run_id for item in started}) == 1
        assert sorted(item.replayed for item in started) == [False] + [True] * 5

    assert Run.objects.count() == 10


def test_two_drivers_at_once_execute_each_step_once(world):
    world.publish(chain(5), author="mara")

    for _ in range(10):
        run_id = world.start("race", by="mara").run_id
        EXECUTED.clear()
        at_once(*[lambda run_id=run_id: Hand().drive(run_id)] * 4)

        assert len(EXECUTED) == 5
        assert Run.objects.get(pk=run_id).outcome == "succeeded"


def test_a_cancel_while_a_step_executes_is_found_by_its_driver(world):
    world.publish(chain(2, function_name="t.gate"), author="mara")
    run_id = world.start("race", by="mara").run_id

    def cancel():
        eventually(lambda: Run.objects.get(pk=run_id).status == "RUNNING")
        cancel_run(principal=world.principal("mara"), run_id=run_id, reason="stop")
        GATE.set()

    at_once(lambda: Hand().drive(run_id), cancel)

    state = fold(run_id)
    assert [state.steps[f"s{n}#1"].outcome for n in (0, 1)] == ["succeeded", "cancelled"]
    assert Run.objects.get(pk=run_id).outcome == "cancelled"


def test_a_run_whose_driver_lost_its_connection_is_freed_by_the_workers_own_look(world):
    world.publish(chain(2, function_name="t.gate"), author="mara")
    run_id = world.start("race", by="mara").run_id
    worker = WorkerProcess(name="test", on_hang=lambda: None)
    worker.start()
    backends = []

    def drive():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            backends.append(cursor.fetchone()[0])
        with pytest.raises(DatabaseError):
            worker.drive(run_id=run_id)

    def sever():
        eventually(lambda: Run.objects.get(pk=run_id).status == "RUNNING")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [backends[0]])
        GATE.set()

    try:
        at_once(drive, sever)
        assert Run.objects.get(pk=run_id).status == "RUNNING"
        assert worker.reconcile() == []  # once is no proof: a claim may be on its way
        assert worker.reconcile() == [run_id]
        worker.drive(run_id=run_id)
    finally:
        worker.stop()

    assert Run.objects.get(pk=run_id).outcome == "succeeded"


def drive_a_while(number):
    """Drive every other open run, and die now and then."""
    hand = Hand()
    for turn in range(400):
        mine = Run.objects.exclude(status="CLOSED").values_list("pk", flat=True)[number % 2 :: 2]
        if not mine:
            break
        for run_id in mine:
            hand.beat()
            hand.drive(run_id)
        if turn % 5 == number:
            hand.die()
    hand.driver.close()


def steal_leases(stop):
    """Declare every worker dead, again and again."""
    while not stop.is_set():
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE engine_worker SET lease_until = clock_timestamp() - interval '1 s'"
            )
        sweep_once()
        stop.wait(0.02)


def cancel_some(world, run_ids):
    """Cancel every fifth run, wherever it is."""
    for run_id in run_ids[::5]:
        with suppress(RunClosedError):
            cancel_run(principal=world.principal("mara"), run_id=run_id, reason="stress")


def check_whole(run):
    """Check that a run ended, once, with every entry in its place."""
    assert run.status == "CLOSED"
    fold(run.pk)  # verifies the chain and the commitments
    entries = ledger.read_stream(stream=run.pk, limit=1000)
    assert [entry.seq for entry in entries] == list(range(1, run.seq + 1))
    kinds = [entry.kind for entry in entries]
    completed = [entry.data["key"] for entry in entries if entry.kind == "step.completed"]
    assert len(completed) == len(set(completed))
    assert kinds.count("run.closed") == 1
    if run.outcome == "succeeded":
        assert len(completed) == 6
    elif run.outcome == "failed":  # its workers died more often than a step is given
        assert kinds.count("attempt.lost") > limits.LOST_ATTEMPT_COUNT_MAX
    else:
        assert (run.outcome, "run.cancel_requested" in kinds) == ("cancelled", True)


def test_stress_of_drivers_outsiders_and_stolen_leases(world):
    world.publish(chain(6), author="mara")
    run_ids = [world.start("race", by="mara").run_id for _ in range(30)]
    stop = threading.Event()

    def drive_all():
        try:
            drivers = [lambda n=n: drive_a_while(n) for n in range(3)]
            at_once(*drivers, lambda: cancel_some(world, run_ids))
        finally:
            stop.set()

    at_once(drive_all, lambda: steal_leases(stop))

    last = Hand()
    for run_id in run_ids:
        last.drive(run_id)
    for run in Run.objects.all():
        check_whole(run)


def test_the_sweep_wakes_what_is_due_and_frees_what_is_lost(world):
    world.publish(chain(1), author="mara")
    due, lost, forgotten = [world.start("race", by="mara").run_id for _ in range(3)]
    dead = Hand()
    dead.die()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE engine_run SET status = 'WAITING',"
            " wake_at = clock_timestamp() - interval '1 s' WHERE id = %s",
            [due],
        )
        cursor.execute(
            "UPDATE engine_run SET status = 'RUNNING', worker = %s WHERE id = %s",
            [dead.worker, lost],
        )
        cursor.execute(
            "UPDATE engine_run SET wake_at = clock_timestamp() - interval '1 min' WHERE id = %s",
            [forgotten],
        )

    swept = sweep_once()

    assert (swept.due, swept.lost, swept.ready) == (1, 1, 1)
    assert set(Run.objects.values_list("status", flat=True)) == {"READY"}
    assert store.is_sweep_needed() is False
