"""What operators do to a step of a run that goes on: try it again, skip it."""

import pytest

from engine.domain.errors import UnexpectedEventError
from engine.domain.events import Event, EventKind
from engine.domain.moving import EffectKind
from engine.domain.plan import (
    AfterError,
    Join,
    On,
    OnError,
    Rate,
    Retry,
    Transition,
)
from engine.domain.skipping import find_skip_obstacle
from engine.domain.state import RunStatus, StepStatus
from engine.domain.steering import find_retry_obstacle
from tests.constructs import (
    CHILD,
    call,
    check,
    check_open,
    drive,
    each,
    event,
    final,
    group,
    live,
    loop,
    machine,
    matrix,
    put,
    race,
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


# --- trying again --------------------------------------------------------------------------------


def test_the_next_attempt_begins_now():
    run = started(uses("a", retry=RETRY), actions={"a": failing(1)})
    execute(run, "a#1")
    assert run.outcome("a") == "backoff"
    before = run.now

    retry(run, "a#1")

    assert run.closed == "succeeded"
    assert run.now == before


def test_a_rate_limit_is_not_got_around():
    run = started(uses("a", rate=Rate(limit=1, seconds=60.0, key="k")))
    run.move(run.admit("a#1", delay=60))

    assert "rate limit" in why_not_retry(run, "a#1")
    with pytest.raises(UnexpectedEventError):
        retry(run, "a#1")


def test_a_step_that_somebody_is_about_to_be_asked_about_begins_anew():
    run = started(uses("a", on_error=ASKS), uses("b", "a"), actions={"a": failing(1, "odd")})
    pause(run)
    execute(run, "a#1")
    assert run.outcome("a") == "opening"

    tell(run, EventKind.STEP_RETRY_REQUESTED, key="a#1")

    resume(run)
    assert run.closed == "succeeded"
    assert run.state.steps["a#1"].round == 2
    assert [item.kind for item in run.effects] == []


def test_an_open_question_is_answered_not_passed_over():
    run = drive(uses("a", on_error=ASKS), actions={"a": boom()})

    assert "asked" in why_not_retry(run, "a#1")
    assert "asked" in why_not_skip(run, "a#1")


def failed_beside(*steps, times=1, **fields):
    """A run in which `a` has failed while `wait` keeps it open."""
    actions = {"a": failing(times, "odd"), **fields.pop("actions", {})}
    return drive(uses("a", **fields), event("wait"), *steps, actions=actions)


def test_what_failed_is_tried_again_while_the_run_is_open():
    run = failed_beside(uses("b", "a"), uses("c", "b"), uses("d", "c", "wait"))
    assert (run.outcome("b"), run.outcome("c")) == ("unreached", "unreached")

    retry(run, "a#1")

    assert (run.outcome("a"), run.outcome("c"), run.outcome("d")) == (
        "succeeded",
        "succeeded",
        "pending",
    )
    assert run.state.steps["a#1"].round == 2
    check_open(run)
    run.receive("wait#1", "thing.done")
    assert run.closed == "succeeded"
    check(run, run.closed)


def test_what_fails_again_fails_the_run():
    run = failed_beside(uses("b", "a"), times=2)

    retry(run, "a#1")

    assert (run.outcome("a"), run.outcome("b")) == ("failed", "unreached")
    run.receive("wait#1", "thing.done")
    assert run.closed == "failed"
    check(run, run.closed)


def test_a_container_is_tried_again_with_all_inside():
    run = drive(
        group("g", uses("x"), uses("a", "x")),
        event("wait"),
        uses("b", "g"),
        actions={"a": failing(1, "odd")},
    )
    assert "try that again" in why_not_retry(run, "g#1/a#1")

    retry(run, "g#1")

    assert (run.outcome("g"), run.outcome("b")) == ("succeeded", "succeeded")
    assert ran(run).count("g#1/x#1") == 2
    run.receive("wait#1", "thing.done")
    assert run.closed == "succeeded"
    check(run, run.closed)


def test_a_paused_run_can_be_mended_before_it_fails():
    run = started(undoable("a"), uses("b", "a"), actions={"b": failing(1, "odd")})
    execute(run, "a#1")
    pause(run)
    execute(run, "b#1")
    assert run.outcome("b") == "failed"

    tell(run, EventKind.STEP_RETRY_REQUESTED, key="b#1")
    assert run.claim().status is RunStatus.PAUSED

    assert resume(run).closed == "succeeded"
    assert "compensate/a#1" not in ran(run)
    check(run, run.closed)


@pytest.mark.parametrize(
    ("run", "key", "why"),
    [
        (lambda: started(uses("a")), "a#1", "is running"),
        (lambda: drive(uses("a"), event("w")), "a#1", "ended succeeded"),
        (lambda: drive(event("a")), "a#1", "is waiting"),
        (lambda: drive(event("a")), "z#1", "no such step"),
        (lambda: failed_beside(uses("b", "a", join=Join.ALL_SETTLED)), "a#1", "gone on without"),
        (
            lambda: drive(
                undoable("u"),
                uses("a", "u", on_error=OnError(compensate=("u",), then=AfterError.FAIL)),
                event("wait"),
                actions={"a": boom()},
            ),
            "a#1",
            "undone",
        ),
    ],
)
def test_what_cannot_be_tried_again_says_why(run, key, why):
    made = run()

    assert why in why_not_retry(made, key)
    with pytest.raises(UnexpectedEventError):
        retry(made, key)


def test_nothing_is_tried_again_in_a_run_that_is_being_cancelled():
    run = started(uses("a", retry=RETRY), uses("b"), actions={"a": failing(1)})
    execute(run, "a#1")
    run.cancel()

    assert "cancelled" in why_not_retry(run, "a#1")
    assert "cancelled" in why_not_skip(run, "a#1")


# --- skipping ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "withdrawn"),
    [
        (event("a"), [("event", "a#1")]),
        (timer("a", lasts="P9D"), []),
        (call("a"), [("call", "a#1")]),
        (uses("a", mutex="door"), []),
        (group("a", event("x")), [("event", "a#1/x#1")]),
        (race("a", event("x"), timer("y", lasts="P9D")), [("event", "a#1/x#1")]),
        (each("a", event("x"), items="[1]"), [("event", "a#1/item#1")]),
        (matrix("a", event("x"), axes={"x": [1]}), [("event", "a#1/cell#1")]),
        (loop("a", event("x"), until="true"), [("event", "a#1/turn#1")]),
    ],
    ids=lambda item: type(item.verb).__name__ if hasattr(item, "verb") else "",
)
def test_a_step_that_waits_is_skipped_and_what_it_waited_for_taken_back(step, withdrawn):
    run = started(step, uses("b", "a"), uses("c", "a", condition="true"))

    skip(run, "a#1")

    assert run.outcome("a") == "skipped"
    assert (run.outcome("b"), run.outcome("c")) == ("skipped", "succeeded")
    assert run.withdrawn() == withdrawn
    assert run.closed == "succeeded"
    check(run, run.closed)


