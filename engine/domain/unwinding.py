"""Failing and compensation: what a failure undoes, and in which order. Read `fail`, then `advance`.

Completed steps that declare `compensate` are undone newest first, one at a time, each at most once:
those an `on-error` names, as soon as the step has failed for good; all that are left, when the run
has failed, or is cancelled with compensation, and nothing else is open.
Source: FLOW, "Compensation".

A step has completed once its action has, also if the run cannot use the result. One that did not
get so far may have had an effect as soon as an attempt has begun: `compensate-on-failure` says so,
and holds whether it failed or was cancelled between two attempts.
"""

from datetime import datetime

from core.kernel.types import Json
from core.kernel.values import evolve
from engine.domain.cancelling import cancel_inside, newest_first, owe_unfinished
from engine.domain.definition import Definition, expression_error
from engine.domain.expressions import ExpressionError
from engine.domain.keys import (
    any_try_of,
    is_undo,
    parent_of,
    path_of,
    prefix_of,
    undo_key,
    undone_by,
)
from engine.domain.plan import AfterError, OnError
from engine.domain.settling import drop_timers, settle, without
from engine.domain.state import (
    Outcome,
    RunState,
    StepError,
    StepState,
    StepStatus,
)

QUESTION = "question"  # the verb of a question to a person
MUTEX = "mutex"  # the gate that a step passes once
CHOICES = ("retry", "skip", "fail")


def fail(definition: Definition, state: RunState, key: str, error: StepError) -> RunState:
    """Return the state in which an instance of a step has failed for good.

    What goes on inside it is cancelled. If its `on-error` asks, a person decides what becomes of
    it; if it compensates, the step ends only when that is done, so that what depends on it never
    runs beside the undoing.
    """
    state = drop_timers(cancel_inside(definition, state, key, why="failed"), key)
    failed = evolve(state.steps[key], error=error, started_at=None)
    if failed.mutex and MUTEX not in failed.passed:
        # It failed while it waited for its mutex: nothing would take what it is granted.
        failed = evolve(failed, mutex="")
        state = evolve(state, releasing=(*state.releasing, key))
    state = evolve(state, steps=state.steps.set(key, failed))
    if is_undo(key):
        return settle(state, key, Outcome.FAILED, error.kind)
    on_error = _on_error(definition, key)
    if on_error is not None and on_error.then is AfterError.ASK and not state.cancelling:
        return ask(state, key)
    return give_in(definition, state, key)


def fail_expression(
    definition: Definition, state: RunState, key: str, error: ExpressionError
) -> RunState:
    """Do what `fail` does for a step whose expression could not be evaluated."""
    return fail(definition, state, key, expression_error(error))


def ask(state: RunState, key: str) -> RunState:
    """Return the state in which a person is to say what becomes of a step that failed."""
    step = state.steps[key]
    assert step.error is not None, f"{key} has failed"
    question: dict[str, Json] = {
        "error": {"kind": step.error.kind, "message": step.error.message},
        "attempt": step.attempt,
        "choices": list(CHOICES),
    }
    asking = evolve(step, status=StepStatus.OPENING, arguments=question)
    state = unready(state, key)
    return evolve(state, steps=state.steps.set(key, asking), opening=(*state.opening, key))


def give_in(definition: Definition, state: RunState, key: str) -> RunState:
    """Return the state in which a step fails that nobody asks about (any more)."""
    failed = state.steps[key]
    assert failed.error is not None, f"{key} has failed"
    state = owe_unfinished(definition, state, key)
    on_error = _on_error(definition, key)
    named = on_error.compensate if on_error else ()
    state = evolve(state, late=state.late | _late_targets(definition, state, key, named))
    targets = _targets(definition, state, key, named)
    if not targets:
        return settle(state, key, Outcome.FAILED, failed.error.kind)
    unwinding = evolve(
        failed,
        status=StepStatus.UNWINDING,
        arguments=None,
        unwinding=tuple(undo_key(item) for item in targets),
    )
    state = unready(state, key)
    return evolve(
        state,
        steps=state.steps.set(key, unwinding),
        unwinding=(*state.unwinding, key),
        undo=(*state.undo, *targets),
        undone=state.undone | set(targets),
    )


def undo_late(state: RunState, key: str) -> RunState:
    """Return the state after an attempt has ended that nobody wanted any more.

    If an `on-error` has named its step meanwhile, what it did is undone now.
    """
    if key not in state.late:
        return state
    state = evolve(state, late=state.late - {key})
    if key not in state.undoable or key in state.undone:
        return state
    return evolve(state, undo=(*state.undo, key), undone=state.undone | {key})


