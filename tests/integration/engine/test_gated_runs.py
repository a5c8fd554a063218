"""Runs that a mutex, a rate, a circuit, the cache or a queue has a say in, on a real database."""

import time

import pytest
from django.utils.timezone import now

from engine import loading
from engine.driver import DriveEnd
from engine.gates import cache
from engine.models import Cache, Circuit, Run, Slot, Task, Wait
from engine.services.runs import cancel_run
from engine.sweep import sweep_once
from engine.worker import WorkerProcess
from tests.integration.engine.field import Field, made_by, outcome
from tests.world import World, fold

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def field():
    loading.forget_all()
    world = World()
    world.user("mara", "requester", "editor", "publisher", "operator")
    return Field(world)


MUTEX = """
    schema: flow/v1
    kind: dag
    name: locked
    steps:
      alone:
        mutex: the-printer
        steps:
          pause: {wait: {event: {type: go, correlate: {run: "run.id"}}}}
          work: {needs: [pause], uses: python/call@1, with: {function: t.ok}}
    """


def test_one_run_at_a_time_holds_a_mutex(field, calls):
    field.publish(MUTEX)
    first, second = field.start("locked"), field.start("locked")
    assert Wait.objects.count() == 1  # the second has not begun
    assert fold(second.pk).steps["alone#1"].status == "held"

    field.send("go", run=str(first.pk))
    assert outcome(first) == "succeeded"
    assert outcome(second) == "WAITING"
    field.send("go", run=str(second.pk))

    assert outcome(second) == "succeeded"
    assert not Slot.objects.exists()


def test_a_run_that_is_cancelled_gives_its_mutex_back(field, calls):
    field.publish(MUTEX)
    first, second, third = (field.start("locked") for _ in range(3))
    for run in (second, first):
        cancel_run(principal=field.world.principal("mara"), run_id=run.pk, reason="no")
        field.settle()

    field.send("go", run=str(third.pk))

    assert outcome(third) == "succeeded"
    assert not Slot.objects.exists()


def test_a_halted_run_keeps_its_mutex_until_an_operator_cancels_it(field, calls):
    field.publish(MUTEX)
    first, second = field.start("locked"), field.start("locked")
    Run.objects.filter(pk=first.pk).update(status="HALTED")
    sweep_once()
    field.settle()
    assert [slot.run_id for slot in Slot.objects.filter(granted_at__isnull=False)] == [first.pk]
    assert fold(second.pk).steps["alone#1"].status == "held"

    cancel_run(principal=field.world.principal("mara"), run_id=first.pk, reason="cannot go on")
    field.settle()

    assert outcome(first) == "cancelled"
    assert [slot.run_id for slot in Slot.objects.all()] == [second.pk]
    assert fold(second.pk).steps["alone#1"].status == "open"


def test_a_result_is_used_again(field, calls):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: cached
        steps:
          work:
            uses: python/call@1
            with: {function: t.ok, x: 1}
            cache: {key: "the-work", ttl: PT1H}
        outputs: {x: "steps.work.outputs.result.x"}
        """
    )
    runs = [field.start("cached") for _ in range(2)]

    assert [made_by(run) for run in runs] == [{"x": 1}, {"x": 1}]
    assert len(calls) == 1
    assert Cache.objects.count() == 1


def test_a_rate_holds_attempts_back_until_it_is_their_time(field, calls):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: slow
        steps:
          one: {uses: python/call@1, with: {function: t.ok}, rate: {key: api, limit: 1, per: PT1S}}
          two: {uses: python/call@1, with: {function: t.ok}, rate: {key: api, limit: 1, per: PT1S}}
        """
    )

    began = time.monotonic()
    run = field.start("slow")
    while outcome(run) == "WAITING" and time.monotonic() < began + 5:
        time.sleep(0.05)
        field.settle()

    assert outcome(run) == "succeeded"
    assert time.monotonic() - began >= 0.9


def test_a_circuit_lets_nobody_through_while_it_is_open(field, calls):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: fragile
        steps:
          work:
            uses: python/call@1
            with: {function: t.boom}
            circuit: {key: target, failures: 2, window: PT1M, cool-down: PT1H}
        """
    )

    runs = [field.start("fragile") for _ in range(3)]

    assert [outcome(run) for run in runs] == ["failed", "failed", "WAITING"]
    assert len(calls) == 2
    assert runs[2].wake_at > now()


QUEUED = """
    schema: flow/v1
    kind: dag
    name: queued
    steps:
      train: {uses: python/call@1, with: {function: t.ok, n: 5}, queue: gpu}
      report: {needs: [train], uses: python/call@1, with: {function: t.ok}}
    outputs: {n: "steps.train.outputs.result.n"}
    """


def test_a_worker_of_another_queue_executes_the_step(field, calls):
    field.publish(QUEUED)
    run = field.start("queued")
    assert outcome(run) == "WAITING"
    assert calls == []
    worker = WorkerProcess(name="gpu", queues=("gpu",))
    worker.register()

    assert worker.execute_tasks() == 1
    field.settle()

    assert outcome(run) == "succeeded"
    assert made_by(run) == {"n": 5}
    assert [name for name, _, _ in calls] == ["ok", "ok"]


def test_a_run_whose_attempt_nobody_has_taken_can_be_cancelled(field, calls):
    field.publish(QUEUED)
    run = field.start("queued")

    cancel_run(principal=field.world.principal("mara"), run_id=run.pk, reason="no gpu")
    field.settle()

    assert outcome(run) == "cancelled"
    assert calls == []
    assert not Task.objects.exists()


def test_a_worker_that_serves_the_queue_executes_it_itself(field, calls):
    field.publish(QUEUED)
    run_id = field.world.start("queued", by="mara").run_id
    worker = WorkerProcess(name="gpu", queues=("gpu",))
    worker.register()

    assert worker.drive(run_id=run_id) is DriveEnd.CLOSED
    assert not Task.objects.exists()


RENAMED = """
    schema: flow/v1
    kind: dag
    name: renamed
    vars: {target: one}
    steps:
      work:
        uses: python/call@1
        with: {function: %s}
        queue: gpu
        cache: {key: "result of ${{ vars.target }}", ttl: PT1H}
        circuit: {key: "${{ vars.target }}", failures: 1, window: PT1M, cool-down: PT1H}
      go: {wait: {event: {type: go, correlate: {run: "run.id"}}}}
      move: {needs: [go], set: {target: "'two'"}}
    """


@pytest.mark.parametrize("function", ["t.ok", "t.boom"])
def test_an_attempt_counts_for_the_circuit_and_the_cache_it_was_let_through_by(
    field, calls, function
):
    field.publish(RENAMED % function)
    run = field.start("renamed")
    field.send("go", run=str(run.pk))
    assert fold(run.pk).variables == {"target": "two"}
    worker = WorkerProcess(name="gpu", queues=("gpu",))
    worker.register()

    assert worker.execute_tasks() == 1
    field.settle()

    has_failed = function == "t.boom"
    assert outcome(run) == ("failed" if has_failed else "succeeded")
    assert list(Circuit.objects.values_list("name", flat=True)) == ["one"] * has_failed
    project_id = field.world.project.pk
    assert (cache.find(project_id=project_id, key="result of one") is None) is has_failed
    assert cache.find(project_id=project_id, key="result of two") is None