def test_a_step_is_skipped_before_anything_it_needs_has_ended():
    run = started(event("a"), uses("b", "a"), uses("c", "b", condition="true"))

    skip(run, "b#1")

    assert run.outcome("b") == "skipped"
    run.receive("a#1", "thing.done")
    assert run.closed == "succeeded"
    assert ran(run) == ["c#1"]
    check(run, run.closed)


def test_an_attempt_that_was_handed_over_goes_on_without_its_step():
    run = started(uses("a", queue="gpu"), uses("b", "a", condition="true"))

    skip(run, "a#1")

    assert (run.outcome("a"), run.outcome("b"), run.closed) == ("skipped", "succeeded", "")
    execute(run, "a#1")
    assert run.closed == "succeeded"
    check(run, run.closed)


def test_a_step_between_two_attempts_may_have_to_be_undone():
    run = started(
        undoable("a", retry=RETRY, compensate_on_failure=True),
        uses("b", "a", condition="true"),
        actions={"a": failing(1), "b": boom()},
    )
    execute(run, "a#1")

    skip(run, "a#1")

    assert run.closed == "failed"
    assert ran(run)[-1] == "compensate/a#1"


def test_an_item_is_skipped_and_the_others_go_on():
    run = started(each("a", event("x"), items="[1, 2]"))

    skip(run, "a#1/item#1")
    run.receive("a#1/item#2", "thing.done")

    assert run.closed == "succeeded"
    assert run.outcome("a#1/item#1") == "skipped"


