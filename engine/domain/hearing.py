"""Who has to hear that an instance has ended. Read `hear`."""

from core.kernel.values import evolve
from engine.domain import containers, machine
from engine.domain.definition import Definition
from engine.domain.keys import parent_of, sibling_key
from engine.domain.needs import PARTIAL, is_joined
from engine.domain.plan import Group
from engine.domain.settling import means
from engine.domain.state import RunState, StepStatus, worse


def hear(definition: Definition, state: RunState, key: str) -> RunState:
    """Tell what depends on an instance that ended, and what it is part of."""
    parent = parent_of(key)
    if parent:
        if isinstance(definition.step(parent).verb, Group):
            state = _tell_dependents(definition, state, key)
        return containers.hear(definition, state, key)
    if definition.is_machine:
        return machine.hear(definition, state, key)
    meant = means(definition, state, key)
    state = evolve(state, open_count=state.open_count - 1, worst=worse(state.worst, meant))
    return _tell_dependents(definition, state, key)


def _tell_dependents(definition: Definition, state: RunState, key: str) -> RunState:
    steps, todo = state.steps, state.todo
    for name in definition.node(key).dependents:
        dependent = sibling_key(key, name)
        step = steps[dependent]
        if step.status is not StepStatus.PENDING:
            continue
        unmet_count = step.unmet_count - 1
        steps = steps.set(dependent, evolve(step, unmet_count=unmet_count))
        is_partial = definition.step(dependent).join in PARTIAL
        if unmet_count == 0 or (is_partial and is_joined(definition, state, dependent)):
            todo = todo if dependent in todo else (*todo, dependent)
    return evolve(state, steps=steps, todo=todo)
