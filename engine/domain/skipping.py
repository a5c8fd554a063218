"""Whether an operator may let a run go on without a step. Read `find_skip_obstacle`.

Nobody gets around an approval: not one inside the step, and not one whose `if`, or what repeats it,
may come to something else when the step is skipped. What cannot be ruled out counts as so.
"""

from collections.abc import Iterator

from engine.domain.cancelling import children
from engine.domain.definition import Definition
from engine.domain.keys import is_earlier, is_undo, parent_of, path_of
from engine.domain.mentions import mentioned
from engine.domain.nodes import Node
from engine.domain.plan import Call, Loop, Map, Matrix, SetVars, Wait
from engine.domain.state import RunState, StepState, StepStatus

ASKED = "A person is asked about it; the answer to that question says what becomes of it."


def find_skip_obstacle(definition: Definition, state: RunState, key: str) -> str:
    """Return why a step cannot be skipped now, as a sentence; "" if it can.

    What called workflows hold is not known here: see `calls_inside`.
    """
    step = state.steps.get(key)
    is_step = step is not None and path_of(key) in definition.tree.nodes
    if step is None or not is_step or is_undo(key) or is_earlier(key) or key in state.listening:
        return "There is no such step to skip."
    return (
        find_run_obstacle(state)
        or _find_own_obstacle(definition, state, key, step)
        or find_gate_obstacle(definition, key)
    )


def find_run_obstacle(state: RunState) -> str:
    """Return why no step of a run can be retried or skipped, as a sentence; "" if some may."""
    if state.halted:
        return "The run has halted."
    return "The run is being cancelled." if state.cancelling else ""


def _find_own_obstacle(definition: Definition, state: RunState, key: str, step: StepState) -> str:
    if step.status is StepStatus.ENDED:
        return f"The step has ended {step.outcome}."
    if step.status is StepStatus.UNWINDING:
        return "The step has failed, and what it names is being undone."
    if is_question(state, key) and step.status is StepStatus.WAITING:
        return ASKED
    if definition.is_machine and not parent_of(key):
        return "A state is left by its transitions; it cannot be skipped."
    if any(_is_executing(state, item) for item in _with_inside(definition, state, key)):
        return "An attempt executes now; it cannot be taken back."
    return ""


def is_question(state: RunState, key: str) -> bool:
    """Say whether a person is, or is about to be, asked what becomes of a step that failed."""
    step = state.steps[key]
    if step.status is StepStatus.WAITING:
        return step.is_asked
    return step.status is StepStatus.OPENING and step.error is not None


def calls_inside(definition: Definition, key: str) -> list[Call]:
    """Return the workflows that a step calls, itself or anywhere inside it."""
    verbs = [node.step.verb for node in _nodes_inside(definition, path_of(key))]
    return [verb for verb in verbs if isinstance(verb, Call)]


def _is_executing(state: RunState, key: str) -> bool:
    return state.steps[key].status is StepStatus.RUNNING and key not in state.remote


def _with_inside(definition: Definition, state: RunState, key: str) -> Iterator[str]:
    yield key
    for child in children(definition, state, key):
        if child in state.steps:
            yield from _with_inside(definition, state, child)


def _nodes_inside(definition: Definition, path: str) -> list[Node]:
    nodes = definition.tree.nodes
    return [node for at, node in nodes.items() if at == path or at.startswith(f"{path}/")]


# --- approvals -----------------------------------------------------------------------------------


def find_gate_obstacle(definition: Definition, key: str) -> str:
    """Return which approval another end of a step would get around, as a sentence; "" if none."""
    inside = _nodes_inside(definition, path_of(key))
    if any(isinstance(node.step.verb, Wait) for node in inside):
        return "It is an approval or holds one; nobody skips that."
    gates = [node for node in definition.tree.nodes.values() if isinstance(node.step.verb, Wait)]
    if not gates:
        return ""
    swayed, sways_vars = _swayed(definition, inside)
    for gate in gates:
        if _is_swayed(definition, gate, swayed, sways_vars=sways_vars):
            return f"Whether {gate.step.id} asks anybody may depend on it; nobody skips that."
    if definition.is_machine and _sways_transition(definition, swayed, sways_vars=sways_vars):
        return "Whether the run comes to an approval may depend on it; nobody skips that."
    return ""


def _swayed(definition: Definition, inside: list[Node]) -> tuple[frozenset[str], bool]:
    """Return the ids of steps that may come to something else, and whether variables may."""
    nodes = definition.tree.nodes
    moved = {node.path for node in inside}  # with all inside them
    ids: set[str] = set()
    while True:
        # What happens inside a container is part of what it comes to.
        touched = moved | {above for path in moved for above in _around(path)}
        ids = {nodes[path].step.id for path in touched}
        more = {
            path
            for path, node in nodes.items()
            if path not in moved
            and (
                node.reads & ids
                or moved & set(_around(path))
                or any(_beside(node, need) in touched for need in node.step.needs)
            )
        }
        if not more:
            break
        moved |= more
    sets = any(isinstance(nodes[path].step.verb, SetVars) for path in moved)
    return frozenset(ids), sets


def _beside(node: Node, name: str) -> str:
    return f"{node.parent}/{name}" if node.parent else name


def _is_swayed(
    definition: Definition, gate: Node, swayed: frozenset[str], *, sways_vars: bool
) -> bool:
    """Say whether a gate may be asked less, or not at all, because of what is skipped."""
    nodes = definition.tree.nodes
    for path in (gate.path, *_around(gate.path)):
        step = nodes[path].step
        if step.condition is not None and (sways_vars or swayed & set(step.condition_reads)):
            return True
        is_repeated = isinstance(step.verb, Map | Matrix | Loop)
        if is_repeated and (sways_vars or swayed & nodes[path].reads):
            return True
    return False


def _sways_transition(definition: Definition, swayed: frozenset[str], *, sways_vars: bool) -> bool:
    ids = definition.tree.ids
    for state in definition.plan.states.values():
        ways = [(way.condition, way.values) for way in state.transitions]
        ways += [(way.condition, way.values) for way in state.events]
        for condition, values in ways:
            read = mentioned([condition or "", dict(values)], ids=ids)
            if swayed & read or (sways_vars and condition is not None):
                return True
    return False


def _around(path: str) -> Iterator[str]:
    """Yield the paths of the containers around a place, the innermost first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
