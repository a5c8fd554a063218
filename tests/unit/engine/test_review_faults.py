"""Faults that a review found, each as what must not happen again."""

from types import SimpleNamespace

import pytest

from engine import appending
from engine.domain.events import Event, EventKind
from engine.domain.moving import EffectKind
from engine.domain.plan import AfterError, Cache, Enough, Group, Map, OnError, Retry, Step
from engine.domain.state import StepStatus
from engine.executing import Ended
from tests.constructs import check, check_open, drive, each, event, group, matrix, race, ran
from tests.plans import APPROVAL, approval, boom, failing, plan, undoable, uses
from tests.pure_run import PureRun

ASKS = OnError(then=AfterError.ASK)


def released(run):
    return [item.key for item in run.effects if item.kind is EffectKind.RELEASE]


def queued(step):
    """A run whose only step waits for its mutex until it is too late."""
    run = PureRun(plan(step))
    run.claim()
    run.now = run.state.timers["deadline:" + step.id + "#1"]
    run.claim()
    return run


# --- questions -----------------------------------------------------------------------------------


def test_a_payment_is_repeated_with_its_arguments():
    run = PureRun(plan(uses("pay", at_most_once=True, timeout_seconds=600.0)))
    run.claim()
    run.lose("pay#1").choose("pay#1", "retry")

    assert run.executed == [("pay#1", 2, {"function": "pay"})]
    check(run, "succeeded")


def test_a_step_that_failed_midway_is_undone_although_somebody_skipped_it():
    step = undoable("a", on_error=ASKS, compensate_on_failure=True)
    run = drive(step, uses("b"), approval("c"), uses("d", "c"), actions={"a": boom(), "d": boom()})
    run.choose("a#1", "skip").resolve("c", "approved")

    assert ran(run)[-1] == "compensate/a#1"
    check(run, "failed")


# --- mutexes -------------------------------------------------------------------------------------


def test_a_step_too_late_for_its_mutex_leaves_the_queue_and_joins_it_again():
    run = queued(uses("a", mutex="m", total_seconds=60.0, on_error=ASKS))

    assert released(run) == ["a#1"]
    assert run.state.steps["a#1"].is_asked
    run.choose("a#1", "retry")
    assert [item.data["gate"] for item in run.events if item.kind == "step.admitted"] == ["mutex"]
    check(run, "succeeded")


def test_a_container_too_late_for_its_mutex_does_not_begin_anew_without_it():
    run = queued(group("g", uses("a"), mutex="m", total_seconds=60.0, on_error=ASKS))

    run.choose("g#1", "retry")
    assert [item.data["gate"] for item in run.events if item.kind == "step.admitted"] == ["mutex"]
    check(run, "succeeded")


@pytest.mark.parametrize("is_around", [False, True])
def test_a_mutex_is_kept_until_what_executes_has_ended(is_around):
    lost = group("g", uses("a"), mutex="m") if is_around else uses("a", mutex="m")
    key = "r#1/g#1" if is_around else "r#1/a#1"
    run = PureRun(plan(race("r", lost, uses("b"))))
    run.claim()
    run.move(run.admit(key))
    run.move(run._execute("r#1/b#1"))

    assert run.state.steps[key].status is StepStatus.ENDED
    assert released(run) == []
    run.move(run._execute("r#1/g#1/a#1" if is_around else key))
    assert released(run) == [key]
    check(run, "succeeded")


def test_what_held_a_mutex_may_be_gone_when_it_is_given_back():
    fields = {"total_seconds": 60.0, "on_error": ASKS}
    many = each("m", uses("x", mutex="m"), concurrency=1, fields=fields)
    run = PureRun(plan(many), inputs={"items": [1, 2]})
    run.claim()
    run.move(run.admit("m#1/item#1"))
    run.move(run._execute("m#1/item#1"))
    run.move(run.admit("m#1/item#2"))
    run.now = run.state.timers["deadline:m#1"]
    run.move(Event(kind=EventKind.STEP_STARTED, at=run.now))
    run.outside(
        Event(kind=EventKind.QUESTION_RESOLVED, at=run.now, data={"key": "m#1", "choice": "retry"})
    )
    assert released(run) == ["m#1/item#1"]
    run.move(run._execute("m#1/item#2"))

    assert released(run) == ["m#1/item#1", "m#1/item#2"]
    assert "m#1/item#2" not in run.state.steps
    check_open(run)


