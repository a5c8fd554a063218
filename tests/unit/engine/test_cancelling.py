"""Cancelling a run, and undoing what it did, while each construct goes on."""

import pytest

from engine.domain import cancelling
from engine.domain.keys import is_undo
from engine.domain.plan import AfterError, Compensation, Enough, OnError, Retry, Uses
from tests.constructs import (
    CHILD,
    call,
    check,
    drive,
    each,
    emit,
    event,
    group,
    loop,
    matrix,
    race,
    ran,
    timer,
)
from tests.plans import approval, boom, plan, undoable, uses
from tests.pure_run import PureRun

UNDO = Compensation(uses=Uses(action="python/call@1", arguments={"it": "${{ it }}"}))
LASTING = {"lasts": "P9D"}


def undone(run):
    return [key.removeprefix("compensate/") for key in ran(run) if is_undo(key)]


# --- cancelling ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "withdrawn"),
    [
        (event("s"), ["s#1"]),
        (timer("s", **LASTING), []),
        (call("s"), ["s#1"]),
        (group("s", event("a"), timer("b", **LASTING), uses("c", "a")), ["s#1/a#1"]),
        (race("s", event("a"), timer("b", **LASTING)), ["s#1/a#1"]),
        (each("s", event("b"), items="[1, 2, 3]", concurrency=2), ["s#1/item#1", "s#1/item#2"]),
        (matrix("s", event("b"), axes={"x": [1, 2]}), ["s#1/cell#1", "s#1/cell#2"]),
        (loop("s", event("b"), until="false"), ["s#1/turn#1"]),
        (loop("s", emit("b"), until="false", delay_seconds=60.0), []),
        (each("s", loop("b", event("c"), until="false"), items="[1]"), ["s#1/item#1/turn#1"]),
        (
            each("s", event("b"), items="[1, 2]", enough=Enough(count=0)),
            ["s#1/item#1", "s#1/item#2"],
        ),
    ],
    ids=lambda item: type(item.verb).__name__ if hasattr(item, "verb") else "",
)
def test_a_run_is_cancelled_at_once_whatever_it_waits_for(step, withdrawn):
    run = PureRun(plan(step, uses("after", "s")), calls=CHILD)
    run.claim()
    run.cancel()
    run.claim()

    assert sorted(key for _, key in run.withdrawn()) == withdrawn
    assert (run.outcome("s"), run.outcome("after")) == ("cancelled", "cancelled")
    assert ran(run) == []
    check(run, "cancelled")


@pytest.mark.parametrize(
    "step",
    [
        uses("s"),
        group("s", uses("a"), uses("b", "a")),
        race("s", uses("a"), event("b")),
        each("s", items="[1, 2, 3]", concurrency=1),
        matrix("s", axes={"x": [1, 2]}, concurrency=1),
        loop("s", until="false"),
    ],
    ids=lambda item: type(item.verb).__name__,
)
def test_what_executes_ends_first_and_nothing_more_begins(step):
    run = PureRun(plan(step, uses("after", "s")), capacity=1)
    run.claim()
    [key] = run.state.running
    run.cancel()
    assert run.closed == ""
    run.move(run._execute(key))

    assert ran(run) == [key]
    assert run.outcome("after") in {"cancelled", "unreached"}
    check(run, "cancelled")


def test_an_approval_inside_is_ended_by_whoever_cancels():
    run = drive(group("g", approval("a"), event("b")))
    run.cancel()
    run.resolve("g#1/a#1", "voided")

    assert run.withdrawn() == [("event", "g#1/b#1")]
    check(run, "cancelled")


def test_stragglers_are_cancelled_with_their_run():
    run = drive(each("m", event("b"), items="[1, 2, 3]", enough=Enough(count=1)))
    run.receive("m#1/item#2", "thing.done")
    assert run.outcome("m") == "succeeded"
    run.cancel()
    run.drive()

    assert sorted(key for _, key in run.withdrawn()) == ["m#1/item#1", "m#1/item#3"]
    check(run, "succeeded")  # whatever counted had ended well


