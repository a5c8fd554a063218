"""Ending what is not wanted any more. Read `cancel`.

An attempt that executes cannot be taken back: it goes on, its end is recorded, and the run closes
only after it. Whatever else an instance does ends at once.
"""

from collections.abc import Iterator, Mapping

from core.kernel.values import evolve
from engine.domain.definition import Definition
from engine.domain.keys import child_key, is_undo, parent_of
from engine.domain.plan import Call, Group, Race, inner_steps
from engine.domain.settling import settle
from engine.domain.state import Outcome, RunState, StepStatus
from engine.domain.timers import Purpose, read_timer, timer_name

_STOPPABLE = frozenset(
    {
        StepStatus.PENDING,
        StepStatus.HELD,
        StepStatus.READY,
        StepStatus.BACKOFF,
        StepStatus.OPENING,
        StepStatus.SLEEPING,
    }
)


def cancel(
    definition: Definition, state: RunState, key: str, *, why: str, silent: bool = False
) -> RunState:
    """Return the state in which an instance, and all inside it, is cancelled.

    Of one that has ended, what went on inside it for itself.

    `silent`: what it is part of ends as well, so nobody needs to hear of it.
    """
    step = state.steps[key]
    if step.status is StepStatus.ENDED:
        return _cancel_stragglers(definition, state, key, why=why)
    state = cancel_inside(definition, state, key, why=why)
    if step.status is StepStatus.WAITING:
        state = evolve(
            state,
            withdrawing=(*state.withdrawing, key),
            waiting_count=state.waiting_count - 1,
        )
    if step.status is StepStatus.UNWINDING:
        state = evolve(state, unwinding=tuple(item for item in state.unwinding if item != key))
    state = owe_unfinished(definition, state, key)
    return settle(state, key, Outcome.CANCELLED, why, silent=silent)


def cancel_inside(definition: Definition, state: RunState, key: str, *, why: str) -> RunState:
    """Return the state in which everything inside a container is cancelled, and it is over.

    For an instance that is no container, the same state.
    """
    inside = state.steps[key].inside
    if inside is None or inside.over:
        return state
    for child in reversed(list(children(definition, state, key))):
        state = cancel(definition, state, child, why=why, silent=True)
    over = evolve(state.steps[key], inside=evolve(inside, over=True, open=0))
    name = timer_name(Purpose.DELAY, key)
    timers = state.timers.delete(name) if name in state.timers else state.timers
    # Of those that ended just now it will hear yet.
    unheard_count = sum(parent_of(item) == key for item in state.echo)
    return evolve(
        state,
        steps=state.steps.set(key, over),
        timers=timers,
        straggler_count=state.straggler_count + unheard_count,
    )


def cancel_open(definition: Definition, state: RunState) -> RunState:
    """Return the state of a run that is being cancelled: what has not begun never will.

    Containers end by what ends inside them. Waits of packages above have been ended by whoever
    cancelled; those of the engine are taken back here. The first time the whole run is looked at,
    later only what has come to something since.
    """
    keys = list(_stirring(state) if state.is_cancelled else _all_open(definition, state))
    for key in keys:
        # Compensations are finished; and what ended with what it is in needs no end of its own.
        is_open = not is_undo(key) and state.steps[key].status is not StepStatus.ENDED
        if is_open and _is_stoppable(definition, state, key):
            state = cancel(definition, state, key, why="cancel")
    return evolve(state, todo=(), is_cancelled=True)


def _stirring(state: RunState) -> Iterator[str]:
    """Yield every instance that is about to do something, perhaps more than once."""
    yield from (*state.todo, *state.restarting, *state.ready, *state.held, *state.opening)
    yield from state.backoff
    for name in state.timers:
        key = read_timer(name)[1]
        if key in state.steps:
            yield key


def children(definition: Definition, state: RunState, key: str) -> Iterator[str]:
    """Yield the keys of the instances inside a container, in the order they were made."""
    step = definition.step(key)
    inside = state.steps[key].inside
    if inside is None:
        return
    if isinstance(step.verb, Group | Race):
        for name in inner_steps(step):
            yield child_key(key, name)
        return
    for name in inner_steps(step):
        for number in range(1, inside.begun + 1):
            yield child_key(key, name, number)


def _cancel_stragglers(definition: Definition, state: RunState, key: str, *, why: str) -> RunState:
    """Return the state in which nothing goes on that a map or matrix ended without."""
    if not state.straggler_count:
        return state
    for child in list(children(definition, state, key)):
        state = cancel(definition, state, child, why=why)
    return state


def owe(definition: Definition, state: RunState, key: str) -> RunState:
    """Return the state in which an instance, if it can be undone, may have to be."""
    if definition.step(key).compensate is None or key in state.undoable:
        return state
    count = state.undoable_count + 1
    return evolve(state, undoable=state.undoable.set(key, count), undoable_count=count)


def newest_first(undoable: Mapping[str, int]) -> list[str]:
    """Return the keys of what can be undone, in the order in which it should be."""
    return sorted(undoable, key=lambda key: -undoable[key])


def owe_unfinished(definition: Definition, state: RunState, key: str) -> RunState:
    """Do what `owe` does for an instance that ends without having completed, if it wants that."""
    step = state.steps[key]
    has_begun = step.attempt > 0 or (step.inside is not None and step.inside.begun > 0)
    wanted = definition.step(key).compensate_on_failure and (has_begun or bool(step.child))
    return owe(definition, state, key) if wanted else state


def _all_open(definition: Definition, state: RunState) -> Iterator[str]:
    """Yield every instance that has not ended, inner ones before what they are in."""
    if state.current and state.current in state.steps:
        yield from _open_in(definition, state, state.current)
    elif not definition.is_machine:
        for name in definition.plan.steps:
            yield from _open_in(definition, state, child_key("", name))


def _open_in(definition: Definition, state: RunState, key: str) -> Iterator[str]:
    step = state.steps.get(key)
    if step is None:
        return
    for child in children(definition, state, key):
        yield from _open_in(definition, state, child)
    if step.status is not StepStatus.ENDED:
        yield key


def _is_stoppable(definition: Definition, state: RunState, key: str) -> bool:
    """Say whether an instance does nothing that ends by itself or by somebody else."""
    status = state.steps[key].status
    if status is StepStatus.WAITING:  # a package above ends its own waits
        verb = definition.step(key).verb
        # Whoever cancels asks a called run to undo what it did, and that comes before this run's.
        is_undoing = state.compensating and isinstance(verb, Call) and not state.steps[key].is_asked
        return verb.verb not in definition.verbs and not is_undoing
    between_turns = timer_name(Purpose.DELAY, key) in state.timers
    return status in _STOPPABLE or (status is StepStatus.OPEN and between_turns)
