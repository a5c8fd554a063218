"""From a definition to its plan."""

import json
import time

import pytest

from approvals.verbs import ApprovalVerb
from core.kernel.canonical import canonical_bytes, sha256
from core.kernel.types import Json
from engine.domain.expressions import ExpressionError
from engine.domain.flow.loader import load
from engine.domain.plan import (
    AfterError,
    Backoff,
    Compensation,
    Join,
    OnError,
    Retry,
    Uses,
    Wait,
)
from engine.domain.plan_json import plan_digest, plan_from_json, plan_to_json
from tests.fakes.flow import DATA, EVALUATOR, SmallVerb, compile_text

HEAD = "schema: flow/v1\nkind: dag\nname: x\n"


def plan_of(source, **named):
    compilation = compile_text(source, **named)
    assert compilation.plan is not None, compilation.problems
    return compilation.plan


def example(name):
    return (DATA / f"{name}.yaml").read_text()


# --- a reference document --------------------------------------------------------------------


def test_the_reduced_release_example_compiles():
    compilation = compile_text(example("release_reduced"), verb=ApprovalVerb())

    plan = compilation.plan
    assert plan is not None
    assert compilation.problems == ()
    assert compilation.title == "Release ${{ inputs.ref }} to ${{ inputs.env }}"
    assert compilation.source_digest == sha256(example("release_reduced").encode())
    assert list(plan.steps) == ["test", "scan", "approve", "deploy", "smoke"]
    approve, deploy, smoke = (plan.steps[step] for step in ("approve", "deploy", "smoke"))
    assert isinstance(approve.verb, Wait)
    assert approve.verb.body["if_approved"] == "Replaces the running version for every customer."
    assert approve.condition_reads == ("scan",)
    assert approve.retry == Retry()
    assert deploy.condition_reads == ("approve",)
    assert deploy.outputs == {"previous": "result.json.previous"}
    assert isinstance(deploy.compensate, Compensation)
    assert deploy.compensate.retry == deploy.retry
    assert smoke.on_error == OnError(compensate=("deploy",), then=AfterError.FAIL)


# --- the plan --------------------------------------------------------------------------------


def test_what_is_not_said_has_defaults():
    plan = plan_of(f"{HEAD}steps: {{a: {{uses: python/call@1, with: {{function: release.scan}}}}}}")

    step = plan.steps["a"]
    assert (plan.title, plan.triggers, plan.outputs, plan.variables) == (
        "x",
        ("manual", "api"),
        {},
        {},
    )
    assert plan.inputs_schema == {"type": "object", "additionalProperties": False}
    assert step.verb == Uses(action="python/call@1", arguments={"function": "release.scan"})
    assert (step.needs, step.join, step.condition, step.condition_reads) == ((), Join.ALL, None, ())
    assert (step.retry, step.timeout_seconds, step.outputs) == (Retry(), 1800.0, None)
    assert (step.compensate, step.compensate_on_failure, step.on_error) == (None, False, None)


def test_defaults_apply_to_actions_and_what_a_step_says_goes_first():
    plan = plan_of(
        f"{HEAD}"
        "defaults: {timeout: PT5M, retry: {max: 3, initial: PT10M, jitter: false}}\n"
        "steps:\n"
        "  a: {uses: python/call@1, with: {function: release.scan}}\n"
        "  b:\n"
        "    uses: python/call@1\n"
        "    with: {function: release.scan}\n"
        "    timeout: PT1.5S\n"
        "    retry: {max: 1, backoff: fixed, initial: PT0S, max-delay: PT1M, errors: [own]}\n"
        "    compensate: {uses: http/request@1, with: {method: GET, url: u}, timeout: PT9S}\n"
        "    compensate-on-failure: true\n"
        "    on-error: {then: continue}\n"
        "  g: {approval: {limit: 1}}\n"
    )

    first, second, gate = plan.steps.values()
    assert first.timeout_seconds == 300.0
    assert first.retry == Retry(
        retries_max=3, initial_seconds=600.0, delay_seconds_max=600.0, jitter=False
    )
    assert second.timeout_seconds == 1.5
    assert second.retry == Retry(
        retries_max=1,
        backoff=Backoff.FIXED,
        initial_seconds=0.0,
        delay_seconds_max=60.0,
        jitter=False,
        errors=("own",),
    )
    assert second.compensate is not None
    assert second.compensate.timeout_seconds == 9.0
    assert second.compensate.retry == first.retry
    assert second.compensate_on_failure is True
    assert second.on_error == OnError(then=AfterError.CONTINUE)
    assert (gate.retry, gate.timeout_seconds) == (Retry(), 1800.0)