def test_stragglers_are_taken_back_with_what_they_are_in():
    inner = each("m", event("b"), items="[1, 2]", enough=Enough(count=1))
    run = drive(race("r", group("g", inner, event("never", "m")), event("stop")))
    run.receive("r#1/g#1/m#1/item#1", "thing.done").receive("r#1/stop#1", "thing.done")

    assert sorted(key for _, key in run.withdrawn()) == ["r#1/g#1/m#1/item#2", "r#1/g#1/never#1"]
    check(run, "succeeded")


def test_a_retry_is_not_waited_for_by_a_cancelled_run():
    retry = Retry(retries_max=9, initial_seconds=3600)
    run = PureRun(plan(group("g", uses("a", retry=retry))), actions={"a": boom("transient")})
    run.work(list(run.claim().begun))
    run.cancel()
    run.claim()

    assert ran(run) == ["g#1/a#1"]
    check(run, "cancelled")


def test_an_event_that_arrived_before_the_cancelling_was_heard_counts():
    run = drive(event("e"), uses("after", "e"))
    run.cancel()
    run.receive("e#1", "thing.done")

    assert run.outcome("e") == "succeeded"
    assert (ran(run), run.withdrawn()) == ([], [])
    check(run, "cancelled")


# --- undoing -------------------------------------------------------------------------------------


def test_each_item_of_a_map_is_undone_by_itself_newest_first():
    body = uses("m", compensate=UNDO, arguments={"it": "${{ it }}"})
    run = drive(
        each("m", body, concurrency=1),
        uses("bad", "m"),
        inputs={"items": ["a", "b"]},
        actions={"bad": boom()},
    )

    assert undone(run) == ["m#1/item#2", "m#1/item#1"]
    assert [given for key, _, given in run.executed if is_undo(key)] == [{"it": "b"}, {"it": "a"}]
    check(run, "failed")


def test_only_the_items_that_completed_are_undone():
    body = uses("m", compensate=UNDO, arguments={"it": "${{ it }}"})
    only_a = {"m": lambda given: {} if given["it"] == "a" else boom()(given)}
    run = drive(each("m", body), inputs={"items": ["a", "b"]}, actions=only_a)

    assert undone(run) == ["m#1/item#1"]
    check(run, "failed")


def test_an_item_that_failed_is_undone_if_it_says_so():
    body = uses("m", compensate=UNDO, compensate_on_failure=True, arguments={"it": "${{ it }}"})
    run = drive(each("m", body), inputs={"items": ["a"]}, actions={"m": boom()})

    assert undone(run) == ["m#1/item#1"]
    check(run, "failed")


def test_an_item_is_undone_with_what_it_made_itself():
    reads = Compensation(
        uses=Uses(action="python/call@1", arguments={"id": "${{ steps.m.outputs.id }}"})
    )
    body = uses("m", compensate=reads, arguments={"it": "${{ it }}"}, outputs={"id": "result.id"})
    made = {"m": lambda given: {"id": f"id-{given['it']}"}, "bad": boom()}
    run = drive(each("m", body), uses("bad", "m"), inputs={"items": ["a", "b"]}, actions=made)

    given = {key: arguments["id"] for key, _, arguments in run.executed if is_undo(key)}
    assert given == {"compensate/m#1/item#1": "id-a", "compensate/m#1/item#2": "id-b"}
    check(run, "failed")


def test_a_loop_is_undone_as_a_whole_and_once():
    undo = {"compensate": Compensation(uses=Uses(action="python/call@1", arguments={}))}
    turns = iter([False, True])
    actions = {"l": lambda _: {"ok": next(turns)}, "bad": boom()}
    run = drive(loop("l", until="result.ok", fields=undo), uses("bad", "l"), actions=actions)

    assert ran(run) == ["l#1/turn#1", "l#1/turn#2", "bad#1", "compensate/l#1"]
    check(run, "failed")


def test_a_loop_that_gave_up_is_undone_only_if_it_says_so():
    undo = Compensation(uses=Uses(action="python/call@1", arguments={}))
    quiet = loop("l", until="false", turns=1, fields={"compensate": undo})
    loud = loop(
        "l", until="false", turns=1, fields={"compensate": undo, "compensate_on_failure": True}
    )

    assert undone(drive(quiet)) == []
    assert undone(drive(loud)) == ["l#1"]


