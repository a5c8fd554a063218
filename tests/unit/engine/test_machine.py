"""State machines: what moves a run on, and what ends it."""

from datetime import timedelta
from uuid import UUID

import pytest

from core.kernel import limits
from engine.domain.events import Event, EventKind
from engine.domain.moving import EffectKind
from engine.domain.plan import AfterError, Enough, On, OnError, StateEvent, Stuck, Transition
from tests.constructs import (
    call,
    check,
    check_open,
    each,
    event,
    final,
    group,
    live,
    machine,
    put,
    ran,
    state,
)
from tests.plans import approval, boom, undoable, uses
from tests.pure_run import START, PureRun

DONE, LOST = final("done"), final("lost", "rejected")


def success(to, **fields):
    return Transition(on=On.SUCCESS, to=to, **fields)


def after(seconds, to, **fields):
    return Transition(on=On.AFTER, to=to, seconds=seconds, **fields)


def received(to, name="thing.done", **fields):
    return Transition(on=On.EVENT, to=to, name=name, **fields)


def outcome(name, to, **fields):
    return Transition(on=On.OUTCOME, to=to, name=name, **fields)


# --- ways on -------------------------------------------------------------------------------------


def test_a_machine_goes_from_state_to_state_until_a_final_one():
    run = live(
        state("a", success("b"), step=uses("a")), state("b", success("done"), step=uses("b")), DONE
    )

    assert ran(run) == ["a#1", "b#1"]
    check(run, "succeeded")


@pytest.mark.parametrize("end", ["succeeded", "rejected", "expired", "cancelled", "failed"])
def test_a_final_state_says_how_the_run_ends(end):
    check(live(state("a", success("z"), step=uses("a")), final("z", end)), end)


@pytest.mark.parametrize(
    ("end", "closed"),
    [("approved", "succeeded"), ("overridden", "succeeded"), ("rejected", "rejected")],
)
def test_overridden_answers_as_approved(end, closed):
    ways = (outcome("approved", "done"), outcome("rejected", "lost"))
    run = live(state("a", *ways, step=approval("a")), DONE, LOST).resolve("a", end)

    check(run, closed)


@pytest.mark.parametrize("end", ["rejected", "expired"])
def test_an_outcome_that_nothing_answers_ends_the_run_with_it(end):
    run = live(state("a", success("done"), step=approval("a")), DONE).resolve("a", end)

    check(run, end)


def test_a_failure_is_answered_and_can_be_read():
    by_kind = Transition(on=On.ERROR, to="lost", condition="steps.a.error.kind == 'odd'")
    otherwise = Transition(on=On.ERROR, to="done")
    run = live(
        state("a", by_kind, otherwise, step=uses("a")), DONE, LOST, actions={"a": boom("odd")}
    )

    check(run, "rejected")


def test_a_failure_that_nothing_answers_fails_the_run_and_undoes_it():
    run = live(
        state("a", success("b"), step=undoable("a")),
        state("b", success("done"), step=uses("b")),
        DONE,
        actions={"b": boom()},
    )

    assert ran(run) == ["a#1", "b#1", "compensate/a#1"]
    check(run, "failed")


def test_the_first_transition_whose_condition_holds_is_taken():
    ways = (success("lost", condition="vars.n > 5"), success("done"))

    check(live(state("a", *ways, step=uses("a")), DONE, LOST, variables={"n": 1}), "succeeded")
    check(live(state("a", *ways, step=uses("a")), DONE, LOST, variables={"n": 9}), "rejected")


def test_back_edges_visit_a_state_again_under_a_new_key():
    back = success("a", condition="vars.n < 3", values={"n": "vars.n + 1"})
    run = live(
        state("a", back, success("done"), step=uses("a", arguments={"n": "${{ vars.n }}"})),
        DONE,
        variables={"n": 1},
    )

    assert [(key, given["n"]) for key, _, given in run.executed] == [
        ("a#1", 1),
        ("a#2", 2),
        ("a#3", 3),
    ]
    check(run, "succeeded")


def test_steps_of_a_state_are_those_of_its_last_visit():
    count = [0]

    def action(_):
        count[0] += 1
        return count[0]

    read = uses("b", arguments={"got": "${{ steps.a.outputs.result }}"})
    run = live(
        state("a", success("b"), step=uses("a")),
        state(
            "b", success("a", condition="steps.a.outputs.result < 2"), success("done"), step=read
        ),
        DONE,
        actions={"a": action},
    )

    assert [given["got"] for key, _, given in run.executed if key.startswith("b")] == [1, 2]
    check(run, "succeeded")


