"""What an expression of a run sees. Read `variables_for` first.

Only the steps an expression mentions are handed to it: a run of ten thousand steps must not build a
map of ten thousand entries for each condition.
"""

import re
from collections.abc import Iterator, Mapping

from core.kernel.types import Json
from engine.domain.plan import Plan, Step, Uses, Wait
from engine.domain.state import RunState, StepState, StepStatus

_STEP_NAME = re.compile(r"""\bsteps\s*(?:\.\s*(\w+)|\[\s*["'](\w+)["']\s*\])?""")


def step_key(step: str) -> str:
    """Return the scoped key of a step of the plan."""
    return f"{step}#1"


def undo_key(step: str) -> str:
    """Return the scoped key of a step's compensation."""
    return f"compensate/{step}#1"


def is_undo(key: str) -> bool:
    """Say whether a key is a compensation's."""
    return key.startswith("compensate/")


def step_of(key: str) -> str:
    """Return the id of the step a key belongs to."""
    return key.removeprefix("compensate/").partition("#")[0]


def mentioned_steps(value: Json, *, plan: Plan) -> frozenset[str]:
    """Return the ids of the plan's steps that the expressions inside a JSON value may read.

    It may name too many (a step named in a literal text), never too few: a bare `steps` means all.
    """
    found: set[str] = set()
    for text in _texts(value):
        for match in _STEP_NAME.finditer(text):
            name = match.group(1) or match.group(2)
            if name is None:
                return frozenset(plan.steps)
            if name in plan.steps:
                found.add(name)
    return frozenset(found)


def expressions_of(step: Step) -> Json:
    """Return every expression and template of a step, as one JSON value."""
    verb: Json = None
    if isinstance(step.verb, Uses):
        verb = dict(step.verb.arguments)
    elif isinstance(step.verb, Wait):
        verb = dict(step.verb.body)
    undo: Json = dict(step.compensate.uses.arguments) if step.compensate else None
    return [verb, undo, step.condition, dict(step.outputs or {})]


def variables_for(state: RunState, *, steps: frozenset[str]) -> dict[str, Json]:
    """Return the variables of an expression that reads these steps."""
    return {
        "inputs": state.inputs,
        "vars": state.variables,
        "run": dict(state.facts),
        "steps": {step: _step_value(state.steps[step_key(step)]) for step in sorted(steps)},
    }


def _step_value(step: StepState) -> Json:
    ended = step.status is StepStatus.ENDED and step.outcome is not None
    error: Json = None
    if step.error is not None:
        error = {"kind": step.error.kind, "message": step.error.message}
    return {
        "outcome": str(step.outcome) if ended else str(StepStatus.PENDING),
        "outputs": dict(step.outputs),
        "error": error,
    }


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