def test_steps_in_containers_are_undone_in_the_reverse_order_of_completion():
    run = drive(
        undoable("first"),
        group("g", undoable("x"), undoable("y", "x"), needs=("first",)),
        undoable("last", "g"),
        uses("bad", "last"),
        actions={"bad": boom()},
    )

    assert undone(run) == ["last#1", "g#1/y#1", "g#1/x#1", "first#1"]
    check(run, "failed")


def test_a_group_may_have_a_compensation_besides_those_of_its_steps():
    undo = Compensation(uses=Uses(action="python/call@1", arguments={}))
    run = drive(
        group("g", undoable("x"), compensate=undo), uses("bad", "g"), actions={"bad": boom()}
    )

    assert undone(run) == ["g#1", "g#1/x#1"]
    check(run, "failed")


def test_on_error_undoes_all_inside_what_it_names_before_the_step_ends():
    names = OnError(compensate=("g",), then=AfterError.CONTINUE)
    run = drive(
        group("g", undoable("x"), undoable("y", "x")),
        uses("bad", "g", on_error=names),
        uses("after", "bad", condition="steps.bad.outcome == 'failed'", reads=("bad",)),
        actions={"bad": boom()},
    )

    assert ran(run)[-3:] == ["compensate/g#1/y#1", "compensate/g#1/x#1", "after#1"]
    check(run, "succeeded")


def test_on_error_inside_a_map_undoes_only_its_own_instance():
    names = OnError(compensate=("x",))
    body = group(
        "body", undoable("x"), uses("y", "x", on_error=names, arguments={"it": "${{ it }}"})
    )
    bad = {"y": lambda given: boom()(given) if given["it"] == "b" else {}}
    run = drive(each("m", body, failures_max=1), inputs={"items": ["a", "b", "c"]}, actions=bad)

    assert undone(run) == ["m#1/item#2/x#1"]
    check(run, "succeeded")


def test_a_cancelled_run_undoes_nothing():
    run = drive(group("g", undoable("x"), event("e", "x")))
    run.cancel()
    run.drive()

    assert undone(run) == []
    check(run, "cancelled")


def test_a_branch_that_lost_is_undone_only_if_the_run_fails():
    steps = (race("r", undoable("slow"), uses("fast")), uses("after", "r"))
    good, bad = PureRun(plan(*steps)), PureRun(plan(*steps), actions={"after": boom()})
    for run in (good, bad):
        run.claim()
        run.move(run._execute("r#1/fast#1"))
        run.move(run._execute("r#1/slow#1"))
        run.work(list(run.move(run._execute("after#1")).begun))

    assert (undone(good), undone(bad)) == ([], ["r#1/slow#1"])
    check(good, "succeeded")
    check(bad, "failed")


def test_a_compensation_that_fails_fails_the_run_and_the_others_go_on():
    names = OnError(compensate=("x", "y"), then=AfterError.CONTINUE)
    run = drive(
        group("g", undoable("x"), undoable("y", "x"), uses("bad", "y", on_error=names)),
        actions={"bad": boom(), "compensate/y": boom()},
    )

    assert undone(run) == ["g#1/y#1", "g#1/x#1"]
    check(run, "failed")


def test_a_run_that_is_being_cancelled_is_searched_once(monkeypatch):
    looks = []
    search = cancelling._all_open

    def look(*asked):
        looks.append(asked)
        return search(*asked)

    monkeypatch.setattr(cancelling, "_all_open", look)
    retried = [uses(f"s{n}", retry=Retry(retries_max=1)) for n in range(8)]
    run = PureRun(plan(*retried), actions={f"s{n}": boom("transient") for n in range(4)})
    begun = list(run.claim().begun)
    run.cancel()
    run.work(begun)

    assert len(looks) == 1
    assert [run.outcome(f"s{n}") for n in range(8)] == ["cancelled"] * 4 + ["succeeded"] * 4
    check(run, "cancelled")