def test_a_set_in_a_transition_sees_the_event():
    take = received("done", values={"who": "event.data.who", "id": "event.id"})
    run = live(state("a", take, step=event("a")), DONE, variables={"who": "", "id": ""})
    run.receive("a#1", "thing.done", {"who": "ada"})

    assert run.state.variables == {"who": "ada", "id": str(UUID(int=99))}
    check(run, "succeeded")


def test_an_event_that_no_transition_takes_ends_the_run_as_its_step_ended():
    run = live(state("a", received("lost", condition="event.data.bad"), step=event("a")), LOST)
    run.receive("a#1", "thing.done", {"bad": False})

    check(run, "succeeded")


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "way",
    [
        success("done", condition="vars.absent"),
        success("done", condition="'yes'"),
        success("done", values={"n": "vars.absent + 1"}),
    ],
)
def test_an_expression_that_errs_in_a_transition_fails_the_run(way):
    run = live(state("a", way, step=undoable("a")), DONE, variables={"n": 1})

    assert ran(run) == ["a#1", "compensate/a#1"]
    assert run.state.closing.why
    assert run.events[-1].payloads["why"] == run.state.closing.why
    check(run, "failed")


def test_a_correlate_that_errs_fails_the_run():
    listens = StateEvent(type="x", to="done", correlate={"id": "vars.absent"})
    run = live(state("a", success("done"), step=approval("a"), events=(listens,)), DONE)

    assert run.closed == "failed"
    check(run, "failed")


def test_a_machine_in_a_circle_is_stopped():
    run = live(
        state("a", success("b"), step=put("a", values={"n": "1"})),
        state("b", success("a"), step=put("b", values={"n": "2"})),
        DONE,
        variables={"n": 0},
    )

    assert run.state.visit_count == limits.STATE_RUSH_COUNT_MAX
    assert "without a pause" in run.state.closing.why
    check(run, "failed")


def test_a_machine_that_pauses_may_go_round_longer():
    count = limits.STATE_RUSH_COUNT_MAX + 10
    back = after(60, "a", condition=f"vars.n < {count}", values={"n": "vars.n + 1"})
    run = live(state("a", back, after(120, "done")), DONE, variables={"n": 0})

    assert run.state.visit_count > limits.STATE_RUSH_COUNT_MAX
    check(run, "succeeded")


def test_a_machine_may_not_go_round_for_ever(monkeypatch):
    monkeypatch.setattr(limits, "STATE_VISIT_COUNT_MAX", 10)
    run = live(state("a", after(60, "a")), DONE)

    assert run.state.visit_count == 10
    assert "continue as new" in run.state.closing.why
    check(run, "failed")


# --- time ----------------------------------------------------------------------------------------


def test_after_counts_from_when_the_state_was_entered():
    run = live(state("a", after(60, "b")), state("b", after(60, "done")), DONE)

    assert run.now - START == timedelta(seconds=120)
    check(run, "succeeded")


def test_after_takes_back_what_the_state_waits_for():
    run = live(state("a", success("done"), after(60, "lost"), step=approval("a")), DONE, LOST)
    run.wait(60)

    assert run.withdrawn() == [("approval", "a#1")]
    check(run, "rejected")


def test_an_after_is_forgotten_with_its_state():
    run = live(
        state("a", received("b"), after(60, "lost"), step=event("a")),
        state("b", received("done"), step=event("b")),
        DONE,
        LOST,
    )
    run.receive("a#1", "thing.done")
    assert not run.state.timers
    run.wait(3600)

    check_open(run)
    check(run.receive("b#1", "thing.done"), "succeeded")


def test_an_after_whose_condition_fails_leaves_the_run_where_it_is():
    ways = (after(60, "lost", condition="false"), success("done"))
    run = live(state("a", *ways, step=approval("a")), DONE, LOST).wait(60)

    check_open(run)
    check(run.resolve("a", "approved"), "succeeded")


