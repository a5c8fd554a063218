"""Attempts of other queues over a real database: claimed once, told once, never stuck."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection, transaction

from audit import store as ledger
from core.identity.models import User
from core.identity.selectors.principals import get_principal
from core.kernel import ids, limits
from core.kernel.record import SYSTEM_ACTOR, Origin, Via
from core.kernel.types import Json
from countersign import TransientError, current_attempt, function
from engine import loading, registry, remote, store, waking
from engine.executing import Ended, StepCall, execute
from engine.models import Run, Task, Worker
from engine.remote import NewTask
from engine.services import late
from engine.services.runs import cancel_run
from engine.worker import WorkerProcess
from tests.integration.engine.plans import plan_of_one_step
from tests.integration.engine.threads import at_once
from tests.world import World, fold

pytestmark = pytest.mark.django_db(transaction=True)

EXECUTED: list[str] = []
GATE, BEGUN = threading.Event(), threading.Event()
DYING: list[WorkerProcess] = []


@function("t.task")
def _task(*, word: str, **_):
    EXECUTED.append(current_attempt().idempotency_key)
    return {"word": word}


@function("t.silent")
def _silent(**_):
    current_attempt().heartbeat({"done": 1})
    BEGUN.set()
    GATE.wait(20)
    return current_attempt().is_cancelled


@function("t.dies")
def _dies(**_):
    """End late: everybody has taken the worker for dead."""
    store.expire_worker(worker=DYING.pop().id)
    remote.sweep_tasks()
    return "late"


@function("t.dies_failing")
def _dies_failing(**arguments):
    _dies(**arguments)
    raise TransientError("no")


def entries(run_id):
    return ledger.read_stream(stream=run_id, limit=99)


@pytest.fixture
def run_id():
    """Return a run that waits, as its row says."""
    loading.forget_all()
    EXECUTED.clear()
    GATE.clear()
    BEGUN.clear()
    world = World()
    world.user("mara", "requester", "editor", "publisher", "operator")
    world.publish(plan_of_one_step(), author="mara")
    started = world.start("job", by="mara").run_id
    Run.objects.filter(pk=started).update(status="WAITING", wake_at=None)
    return started


@pytest.fixture
def worker():
    """Return a worker that serves `gpu`, registered but without its watching thread."""
    made = WorkerProcess(name="test", on_hang=lambda: None, queues=("gpu",))
    made.register()
    return made


def publish(run_id, *keys, queue="gpu", called="t.task", heartbeat_seconds=None, **arguments):
    tasks = [
        NewTask(
            key=key,
            attempt=1,
            queue=queue,
            action="python/call@1",
            arguments={"function": called, **arguments},
            timeout_seconds=60.0,
            heartbeat_seconds=heartbeat_seconds,
        )
        for key in keys
    ]
    with transaction.atomic():
        remote.publish(run_id=run_id, tasks=tasks)


def ends(run_id):
    return [(item.key, item.ended) for item in remote.collect(run_id=run_id)]


def status(run_id):
    return Run.objects.get(pk=run_id).status


def test_an_attempt_is_executed_by_who_serves_its_queue_and_its_run_woken(run_id, worker):
    publish(run_id, "a#1", word="x")
    publish(run_id, "b#1", queue="tpu", word="y")

    assert worker.execute_tasks() == 1

    assert [f"{run_id}:a#1:1"] == EXECUTED
    assert status(run_id) == "READY"
    (told,) = remote.collect(run_id=run_id)
    assert (told.key, told.attempt) == ("a#1", 1)
    assert told.ended == Ended(key="a#1", attempt=1, result={"word": "x"})
    with transaction.atomic():
        remote.discard(task_ids=[told.task_id])
    assert remote.collect(run_id=run_id) == []
    assert Task.objects.count() == 1


def test_nobody_takes_an_attempt_of_a_paused_run(run_id, worker):
    publish(run_id, "a#1", word="x")
    Run.objects.filter(pk=run_id).update(status="PAUSED")

    assert worker.execute_tasks() == 0

    Run.objects.filter(pk=run_id).update(status="WAITING")
    assert worker.execute_tasks() == 1


@pytest.mark.parametrize("result", [None, 1e300, "a\x00b", [1, {"a": None}]])
def test_a_result_comes_back_as_it_was(run_id, worker, result):
    publish(run_id, "a#1")
    (task,) = remote.claim(worker=worker.id, labels=["gpu"], count=1)

    remote.finish(
        task_id=task.id, worker=worker.id, ended=Ended(key="a#1", attempt=1, result=result)
    )

    assert ends(run_id) == [("a#1", Ended(key="a#1", attempt=1, result=result))]


def test_a_failure_is_told_with_its_kind(run_id, worker):
    publish(run_id, "a#1", called="t.nowhere")

    worker.execute_tasks()

    ((_, ended),) = ends(run_id)
    assert ended is not None
    assert (ended.error, "t.nowhere" in ended.message) == ("invalid", True)


def test_an_append_that_is_rolled_back_hands_nothing_over(run_id):
    with transaction.atomic():
        publish(run_id, "a#1")
        transaction.set_rollback(True)

    assert not Task.objects.exists()


def test_a_worker_without_a_lease_and_one_that_drains_take_nothing(run_id, worker):
    publish(run_id, "a#1", word="x")
    store.expire_worker(worker=worker.id)
    assert worker.execute_tasks() == 0

    worker.register()
    worker.drain()
    assert worker.execute_tasks() == 0
    assert EXECUTED == []


def test_an_attempt_whose_worker_died_is_lost_and_a_late_end_does_not_count(run_id, worker):
    publish(run_id, "a#1")
    (task,) = remote.claim(worker=worker.id, labels=["gpu"], count=1)
    assert remote.sweep_tasks() == 0
    store.expire_worker(worker=worker.id)

    assert remote.sweep_tasks() == 2  # given up, and its run woken

    assert ends(run_id) == [("a#1", None)]
    assert status(run_id) == "READY"
    late = Ended(key="a#1", attempt=1, result=1)
    assert remote.finish(task_id=task.id, worker=worker.id, ended=late) is False
    assert ends(run_id) == [("a#1", None)]


@pytest.mark.parametrize(
    ("called", "told"), [("t.dies", {}), ("t.dies_failing", {"error": "transient"})]
)
def test_a_late_end_is_kept_on_record_and_nothing_follows(run_id, worker, called, told):
    DYING.append(worker)
    publish(run_id, "a#1", called=called)

    assert worker.execute_tasks() == 1

    (kept,) = [item for item in entries(run_id) if item.kind == "attempt.late"]
    assert kept.data == {"key": "a#1", "attempt": 1, **told}
    assert kept.payloads == ({"message": "no"} if told else {"result": "late"})
    assert ends(run_id) == [("a#1", None)]
    assert fold(run_id).steps["a#1"].status == "pending"
    assert late.note_late(run_id=run_id, ended=[Ended(key="a#1", attempt=1)]) == 0
    longest = Ended(key="a#1/" + "b" * (limits.STEP_KEY_CHARS_MAX - 4), attempt=1)
    assert late.note_late(run_id=run_id, ended=[longest]) == 1


def test_a_late_end_of_every_round_is_kept_once(run_id):
    told = [Ended(key="a#1", attempt=1, round=number) for number in (1, 2)]

    assert late.note_late(run_id=run_id, ended=told) == 2
    assert late.note_late(run_id=run_id, ended=told) == 0


def test_an_end_knows_its_round(run_id):
    call = StepCall(
        run_id=run_id,
        key="a#1",
        step="a",
        attempt=1,
        spec=None,
        action="none",
        arguments={},
        timeout=timedelta(seconds=1),
        deadline=1.0,
        round=3,
    )

    assert execute(call, now=0.0).round == 3
    fine = replace(call, spec=registry.actions()["python/call@1"], arguments={"function": "t.ok"})
    assert execute(fine, now=0.0).round == 3


def test_a_run_that_has_closed_keeps_its_record(run_id):
    Run.objects.filter(pk=run_id).update(status="CLOSED")

    assert late.note_late(run_id=run_id, ended=[Ended(key="a#1", attempt=1)]) == 0


def test_a_late_end_that_cannot_be_recorded_breaks_nobody(run_id):
    assert (
        late.note_late(run_id=run_id, ended=[Ended(key="a#1", attempt=1, result=float("nan"))]) == 0
    )


def test_a_process_that_ended_itself_for_an_attempt_says_which_and_why(run_id):
    hung = threading.Event()
    worker = WorkerProcess(name="test", on_hang=hung.set, queues=("gpu",))
    worker.register()
    publish(run_id, "a#1", called="t.silent", heartbeat_seconds=0.05)

    def watch():
        while worker.look():
            GATE.wait(0.02)
        GATE.set()

    at_once(worker.execute_tasks, watch)

    assert hung.is_set()
    (row,) = Worker.objects.get(pk=worker.id).hung
    assert row == {
        "run": str(run_id),
        "key": "a#1",
        "attempt": 1,
        "kind": "heartbeat",
        "progress": '{"done":1}',
    }
    (known,) = store.list_hung(run_id=run_id)
    assert (known.key, known.attempt, known.kind) == ("a#1", 1, "heartbeat")
    assert store.list_hung(run_id=ids.uuid7()) == []


def test_a_lost_attempt_that_hung_failed_by_it(run_id, worker):
    publish(run_id, "a#1")
    remote.claim(worker=worker.id, labels=["gpu"], count=1)
    word: dict[str, Json] = {
        "run": str(run_id),
        "key": "a#1",
        "attempt": 1,
        "kind": "timeout",
        "progress": None,
    }
    store.note_hung(worker=worker.id, hung=[word])

    remote.sweep_tasks()

    ((_, ended),) = ends(run_id)
    assert ended is not None
    assert ended.error == "timeout"


def test_what_nobody_has_begun_can_be_taken_back(run_id, worker):
    publish(run_id, "a#1")
    remote.claim(worker=worker.id, labels=["gpu"], count=1)
    publish(run_id, "b#1", "c#1")

    taken = remote.revoke(run_id=run_id, keys=["a#1", "b#1"])

    assert taken == [("b#1", 1)]
    assert [(item.key, item.ended) for item in remote.collect(run_id=run_id)] == [("b#1", None)]
    assert remote.revoke(run_id=run_id, keys=["a#1", "b#1"]) == []


def test_the_sweep_hints_again_and_clears_what_closed_runs_left(run_id, worker):
    publish(run_id, "a#1")
    assert remote.sweep_tasks() == 0
    Task.objects.update(due_at="2020-01-01T00:00Z")
    assert remote.sweep_tasks() == 1
    assert remote.sweep_tasks() == 0

    Run.objects.filter(pk=run_id).update(status="CLOSED")
    assert remote.sweep_tasks() == 1
    assert not Task.objects.exists()


def test_a_run_parked_after_its_attempt_ended_is_woken_by_a_second_look(run_id, worker):
    Run.objects.filter(pk=run_id).update(status="RUNNING", worker=worker.id)
    publish(run_id, "a#1", word="x")
    worker.execute_tasks()
    assert status(run_id) == "RUNNING"
    assert waking.recheck(run_id=run_id) is False
    Run.objects.filter(pk=run_id).update(status="WAITING", worker=None)

    assert waking.recheck(run_id=run_id) is True

    assert status(run_id) == "READY"


def test_each_attempt_is_executed_once_by_many_workers_at_once(run_id):
    workers = [WorkerProcess(name=f"w{n}", on_hang=lambda: None, queues=("gpu",)) for n in range(4)]
    for item in workers:
        item.register()
    publish(run_id, *[f"s#{number}" for number in range(40)], word="x")

    counts = at_once(*[item.execute_tasks for item in workers])

    assert sum(counts) == len(EXECUTED) == len(set(EXECUTED)) == 40
    assert len(ends(run_id)) == 40


def test_a_crash_between_an_end_and_its_wake_is_mended_by_the_sweep(run_id, worker, monkeypatch):
    publish(run_id, "a#1", word="x")
    wake = remote.wake
    monkeypatch.setattr(remote, "wake", lambda _: 0)
    worker.execute_tasks()
    assert status(run_id) == "WAITING"

    monkeypatch.setattr(remote, "wake", wake)

    assert remote.sweep_tasks() == 1
    assert status(run_id) == "READY"


def test_a_worker_says_which_queues_it_serves(worker):
    assert Worker.objects.get(pk=worker.id).queues == ["gpu"]


def test_an_attempt_that_asks_learns_that_its_run_was_cancelled(run_id, worker):
    with worker._attempts.attempt(deadline=9e9, run_id=run_id, key="a#1", number=1) as beat:
        assert beat.ask_cancelled() is False
        store.deduplicate(run_id=run_id, key="cancel")
        worker._beat()
        assert beat.ask_cancelled() is True


def test_nobody_asks_the_database_for_attempts_that_do_not_ask(run_id, worker):
    store.deduplicate(run_id=run_id, key="cancel")
    with worker._attempts.attempt(deadline=9e9, run_id=run_id, key="a#1", number=1) as beat:
        worker._beat()
        assert not beat._is_cancelled


def test_what_nobody_began_of_a_halted_run_is_not_executed_once_it_is_cancelled(run_id, worker):
    publish(run_id, "a#1", word="x")
    Run.objects.filter(pk=run_id).update(status="HALTED")
    mara = get_principal(
        user=User.objects.get(username="mara"), origin=Origin(actor=SYSTEM_ACTOR, via=Via.API)
    )

    cancel_run(principal=mara, run_id=run_id, reason="it has halted")
    worker.execute_tasks()

    assert status(run_id) == "CLOSED"
    assert (EXECUTED, Task.objects.count()) == ([], 0)


def test_an_attempt_whose_end_was_never_told_is_tried_again(run_id, worker, monkeypatch):
    publish(run_id, "a#1", word="x")

    def breaks(**_):
        raise ZeroDivisionError

    monkeypatch.setattr(remote, "finish", breaks)
    with pytest.raises(ZeroDivisionError):
        worker.execute_tasks()
    assert worker.reconcile_tasks() == []
    assert Task.objects.get().status == "claimed"

    assert worker.reconcile_tasks() == [run_id]

    assert (Task.objects.get().status, status(run_id)) == ("lost", "READY")


def test_an_attempt_that_is_executed_is_left_alone(run_id, worker):
    def execute_here():
        try:
            worker.execute_tasks()
        finally:
            connection.close()  # this thread's own

    publish(run_id, "a#1", called="t.silent")
    thread = threading.Thread(target=execute_here)
    thread.start()
    try:
        assert BEGUN.wait(20)
        looks = [worker.reconcile_tasks() for _ in range(3)]
    finally:
        GATE.set()
        thread.join()

    assert looks == [[], [], []]
    assert Task.objects.get().status == "done"
