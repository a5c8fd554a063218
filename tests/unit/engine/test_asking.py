"""When a step has failed and a person is to say what becomes of it."""

import pytest

from engine.domain.events import Event, EventKind
from engine.domain.moving import EffectKind, lose
from engine.domain.plan import AfterError, OnError, Retry
from engine.domain.state import StepError
from tests.constructs import (
    call,
    check,
    check_open,
    drive,
    each,
    emit,
    group,
    loop,
    matrix,
    put,
    race,
    ran,
    timer,
)
from tests.plans import boom, failing, plan, undoable, uses
from tests.pure_run import PureRun, PureSources

ASKS = OnError(then=AfterError.ASK)


def asked(run):
    """Return the keys that somebody was asked about, each with its kind of error."""
    asking = [item for item in run.effects if item.kind is EffectKind.ASK]
    return [(item.key, item.body["error"]["kind"]) for item in asking]


def broken(*, times=1):
    """A step that fails `times` times and is asked about, and what needs it."""
    steps = (uses("a", on_error=ASKS), uses("after", "a"))
    return drive(*steps, actions={"a": failing(times, "odd")})


# --- a step --------------------------------------------------------------------------------------


def test_a_question_says_what_went_wrong_and_what_can_be_done():
    run = broken()

    [effect] = [item for item in run.effects if item.kind is EffectKind.ASK]
    assert (effect.key, effect.verb) == ("a#1", "question")
    assert effect.body == {
        "error": {"kind": "odd", "message": "it broke"},
        "attempt": 1,
        "choices": ["retry", "skip", "fail"],
    }
    assert (run.outcome("a"), run.outcome("after")) == ("waiting", "pending")
    check_open(run)


def test_a_step_is_tried_again_with_all_its_retries():
    retry = Retry(retries_max=1, initial_seconds=5, jitter=False)
    run = drive(uses("a", retry=retry, on_error=ASKS), actions={"a": failing(3)})
    assert asked(run) == [("a#1", "transient")]
    run.choose("a#1", "retry")

    assert [attempt for _, attempt, _ in run.executed] == [1, 2, 3, 4]
    assert run.state.steps["a#1"].round == 2
    check(run, "succeeded")


def test_a_step_that_fails_again_is_asked_about_again():
    run = broken(times=2).choose("a#1", "retry")

    assert asked(run) == [("a#1", "odd")] * 2
    check(run.choose("a#1", "retry"), "succeeded")


def test_a_step_may_be_skipped():
    run = broken().choose("a#1", "skip")

    assert (run.outcome("a"), run.outcome("after")) == ("skipped", "skipped")
    check(run, "succeeded")


def test_a_step_may_fail_after_all():
    run = broken().choose("a#1", "fail")

    assert (run.outcome("a"), run.error_kind("a")) == ("failed", "odd")
    assert run.outcome("after") == "unreached"
    check(run, "failed")


def test_what_an_on_error_names_is_undone_only_when_the_step_fails_after_all():
    names = OnError(compensate=("u",), then=AfterError.ASK)
    run = drive(undoable("u"), uses("a", "u", on_error=names), actions={"a": boom()})
    assert ran(run) == ["u#1", "a#1"]
    run.choose("a#1", "fail")

    assert ran(run) == ["u#1", "a#1", "compensate/u#1"]
    check(run, "failed")


def test_what_goes_on_beside_a_question_is_not_held_up():
    run = drive(uses("a", on_error=ASKS), uses("b"), uses("c", "b"), actions={"a": boom()})

    assert ran(run) == ["a#1", "b#1", "c#1"]
    check(run.choose("a#1", "skip"), "succeeded")


def test_a_run_is_cancelled_while_somebody_is_asked():
    run = broken()
    run.cancel()
    run.drive()

    assert run.withdrawn() == [("question", "a#1")]
    check(run, "cancelled")


def test_nobody_is_asked_about_a_run_that_is_being_cancelled():
    run = PureRun(plan(uses("a", on_error=ASKS)), actions={"a": boom()})
    run.claim()
    run.cancel()
    run.move(run._execute("a#1"))

    assert asked(run) == []
    check(run, "failed")


def test_a_retry_that_was_chosen_as_the_run_was_cancelled_does_not_begin():
    run = broken()
    run.cancel()
    run.choose("a#1", "retry")

    assert ran(run) == ["a#1"]
    check(run, "cancelled")


