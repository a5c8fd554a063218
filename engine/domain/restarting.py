"""Beginning an instance anew, because a person said to try it again. Read `restart`.

Nothing of the earlier try goes on by then. What it completed may still have to be undone, beside
what the new try will complete under the same keys: so it is kept under keys of its own.
"""

from immutables import Map

from core.kernel.values import evolve
from engine.domain.considering import start
from engine.domain.definition import Definition
from engine.domain.keys import any_try_of, earlier_key, path_of, undo_key, undone_by
from engine.domain.plan import Uses
from engine.domain.state import RunState, StepState, StepStatus
from engine.domain.unwinding import MUTEX, back_off, unready


def find_restart(state: RunState) -> str:
    """Return the key of an instance that is to begin anew and may; "" if there is none.

    Not while something of it executes or is being undone.
    """
    if not state.restarting:
        return ""
    busy = [any_try_of(key) for key in (*state.running, *state.undo, undone_by(state.undoing))]
    for key in state.restarting:
        if not any(item == key or item.startswith(f"{key}/") for item in busy):
            return key
    return ""


def restart(definition: Definition, state: RunState, key: str) -> RunState:
    """Return the state in which an instance begins anew, with all inside it."""
    left = tuple(item for item in state.restarting if item != key)
    last = _last_round(state, key)
    state = _set_aside(definition, evolve(state, restarting=left), key)
    step = state.steps[key]
    if not isinstance(definition.step(key).verb, Uses):
        again = StepState(
            round=last + 1,
            locals=step.locals,
            mutex=step.mutex,
            passed=step.passed & {MUTEX},  # it may have failed while it waited for its mutex
        )
        return start(definition, evolve(state, steps=state.steps.set(key, again)), key)
    again = evolve(step, forgiven=step.attempt - step.lost, round=step.round + 1)
    state = start(definition, evolve(state, steps=state.steps.set(key, again)), key)
    # An attempt nobody knows the end of may still be executing: its time has to be over.
    assert state.at is not None, "something has happened"
    due = step.wake_at if step.wake_at is not None and step.wake_at > state.at else None
    if due is not None and state.steps[key].status in {StepStatus.READY, StepStatus.HELD}:
        return back_off(unready(state, key), key, due)
    return state


def _last_round(state: RunState, key: str) -> int:
    """Return the highest round of an instance and all inside it.

    What is inside begins in the round of what it is in, under keys it has had: in a round it has
    had as well, other systems would take it for a repetition.
    """
    inside = f"{key}/"
    return max(
        step.round for item, step in state.steps.items() if item == key or item.startswith(inside)
    )


def _set_aside(definition: Definition, state: RunState, key: str) -> RunState:
    """Return the state in which nothing of the earlier try stands where the new one will be."""
    nodes = definition.tree.nodes  # what a state listens to has a key inside the visit's as well
    inside = {
        item
        for item in state.steps
        if (item == key or item.startswith(f"{key}/")) and path_of(item) in nodes
    }
    undone = state.undone & inside
    is_owed = any(item in inside and item not in undone for item in state.undoable)
    steps, number = state.steps, state.steps[key].round
    for item in inside:
        if is_owed:
            kept = evolve(steps[item], status=StepStatus.ENDED)
            steps = steps.set(earlier_key(item, key, number), kept)
        if item != key:
            steps = steps.delete(item)
    # What has been undone may be done, and undone, again.
    for item in undone:
        steps = steps.delete(undo_key(item))
    return evolve(
        state,
        steps=steps,
        undone=state.undone - undone,
        undoable=Map(
            {
                earlier_key(item, key, number) if item in inside else item: place
                for item, place in state.undoable.items()
                if item not in undone
            }
        ),
    )
