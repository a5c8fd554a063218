"""The page of the actions tells what the code declares."""

from pathlib import Path

import pytest

from core.settings.env import BASE_DIR
from engine.actions import shell_run
from engine.actions.reference import render_actions
from engine.actions.samples import SAMPLES
from engine.domain.flow.compiler import compile_flow
from engine.registry import actions
from tests.fakes.flow import EVALUATOR

KNOWN = {**actions(), shell_run.SPEC.reference: shell_run.SPEC}
PAGE: Path = BASE_DIR / "docs" / "reference" / "actions.md"


def test_the_page_is_what_the_code_declares():
    assert render_actions(KNOWN.values()) == PAGE.read_text(encoding="utf-8"), (
        "run manage.py write_flow_reference"
    )


def test_every_action_has_a_sample():
    assert sorted(SAMPLES) == sorted(KNOWN)


@pytest.mark.parametrize("reference", sorted(KNOWN))
def test_a_sample_compiles_and_names_the_action(reference):
    head = (
        "schema: flow/v1\nkind: dag\nname: x\n"
        "inputs: {type: object, properties: {order: {}, orders: {}}}\nsteps:\n"
    )
    steps = "".join(f"  {line}\n" for line in SAMPLES[reference].strip().splitlines())

    made = compile_flow(
        head + steps,
        evaluator=EVALUATOR,
        verbs={},
        actions=[spec.info for spec in KNOWN.values()],
        functions=["billing.refund"],
    )

    assert [item.message for item in made.problems] == []
    assert f"uses: {reference}" in SAMPLES[reference]