# --- other verbs ---------------------------------------------------------------------------------


def test_a_failed_child_may_be_started_again():
    run = drive(call("c", on_error=ASKS)).end_child("c#1", "failed")
    assert asked(run) == [("c#1", "child")]
    run.choose("c#1", "retry").end_child("c#1", "succeeded")

    started = [item.body["run"] for item in run.effects if item.kind is EffectKind.CALL]
    assert len(set(started)) == 2
    check(run, "succeeded")


def test_what_was_refused_may_be_sent_again():
    sources = PureSources()
    sources.refusals["thing.sent"] = StepError(kind="refused", message="no")
    run = drive(emit("e", on_error=ASKS), sources=sources)
    assert asked(run) == [("e#1", "refused")]
    sources.refusals.clear()

    check(run.choose("e#1", "retry"), "succeeded")


@pytest.mark.parametrize(
    "step",
    [
        timer("s", lasts="${{ vars.lasts }}", on_error=ASKS),
        put("s", values={"x": "vars.lasts.absent"}, on_error=ASKS),
        uses("s", condition="vars.absent", on_error=ASKS),
    ],
)
def test_an_expression_that_errs_is_asked_about(step):
    run = drive(step, variables={"lasts": "soon"})

    assert asked(run) == [("s#1", "expression")]
    check(run.choose("s#1", "skip"), "succeeded")


# --- containers ----------------------------------------------------------------------------------


def containers():
    """Return each kind of container around the step `a`, with the keys that it executes."""
    body, asks = group("body", uses("a")), {"on_error": ASKS}
    return [
        (group("s", uses("a"), uses("b", "a"), on_error=ASKS), ["s#1/a#1", "s#1/b#1"]),
        (race("s", uses("a"), on_error=ASKS), ["s#1/a#1"]),
        (each("s", body, items="[1]", fields=asks), ["s#1/item#1/a#1"]),
        (matrix("s", body, axes={"x": [1]}, fields=asks), ["s#1/cell#1/a#1"]),
        (loop("s", body, until="true", fields=asks), ["s#1/turn#1/a#1"]),
    ]


@pytest.mark.parametrize(("step", "keys"), containers())
def test_a_container_begins_anew_as_a_whole(step, keys):
    run = drive(step, actions={"a": failing(1, "odd")})
    assert len(asked(run)) == 1
    run.choose("s#1", "retry")

    assert ran(run) == [keys[0], *keys]
    assert run.state.steps[keys[0]].round == 2
    check(run, "succeeded")


@pytest.mark.parametrize("choice", ["skip", "fail"])
@pytest.mark.parametrize(("step", "keys"), containers())
def test_a_container_may_be_skipped_or_fail(step, keys, choice):
    run = drive(step, uses("after", "s"), actions={"a": boom()}).choose("s#1", choice)

    assert ran(run) == keys[:1]
    check(run, "succeeded" if choice == "skip" else "failed")


def test_a_container_begins_anew_once_nothing_executes_inside():
    run = PureRun(plan(group("g", uses("slow"), uses("a"), on_error=ASKS)))
    run.actions = {"a": failing(1, "odd")}
    run.claim()
    run.move(run._execute("g#1/a#1"))
    assert (run.outcome("g"), dict(run.state.running)) == ("open", {"g#1/slow#1": 1})
    run.move(run._execute("g#1/slow#1"))
    assert asked(run) == [("g#1", "odd")]

    check(run.choose("g#1", "retry"), "succeeded")


def test_a_late_container_waits_for_its_attempts_before_it_begins_anew():
    whole = group("g", uses("slow"), total_seconds=60.0, on_error=ASKS)
    run = PureRun(plan(whole))
    run.claim()
    deadline = run.state.timers["deadline:g#1"]
    run.now = deadline
    run.move(Event(kind=EventKind.TIMER_FIRED, at=deadline, data={"timer": "deadline:g#1"}))
    assert asked(run) == [("g#1", "timeout")]
    chosen = {"key": "g#1", "choice": "retry"}
    run.move(Event(kind=EventKind.QUESTION_RESOLVED, at=deadline, data=chosen))
    assert dict(run.state.running) == {"g#1/slow#1": 1}  # the first attempt still executes
    run.move(run._execute("g#1/slow#1"))

    assert dict(run.state.running) == {"g#1/slow#1": 1}  # and now that of the second round
    run.move(run._execute("g#1/slow#1"))
    check(run, "succeeded")


