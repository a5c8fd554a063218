"""How the ends of its needs let a step begin."""

import pytest

from engine.domain.plan import Join
from tests.constructs import check, check_open, drive, event, group, put, race, ran, timer
from tests.plans import approval, boom, undoable, uses


def joined(kind, *needs, count=0, **fields):
    return uses("j", *needs, join=kind, join_count=count, **fields)


def test_any_begins_with_the_first_that_ends_well():
    run = drive(event("a"), event("b"), joined(Join.ANY, "a", "b")).receive("b#1", "thing.done")

    assert (ran(run), run.outcome("a")) == (["j#1"], "waiting")
    check(run.receive("a#1", "thing.done"), "succeeded")


@pytest.mark.parametrize("kind", [Join.ANY, Join.COUNT])
def test_a_step_with_a_partial_join_begins_only_once(kind):
    run = drive(uses("a"), uses("b"), uses("c"), joined(kind, "a", "b", "c", count=1))

    assert ran(run).count("j#1") == 1
    check(run, "succeeded")


def test_any_passes_over_what_failed_or_was_skipped():
    run = drive(
        uses("a"),
        uses("b", condition="false"),
        uses("c"),
        joined(Join.ANY, "a", "b", "c"),
        actions={"a": boom()},
    )

    assert ran(run)[-1] == "j#1"
    check(run, "failed")  # what failed still has


@pytest.mark.parametrize(
    ("kind", "count", "ends", "outcome"),
    [
        (Join.ANY, 0, {"a": "rejected", "b": "expired"}, "unreached"),
        (Join.ANY, 0, {"a": "rejected", "b": "approved"}, "succeeded"),
        (Join.COUNT, 2, {"a": "rejected", "b": "approved"}, "unreached"),
        (Join.COUNT, 2, {"a": "overridden", "b": "approved"}, "succeeded"),
        (Join.ALL, 0, {"a": "approved", "b": "expired"}, "unreached"),
        (Join.ALL_SETTLED, 0, {"a": "rejected", "b": "expired"}, "succeeded"),
    ],
)
def test_a_join_counts_good_ends(kind, count, ends, outcome):
    run = drive(approval("a"), approval("b"), joined(kind, "a", "b", count=count))
    for step, end in ends.items():
        run.resolve(step, end)

    assert run.outcome("j") == outcome
    assert run.replayed() == run.state


def test_count_waits_for_as_many_as_it_says():
    steps = [event(name) for name in "abc"]
    run = drive(*steps, joined(Join.COUNT, "a", "b", "c", count=2)).receive("c#1", "thing.done")
    assert run.outcome("j") == "pending"
    run.receive("a#1", "thing.done")

    assert ran(run) == ["j#1"]
    check(run.receive("b#1", "thing.done"), "succeeded")


def test_all_settled_waits_for_every_end():
    run = drive(uses("a"), event("b"), joined(Join.ALL_SETTLED, "a", "b"), actions={"a": boom()})
    assert run.outcome("j") == "pending"
    run.receive("b#1", "thing.done")

    assert ran(run) == ["a#1", "j#1"]
    check(run, "failed")


def test_cancel_rest_takes_back_the_needs_that_are_open():
    steps = [event("a"), approval("b"), timer("c", lasts="P9D")]
    run = drive(*steps, joined(Join.COUNT, "a", "b", "c", count=1, cancel_rest=True))
    run.receive("a#1", "thing.done")

    assert run.withdrawn() == [("approval", "b#1")]
    assert (run.outcome("b"), run.outcome("c")) == ("cancelled", "cancelled")
    check(run, "succeeded")


def test_cancel_rest_takes_back_what_only_they_would_have_needed():
    run = drive(
        event("above"),
        event("shared"),
        uses("a", "above", "shared"),
        event("b"),
        uses("other", "shared"),
        joined(Join.COUNT, "a", "b", count=1, cancel_rest=True),
    ).receive("b#1", "thing.done")

    assert run.withdrawn() == [("event", "above#1")]  # somebody else still needs `shared`
    assert run.outcome("a") == "cancelled"
    check(run.receive("shared#1", "thing.done"), "succeeded")


def test_cancel_rest_takes_back_what_is_inside_a_need():
    rest = group("g", event("x"), event("y"))
    run = drive(rest, event("b"), joined(Join.COUNT, "g", "b", count=1, cancel_rest=True))
    run.receive("b#1", "thing.done")

    assert sorted(run.withdrawn()) == [("event", "g#1/x#1"), ("event", "g#1/y#1")]
    check(run, "succeeded")


def test_a_need_that_still_executes_is_waited_for_and_undone_if_the_run_fails():
    steps = (
        undoable("slow"),
        uses("fast"),
        joined(Join.COUNT, "slow", "fast", count=1, cancel_rest=True),
    )
    run = drive(*steps, actions={"j": boom()})

    # Both had begun; `slow` was cancelled and yet completed.
    assert run.outcome("slow") in {"cancelled", "succeeded"}
    assert "compensate/slow#1" in ran(run)
    check(run, "failed")


def test_what_needs_a_cancelled_step_is_unreached():
    run = drive(
        event("a"),
        event("b"),
        uses("after", "a"),
        joined(Join.COUNT, "a", "b", count=1, cancel_rest=True),
    ).receive("b#1", "thing.done")

    assert run.outcome("after") == "unreached"
    check(run, "succeeded")


def test_an_if_is_asked_once_the_join_holds():
    run = drive(
        put("a", values={"n": "1"}),
        event("b"),
        joined(Join.ANY, "a", "b", condition="vars.n == 1", reads=()),
        variables={"n": 0},
    )

    assert ran(run) == ["j#1"]
    check(run.receive("b#1", "thing.done"), "succeeded")


def test_joins_work_inside_a_group_and_see_only_siblings():
    inner = (event("a"), event("b"), joined(Join.ANY, "a", "b"))
    run = drive(group("g", *inner)).receive("g#1/a#1", "thing.done")

    assert ran(run) == ["g#1/j#1"]
    check_open(run)
    check(run.receive("g#1/b#1", "thing.done"), "succeeded")


def test_a_lost_race_is_no_end_of_its_own():
    run = drive(race("r", event("a"), event("b")), joined(Join.ANY, "r")).receive(
        "r#1/b#1", "thing.done"
    )

    assert ran(run) == ["j#1"]
    check(run, "succeeded")