def test_a_mutex_is_kept_until_the_last_of_a_map_that_has_enough_has_ended():
    body = uses("x", retry=Retry(retries_max=1))
    enough = each("m", body, enough=Enough(count=1), fields={"mutex": "m"})
    run = PureRun(plan(enough), inputs={"items": [1, 2]}, actions={"m": failing(1)})
    run.claim()
    run.move(run.admit("m#1"))
    run.move(run._execute("m#1/item#2"))  # fails, and is tried again later
    run.move(run._execute("m#1/item#1"))

    assert run.outcome("m") == "succeeded"
    assert not run.state.running
    assert released(run) == []
    run.drive()
    assert released(run) == ["m#1"]
    check(run, "succeeded")


# --- gates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [each, matrix])
def test_approvals_of_many_are_not_skipped_by_what_they_need(many):
    gate = many("gate", approval("x"), needs=("a",))
    after = uses("deploy", "gate", condition="true")
    run = drive(uses("a", condition="false"), gate, after, inputs={"items": [1]})

    assert (run.outcome("gate"), run.outcome("deploy")) == ("unreached", "unreached")
    check(run, "succeeded")


# --- lazy steps ----------------------------------------------------------------------------------


def lazy_chain(*others, **fields):
    """A session between two lazy steps, and the move that ended the first of them."""
    run = PureRun(plan(uses("a", lazy=True, **fields), uses("b", "a", lazy=True), *others))
    run.claim()
    if fields:
        run.move(run.admit("a#1"))
    before = run.state
    move = run.move(run._execute("a#1"))
    session = SimpleNamespace(
        rules=SimpleNamespace(decider=run.decider), executing={}, unwritten=None, state=before
    )
    found = appending.Found(ended=(Ended(key="a#1", attempt=1),))
    return session, found, move


def test_lazy_steps_alone_are_deferred():
    assert appending.can_defer(*lazy_chain())


@pytest.mark.parametrize("other", [approval("x"), event("x"), uses("x", queue="gpu")])
def test_lazy_steps_beside_what_others_may_move_are_recorded_at_once(other):
    assert not appending.can_defer(*lazy_chain(other))


def test_a_lazy_step_whose_result_others_use_is_recorded_at_once():
    assert not appending.can_defer(*lazy_chain(cache=Cache(key="k", ttl_seconds=60)))


def test_an_approval_of_nothing_opens_no_gate():
    mapped = Map(items="inputs.hosts", name="host", body=Step(id="item", verb=APPROVAL))
    run = PureRun(
        plan(Step(id="ask", verb=mapped), uses("deploy", "ask")), inputs={"hosts": []}
    ).drive()

    assert run.outcome("ask") == "unreached"
    assert run.outcome("deploy") == "unreached"
    assert run.executed == []


def test_an_error_in_the_if_of_a_mapped_approval_keeps_the_gate():
    mapped = Map(items="inputs.hosts", name="host", body=Step(id="item", verb=APPROVAL))
    run = PureRun(
        plan(Step(id="ask", verb=mapped, condition="inputs.absent"), uses("deploy", "ask")),
        inputs={"hosts": ["a"]},
    ).drive()

    assert run.outcome("ask#1/item#1") == "waiting"
    assert run.resolve("ask#1/item#1", "approved").closed == "succeeded"


def test_a_step_inside_what_holds_its_mutex_does_not_wait_for_itself():
    inner = uses("work", mutex="printer")
    run = PureRun(plan(Step(id="all", verb=Group(steps={"work": inner}), mutex="printer")))

    assert run.drive().closed == "succeeded"
    assert [event.data["key"] for event in run.events if "gate" in event.data] == ["all#1"]
    assert [item.key for item in run.effects if item.kind is EffectKind.RELEASE] == ["all#1"]
