"""Steps that are repeated for a list or a matrix."""

import pytest

from core.kernel import limits
from engine.domain.plan import Enough
from tests.constructs import (
    check,
    check_open,
    drive,
    each,
    event,
    group,
    matrix,
    ran,
)
from tests.plans import approval, boom, plan, undoable, uses
from tests.pure_run import PureRun

ITEMS = {"items": ["a", "b", "c", "d"]}


def fails_for(*bad):
    """An action of a map that fails for some items."""

    def action(given):
        return boom()(given) if given["it"] in bad else {"it": given["it"]}

    return action


# --- maps ----------------------------------------------------------------------------------------


def test_a_map_gives_its_results_in_order_and_null_for_failures():
    run = drive(
        each("m", failures_max=1),
        inputs=ITEMS,
        actions={"m": fails_for("b")},
        outputs={"all": "steps.m.outputs"},
    )

    assert run.outputs["all"] == {
        "items": [{"it": "a"}, None, {"it": "c"}, {"it": "d"}],
        "failed": 1,
    }
    check(run, "succeeded")


@pytest.mark.parametrize(
    ("tolerated", "bad", "outcome"),
    [
        ({"failures_max": 1}, "ab", "failed"),
        ({"failures_max": 2}, "ab", "succeeded"),
        ({"failures_percent_max": 25.0}, "a", "succeeded"),
        ({"failures_percent_max": 24.9}, "a", "failed"),
        ({"failures_percent_max": 50.0}, "abc", "failed"),
        ({"failures_percent_max": 100.0}, "abcd", "succeeded"),
        ({}, "", "succeeded"),
    ],
)
def test_a_map_tolerates_as_many_failures_as_it_says(tolerated, bad, outcome):
    run = drive(each("m", **tolerated), inputs=ITEMS, actions={"m": fails_for(*bad)})

    assert run.outcome("m") == outcome
    check(run, outcome)


def test_failures_hide_no_other_bad_end_of_a_map():
    body = group("body", uses("try", arguments={"it": "${{ it }}"}), approval("ok", "try"))
    run = drive(each("m", body, failures_max=1), inputs=ITEMS, actions={"try": fails_for("a")})
    run.resolve("m#1/item#2/ok#1", "rejected")
    for number in (3, 4):
        run.resolve(f"m#1/item#{number}/ok#1", "approved")

    assert run.outcome("m") == "rejected"
    check(run, "rejected")


@pytest.mark.parametrize("concurrency", [1, 2, 3])
def test_a_map_never_has_more_open_than_it_may(concurrency):
    most = []

    def action(given):
        most.append(len(run.state.running))
        return {}

    run = PureRun(
        plan(each("m", concurrency=concurrency)),
        inputs={"items": list(range(20))},
        actions={"m": action},
        capacity=50,
    )
    run.drive()

    assert max(most) == concurrency
    assert len(run.executed) == 20
    check(run, "succeeded")


def test_an_instance_is_made_only_when_it_may_begin():
    run = drive(each("m", event("body"), concurrency=2), inputs={"items": list(range(1000))})

    assert len(run.state.steps) == 3
    run.receive("m#1/item#1", "thing.done")
    assert len(run.state.steps) == 4
    check_open(run)


def test_a_map_that_has_failed_begins_nothing_more():
    run = drive(each("m", concurrency=1), inputs=ITEMS, actions={"m": fails_for("b")})

    assert ran(run) == ["m#1/item#1", "m#1/item#2"]
    check(run, "failed")


def test_a_map_over_nothing_succeeds_at_once():
    run = drive(each("m"), inputs={"items": []}, outputs={"all": "steps.m.outputs"})

    assert run.outputs["all"] == {"items": [], "failed": 0}
    check(run, "succeeded")


@pytest.mark.parametrize("items", ["inputs.name", "inputs.count", "inputs.absent", "{'a': 1}"])
def test_a_map_over_what_is_no_list_fails(items):
    run = drive(each("m", items=items), inputs={"name": "x", "count": 3})

    assert run.error_kind("m") == "expression"
    check(run, "failed")


def test_a_map_may_have_more_items_than_an_expression_may():
    # CEL lists have at most 500; a plain path is walked instead.
    run = drive(each("m"), inputs={"items": list(range(600))})

    assert len(run.executed) == 600
    check(run, "succeeded")


def test_a_map_over_too_many_items_is_refused():
    count = limits.MAP_ITEM_COUNT_MAX + 1
    run = drive(each("m"), inputs={"items": [0] * count})

    assert run.error_kind("m") == "too-large"
    assert str(count) in run.state.steps["m#1"].error.message
    check(run, "failed")


def test_more_than_may_be_open_at_once_begin_one_after_the_other():
    count = limits.CONTAINER_OPEN_COUNT_MAX + 5
    run = PureRun(plan(each("m")), inputs={"items": [0] * count}, capacity=1)
    run.claim()

    assert len(run.state.steps) == limits.CONTAINER_OPEN_COUNT_MAX + 1


# --- enough --------------------------------------------------------------------------------------


