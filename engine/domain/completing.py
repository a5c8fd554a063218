"""What an instance has made once its verb is done. Read `complete`."""

from collections.abc import Mapping

from core.kernel.types import Json
from core.kernel.values import evolve
from engine.domain import unwinding
from engine.domain.cancelling import owe, owe_unfinished
from engine.domain.definition import Definition
from engine.domain.expressions import ExpressionError
from engine.domain.keys import is_undo
from engine.domain.plan import AwaitEvent, Loop
from engine.domain.settling import settle
from engine.domain.state import Outcome, RunState


def complete(
    definition: Definition,
    state: RunState,
    key: str,
    result: Json,
    *,
    outcome: Outcome = Outcome.SUCCEEDED,
    outputs: Mapping[str, Json] | None = None,
    is_reused: bool = False,
) -> RunState:
    """End an instance whose verb has made a result.

    `outputs`: what it has if none are written; `is_reused`: another step has made the result, so
    that this one has done nothing that could be undone.
    """
    step = state.steps[key]
    if is_reused:  # but an attempt may have failed before
        state = owe_unfinished(definition, state, key)
    elif not is_undo(key):  # also if its outputs cannot be read: its action has completed
        state = owe(definition, state, key)
    names = None if is_undo(key) else definition.step(key).outputs
    try:
        made = {"result": result} if outputs is None else dict(outputs)
        if names is not None:
            seen = definition.variables(state, key) | {"result": result}
            made = {name: definition.evaluator.evaluate(text, seen) for name, text in names.items()}
    except ExpressionError as error:
        return unwinding.fail_expression(definition, state, key, error)
    kept = result if _is_kept(definition, key) else None
    done = evolve(step, outputs=made, result=kept, arguments=None, started_at=None)
    state = evolve(state, steps=state.steps.set(key, done))
    return settle(state, key, outcome)


def _is_kept(definition: Definition, key: str) -> bool:
    """Say whether somebody reads an instance's raw result: a loop, a race, a state machine."""
    node = definition.node(key)
    if isinstance(node.step.verb, AwaitEvent):
        return True
    around = definition.tree.nodes.get(node.parent)
    return around is not None and isinstance(around.step.verb, Loop)
