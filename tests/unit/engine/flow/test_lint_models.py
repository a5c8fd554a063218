"""No approval depends on what a model says, as far as a definition shows it."""

import pytest

from approvals.verbs import ApprovalVerb
from engine.actions import ai_generate
from engine.domain.flow.compiler import compile_flow
from tests.fakes.flow import CALL, EVALUATOR

SOURCE = """
schema: flow/v1
kind: dag
name: job
title: Job
steps:
  sort:
    uses: ai/generate@1
    with: {endpoint: main, prompt: "a", schema: {type: object}}
    outputs: {low: "result.json.low"}
  other:
    uses: python/call@1
    with: {function: f}
    outputs: {low: "result.low"}
  ask:
    needs: [sort, other]
    CONDITION
    approval:
      subject: {said: steps.sort.outputs.low}
      stages: [{id: one, approvers: {groups: [g]}, WHEN}]
      exclude: [EXCLUDE]
      expires: {after: P1D}
"""


def compile_with(*, condition="true", when="true", exclude="initiator"):
    source = (
        SOURCE.replace("CONDITION", f'if: "{condition}"')
        .replace("WHEN", f'when: "{when}"')
        .replace("EXCLUDE", f'"{exclude}"')
    )
    made = compile_flow(
        source,
        evaluator=EVALUATOR,
        verbs={"approval": ApprovalVerb()},
        actions=[CALL, ai_generate.SPEC.info],
        functions=None,
    )
    return [(item.code, item.path) for item in made.problems if item.severity == "error"]


@pytest.mark.parametrize(
    ("part", "text", "path"),
    [
        ("condition", "steps.{}.outputs.low == false", "/steps/ask/if"),
        ("when", "steps.{}.outputs.low == false", "/steps/ask/approval/stages/0/when"),
        ("exclude", "steps.{}.outputs.low == user.username", "/steps/ask/approval/exclude/0"),
    ],
)
def test_who_is_asked_may_not_depend_on_a_model(part, text, path):
    assert compile_with(**{part: text.format("sort")}) == [("flow.model_decides", path)]
    assert compile_with(**{part: text.format("other")}) == []


def test_what_a_model_says_may_be_shown():
    assert compile_with() == []