def advance(definition: Definition, state: RunState) -> RunState:
    """Return the state with compensation moved on by one step, or the same object if it stands."""
    for key in state.unwinding:
        if _is_unwound(state, key):
            state = evolve(state, unwinding=tuple(item for item in state.unwinding if item != key))
            error = state.steps[key].error
            kind = error.kind if error else ""
            return settle(state, key, Outcome.FAILED, kind)
    is_over = state.open_count == 0 and state.straggler_count == 0 and not state.running
    is_undone = state.worst is Outcome.FAILED or state.compensating
    # A run that is paused stands as it is: what failed may yet be tried again.
    if is_over and is_undone and not state.undo and not state.paused:
        targets = tuple(key for key in newest_first(state.undoable) if key not in state.undone)
        if targets:
            state = evolve(state, undo=targets, undone=state.undone | set(targets))
    if state.undo and not state.undoing:
        return _undo_next(definition, state)
    return state


def enable(state: RunState, key: str, *, arguments: Json, status: StepStatus) -> RunState:
    """Return the state in which a step may begin, is held back, or is to be opened."""
    step = evolve(state.steps[key], status=status, arguments=arguments)
    state = evolve(state, steps=state.steps.set(key, step))
    if status is StepStatus.OPENING:
        return evolve(state, opening=(*state.opening, key))
    if status is StepStatus.HELD:
        return evolve(state, held=(*state.held, key))
    return evolve(state, ready=(*state.ready, key))


def back_off(state: RunState, key: str, wake_at: datetime) -> RunState:
    """Return the state in which the next attempt of a step begins at an instant."""
    waiting = evolve(state.steps[key], status=StepStatus.BACKOFF, wake_at=wake_at)
    return evolve(
        state,
        steps=state.steps.set(key, waiting),
        backoff=state.backoff.set(key, wake_at),
    )


def _undo_next(definition: Definition, state: RunState) -> RunState:
    """Let the compensation that is next execute."""
    key = undo_key(state.undo[0])
    # What is done once more is undone once more: other systems must not take it for a repetition.
    undoing = StepState(round=state.steps[state.undo[0]].round)
    state = evolve(state, undo=state.undo[1:], undoing=key, steps=state.steps.set(key, undoing))
    compensation = definition.undo(key)
    assert compensation is not None, f"{key} compensates nothing"
    try:
        variables = definition.variables(state, key)
        arguments = definition.render_arguments(compensation.uses.arguments, variables)
    except ExpressionError as error:
        return fail_expression(definition, state, key, error)
    return enable(state, key, arguments=arguments, status=StepStatus.READY)


def _on_error(definition: Definition, key: str) -> OnError | None:
    return definition.step(undone_by(key)).on_error


def _targets(
    definition: Definition, state: RunState, key: str, named: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the completed, not yet undone instances of the steps `named`, newest first.

    Of a step inside the same container as `key`, only those in the same instance of it, of every
    try of that. What still executes has its turn when that has ended.
    """
    places = _places(definition, key, named)
    return tuple(
        item
        for item in (newest_first(state.undoable) if places else ())
        if item not in state.undone and item not in state.running and _is_at(item, places)
    )


def _late_targets(
    definition: Definition, state: RunState, key: str, named: tuple[str, ...]
) -> frozenset[str]:
    """Return the instances of the steps `named` that execute although nobody waits for them."""
    places = _places(definition, key, named)
    return frozenset(
        item
        for item in (state.running if places else ())
        if not is_undo(item)
        and state.steps[item].status is StepStatus.ENDED
        and definition.step(item).compensate is not None
        and _is_at(item, places)
    )


def _places(definition: Definition, key: str, named: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the path of each step that is named, and how the keys of its instances begin."""
    places = []
    for name in named:
        node = definition.tree.nodes[definition.tree.ids[name]]
        around = prefix_of(parent_of(key), node.depth) if node.depth else ""
        places.append((node.path, f"{around}/" if around else ""))
    return places


def _is_at(key: str, places: list[tuple[str, str]]) -> bool:
    own, path = any_try_of(key), path_of(key)
    return any(own.startswith(around) and _is_in(path, place) for place, around in places)


def _is_in(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


def unready(state: RunState, key: str) -> RunState:
    """Return the state in which an instance neither may begin nor waits to be let through."""
    if key not in state.ready and key not in state.held and key not in state.backoff:
        return state
    return evolve(
        state,
        ready=without(state.ready, key),
        held=without(state.held, key),
        backoff=state.backoff.delete(key) if key in state.backoff else state.backoff,
    )


def _is_unwound(state: RunState, key: str) -> bool:
    last = state.steps[key].unwinding[-1]  # they are undone in order
    return last != state.undoing and undone_by(last) not in state.undo