def test_a_map_with_enough_lets_the_others_go_on():
    body = event("body")
    run = drive(each("m", body, enough=Enough(count=2)), uses("after", "m"), inputs=ITEMS)
    run.receive("m#1/item#4", "thing.done").receive("m#1/item#2", "thing.done")

    assert ran(run) == ["after#1"]
    assert (run.outcome("m"), run.state.straggler_count) == ("succeeded", 2)
    check_open(run)
    run.receive("m#1/item#1", "thing.done").receive("m#1/item#3", "thing.done")
    check(run, "succeeded")


def test_a_failed_straggler_does_not_fail_the_run():
    run = drive(each("m", enough=Enough(count=1)), inputs=ITEMS, actions={"m": fails_for("d")})

    assert run.outcome("m#1/item#4") == "failed"
    check(run, "succeeded")


def test_a_map_with_enough_takes_back_the_others_if_it_says_so():
    enough = Enough(count=1, cancel_rest=True)
    run = drive(each("m", event("body"), enough=enough), inputs=ITEMS)
    run.receive("m#1/item#2", "thing.done")

    assert sorted(key for _, key in run.withdrawn()) == ["m#1/item#1", "m#1/item#3", "m#1/item#4"]
    check(run, "succeeded")


def test_an_attempt_of_the_rest_is_waited_for_and_may_be_undone():
    body = undoable("m", arguments={"it": "${{ it }}"})
    enough = Enough(count=1, cancel_rest=True)
    steps = (each("m", body, enough=enough), uses("bad", "m"))
    run = drive(*steps, inputs=ITEMS, actions={"bad": boom()})

    assert run.outcome("m#1/item#2") == "cancelled"
    # All four had begun, so all four happened; the newest is undone first.
    assert [key for key in ran(run) if key.startswith("compensate/")] == [
        f"compensate/m#1/item#{number}" for number in (4, 3, 2, 1)
    ]
    check(run, "failed")


@pytest.mark.parametrize("concurrency", [0, 1])
def test_a_map_that_needs_some_goes_on_after_a_failure(concurrency):
    run = drive(
        each("m", enough=Enough(count=2), concurrency=concurrency),
        inputs=ITEMS,
        actions={"m": fails_for("a", "b")},
    )

    assert run.outcome("m") == "succeeded"
    check(run, "succeeded")


def test_a_map_that_cannot_get_enough_any_more_begins_nothing_more():
    run = drive(
        each("m", enough=Enough(count=3), concurrency=1),
        inputs=ITEMS,
        actions={"m": fails_for("a", "b")},
    )

    assert ran(run) == ["m#1/item#1", "m#1/item#2"]
    check(run, "failed")


def test_a_map_with_fewer_items_than_enough_fails():
    run = drive(each("m", enough=Enough(count=5)), inputs=ITEMS)

    assert run.error_kind("m") == "not-enough"
    check(run, "failed")


# --- matrices ------------------------------------------------------------------------------------


def test_a_matrix_makes_every_combination_but_those_excluded():
    run = drive(
        matrix(
            "x",
            axes={"a": [1, 2], "b": "${{ inputs.items }}"},
            exclude=({"a": 2, "b": "c"}, {"b": "d"}),
        ),
        inputs=ITEMS,
    )

    cells = [(given["cell"]["a"], given["cell"]["b"]) for _, _, given in run.executed]
    assert cells == [(1, "a"), (1, "b"), (1, "c"), (2, "a"), (2, "b")]
    check(run, "succeeded")


def test_a_matrix_of_which_nothing_is_left_succeeds():
    run = drive(matrix("x", exclude=({"a": 1}, {"a": 2})))

    assert ran(run) == []
    check(run, "succeeded")


def test_the_first_failure_ends_a_matrix():
    bad = {"x": lambda given: boom()(given) if given["cell"]["b"] == "y" else {}}
    run = drive(matrix("x", concurrency=1), actions=bad)

    assert ran(run) == ["x#1/cell#1", "x#1/cell#2"]
    check(run, "failed")


def test_without_fail_fast_a_matrix_goes_to_its_end():
    run = drive(matrix("x", fail_fast=False, concurrency=1), actions={"x": boom()})

    assert len(run.executed) == 4
    check(run, "failed")


def test_a_matrix_of_too_many_cells_is_refused():
    axes = {"a": list(range(limits.MATRIX_CELL_COUNT_MAX)), "b": [1, 2]}
    run = drive(matrix("x", axes=axes))

    assert run.error_kind("x") == "too-large"
    check(run, "failed")


def test_an_axis_that_is_no_list_fails_the_matrix():
    run = drive(matrix("x", axes={"a": "${{ inputs.name }}"}), inputs={"name": "x"})

    assert run.error_kind("x") == "expression"
    check(run, "failed")


def test_some_of_a_matrix_are_enough():
    enough = Enough(count=1, cancel_rest=True)
    run = drive(matrix("x", event("body"), fail_fast=False, enough=enough), uses("after", "x"))
    run.receive("x#1/cell#3", "thing.done")

    assert len(run.withdrawn()) == 3
    check(run, "succeeded")