def test_steps_are_in_an_order_in_which_needs_come_first():
    get = "uses: http/request@1, with: {method: GET, url: u}"
    plan = plan_of(
        f"{HEAD}steps:\n"
        f"  d: {{{get}, needs: [b, c]}}\n"
        f"  c: {{{get}, needs: [a], join: all-settled}}\n"
        f"  b: {{{get}, needs: [a]}}\n"
        f"  a: {{{get}}}\n"
        f"  e: {{{get}}}\n"
    )

    assert list(plan.steps) == ["a", "c", "b", "d", "e"]
    assert plan.steps["c"].join is Join.ALL_SETTLED
    assert plan.steps["d"].needs == ("b", "c")


READING = """
schema: flow/v1
kind: dag
name: x
steps:
  a: {uses: http/request@1, with: {method: GET, url: u}}
  g:
    needs: [a]
    approval: {limit: 1, when: "steps.a.outcome == 'succeeded'", title: "${{ steps.a.outcome }}"}
  c:
    needs: [g]
    if: "steps.a.error == null && steps['g'].outputs.form.x && has(steps.a)"
    uses: http/request@1
    with: {method: GET, url: u}
  d:
    needs: [g, a]
    join: all-settled
    if: "steps.g.outcome != 'approved'"
    uses: http/request@1
    with: {method: GET, url: u}
  e:
    needs: [g]
    join: all-settled
    if: "steps.g.outputs.outcome != ''"
    uses: http/request@1
    with: {method: GET, url: u}
  f:
    needs: [a]
    uses: http/request@1
    with:
      method: POST
      url: "${{ steps.a.outputs.result.url }}/${{ steps.a.outputs['result'][0] }}"
      json: {a: [1, "$${{ x }}"]}
    outputs: {x: "result.a + steps.a.outputs.result.b"}
    compensate:
      uses: http/request@1
      with: {method: GET, url: x, json: "${{ steps.f.outputs.x }}"}
    on-error: {compensate: [f]}
outputs: {all: steps.f.outputs.x, how: steps.g.outcome}
"""


def test_a_step_may_read_every_step_it_needs_directly_or_not():
    assert compile_text(READING).problems == ()


def test_inputs_that_are_composed_may_declare_anything():
    get = "uses: http/request@1, with: {method: GET, url: '${{ inputs.x }}${{ vars.y }}'}"

    compilation = compile_text(
        f"{HEAD}inputs: {{type: object, allOf: [{{properties: {{x: {{}}}}}}]}}\n"
        f"vars: {{y: '${{{{ inputs.z }}}}'}}\nsteps: {{a: {{{get}}}}}\n"
    )

    assert compilation.problems == ()


def test_macro_variables_hide_nothing_and_are_not_read():
    get = "uses: http/request@1, with: {method: GET, url: u}"

    plan_of(f"{HEAD}steps: {{a: {{{get}, if: '[1].exists(event, event == 1)'}}}}")


def test_a_function_may_be_anything_when_the_registry_is_not_known():
    source = f"{HEAD}steps: {{a: {{uses: python/call@1, with: {{function: any.thing}}}}}}"

    assert compile_text(source, functions=None).plan is not None
    assert compile_text(source).plan is None


def test_empty_trigger_bodies_may_be_left_out():
    source = "steps: {a: {uses: python/call@1, with: {function: release.scan}}}"

    plan = plan_of(f"{HEAD}triggers:\n- api:\n- manual: {{}}\n{source}")

    assert plan.triggers == ("api", "manual")


# --- what a waiting verb is told -------------------------------------------------------------


def test_a_verb_is_told_its_place_and_the_effects_of_what_follows():
    verb = SmallVerb()
    get = "uses: http/request@1, with: {method: GET, url: u}"
    plan_of(
        f"{HEAD}steps:\n"
        f"  last: {{{get}, needs: [next], effect: third}}\n"
        f"  next: {{{get}, needs: [gate], effect: 'first ${{{{ run.id }}}}'}}\n"
        f"  beside: {{{get}, effect: never}}\n"
        f"  silent: {{{get}, needs: [gate]}}\n"
        f"  other: {{{get}, needs: [gate, beside], effect: second}}\n"
        "  gate: {approval: {limit: 1}}\n",
        verb=verb,
    )

    (scope,) = verb.scopes
    assert (scope.step, scope.path) == ("gate", "/steps/gate/approval")
    assert sorted(scope.names) == ["event", "inputs", "run", "steps", "vars"]
    assert scope.effects == ("first ${{ run.id }}", "third", "second")


def test_effects_are_handed_over_only_as_far_as_they_can_be_shown():
    verb = SmallVerb()
    get = "uses: http/request@1, with: {method: GET, url: u}"
    steps = "".join(
        f"  s{number}: {{{get}, needs: [gate], effect: {'x' * 400}}}\n" for number in range(9)
    )

    plan_of(f"{HEAD}steps:\n{steps}  gate: {{approval: {{limit: 1}}}}\n", verb=verb)

    assert [len(effect) for effect in verb.scopes[0].effects] == [400, 400, 400]


