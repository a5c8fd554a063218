"""The traps of the expression library, each where a definition would fall into it. Source: FLOW."""

from decimal import Decimal
from typing import Any

import pytest

from core.kernel import limits
from engine.domain.expressions import ExpressionError
from tests.fakes.flow import EVALUATOR, SmallVerb, compile_text
from tests.pure_run import PlainWait, PureRun

HEAD = """schema: flow/v1
kind: dag
name: x
inputs: {type: object, properties: {list: {}, text: {}, cents: {}, share: {}, flag: {}}}
vars: {total: 0}
steps:
"""
LONG = ["x"] * (limits.LIST_ITEM_COUNT_MAX + 1)


def run_of(steps, **inputs):
    plan = compile_text(HEAD + steps, verbs={"approval": PlainWait()}).plan
    assert plan is not None
    return PureRun(plan=plan, inputs=inputs, variables={"total": 0}).drive()


@pytest.mark.parametrize("value", ["true", "error", 1, None, [True], {"a": True}])
def test_only_a_real_boolean_ends_a_loop_or_starts_a_step(value):
    loop = run_of(
        "  s: {loop: {until: inputs.flag, max-iterations: 3}, emit: {type: a}}\n", flag=value
    )
    step = run_of("  s: {if: inputs.flag, emit: {type: a}}\n", flag=value)

    assert (loop.error_kind("s"), step.error_kind("s")) == ("expression", "expression")
    assert (loop.closed, step.closed) == ("failed", "failed")


@pytest.mark.parametrize("condition", ["inputs.nope", "1 / 0 == 1", "inputs.list[9] == 1"])
def test_an_error_is_a_value_of_the_library_and_never_true_here(condition):
    run = run_of(f"  s: {{if: '{condition}', emit: {{type: a}}}}\n", list=[])

    assert run.error_kind("s") == "expression"


def test_an_error_in_the_if_of_an_approval_leaves_it_standing():
    run = run_of("  s: {if: inputs.nope, approval: {title: x}}\n")

    assert run.outcome("s") == "waiting"


@pytest.mark.parametrize(
    "expression",
    ["inputs.list.map(x, x)", "inputs.list.filter(x, x == 'x')", "size(inputs.list)"],
)
def test_a_list_over_the_bound_is_not_computed_with(expression):
    run = run_of(f"  s: {{map: {{items: {expression!r}}}, emit: {{type: a}}}}\n", list=LONG)

    assert run.error_kind("s") == "expression"


def test_a_long_list_may_be_named_and_repeated_over():
    run = run_of("  s: {map: {items: inputs.list}, emit: {type: a}}\n", list=LONG)

    assert run.closed == "succeeded"
    assert len(run.state.steps["s#1"].outputs["items"]) == len(LONG)


def test_a_long_text_is_not_computed_with():
    text = "x" * (limits.EXPRESSION_TEXT_CHARS_MAX + 1)
    run = run_of("  s: {if: \"inputs.text.startsWith('y')\", emit: {type: a}}\n", text=text)

    assert run.error_kind("s") == "expression"


def test_whole_numbers_and_fractions_compare_but_do_not_add():
    run = run_of("  s: {set: {total: inputs.cents + inputs.share}}\n", cents=5, share=0.5)
    same = run_of("  s: {if: inputs.cents == inputs.share, emit: {type: a}}\n", cents=5, share=5.0)

    assert run.error_kind("s") == "expression"
    assert same.outcome("s") == "succeeded"


def test_money_is_whole_minor_units_and_adds_exactly():
    run = run_of("  s: {set: {total: inputs.cents * 3 + 1}}\n", cents=333_333_333_333_333)

    assert run.state.variables == {"total": 1_000_000_000_000_000}
    tenth: Any = Decimal("0.10")
    with pytest.raises(ExpressionError, match="Decimal, which is not JSON"):
        EVALUATOR.evaluate("[inputs.cents]", {"inputs": {"cents": tenth}})


def test_a_condition_that_can_never_be_true_or_false_is_refused_when_it_is_saved():
    places = {
        "  s: {if: inputs.cents + 1, emit: {type: a}}\n": "/steps/s/if",
        "  s: {loop: {until: inputs.cents + 1, max-iterations: 1}, emit: {type: a}}\n": (
            "/steps/s/loop/until"
        ),
        "  s: {loop: {while: inputs.cents + 1, max-iterations: 1}, emit: {type: a}}\n": (
            "/steps/s/loop/while"
        ),
        "  s: {approval: {limit: 1, when: inputs.cents + 1}}\n": "/steps/s/approval/when",
    }
    for steps, path in places.items():
        (problem,) = compile_text(HEAD + steps, verb=SmallVerb()).problems
        assert (problem.path, "never true or false" in problem.message) == (path, True)
