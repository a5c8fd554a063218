"""What operators do to a run that goes on, on a real database."""

import time

import pytest

from audit import store as ledger
from core.kernel import limits
from engine import loading
from engine.domain.errors import (
    RunCancellingError,
    RunHaltedError,
    RunNotResumableError,
)
from engine.domain.plan import Plan, Step, Uses
from engine.driver import DriveEnd
from engine.models import Run, Slot, Wait
from engine.services import steering
from engine.services.runs import cancel_run
from engine.sweep import sweep_once
from tests.integration.engine.field import made_by, newest_run, outcome
from tests.integration.engine.operating import (
    INNER,
    UNDOES,
    WAITS,
    WHY,
    Operator,
    kinds,
    last,
    new_field,
)
from tests.world import fold

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def field(calls):
    return new_field()


@pytest.fixture
def act(field):
    """Return what does a verb as an operator and lets everything settle."""
    return Operator(field)


def pause(act, run, **fields):
    return act(steering.pause_run, run, **fields)


def resume(act, run, **fields):
    return act(steering.resume_run, run, **fields)


# --- pausing and resuming ------------------------------------------------------------------------


def test_a_paused_run_stands_still_and_hears_what_it_waits_for(field, act):
    field.publish(WAITS)
    run = field.start("waits")

    paused = pause(act, run)

    assert (paused.status, paused.replayed) == ("PAUSED", False)
    entry = last(run)
    assert (entry.kind, entry.payloads["reason"]) == ("run.paused", WHY)
    field.send("go", id="7", n=42)
    assert outcome(run) == "PAUSED"
    assert kinds(run)[-1] == "event.received"
    assert field.hand.drive(run.pk) is DriveEnd.NOT_FREE
    assert sweep_once().is_idle or outcome(run) == "PAUSED"

    resumed = resume(act, run)

    assert resumed.status == "READY"
    assert outcome(run) == "succeeded"
    assert made_by(run) == {"n": 42}


def test_pausing_or_resuming_twice_is_doing_it_once(field, act):
    field.publish(WAITS)
    run = field.start("waits")

    assert resume(act, run).replayed
    assert not pause(act, run).replayed
    before = kinds(run)
    again = pause(act, run)
    assert (again.status, again.replayed) == ("PAUSED", True)
    assert kinds(run) == before
    assert not resume(act, run).replayed
    assert resume(act, run).replayed


def test_a_driver_stops_at_its_next_append(field, act, calls, monkeypatch):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: three
        steps:
          a: {uses: python/call@1, with: {function: t.ok, n: 1}}
          b: {needs: [a], uses: python/call@1, with: {function: t.ok, n: 2}}
        """
    )
    started = field.world.start("three", by="mara", inputs={})
    driver = field.hand.driver
    execute = driver._guarded

    def meanwhile(call):
        if call.key == "a#1":
            mara = field.world.principal("mara")
            made = steering.pause_run(principal=mara, run_id=started.run_id, reason=WHY)
            assert made.status == "RUNNING"
        return execute(call)

    monkeypatch.setattr(driver, "_guarded", meanwhile)
    assert field.hand.drive(started.run_id) is DriveEnd.PAUSED

    run = Run.objects.get(pk=started.run_id)
    assert (run.status, run.worker, run.wake_at) == ("PAUSED", None, None)
    assert len(calls) == 1
    assert fold(run.pk).steps["a#1"].outcome == "succeeded"
    resume(act, run)
    assert outcome(run) == "succeeded"
    assert len(calls) == 2


def test_a_timer_that_is_due_wakes_no_paused_run(field, act):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: sleeps
        steps:
          nap: {wait: {timer: PT0.05S}}
        """
    )
    run = Run.objects.get(pk=field.world.start("sleeps", by="mara", inputs={}).run_id)
    field.hand.drive(run.pk)
    steering.pause_run(principal=field.world.principal("mara"), run_id=run.pk, reason=WHY)

    time.sleep(0.1)
    sweep_once()

    assert outcome(run) == "PAUSED"
    resume(act, run)
    assert outcome(run) == "succeeded"