@pytest.mark.parametrize("stuck", [None, Stuck(seconds=30, notify={"groups": ["leads"]})])
def test_a_state_that_nothing_can_lead_out_of_fails_the_run(stuck):
    run = live(
        state("a", after(60, "done", condition="vars.n > 0"), stuck=stuck), DONE, variables={"n": 0}
    )

    assert "a" in run.state.closing.why
    check(run, "failed")


def test_a_run_that_is_stuck_tells_somebody_once():
    stuck = Stuck(seconds=3600, notify={"groups": ["leads"]})
    run = live(state("a", success("done"), step=approval("a"), stuck=stuck), DONE).wait(3600)

    alarms = [effect for effect in run.effects if effect.kind is EffectKind.ALARM]
    assert [(effect.key, effect.body) for effect in alarms] == [
        ("a#1", {"notify": {"groups": ["leads"]}, "since": START.isoformat()})
    ]
    run.wait(3600)
    assert len([effect for effect in run.effects if effect.kind is EffectKind.ALARM]) == 1
    check(run.resolve("a", "approved"), "succeeded")


def test_a_run_that_is_stuck_may_go_elsewhere():
    stuck = Stuck(seconds=3600, to="lost", notify={"groups": ["leads"]})
    run = live(state("a", success("done"), step=approval("a"), stuck=stuck), DONE, LOST).wait(3600)

    assert run.withdrawn() == [("approval", "a#1")]
    alarms = [effect.body for effect in run.effects if effect.kind is EffectKind.ALARM]
    assert [item["since"] for item in alarms] == [START.isoformat()]
    check(run, "rejected")


# --- events --------------------------------------------------------------------------------------


def listening(*transitions, step=None, **entry):
    entry = {"type": "thing.left", "to": "lost", **entry}
    return state(
        "a",
        *transitions,
        success("done"),
        step=step or approval("a"),
        events=(StateEvent(**entry),),
    )


def awaited(run):
    return [effect.key for effect in run.effects if effect.kind is EffectKind.AWAIT]


def test_an_event_of_a_state_leads_out_of_it():
    run = live(listening(values={"why": "event.data.why"}), DONE, LOST, variables={"why": ""})
    run.receive("a#1/event#1", "thing.left", {"why": "late"})

    assert run.withdrawn() == [("approval", "a#1")]
    assert run.state.variables == {"why": "late"}
    check(run, "rejected")


ENDS = {
    "approval": (approval("a"), EventKind.APPROVAL_RESOLVED, {"outcome": "approved"}),
    "event": (event("a"), EventKind.EVENT_RECEIVED, {"event": "e", "type": "thing.done"}),
    "call": (call("a"), EventKind.CHILD_CLOSED, {"run": "r", "outcome": "succeeded"}),
    "question": (
        uses("a", on_error=OnError(then=AfterError.ASK)),
        EventKind.QUESTION_RESOLVED,
        {"choice": "retry"},
    ),
}


@pytest.mark.parametrize("waits_for", ENDS)
def test_what_a_state_waited_for_may_end_before_the_run_knows_that_it_has_left(waits_for):
    """Both come from outside, one after the other, while nobody drives the run."""
    step, kind, data = ENDS[waits_for]
    run = live(listening(step=step), DONE, LOST, actions={"a": boom()})
    left = {"key": "a#1/event#1", "event": str(UUID(int=9)), "type": "thing.left"}
    run.outside(Event(kind=EventKind.EVENT_RECEIVED, at=run.now, data=left))
    run.outside(Event(kind=kind, at=run.now, data={"key": "a#1", **data}))
    run.drive()

    assert run.withdrawn() == []  # it has ended by itself
    assert run.outcome("a") == "cancelled"
    check(run, "rejected")


def test_a_state_that_is_left_listens_no_more():
    run = live(listening(), DONE, LOST).resolve("a", "approved")

    assert run.withdrawn() == [("event", "a#1/event#1")]
    check(run, "succeeded")


def test_an_event_whose_condition_fails_is_listened_to_again():
    run = live(listening(condition="event.data.sure"), DONE, LOST)
    run.receive("a#1/event#1", "thing.left", {"sure": False})
    assert awaited(run) == ["a#1/event#1"] * 2
    check_open(run)
    run.receive("a#1/event#1", "thing.left", {"sure": True})

    check(run, "rejected")


def test_an_event_whose_condition_errs_fails_the_run():
    run = live(listening(condition="event.data.absent"), DONE, LOST)
    run.receive("a#1/event#1", "thing.left", {})

    assert run.withdrawn() == [("approval", "a#1")]
    check(run, "failed")


