"""Where approvals are written, however deep."""

from engine.domain.flow.loader import load
from engine.domain.flow.waits import list_waits
from engine.domain.plan import Wait
from tests.fakes.flow import compile_text

ASK = "approval: {limit: 1}"
DAG = f"""schema: flow/v1
kind: dag
name: x
inputs: {{type: object, properties: {{hosts: {{}}}}}}
steps:
  a: {{{ASK}}}
  b: {{emit: {{type: x}}}}
  c: {{map: {{items: inputs.hosts}}, {ASK}}}
  d:
    loop: {{until: 'true', max-iterations: 2}}
    steps: {{e: {{{ASK}}}}}
  f: {{race: [{{id: g, wait: {{timer: PT1M}}}}, {{id: h, {ASK}}}]}}
"""
MACHINE = f"""schema: flow/v1
kind: states
name: x
initial: a
states:
  a: {{{ASK}, transitions: [{{on-outcome: approved, to: b}}]}}
  b: {{final: true}}
"""


def waits_of(source):
    plan = compile_text(source).plan
    assert plan is not None
    return list(list_waits(plan))


def test_every_approval_has_the_pointer_of_its_block():
    found = waits_of(DAG)

    assert [path for path, _ in found] == [
        "/steps/a/approval",
        "/steps/c/approval",
        "/steps/d/steps/e/approval",
        "/steps/f/race/1/approval",
    ]
    assert all(isinstance(wait, Wait) for _, wait in found)
    places = load(DAG).places
    assert [places.find(path, key=True)[0] for path, _ in found] == [6, 8, 11, 12]


def test_the_approval_of_a_state_too():
    assert [path for path, _ in waits_of(MACHINE)] == ["/states/a/approval"]
