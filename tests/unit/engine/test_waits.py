"""Events, calls and `set`: what a run sends, what it waits for, and what is refused."""

from datetime import timedelta

import pytest

from engine.domain.errors import NondeterministicError, UnexpectedEventError
from engine.domain.events import Event, EventKind
from engine.domain.moving import EffectKind
from engine.domain.plan import AfterError, OnError
from engine.domain.state import RunStatus, StepError
from tests.constructs import CHILD, call, check, check_open, drive, emit, event, put, ran
from tests.plans import approval, boom, plan, undoable, uses
from tests.pure_run import PureRun, PureSources


def effects(run, kind):
    return [(effect.key, effect.body) for effect in run.effects if effect.kind is kind]


def refusing(name, kind="refused"):
    sources = PureSources()
    sources.refusals[name] = StepError(kind=kind, message="no")
    return sources


# --- events --------------------------------------------------------------------------------------


def test_a_wait_says_what_an_event_must_be():
    run = drive(event("e", correlate={"id": "inputs.id", "n": "1 + 1"}), inputs={"id": "x"})

    assert effects(run, EffectKind.AWAIT) == [
        ("e#1", {"type": "thing.done", "correlate": {"id": "x", "n": 2}})
    ]
    assert run.status is RunStatus.WAITING
    check_open(run)


def test_an_event_is_the_result_of_its_wait():
    run = drive(
        event("e", outputs={"x": "result.data.x", "of": "result.type"}),
        outputs={"got": "steps.e.outputs"},
    ).receive("e#1", "thing.done", {"x": 1})

    assert run.outputs == {"got": {"x": 1, "of": "thing.done"}}
    check(run, "succeeded")


def test_a_correlate_that_errs_fails_the_wait():
    run = drive(event("e", correlate={"id": "inputs.absent"}))

    assert run.error_kind("e") == "expression"
    check(run, "failed")


def test_an_event_arrives_only_once():
    run = drive(event("e"), event("other")).receive("e#1", "thing.done")

    with pytest.raises(UnexpectedEventError, match="e#1 is ended"):
        run.receive("e#1", "thing.done")


def test_an_event_is_sent_with_an_id_and_is_then_done():
    run = drive(
        emit("e", of="thing.${{ inputs.what }}", data={"n": "${{ inputs.n }}"}),
        uses("after", "e"),
        inputs={"what": "made", "n": 3},
    )

    [(key, body)] = effects(run, EffectKind.EMIT)
    assert (key, body["type"], body["data"]) == ("e#1", "thing.made", {"n": 3})
    assert run.state.steps["e#1"].outputs == {"result": {"event": body["event"]}}
    assert ran(run) == ["after#1"]
    check(run, "succeeded")


def test_several_events_are_sent_in_one_move():
    run = PureRun(plan(emit("a"), emit("b", "a"), emit("c", "b")))
    move = run.claim()

    assert [event.kind for event in move.events].count(EventKind.EVENT_EMITTED) == 3
    assert len({body["event"] for _, body in effects(run, EffectKind.EMIT)}) == 3
    check(run, "succeeded")


def test_an_event_that_cannot_be_sent_fails_its_step():
    run = drive(undoable("a"), emit("e", "a"), sources=refusing("thing.sent", "too-large"))

    assert run.error_kind("e") == "too-large"
    assert effects(run, EffectKind.EMIT) == []
    assert ran(run) == ["a#1", "compensate/a#1"]
    check(run, "failed")


@pytest.mark.parametrize(
    "wrong",
    [{"of": "${{ inputs.absent }}"}, {"of": "${{ ' ' }}"}, {"data": {"x": "${{ inputs.absent }}"}}],
)
def test_an_event_that_cannot_be_written_fails_its_step(wrong):
    run = drive(emit("e", **wrong))

    assert run.error_kind("e") == "expression"
    check(run, "failed")


# --- calls ---------------------------------------------------------------------------------------


