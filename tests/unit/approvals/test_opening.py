"""What a request opens with."""

from typing import Any

import pytest

from approvals.verbs import ApprovalVerb
from core.kernel import limits
from engine.domain.expressions import ExpressionError
from engine.domain.verbs import CheckScope
from tests.fakes.evaluator import TableEvaluator

VARIABLES: dict[str, Any] = {
    "inputs": {"env": "production", "amount": 250, "ref": "v1", "count": 3},
    "vars": {},
    "run": {"id": "r"},
    "steps": {"scan": {"outputs": {"critical": 0}}, "build": {"outputs": {"size": 9}}},
}
NUL: dict[str, Any] = {**VARIABLES, "inputs": {**VARIABLES["inputs"], "nul": "a\x00b"}}
EVALUATOR = TableEvaluator(
    answers={
        "big": "x" * limits.SUBJECT_BYTES_MAX,
        "huge": 2**60,
        "wide": 1e22,
        "true": True,
        "false": False,
        "size(steps) > 1": True,
    },
    broken=["boom"],
)


def prepare(block, *, variables=VARIABLES):
    stages: Any = [{"id": "peer", "approvers": {"groups": ["engineers"]}}]
    verb = ApprovalVerb()
    checked = verb.check(
        {"stages": stages, "expires": {"after": "PT1H"}, "subject": {"ref": "inputs.ref"}, **block},
        scope=CheckScope(
            step="approve",
            path="",
            names=("inputs", "vars", "steps", "run"),
            evaluator=EVALUATOR,
        ),
    )
    assert [problem for problem in checked.problems if problem.severity == "error"] == []
    return verb.prepare(checked.body, variables=variables, evaluator=EVALUATOR)


def stage(when):
    return {
        "id": "s" + when.replace(".", "_"),
        "when": when,
        "approvers": {"groups": ["engineers"]},
    }


def test_every_expression_of_the_block_is_evaluated():
    prepared = prepare(
        {
            "title": "Release ${{ inputs.ref }}  to\n${{ inputs.env }}",
            "if-approved": "${{ inputs.count }}",
            "confirm": "I read ${{ subject.ref }}",
            "risk": "inputs.level",
            "amount": {"value": "inputs.amount", "currency": "EUR"},
            "subject": {"ref": "inputs.ref", "scan": "steps.scan.outputs"},
        },
        variables={**VARIABLES, "inputs": {**VARIABLES["inputs"], "level": "high"}},
    )

    assert prepared["title"] == "Release v1 to production"
    assert prepared["if_approved"] == "3"
    assert prepared["confirm"] == "I read v1"
    assert prepared["risk"] == "high"
    assert prepared["amount"] == {"value": 250, "currency": "EUR"}
    assert prepared["subject"] == {"ref": "v1", "scan": {"critical": 0}}
    assert prepared["notes"] == []
    assert prepared["variables"] == {}


def test_without_a_confirmation_or_an_amount_there_is_none():
    prepared = prepare({})

    assert (prepared["confirm"], prepared["amount"], prepared["risk"]) == ("", None, "medium")


def test_a_stage_whose_condition_is_false_is_not_asked():
    prepared = prepare({"stages": [stage("true"), stage("false")]})

    assert [item["asked"] for item in prepared["stages"]] == [True, False]


def test_a_stage_whose_condition_cannot_be_evaluated_stands_and_is_noted():
    prepared = prepare({"stages": [stage("boom")]})

    assert prepared["stages"][0]["asked"] is True
    assert prepared["notes"] == [
        {"path": "/stages/0/when", "expression": "boom", "reason": "it does not evaluate"}
    ]


def test_a_stage_whose_condition_is_no_boolean_stands():
    prepared = prepare({"stages": [stage("inputs.count")]})

    assert prepared["stages"][0]["asked"] is True
    assert prepared["notes"][0]["reason"] == "it is no boolean"


@pytest.mark.parametrize(
    "block",
    [
        {"title": "${{ boom }}"},
        {"risk": "boom"},
        {"risk": "inputs.ref"},
        {"amount": {"value": "boom", "currency": "EUR"}},
        {"amount": {"value": "inputs.ref", "currency": "EUR"}},
        {"amount": {"value": "true", "currency": "EUR"}},
        {"amount": {"value": "huge", "currency": "EUR"}},
        {"subject": {"a": "boom"}},
        {"subject": {"a": "huge"}},
        {"subject": {"a": "big"}},
        {"subject": {"a": "inputs.nul"}},
        {"subject": {"a": "wide"}},
    ],
)
def test_an_error_outside_a_condition_fails_the_step(block):
    with pytest.raises(ExpressionError):
        prepare(block, variables=NUL)


def test_a_long_line_is_shortened_and_a_nul_is_dropped():
    prepared = prepare(
        {"title": "${{ inputs.ref }}" + "x" * 300, "if-rejected": "${{ inputs.nul }}"},
        variables=NUL,
    )

    assert len(prepared["title"]) == limits.TITLE_CHARS_MAX
    assert prepared["title"].endswith("…")
    assert prepared["if_rejected"] == "a b"


def test_exclusions_keep_what_they_read_of_the_run():
    prepared = prepare({"exclude": ["inputs.amount", "steps.scan.outputs"]})

    assert prepared["variables"] == {
        "inputs": VARIABLES["inputs"],
        "vars": {},
        "run": {"id": "r"},
        "steps": {"scan": VARIABLES["steps"]["scan"]},
    }


def test_exclusions_that_read_all_steps_keep_all_steps():
    prepared = prepare({"exclude": ["size(steps) > 1"]})

    assert prepared["variables"]["steps"] == VARIABLES["steps"]


def test_exclusions_work_without_steps():
    variables = {"inputs": VARIABLES["inputs"]}

    prepared = prepare({"exclude": ["inputs.amount"]}, variables=variables)

    assert prepared["variables"] == variables


def test_what_an_exclusion_needs_must_be_storable():
    with pytest.raises(ExpressionError, match="NUL"):
        prepare({"exclude": ["inputs.amount"]}, variables=NUL)
