"""What time does to a run: waiting, deadlines, and instants that have passed already."""

from datetime import timedelta

import pytest

from core.kernel import limits
from core.kernel.types import format_duration
from engine.domain.events import Event, EventKind
from engine.domain.plan import AfterError, Compensation, OnError, Retry, Uses
from engine.domain.state import RunStatus
from tests.constructs import (
    CHILD,
    call,
    check,
    check_open,
    drive,
    each,
    event,
    group,
    loop,
    matrix,
    race,
    ran,
    timer,
)
from tests.plans import approval, boom, failing, plan, undoable, uses
from tests.pure_run import START, PureRun


def fired(run):
    return [str(event.data["timer"]) for event in run.events if event.kind == EventKind.TIMER_FIRED]


# --- waiting for time ----------------------------------------------------------------------------


def test_a_timer_ends_when_its_time_has_come():
    run = PureRun(plan(timer("t", lasts="PT15M"), uses("after", "t")))
    run.claim()

    assert run.status is RunStatus.WAITING
    assert run.decider.next_wake(run.state) == START + timedelta(minutes=15)
    run.drive()
    assert (fired(run), ran(run)) == (["sleep:t#1"], ["after#1"])
    check(run, "succeeded")


def test_a_timer_takes_its_length_from_the_inputs():
    run = drive(timer("t", lasts="${{ inputs.pause }}"), inputs={"pause": "P2D"})

    assert run.now - START == timedelta(days=2)
    check(run, "succeeded")


def test_until_is_an_instant():
    run = drive(timer("t", until="inputs.at"), inputs={"at": "2026-01-01T15:00:00+02:00"})

    assert run.now - START == timedelta(hours=1)
    check(run, "succeeded")


@pytest.mark.parametrize("at", ["2026-01-01T12:00:00Z", "2025-12-31T09:00:00Z"])
def test_an_instant_that_has_passed_ends_the_wait_at_once(at):
    run = PureRun(plan(timer("t", until="inputs.at"), uses("after", "t")), inputs={"at": at})
    move = run.claim()

    assert [item.key for item in move.begun] == ["after#1"]
    check(run.drive(), "succeeded")


def test_timers_that_are_due_fire_soonest_first_and_in_one_move():
    steps = [timer(f"t{minutes}", lasts=f"PT{minutes}M") for minutes in (3, 1, 2)]
    run = PureRun(plan(*steps))
    run.claim()
    run.now += timedelta(hours=1)
    run.claim()

    assert fired(run) == ["sleep:t1#1", "sleep:t2#1", "sleep:t3#1"]
    check(run, "succeeded")


@pytest.mark.parametrize(
    "wrong",
    [
        {"lasts": "${{ inputs.text }}"},
        {"until": "inputs.text"},
        {"until": "'2026-01-01T12:00:00'"},
        {"until": "inputs.absent"},
        {"until": "'2099-01-01T00:00:00Z'"},
    ],
)
def test_a_wait_for_what_is_no_time_fails(wrong):
    run = drive(timer("t", **wrong), inputs={"text": "soon"})

    assert run.error_kind("t") == "expression"
    check(run, "failed")


def test_a_duration_is_bounded():
    long = format_duration(limits.TIMER_MAX + timedelta(days=10))
    run = PureRun(plan(timer("t", lasts="${{ inputs.d }}")), inputs={"d": long})
    run.claim()

    assert run.decider.next_wake(run.state) == START + limits.TIMER_MAX


# --- the time of a whole step --------------------------------------------------------------------

LATE = {"total_seconds": 60.0}


@pytest.mark.parametrize(
    ("late", "withdrawn"),
    [
        (event("s", **LATE), [("event", "s#1")]),
        (call("s", **LATE), [("call", "s#1")]),
        (timer("s", lasts="PT1H", **LATE), []),
        (group("s", approval("a"), **LATE), [("approval", "s#1/a#1")]),
        (
            race("s", event("a"), approval("b"), **LATE),
            [("approval", "s#1/b#1"), ("event", "s#1/a#1")],
        ),
        (
            each("s", event("b"), items="[1, 2]", fields=LATE),
            [("event", "s#1/item#2"), ("event", "s#1/item#1")],
        ),
        (matrix("s", event("b"), axes={"a": [1]}, fields=LATE), [("event", "s#1/cell#1")]),
        (loop("s", event("b"), until="false", fields=LATE), [("event", "s#1/turn#1")]),
        (loop("s", until="false", delay_seconds=3600.0, fields=LATE), []),
    ],
    ids=lambda item: type(item.verb).__name__ if hasattr(item, "verb") else "",
)
def test_a_step_that_is_not_done_in_time_fails_and_takes_back_what_it_waits_for(late, withdrawn):
    run = PureRun(plan(late, uses("after", "s")), calls=CHILD)
    run.work(list(run.claim().begun))
    run.wait(60)

    assert run.error_kind("s") == "timeout"
    assert run.outcome("after") == "unreached"
    assert run.withdrawn() == withdrawn
    check(run, "failed")


