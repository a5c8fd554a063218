"""What operators do to a run that goes on: pause, resume, undo, try again, skip."""

from datetime import timedelta

import pytest

from engine.domain.errors import UnexpectedEventError
from engine.domain.events import Event, EventKind
from engine.domain.plan import (
    AfterError,
    On,
    OnError,
    Rate,
    Retry,
    Transition,
)
from engine.domain.skipping import find_skip_obstacle
from engine.domain.state import RunStatus
from engine.domain.steering import find_retry_obstacle
from tests.constructs import (
    CHILD,
    call,
    check,
    drive,
    emit,
    event,
    final,
    machine,
    ran,
    state,
    timer,
)
from tests.plans import approval, boom, failing, plan, undoable, uses
from tests.pure_run import PureRun

RETRY = Retry(retries_max=3, initial_seconds=60, jitter=False)
ASKS = OnError(then=AfterError.ASK)


def tell(run, kind, **data):
    payloads = {"reason": "because"}
    run.outside(Event(kind=kind, at=run.now, data=data, payloads=payloads))


def pause(run):
    tell(run, EventKind.RUN_PAUSED)


def resume(run):
    tell(run, EventKind.RUN_RESUMED)
    return run.drive()


def retry(run, key):
    tell(run, EventKind.STEP_RETRY_REQUESTED, key=key)
    return run.drive()


def skip(run, key):
    tell(run, EventKind.STEP_SKIP_REQUESTED, key=key)
    return run.drive()


def started(*steps, **fields):
    run = PureRun(plan(*steps), calls=dict(CHILD), **fields)
    run.claim()
    return run


def execute(run, key):
    return run.move(run._execute(key))


def why_not_skip(run, key):
    return find_skip_obstacle(run.decider.definition, run.state, key)


def why_not_retry(run, key):
    return find_retry_obstacle(run.decider.definition, run.state, key)


# --- pausing -------------------------------------------------------------------------------------


def test_what_executes_finishes_and_nothing_new_begins():
    run = started(uses("a"), uses("b", "a"))
    pause(run)

    move = execute(run, "a#1")

    assert (move.status, move.begun) == (RunStatus.PAUSED, ())
    assert (run.outcome("a"), run.outcome("b")) == ("succeeded", "ready")
    resume(run)
    assert run.closed == "succeeded"
    assert ran(run) == ["a#1", "b#1"]
    check(run, run.closed)


def test_the_run_is_its_drivers_until_all_that_executes_has_ended():
    run = started(uses("a"), uses("b"))
    pause(run)

    assert execute(run, "a#1").status is RunStatus.RUNNING
    assert execute(run, "b#1").status is RunStatus.PAUSED
    assert run.closed == ""
    resume(run)
    assert run.closed == "succeeded"


@pytest.mark.parametrize(
    "step",
    [
        approval("b", "a"),
        event("b", "a"),
        call("b", "a"),
        emit("b", "a"),
        uses("b", "a", mutex="door"),
        uses("b", "a", rate=Rate(limit=1, seconds=1.0, key="k")),
    ],
    ids=lambda step: type(step.verb).__name__,
)
def test_nothing_is_opened_or_asked_for_while_a_run_is_paused(step):
    run = started(uses("a"), step)
    pause(run)

    execute(run, "a#1")

    assert run.status is RunStatus.PAUSED
    assert run.effects == []
    assert run.decider.to_admit(run.state, at=run.now) == ()
    tell(run, EventKind.RUN_RESUMED)
    run.claim()
    assert run.effects or run.decider.to_admit(run.state, at=run.now)


def test_a_timer_that_is_due_fires_at_the_resume():
    run = started(timer("a", lasts="PT1M"), uses("b", "a"))
    pause(run)
    run.now += timedelta(hours=1)

    assert run.claim().status is RunStatus.PAUSED
    assert run.decider.next_wake(run.state) is None
    assert run.outcome("a") == "sleeping"
    resume(run)
    assert run.closed == "succeeded"
    assert run.now == run.events[-1].at


def test_time_goes_on_for_deadlines():
    run = started(event("a", total_seconds=60.0))
    pause(run)
    run.now += timedelta(hours=1)

    resume(run)

    assert run.closed == "failed"
    assert run.error_kind("a") == "timeout"


def test_an_approval_is_decided_and_its_outcome_waits():
    run = started(approval("a"), uses("b", "a"))
    pause(run)

    run.resolve("a", "approved")

    assert run.status is RunStatus.PAUSED
    assert (run.outcome("a"), run.outcome("b")) == ("approved", "ready")
    assert ran(run) == []
    resume(run)
    assert run.closed == "succeeded"


def test_a_failed_attempt_waits_for_the_resume():
    run = started(uses("a", retry=RETRY), actions={"a": failing(1)})
    pause(run)

    assert execute(run, "a#1").status is RunStatus.PAUSED
    run.now += timedelta(hours=1)
    assert run.claim().begun == ()
    resume(run)
    assert run.closed == "succeeded"
    assert ran(run) == ["a#1", "a#1"]