def test_a_call_starts_the_version_that_was_chosen_and_waits():
    run = drive(call("c", arguments={"n": "${{ inputs.n }}"}), inputs={"n": 1})

    [(key, body)] = effects(run, EffectKind.CALL)
    assert (key, body["reference"], body["version"]) == ("c#1", "child@*", CHILD["child@*"])
    assert (body["inputs"], body["detached"]) == ({"n": 1}, False)
    assert run.state.steps["c#1"].child == body["run"]
    check_open(run)


def test_the_outputs_of_a_child_are_those_of_its_call():
    run = drive(
        call("c", outputs={"n": "result.n"}),
        uses("after", "c", arguments={"n": "${{ steps.c.outputs.n }}"}),
    ).end_child("c#1", "succeeded", {"n": 7})

    assert run.executed[-1][2] == {"n": 7}
    check(run, "succeeded")


@pytest.mark.parametrize("end", ["rejected", "expired", "cancelled"])
def test_a_call_ends_as_its_child(end):
    run = drive(call("c"), uses("after", "c")).end_child("c#1", end)

    assert run.outcome("c") == end
    assert run.outcome("after") == "unreached"
    check(run, end)


def test_a_child_that_failed_fails_its_call():
    absorbed = OnError(then=AfterError.CONTINUE)
    after = uses("after", "c", condition="steps.c.error.kind == 'child'", reads=("c",))
    run = drive(call("c", on_error=absorbed), after).end_child("c#1", "failed")

    assert ran(run) == ["after#1"]
    check(run, "succeeded")


def test_a_run_that_cannot_be_started_fails_its_call():
    run = drive(call("c"), sources=refusing("child@*", "not-found"))

    assert run.error_kind("c") == "not-found"
    assert effects(run, EffectKind.CALL) == []
    check(run, "failed")


def test_a_detached_child_is_not_waited_for():
    run = drive(call("c", detached=True), uses("after", "c"))

    [(_, body)] = effects(run, EffectKind.CALL)
    assert run.state.steps["c#1"].outputs == {"result": {"run": body["run"]}}
    assert ran(run) == ["after#1"]
    check(run, "succeeded")


# --- set -----------------------------------------------------------------------------------------


def test_a_set_is_seen_by_what_comes_after_it():
    run = drive(
        put("s", values={"n": "vars.n + 1", "old": "vars.n"}),
        uses("after", "s", arguments={"n": "${{ vars.n }}", "old": "${{ vars.old }}"}),
        variables={"n": 1, "old": 0, "kept": "x"},
    )

    assert run.executed[-1][2] == {"n": 2, "old": 1}  # all of a set sees what was before it
    assert run.state.variables == {"n": 2, "old": 1, "kept": "x"}
    check(run, "succeeded")


def test_a_set_that_errs_changes_nothing_and_fails():
    run = drive(put("s", values={"n": "vars.n + 1", "m": "vars.absent"}), variables={"n": 1})

    assert run.error_kind("s") == "expression"
    assert run.state.variables == {"n": 1}
    check(run, "failed")


# --- what a record must say ----------------------------------------------------------------------


@pytest.mark.parametrize("step", [event("s"), emit("s"), call("s"), approval("s")])
def test_a_wait_that_was_prepared_from_something_else_is_found(step):
    run = drive(step)
    index, opened = next(
        (at, item) for at, item in enumerate(run.events) if "prepared" in item.data
    )
    changed = Event(
        kind=opened.kind,
        at=opened.at,
        data={**opened.data, "prepared": "0" * 64},
        payloads=opened.payloads,
        seq=opened.seq,
    )
    run.events[index] = changed

    with pytest.raises(NondeterministicError):
        run.replayed()


def test_what_is_asked_while_nothing_can_begin_waits_for_capacity():
    run = PureRun(plan(uses("a"), event("e")), capacity=0)
    move = run.claim()

    assert move.begun == ()
    assert effects(run, EffectKind.AWAIT) != []
    assert run.status is RunStatus.READY
    run.capacity = 1
    run.now += timedelta(seconds=1)
    check(run.drive().receive("e#1", "thing.done"), "succeeded")


def test_a_failure_elsewhere_leaves_a_wait_open():
    run = drive(uses("a"), event("e"), actions={"a": boom()})

    check_open(run)
    assert run.outcome("e") == "waiting"
    check(run.receive("e#1", "thing.done"), "failed")