def test_what_a_verb_returns_is_the_body_of_the_plan():
    plan = plan_of(f"{HEAD}steps: {{gate: {{approval: {{limit: 1, title: x}}}}}}")

    body: dict[str, Json] = {"checked": {"limit": 1, "title": "x"}}
    assert plan.steps["gate"].verb == Wait(verb="approval", body=body)


def test_a_verbs_evaluator_evaluates_like_any_other():
    verb = SmallVerb()
    plan_of(
        f"{HEAD}inputs: {{type: object}}\nsteps: {{gate: {{approval: {{limit: 1}}}}}}", verb=verb
    )
    evaluator = verb.scopes[0].evaluator

    assert evaluator.evaluate("inputs.a + 1", {"inputs": {"a": 1}}) == 2
    assert evaluator.condition("inputs.a == 1", {"inputs": {"a": 1}}) is True
    assert evaluator.render("x${{ inputs.a }}", {"inputs": {"a": 1}}) == "x1"
    assert evaluator.reads("steps.a.outcome") == {"a"}
    evaluator.check("inputs.undeclared", names=("inputs",))
    with pytest.raises(ExpressionError):
        evaluator.check_condition("1", names=())


# --- digests and time ------------------------------------------------------------------------


def test_comments_and_spelling_change_the_source_but_not_the_plan():
    source = example("release_reduced")
    spelled = f"# a comment\n{source}".replace("PT72H", "P3D")
    as_json = json.dumps(load(source).value, indent=1, ensure_ascii=False)

    compilations = [compile_text(text, verb=ApprovalVerb()) for text in (source, spelled, as_json)]

    assert len({item.source_digest for item in compilations}) == 3
    assert len({item.plan and plan_digest(item.plan) for item in compilations}) == 1


def test_a_plan_survives_being_stored():
    plan = plan_of(example("release_reduced"), verb=ApprovalVerb())

    stored = json.loads(json.dumps(plan_to_json(plan)))
    canonical = json.loads(canonical_bytes(plan_to_json(plan)))

    assert plan_from_json(stored) == plan
    assert plan_from_json(canonical) == plan
    assert list(plan_from_json(canonical).steps) == list(plan.steps)
    assert plan_digest(plan_from_json(canonical)) == plan_digest(plan)


def test_the_source_may_be_bytes_or_no_text_at_all():
    source = example("originals/remediate")

    assert compile_text(source.encode(), functions=None) == compile_text(source, functions=None)
    assert compile_text(b"\xff").problems[0].code == "flow.not_text"
    assert compile_text("\ud800").problems[0].code == "flow.not_text"


def test_a_large_definition_compiles_in_reasonable_time():
    steps = "".join(
        f"  s{number}:\n    needs: [{f's{number - 1}' if number else ''}]\n"
        f"    if: 'run.number > {number}'\n"
        "    uses: python/call@1\n    with: {function: release.scan}\n"
        for number in range(1500)
    )
    start = time.process_time()

    plan = plan_of(f"{HEAD}steps:\n{steps}")

    assert len(plan.steps) == 1500
    assert time.process_time() - start < 20  # measured 1.2 s on an idle machine


STEP = "emit: {type: a}"
MACHINE = "schema: flow/v1\nkind: states\nname: x\ninitial: s900\nstates:\n"
LARGE = {
    "groups": f"{HEAD}steps:\n"
    + "".join(
        f"  g{number}: {{steps: {{i{number}: {{{STEP}}}, j{number}: {{{STEP}, "
        f"needs: [i{number}]}}}}}}\n"
        for number in range(900)
    ),
    "calls of itself": f"{HEAD}steps:\n  s0: {{if: run.id == '', {STEP}}}\n"
    + "".join(f"  s{number}: {{call: x@1, needs: [s{number - 1}]}}\n" for number in range(1, 1500)),
    "decisions before one group": f"{HEAD}steps:\n"
    + "".join(f"  a{number}: {{approval: {{limit: 1}}}}\n" for number in range(600))
    + f"  g: {{needs: [{', '.join(f'a{number}' for number in range(600))}], steps: {{"
    + ", ".join(f"i{number}: {{{STEP}, effect: x}}" for number in range(900))
    + "}}\n",
    "a machine that only goes back": MACHINE
    + "".join(
        f"  s{number}: {{{STEP}, transitions: [{{on-success: true, "
        f"if: steps.s900.outcome == '', to: s{number - 1}}}]}}\n"
        for number in range(1, 901)
    )
    + "  s0: {final: true}\n",
}


@pytest.mark.parametrize("shape", LARGE)
def test_no_shape_of_a_definition_takes_long(shape):
    start = time.process_time()

    plan_of(LARGE[shape])

    assert time.process_time() - start < 10  # measured 0.1 to 0.6 s on an idle machine


def test_compiling_needs_nothing_but_its_arguments():
    first = compile_text(example("release_reduced"), verb=ApprovalVerb())
    second = compile_text(example("release_reduced"), verb=ApprovalVerb())

    assert first == second
    assert EVALUATOR.reads("steps.a") == {"a"}