def test_a_lost_attempt_is_not_begun_again_while_paused():
    run = started(uses("a"))
    pause(run)

    move = run.claim()

    assert (move.status, move.begun) == (RunStatus.PAUSED, ())
    assert resume(run).closed == "succeeded"


def test_a_paused_run_neither_closes_nor_undoes():
    run = started(undoable("a"), uses("b", "a"), actions={"b": boom()})
    execute(run, "a#1")
    pause(run)

    assert execute(run, "b#1").status is RunStatus.PAUSED
    assert run.state.closing is None
    assert "compensate/a#1" not in run.state.steps
    resume(run)
    assert run.closed == "failed"
    assert ran(run) == ["a#1", "b#1", "compensate/a#1"]
    check(run, run.closed)


def test_a_paused_run_is_cancelled_at_once():
    run = started(event("a"), uses("b", "a"))
    pause(run)
    run.cancel()

    run.claim()

    assert run.closed == "cancelled"
    assert run.withdrawn() == [("event", "a#1")]


def test_a_run_that_is_cancelled_or_halted_is_not_paused():
    run = started(uses("a"))
    run.cancel()
    with pytest.raises(UnexpectedEventError, match="cancelled"):
        pause(run)
    run = started(uses("a"))
    run.outside(Event(kind=EventKind.RUN_HALTED, at=run.now, data={"code": "x"}))
    with pytest.raises(UnexpectedEventError, match="halted"):
        pause(run)


# --- resuming a halted run -----------------------------------------------------------------------


def test_a_halted_run_goes_on_where_it_stood():
    run = started(uses("a"), uses("b", "a"))
    run.outside(Event(kind=EventKind.RUN_HALTED, at=run.now, data={"code": "engine.poisoned"}))
    assert run.claim().status is RunStatus.HALTED

    resume(run)

    assert run.closed == "succeeded"
    check(run, run.closed)


def test_only_a_run_that_was_stopped_is_resumed():
    with pytest.raises(UnexpectedEventError, match="not been stopped"):
        resume(started(uses("a")))


def test_a_resumed_run_may_be_taken_as_often_as_any():
    run = started(uses("a"))
    for _ in range(5):
        run.claim()
    assert run.state.idle_claim_count > 0

    pause(run)
    tell(run, EventKind.RUN_RESUMED)

    assert run.state.idle_claim_count == 0


# --- cancelling with compensation ----------------------------------------------------------------


def undo(run):
    tell(run, EventKind.RUN_CANCEL_REQUESTED, compensate=True)
    return run.drive()


def test_what_had_completed_is_undone_newest_first():
    run = drive(undoable("a"), undoable("b", "a"), event("c", "b"))

    undo(run)

    assert run.closed == "cancelled"
    assert ran(run) == ["a#1", "b#1", "compensate/b#1", "compensate/a#1"]
    check(run, run.closed)


def test_without_it_nothing_is_undone():
    run = drive(undoable("a"), event("b", "a"))
    run.cancel()
    run.drive()

    assert run.closed == "cancelled"
    assert ran(run) == ["a#1"]


def test_what_executes_is_awaited_and_undone_as_well():
    run = started(undoable("a"), undoable("b"))
    execute(run, "a#1")
    tell(run, EventKind.RUN_CANCEL_REQUESTED, compensate=True)

    move = execute(run, "b#1")

    assert [item.key for item in move.begun] == ["compensate/b#1"]
    run.work(list(move.begun))
    assert run.closed == "cancelled"
    assert ran(run)[-2:] == ["compensate/b#1", "compensate/a#1"]


def test_a_compensation_that_fails_fails_the_run():
    run = drive(undoable("a"), event("b", "a"), actions={"compensate/a": boom()})

    assert undo(run).closed == "failed"


def test_a_run_whose_steps_have_all_completed_by_then_is_cancelled():
    run = started(undoable("a"))
    tell(run, EventKind.RUN_CANCEL_REQUESTED, compensate=True)

    run.work(list(execute(run, "a#1").begun))

    assert run.closed == "cancelled"
    assert ran(run) == ["a#1", "compensate/a#1"]


def test_a_called_run_ends_before_its_callers_work_is_undone():
    run = drive(undoable("a"), call("b", "a"))

    undo(run)

    assert run.closed == ""
    assert run.withdrawn() == []  # who cancels asks the child to undo what it did, too
    run.end_child("b#1", "cancelled")
    assert run.closed == "cancelled"
    assert ran(run) == ["a#1", "compensate/a#1"]


def test_a_machine_is_undone_too():
    went = Transition(on=On.SUCCESS, to="two")
    made = machine(
        state("one", went, step=undoable("one")), state("two", step=event("two")), final("end")
    )
    run = PureRun(made).drive()

    undo(run)

    assert run.closed == "cancelled"
    assert ran(run) == ["one#1", "compensate/one#1"]
