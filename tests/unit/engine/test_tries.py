"""What earlier tries, and attempts that end late, have done: it is undone too, each once."""

import pytest

from engine.domain.events import Event, EventKind
from engine.domain.plan import AfterError, Compensation, Join, OnError, Uses
from tests.constructs import check, check_open, drive, each, group, race, ran
from tests.plans import approval, boom, failing, plan, undoable, uses
from tests.pure_run import PureRun

ASKS = OnError(then=AfterError.ASK)


def reading(step_id, expression, *needs, **fields):
    """A step whose compensation reads what the step, or what is around it, has made."""
    arguments = {"it": "${{ " + expression + " }}"}
    undo = Compensation(uses=Uses(action="python/call@1", arguments=arguments))
    return uses(step_id, *needs, compensate=undo, **fields)


def counting():
    made: list[int] = []

    def action(_):
        made.append(len(made) + 1)
        return {"n": made[-1]}

    return action


def undone_with(run):
    return [args["it"] for key, _, args in run.executed if key.startswith("compensate/")]


# --- somebody says to try again ------------------------------------------------------------------


def test_what_completed_in_both_tries_is_undone_twice_newest_first():
    run = drive(group("g", undoable("u"), uses("a", "u"), on_error=ASKS), actions={"a": boom()})
    run.choose("g#1", "retry").choose("g#1", "fail")

    undone = ["compensate/g#1/u#1", "compensate/g#1@1/u#1"]
    assert ran(run) == ["g#1/u#1", "g#1/a#1", "g#1/u#1", "g#1/a#1", *undone]
    check(run, "failed")


def test_each_compensation_sees_what_its_own_try_has_made():
    inner = reading("u", "steps.u.outputs.result.n")
    actions = {"u": counting(), "a": boom()}
    run = drive(group("g", inner, uses("a", "u"), on_error=ASKS), actions=actions)
    run.choose("g#1", "retry").choose("g#1", "retry").choose("g#1", "fail")

    assert undone_with(run) == [3, 2, 1]
    check(run, "failed")


def test_each_compensation_sees_the_item_of_its_own_try():
    body = group("x", reading("u", "it"), uses("a", "u"), on_error=ASKS)
    run = drive(each("m", body), actions={"a": failing(1, "permanent")}, inputs={"items": ["red"]})
    run.choose("m#1/item#1", "retry")
    check(run, "succeeded")

    run = drive(each("m", body), actions={"a": boom()}, inputs={"items": ["red"]})
    run.choose("m#1/item#1", "retry").choose("m#1/item#1", "fail")
    assert undone_with(run) == ["red", "red"]
    check(run, "failed")


def test_tries_inside_tries_are_all_undone():
    inner = group("h", undoable("u"), uses("a", "u"), on_error=ASKS)
    run = drive(group("g", inner, on_error=ASKS), actions={"a": boom()})
    run.choose("g#1/h#1", "retry").choose("g#1/h#1", "fail").choose("g#1", "retry")
    run.choose("g#1/h#1", "fail").choose("g#1", "fail")

    assert ran(run)[-3:] == [
        "compensate/g#1/h#1/u#1",
        "compensate/g#1@1/h#1/u#1",
        "compensate/g#1@1/h#1@1/u#1",
    ]
    check(run, "failed")


def test_an_earlier_try_is_left_alone_when_the_run_succeeds():
    actions = {"a": failing(1, "permanent")}
    run = drive(group("g", undoable("u"), uses("a", "u"), on_error=ASKS), actions=actions)
    run.choose("g#1", "retry")

    assert ran(run) == ["g#1/u#1", "g#1/a#1", "g#1/u#1", "g#1/a#1"]
    check(run, "succeeded")


def test_an_on_error_undoes_every_try_of_what_it_names():
    names = OnError(compensate=("u",), then=AfterError.CONTINUE)
    inner = group("h", uses("a"), on_error=ASKS)
    whole = group("g", undoable("u"), inner, uses("b", "h", on_error=names), on_error=ASKS)
    actions = {"a": failing(1, "permanent"), "b": boom()}
    run = drive(whole, actions=actions)
    run.choose("g#1/h#1", "retry")

    assert ran(run)[-2:] == ["g#1/b#1", "compensate/g#1/u#1"]
    check(run, "succeeded")


