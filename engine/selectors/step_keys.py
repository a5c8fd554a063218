"""Which steps of a run are shown, and in which order. Read `list_keys`."""

from collections.abc import Iterator

from core.kernel import limits
from engine.domain.cancelling import children
from engine.domain.decider import Decider
from engine.domain.keys import is_undo, step_key
from engine.domain.state import RunState


def list_keys(*, decider: Decider, state: RunState) -> list[str]:
    """Return the keys of a run's steps, at most `limits.STEP_VIEW_COUNT_MAX` and its compensations.

    A container comes before what is inside it, siblings in the order of the definition, instances
    and visits by number, compensations last.
    """
    found: list[str] = []
    for key in _outermost(decider, state):
        for item in _with_inner(decider, state, key):
            if len(found) < limits.STEP_VIEW_COUNT_MAX:
                found.append(item)
    return found + sorted(key for key in state.steps if is_undo(key))


def _outermost(decider: Decider, state: RunState) -> Iterator[str]:
    plan = decider.plan
    if decider.definition.is_machine:
        for name in plan.states:
            for number in range(1, state.visits.get(name, 0) + 1):
                yield step_key(name, number)
    else:
        for name in plan.steps:
            yield step_key(name)


def _with_inner(decider: Decider, state: RunState, key: str) -> Iterator[str]:
    if key not in state.steps:
        return
    yield key
    for child in children(decider.definition, state, key):
        yield from _with_inner(decider, state, child)
