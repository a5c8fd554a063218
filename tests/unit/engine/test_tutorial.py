"""docs/tutorials/the-decider.md shows what really happens."""

import re

import pytest

from approvals.verbs import ApprovalVerb
from engine.domain.decider import Decider
from engine.domain.errors import NondeterministicError
from engine.domain.events import find_decided
from engine.domain.keys import step_key
from engine.domain.state import RunState
from tests.architecture.sources import ROOT
from tests.fakes.flow import compile_text
from tests.pure_run import EVALUATOR, VERBS, PureRun

PAGE = (ROOT / "docs/tutorials/the-decider.md").read_text(encoding="utf-8")
SOURCE, *_ = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
ENTRIES, STATUSES, EFFECTS, DIFFERENCE = re.findall(
    r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL
)
_DIGEST = re.compile(r"'digest': '(\w{8})")


def plan_of(source):
    compilation = compile_text(source, verb=ApprovalVerb(), functions=("patterns.work",))
    assert compilation.plan is not None, compilation.problems
    return compilation.plan


def played():
    run = PureRun(plan_of(SOURCE), inputs={"amount": 250})
    run.actions = {"check": lambda given: {"amount": given["amount"]}}
    return run.drive().resolve("approve", "approved")


def told(event):
    """Return an entry as the page writes it."""
    words = [str(event.seq), str(event.kind)]
    for name, value in event.data.items():
        if name not in {"run", "decided"}:
            words.append(f"{name}={value[:8] if name == 'prepared' else value}")
    decided = find_decided(event)
    if decided is not None:
        begun = [
            f"{item['key']}/{item['attempt']}/{item['digest'][:8]}" for item in decided["next"]
        ]
        words.append(f"next={','.join(begun)}")
        assert decided["settled"] == []
    return " ".join(words)


def test_the_entries_are_those_of_the_page():
    run = played()

    assert run.closed == "succeeded"
    assert [told(event) for event in run.events] == ENTRIES.splitlines()


def test_the_statuses_after_each_entry_are_those_of_the_page():
    run = played()
    decider = Decider(plan=run.plan, evaluator=EVALUATOR, verbs=VERBS)
    state, lines = RunState(), []
    for event in run.events:
        state = decider.fold(state, [event])
        steps = [f"{name}={state.steps[step_key(name)].status}" for name in run.plan.steps]
        lines.append(f"{event.seq} {' '.join(steps)}")

    assert lines == STATUSES.splitlines()


def test_the_effects_are_those_of_the_page():
    effects = [f"{effect.kind} {effect.key} {effect.verb}" for effect in played().effects]

    assert effects == EFFECTS.splitlines()


def test_a_changed_definition_is_found_where_the_page_says():
    changed = SOURCE.replace("steps.check.outputs.amount }}", "steps.check.outputs.amount * 2 }}")
    assert changed != SOURCE
    decider = Decider(plan=plan_of(changed), evaluator=EVALUATOR, verbs=VERBS)

    with pytest.raises(NondeterministicError) as raised:
        decider.fold(RunState(), played().events)

    message = str(raised.value)
    recorded, found = _DIGEST.findall(message)
    entry = message.partition(" records")[0]
    assert (
        DIFFERENCE.strip()
        == f"{entry} records pay#1 with {recorded}, but replaying it gives {found}"
    )