def test_an_event_without_to_is_for_the_transitions():
    ways = (
        received("lost", "thing.left", condition="event.data.final"),
        received("a", "thing.left", condition="event.data.again"),
    )
    run = live(listening(*ways, to=""), DONE, LOST)
    run.receive("a#1/event#1", "thing.left", {"final": False, "again": False})
    assert awaited(run) == ["a#1/event#1"] * 2
    run.receive("a#1/event#1", "thing.left", {"final": False, "again": True})
    assert awaited(run)[2:] == ["a#2/event#1"]
    run.receive("a#2/event#1", "thing.left", {"final": True})

    check(run, "rejected")


def test_a_state_without_a_step_only_listens():
    alone = state("a", events=(StateEvent(type="x", to="done"), StateEvent(type="y", to="lost")))
    run = live(alone, DONE, LOST).receive("a#1/event#2", "y")

    assert run.withdrawn() == [("event", "a#1/event#1")]
    check(run, "rejected")


# --- leaving -------------------------------------------------------------------------------------


def test_an_attempt_of_a_state_that_was_left_is_waited_for_before_the_run_closes():
    leaves = (StateEvent(type="x", to="lost"),)
    one = state("a", success("done"), step=uses("a"), events=leaves)
    run = PureRun(machine(one, DONE, LOST))
    run.claim()
    data = {"key": "a#1/event#1", "event": "e", "type": "x"}
    run.move(Event(kind=EventKind.EVENT_RECEIVED, at=run.now, data=data))

    assert run.closed == ""
    run.move(run._execute("a#1"))
    check(run, "rejected")


def test_instances_a_map_left_behind_end_with_their_state():
    many = each("a", event("body"), enough=Enough(count=1))
    run = live(state("a", success("done"), step=many), DONE, inputs={"items": [1, 2]})
    run.receive("a#1/item#2", "thing.done")

    assert run.withdrawn() == [("event", "a#1/item#1")]
    check(run, "succeeded")


def test_what_is_inside_a_state_ends_with_it():
    inner = group("a", approval("x"), event("y"))
    run = live(state("a", success("done"), after(60, "lost"), step=inner), DONE, LOST).wait(60)

    assert sorted(run.withdrawn()) == [("approval", "a#1/x#1"), ("event", "a#1/y#1")]
    check(run, "rejected")


# --- continuing as new ---------------------------------------------------------------------------


def test_a_run_may_go_on_as_another_with_its_state_and_variables():
    again = success("b", values={"n": "vars.n + 1"}, continue_as_new=True)
    run = live(
        state("a", again, step=uses("a")),
        state("b", success("done"), step=uses("b")),
        DONE,
        variables={"n": 1},
    )

    [effect] = [effect for effect in run.effects if effect.kind is EffectKind.CONTINUE]
    assert effect.body["state"] == "b"
    assert effect.body["vars"] == {"n": 2}
    assert run.events[-1].data["successor"] == effect.body["run"]
    assert ran(run) == ["a#1"]
    check(run, "continued")


def test_a_successor_begins_where_its_predecessor_left_off():
    states = (
        state("a", success("done"), step=uses("a")),
        state("b", success("done"), step=uses("b")),
        DONE,
    )
    run = live(*states, facts={"state": "b"}, variables={"n": 2})

    assert ran(run) == ["b#1"]
    check(run, "succeeded")


def test_what_could_be_undone_is_not_when_a_run_goes_on_as_another():
    again = success("a", continue_as_new=True)
    run = live(state("a", again, step=undoable("a")), DONE)

    assert ran(run) == ["a#1"]
    check(run, "continued")


# --- cancelling ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one",
    [
        state("a", success("done"), step=event("a")),
        state("a", after(60, "done")),
        state("a", events=(StateEvent(type="x", to="done"),)),
        state("a", success("done"), step=each("a", event("b"), items="[1, 2]")),
        state(
            "a",
            success("done"),
            step=event("a"),
            events=(StateEvent(type="x", to="done"),),
            stuck=Stuck(seconds=9e4),
        ),
    ],
)
def test_a_machine_is_cancelled_wherever_it_is(one):
    run = PureRun(machine(one, DONE))
    run.claim()
    run.cancel()

    check(run.drive(), "cancelled")
