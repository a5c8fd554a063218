"""Compensation: what a failure undoes, in which order, and how often."""

import pytest

from engine.domain.plan import AfterError, OnError, Retry
from tests.plans import approval, boom, plan, undoable, uses
from tests.pure_run import PureRun


def test_a_failed_run_undoes_what_completed_newest_first():
    run = PureRun(
        plan(undoable("a"), undoable("b", "a"), uses("c", "b"), undoable("d", "c")),
        actions={"d": boom()},
    ).drive()

    keys = [key for key, _, _ in run.executed]
    assert keys[-2:] == ["compensate/b#1", "compensate/a#1"]
    assert "compensate/d#1" not in keys
    assert run.closed == "failed"


def test_a_step_that_failed_midway_is_undone_if_it_says_so():
    run = PureRun(plan(undoable("a", compensate_on_failure=True)), actions={"a": boom()}).drive()

    assert [key for key, _, _ in run.executed] == ["a#1", "compensate/a#1"]


def test_on_error_undoes_what_it_names_before_its_dependants_go_on():
    run = PureRun(
        plan(
            undoable("deploy"),
            uses(
                "smoke",
                "deploy",
                on_error=OnError(compensate=("deploy",), then=AfterError.CONTINUE),
            ),
            uses("report", "smoke", condition="steps.smoke.outcome == 'failed'", reads=("smoke",)),
        ),
        actions={"smoke": boom()},
    ).drive()

    keys = [key for key, _, _ in run.executed]
    assert keys == ["deploy#1", "smoke#1", "compensate/deploy#1", "report#1"]
    assert run.closed == "succeeded"


def test_each_completion_is_undone_once():
    undo = OnError(compensate=("a",), then=AfterError.FAIL)
    run = PureRun(
        plan(undoable("a"), uses("b", "a", on_error=undo), uses("c", "a", on_error=undo)),
        actions={"b": boom(), "c": boom()},
    ).drive()

    assert [key for key, _, _ in run.executed].count("compensate/a#1") == 1


def test_a_compensation_that_fails_leaves_the_run_failed_and_the_others_undone():
    run = PureRun(
        plan(undoable("a"), undoable("b", "a"), uses("c", "b")),
        actions={"c": boom(), "compensate/b": boom()},
    ).drive()

    assert run.outcome("compensate/b#1") == "failed"
    assert run.outcome("compensate/a#1") == "succeeded"
    assert run.closed == "failed"


def test_a_rejection_undoes_nothing():
    run = PureRun(plan(undoable("a"), approval("gate", "a"))).drive()

    run.resolve("gate", "rejected")

    assert [key for key, _, _ in run.executed] == ["a#1"]


@pytest.mark.parametrize("on_failure", [False, True])
def test_a_step_whose_outputs_cannot_be_read_is_undone_once_because_its_action_completed(
    on_failure,
):
    step = undoable("a", outputs={"x": "result.absent"}, compensate_on_failure=on_failure)
    run = PureRun(plan(step)).drive()

    assert [key for key, _, _ in run.executed] == ["a#1", "compensate/a#1"]
    assert (run.error_kind("a"), run.closed) == ("expression", "failed")
    assert run.replayed() == run.state


def interrupted(*, on_failure, cancelled_while):
    """Cancel a run while `a` has failed once and is to be tried again; then `b` fails it."""
    retry = Retry(retries_max=3)
    run = PureRun(
        plan(undoable("a", retry=retry, compensate_on_failure=on_failure), uses("b")),
        actions={"a": boom("transient"), "b": boom()},
    )
    run.claim()
    if cancelled_while == "backoff":
        run.move(run._execute("a#1"))
        run.cancel()
    else:
        run.cancel()
        run.move(run._execute("a#1"))
    run.move(run._execute("b#1"))
    assert run.outcome("a") == "cancelled"
    return run


@pytest.mark.parametrize("cancelled_while", ["backoff", "executing"])
def test_a_step_cancelled_between_attempts_is_undone_if_it_says_so_and_the_run_fails(
    cancelled_while,
):
    run = interrupted(on_failure=True, cancelled_while=cancelled_while)

    run.move(run._execute("compensate/a#1"))

    assert run.outcome("compensate/a#1") == "succeeded"
    assert run.closed == "failed"
    assert run.replayed() == run.state


@pytest.mark.parametrize("cancelled_while", ["backoff", "executing"])
def test_a_step_cancelled_between_attempts_is_left_if_it_does_not_say_so(cancelled_while):
    run = interrupted(on_failure=False, cancelled_while=cancelled_while)

    assert "compensate/a#1" not in run.state.steps
    assert run.closed == "failed"


def test_a_step_cancelled_before_its_first_attempt_has_nothing_to_undo():
    run = PureRun(
        plan(uses("b"), undoable("a", "b", compensate_on_failure=True), uses("c")),
        actions={"c": boom()},
    )
    run.claim()
    run.cancel()

    run.move(run._execute("b#1"), run._execute("c#1"))

    assert (run.outcome("a"), run.closed) == ("cancelled", "failed")
    assert "compensate/a#1" not in run.state.steps