def test_what_was_undone_before_a_container_began_anew_is_undone_again():
    names = OnError(compensate=("u",), then=AfterError.FAIL)
    inner = (undoable("u"), uses("a", "u", on_error=names))
    run = drive(group("g", *inner, on_error=ASKS), actions={"a": boom()})
    run.choose("g#1", "retry").choose("g#1", "fail")

    once = ["g#1/u#1", "g#1/a#1", "compensate/g#1/u#1"]
    assert ran(run) == [*once, *once]
    check(run, "failed")


# --- at most once --------------------------------------------------------------------------------


def uncertain():
    run = PureRun(plan(uses("pay", at_most_once=True, timeout_seconds=600.0), uses("after", "pay")))
    run.claim()
    return run.lose("pay#1")


def test_a_payment_nobody_knows_of_is_asked_about():
    run = uncertain()

    assert asked(run) == [("pay#1", "uncertain")]
    assert ran(run) == []
    check_open(run)


def test_a_payment_is_repeated_only_when_the_first_attempt_must_be_over():
    run = uncertain().choose("pay#1", "retry")

    assert run.executed[0][:2] == ("pay#1", 2)
    assert (run.now - run.events[0].at).total_seconds() == 600
    check(run, "succeeded")


@pytest.mark.parametrize(("choice", "closed"), [("skip", "succeeded"), ("fail", "failed")])
def test_a_payment_may_be_taken_as_made_or_not(choice, closed):
    run = uncertain().choose("pay#1", choice)

    assert ran(run) == []
    check(run, closed)


def test_an_attempt_that_fails_is_not_uncertain():
    retry = Retry(retries_max=1, initial_seconds=1, jitter=False)
    run = drive(uses("pay", at_most_once=True, retry=retry), actions={"pay": failing(1)})

    assert asked(run) == []
    check(run, "succeeded")


def test_a_takeover_asks_about_what_must_not_happen_twice():
    run = PureRun(plan(uses("pay", at_most_once=True), uses("other")))
    run.claim()
    run.work(list(run.claim().begun))

    assert asked(run) == [("pay#1", "uncertain")]
    assert ran(run) == ["other#1"]
    check(run.choose("pay#1", "skip"), "succeeded")


def test_a_turn_that_is_uncertain_is_asked_about_inside_its_loop():
    body = uses("pay", at_most_once=True)
    run = PureRun(plan(loop("pay", body, until="true")))
    run.claim()
    run.lose("pay#1/turn#1")
    assert asked(run) == [("pay#1/turn#1", "uncertain")]

    check(run.choose("pay#1/turn#1", "skip"), "succeeded")


def test_a_cancelled_run_does_not_ask_what_is_uncertain():
    run = PureRun(plan(uses("pay", at_most_once=True)))
    run.claim()
    run.cancel()
    run.move(lose(run.decider, run.state, "pay#1", at=run.now))

    assert asked(run) == []
    check(run, "cancelled")


def test_a_container_begins_anew_only_when_what_it_did_is_undone():
    names = OnError(compensate=("u",), then=AfterError.FAIL)
    inner = (undoable("u"), uses("a", "u", on_error=names))
    whole = group("g", *inner, total_seconds=60.0, on_error=ASKS)
    run = PureRun(plan(whole), actions={"a": failing(1, "odd")})
    run.claim()
    run.move(run._execute("g#1/u#1"))
    run.move(run._execute("g#1/a#1"))
    assert dict(run.state.running) == {"compensate/g#1/u#1": 1}
    late = {"timer": "deadline:g#1"}
    run.now = run.state.timers["deadline:g#1"]
    run.move(Event(kind=EventKind.TIMER_FIRED, at=run.now, data=late))
    chosen = {"key": "g#1", "choice": "retry"}
    run.move(Event(kind=EventKind.QUESTION_RESOLVED, at=run.now, data=chosen))
    assert dict(run.state.running) == {"compensate/g#1/u#1": 1}
    run.work(list(run.move(run._execute("compensate/g#1/u#1")).begun))

    assert ran(run)[3:] == ["g#1/u#1", "g#1/a#1"]
    check(run, "succeeded")