def test_a_step_that_completed_before_its_outputs_failed_is_undone_for_each_try():
    step = undoable("a", outputs={"x": "result.absent"}, on_error=ASKS)
    run = drive(step).choose("a#1", "retry").choose("a#1", "fail")

    assert ran(run) == ["a#1", "a#1", "compensate/a#1", "compensate/a#1@1"]
    check(run, "failed")


def test_a_compensation_that_is_repeated_is_no_repetition_for_other_systems():
    names = OnError(compensate=("u",), then=AfterError.FAIL)
    inner = (undoable("u"), uses("a", "u", on_error=names))
    run = drive(group("g", *inner, on_error=ASKS), actions={"a": boom()})
    first = run.state.steps["compensate/g#1/u#1"].round
    run.choose("g#1", "retry").choose("g#1", "fail")

    assert (first, run.state.steps["compensate/g#1/u#1"].round) == (1, 2)
    check(run, "failed")


def test_what_was_tried_again_inside_is_no_repetition_once_all_of_it_begins_anew():
    inner = uses("a", on_error=ASKS)
    actions = {"a": failing(1, "permanent"), "b": failing(1, "permanent")}
    run = drive(group("g", inner, uses("b", "a"), on_error=ASKS), actions=actions)
    run.choose("g#1/a#1", "retry")
    first = run.state.steps["g#1/a#1"].round
    run.choose("g#1", "retry")

    assert (first, run.state.steps["g#1/a#1"].round) == (2, 3)
    check(run, "succeeded")


def test_what_is_to_begin_anew_is_not_begun_by_what_it_joins():
    step = uses("a", "s", "t", join=Join.ANY, on_error=ASKS)
    run = PureRun(plan(uses("s"), uses("t"), step), actions={"a": failing(1, "permanent")})
    run.claim()
    run.move(run._execute("s#1"))
    run.move(run._execute("a#1"))
    chosen = {"key": "a#1", "choice": "retry"}
    run.outside(Event(kind=EventKind.QUESTION_RESOLVED, at=run.now, data=chosen))
    run.move(run._execute("t#1"))

    assert dict(run.state.running) == {"a#1": 2}
    run.move(run._execute("a#1"))
    check(run, "succeeded")


# --- attempts that end late ----------------------------------------------------------------------


def late(then, **fields):
    """A group whose time is over while `u` executes; its `on-error` names `u`."""
    names = OnError(compensate=("u",), then=then)
    whole = group("g", undoable("u", **fields), total_seconds=60.0, on_error=names)
    run = PureRun(plan(whole, uses("b", "g", condition="true", reads=("g",)), approval("c")))
    run.claim()
    run.now = run.state.timers["deadline:g#1"]
    run.move(Event(kind=EventKind.STEP_STARTED, at=run.now))
    assert run.outcome("g") == "failed"
    assert "compensate/g#1/u#1" not in run.state.steps
    return run


def finish(run):
    while local := sorted(run.state.running):
        run.move(run._execute(local[0]))
    return run


@pytest.mark.parametrize("then", [AfterError.CONTINUE, AfterError.FAIL])
def test_what_completes_late_is_undone_at_once_if_an_on_error_named_it(then):
    run = late(then)
    run.move(run._execute("g#1/u#1"))

    assert "compensate/g#1/u#1" in run.state.running
    finish(run).resolve("c", "approved")
    assert ran(run).count("compensate/g#1/u#1") == 1
    check(run, "succeeded" if then is AfterError.CONTINUE else "failed")


def test_what_fails_late_is_undone_only_if_it_says_so():
    run = late(AfterError.CONTINUE)
    run.actions["u"] = boom()
    finish(run).resolve("c", "approved")
    assert "compensate/g#1/u#1" not in ran(run)
    check(run, "succeeded")

    run = late(AfterError.CONTINUE, compensate_on_failure=True)
    run.actions["u"] = boom()
    finish(run).resolve("c", "approved")
    assert ran(run).count("compensate/g#1/u#1") == 1
    check(run, "succeeded")


def test_nothing_is_undone_while_it_still_executes():
    run = late(AfterError.CONTINUE, compensate_on_failure=True)

    assert dict(run.state.running) == {"b#1": 1, "g#1/u#1": 1}
    check_open(run)


def test_what_completes_late_and_was_not_named_waits_for_the_end():
    slow = race("r", undoable("u"), uses("w"))
    run = PureRun(plan(slow, approval("c")))
    run.claim()
    run.move(run._execute("r#1/w#1"))
    run.move(run._execute("r#1/u#1"))

    assert not run.state.running
    run.resolve("c", "approved")
    check(run, "succeeded")