def test_a_question_that_is_not_asked_yet_needs_no_answer():
    run = started(uses("a", on_error=ASKS), actions={"a": boom()})
    pause(run)
    execute(run, "a#1")

    tell(run, EventKind.STEP_SKIP_REQUESTED, key="a#1")

    assert resume(run).closed == "succeeded"
    assert run.effects == []


GATED = Transition(on=On.SUCCESS, to="end", condition="steps.one.outcome == 'succeeded'")


@pytest.mark.parametrize(
    ("steps", "key", "why"),
    [
        ([approval("a")], "a#1", "is an approval"),
        ([group("a", event("x"), approval("y", "x"))], "a#1", "holds one"),
        ([each("a", approval("x"), items="[1]")], "a#1", "holds one"),
        ([uses("a")], "a#1", "executes now"),
        ([group("a", uses("x"))], "a#1", "executes now"),
        ([event("a")], "z#1", "no such step"),
        ([event("a"), approval("b", "a", condition="true", condition_reads=("a",))], "a#1", "b"),
        (
            [
                event("a"),
                uses("m", "a", condition="true"),
                approval("b", condition="true", condition_reads=("m",), join=Join.ALL_SETTLED),
            ],
            "a#1",
            "Whether b",
        ),
        (
            [
                event("a"),
                put("v", "a", values={"x": "1"}),
                approval("b", "v", condition="vars.x == 1"),
            ],
            "a#1",
            "Whether b",
        ),
        (
            [event("a"), each("b", approval("x"), items="steps.a.outputs.list", needs=("a",))],
            "a#1",
            "asks anybody",
        ),
        (
            [
                event("a"),
                group(
                    "g",
                    approval("b"),
                    needs=("a",),
                    condition="steps.a.outcome != 'skipped'",
                    condition_reads=("a",),
                ),
            ],
            "a#1",
            "Whether b",
        ),
    ],
)
def test_nobody_gets_around_an_approval_nor_takes_an_attempt_back(steps, key, why):
    run = started(*steps)

    assert why in why_not_skip(run, key)
    with pytest.raises(UnexpectedEventError):
        skip(run, key)


def test_what_no_approval_depends_on_is_skipped_beside_one():
    run = started(
        group("g", event("x"), event("a"), approval("b", "x", condition="true")),
        approval("c", "g"),
    )

    assert why_not_skip(run, "g#1/a#1") == ""
    skip(run, "g#1/a#1")
    assert run.outcome("g#1/a#1") == "skipped"


def test_an_approval_that_needs_what_is_skipped_is_not_reached_and_lets_nothing_through():
    run = started(event("a"), approval("b", "a"), uses("deploy", "b"))

    skip(run, "a#1")

    assert (run.outcome("b"), run.outcome("deploy")) == ("unreached", "unreached")
    assert ran(run) == []


def test_a_state_is_not_skipped_but_a_step_inside_one_is():
    inside = group("one", event("x"), event("y"))
    run = live(state("one", Transition(on=On.SUCCESS, to="end"), step=inside), final("end"))
    run.claim()

    assert "transitions" in why_not_skip(run, "one#1")
    skip(run, "one#1/x#1")
    run.receive("one#1/y#1", "thing.done")
    assert run.closed == "succeeded"


def test_what_leads_a_machine_to_an_approval_is_not_skipped():
    made = machine(
        state(
            "one",
            Transition(on=On.SUCCESS, to="end", condition="steps.x.outcome == 'skipped'"),
            Transition(on=On.SUCCESS, to="two"),
            step=group("one", event("x")),
        ),
        state("two", Transition(on=On.SUCCESS, to="end"), step=approval("two")),
        final("end"),
    )
    run = PureRun(made)
    run.claim()

    assert "comes to an approval" in why_not_skip(run, "one#1/x#1")


def test_what_is_held_back_gives_up_its_place():
    run = started(uses("a", mutex="door"))
    assert run.state.steps["a#1"].status is StepStatus.HELD

    skip(run, "a#1")

    assert [item.key for item in run.effects if item.kind is EffectKind.RELEASE] == ["a#1"]