def test_a_step_that_is_done_in_time_has_no_deadline_left():
    run = drive(event("s", **LATE)).receive("s#1", "thing.done")

    assert fired(run) == []
    check(run, "succeeded")


def test_the_time_of_a_step_counts_its_retries():
    step = uses("s", retry=Retry(retries_max=9, initial_seconds=40.0, jitter=False), **LATE)
    run = drive(step, actions={"s": boom("transient")})

    assert len(run.executed) == 2  # at 0 and 40 s; the next would be at 120 s
    assert run.error_kind("s") == "timeout"
    check(run, "failed")


def test_an_attempt_that_executes_when_its_step_is_late_is_waited_for():
    undo = Compensation(uses=Uses(action="python/call@1", arguments={}))
    run = PureRun(plan(uses("s", compensate=undo, **LATE)))
    run.claim()
    run.now += timedelta(seconds=61)
    run.move(Event(kind=EventKind.TIMER_FIRED, at=run.now, data={"timer": "deadline:s#1"}))

    assert (run.outcome("s"), run.error_kind("s"), run.closed) == ("failed", "timeout", "")
    begun = run.move(run._execute("s#1")).begun  # it happened, so it has to be undone
    assert [item.key for item in begun] == ["compensate/s#1"]
    run.move(run._execute("compensate/s#1"))
    check(run, "failed")


def test_a_late_step_may_be_passed_over():
    absorbed = OnError(then=AfterError.CONTINUE)
    read = uses("after", "s", condition="steps.s.error.kind == 'timeout'", reads=("s",))
    run = drive(event("s", on_error=absorbed, **LATE), read).wait(60)

    assert ran(run) == ["after#1"]
    check(run, "succeeded")


def test_a_late_event_wait_that_asks_is_taken_back_first():
    asks = OnError(then=AfterError.ASK)
    run = drive(event("s", on_error=asks, **LATE)).wait(60)

    assert run.withdrawn() == [("event", "s#1")]
    assert run.outcome("s") == "waiting"
    run.choose("s#1", "retry")
    check(run.receive("s#1", "thing.done"), "succeeded")


def test_what_was_completed_inside_a_late_group_is_undone():
    whole = group("s", undoable("a"), approval("b", "a"), **LATE)
    run = drive(whole).wait(60)

    assert ran(run) == ["s#1/a#1", "compensate/s#1/a#1"]
    check(run, "failed")


def test_a_deadline_that_is_past_the_end_of_an_inner_one_does_not_fire():
    run = drive(group("s", event("a", total_seconds=30.0), **LATE)).wait(30)

    assert fired(run) == ["deadline:s#1/a#1"]
    check(run, "failed")


def test_backoff_and_timers_wake_a_run_at_the_sooner():
    step = uses("s", retry=Retry(retries_max=1, initial_seconds=5.0, jitter=False))
    run = PureRun(plan(step, timer("t", lasts="PT1M")), actions={"s": failing(1)})
    run.work(list(run.claim().begun))

    assert run.decider.next_wake(run.state) == START + timedelta(seconds=5)
    check(run.drive(), "succeeded")


def test_a_sleeping_run_is_cancelled_at_once():
    run = PureRun(plan(timer("t", lasts="P30D")))
    run.claim()
    run.cancel()
    run.claim()

    assert run.now == START
    check(run, "cancelled")


def test_a_group_waits_for_its_timers():
    run = PureRun(plan(group("g", timer("t", lasts="PT1M"), event("e"))))
    run.claim()
    run.wait(60)

    check_open(run)
    check(run.receive("g#1/e#1", "thing.done"), "succeeded")