def test_a_paused_run_does_not_keep_others_from_a_mutex_it_was_only_promised(field, act):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: locked
        steps:
          alone:
            mutex: door
            steps:
              wait: {wait: {event: {type: go, correlate: {run: run.id}}}}
        """
    )
    first, second, third = (field.start("locked") for _ in range(3))
    pause(act, second)

    field.send("go", run=str(first.pk))

    assert fold(third.pk).steps["alone#1"].status == "open"
    assert fold(second.pk).steps["alone#1"].status == "held"
    resume(act, second)
    field.send("go", run=str(third.pk))
    field.send("go", run=str(second.pk))
    assert outcome(second) == "succeeded"
    assert not Slot.objects.exists()


def test_a_paused_run_is_cancelled_at_once(field, act):
    field.publish(WAITS)
    run = field.start("waits")
    pause(act, run)

    act(cancel_run, run)

    assert outcome(run) == "cancelled"
    assert not Wait.objects.exists()


def test_the_runs_it_has_called_are_paused_only_if_asked(field, act):
    field.publish(INNER)
    field.publish(UNDOES)
    run = field.start("undoes")
    child = newest_run()

    pause(act, run)
    assert (outcome(run), outcome(child)) == ("PAUSED", "WAITING")
    resume(act, run)
    pause(act, run, with_children=True)
    assert (outcome(run), outcome(child)) == ("PAUSED", "PAUSED")
    assert last(child).payloads["reason"] == WHY
    resume(act, run, with_children=True)

    assert (outcome(run), outcome(child)) == ("WAITING", "WAITING")


def test_a_halted_run_goes_on_if_it_can_be_followed(field, act, monkeypatch):
    field.publish(WAITS)
    run = field.start("waits")
    mara = field.world.principal("mara")
    # Twenty drivers in a row have moved nothing.
    monkeypatch.setattr(limits, "IDLE_CLAIM_COUNT_MAX", 0)
    Run.objects.filter(pk=run.pk).update(status="READY", fault_count=3)
    assert field.hand.drive(run.pk) is DriveEnd.HALTED
    monkeypatch.undo()
    for verb, fields in (
        (steering.pause_run, {}),
        (steering.skip_step, {"key": "hear#1"}),
        (cancel_run, {"compensate": True}),
    ):
        with pytest.raises(RunHaltedError):
            verb(principal=mara, run_id=run.pk, reason=WHY, **fields)

    resume(act, run)

    run.refresh_from_db()
    assert (run.status, run.fault_count) == ("WAITING", 0)
    field.send("go", id="7", n=1)
    assert outcome(run) == "succeeded"


def test_a_run_that_would_halt_again_says_where(field, act):
    field.publish(WAITS)
    run = field.start("waits")
    # As if a worker with other code had halted it: the record itself is as it was.
    Run.objects.filter(pk=run.pk).update(status="HALTED")
    other = Plan(
        name="other",
        title="t",
        inputs_schema={},
        variables={},
        steps={"hear": Step(id="hear", verb=Uses(action="python/call@1", arguments={}))},
        outputs={},
    )
    version = field.world.publish(other, author="mara")
    Run.objects.filter(pk=run.pk).update(version_id=version.pk)
    loading.forget_all()

    with pytest.raises(RunNotResumableError) as raised:
        resume(act, run)

    assert raised.value.details["seq"] == 3
    assert set(raised.value.details) == {"seq", "expected", "found"}
    assert outcome(run) == "HALTED"


# --- cancelling with compensation ----------------------------------------------------------------


def _did(calls, run, child):
    """Return which functions were called, in order, by what their attempts say."""
    entries = [
        entry
        for run_id in (run.pk, child.pk)
        for entry in ledger.read_stream(stream=run_id, limit=1000)
        if entry.kind == "step.completed"
    ]
    return [str(entry.data["key"]) for entry in sorted(entries, key=lambda entry: entry.at)]


def test_what_was_done_is_undone_the_called_run_first(field, act, calls):
    field.publish(INNER)
    field.publish(UNDOES)
    run = field.start("undoes")
    child = newest_run()

    act(cancel_run, run, compensate=True)

    assert (outcome(run), outcome(child)) == ("cancelled", "cancelled")
    assert _did(calls, run, child) == [
        "first#1",
        "second#1",
        "compensate/second#1",
        "compensate/first#1",
    ]
    assert "child.closed" in kinds(run)


def test_without_it_nothing_is_undone(field, act, calls):
    field.publish(INNER)
    field.publish(UNDOES)
    run = field.start("undoes")
    child = newest_run()

    act(cancel_run, run)

    assert (outcome(run), outcome(child)) == ("cancelled", "cancelled")
    assert _did(calls, run, child) == ["first#1", "second#1"]


def test_a_called_run_that_has_halted_is_waited_for(field, act):
    field.publish(INNER)
    field.publish(UNDOES)
    run = field.start("undoes")
    child = newest_run()
    Run.objects.filter(pk=child.pk).update(status="HALTED")

    act(cancel_run, run, compensate=True)

    assert (outcome(run), outcome(child)) == ("WAITING", "HALTED")
    act(cancel_run, child)
    assert (outcome(run), outcome(child)) == ("cancelled", "cancelled")


def test_who_cancels_plainly_cannot_undo_afterwards(field, act):
    field.publish(WAITS)
    started = field.start("waits")
    mara = field.world.principal("mara")
    cancel_run(principal=mara, run_id=started.pk, reason=WHY)

    with pytest.raises(RunCancellingError):
        cancel_run(principal=mara, run_id=started.pk, reason=WHY, compensate=True)
    with pytest.raises(RunCancellingError):
        steering.pause_run(principal=mara, run_id=started.pk, reason=WHY)
