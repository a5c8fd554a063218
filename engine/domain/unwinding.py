"""Compensation: what a failure undoes, and in which order. Read `fail`, then `advance`.

Completed steps that declare `compensate` are undone newest first, one at a time, each at most once:
those an `on-error` names, as soon as the step has failed for good; all that are left, when the run
has failed and nothing else is open. Source: FLOW, "Compensation".

A step has completed once its action has, also if the run cannot use the result. One that did not
get so far may have had an effect as soon as an attempt has begun: `compensate-on-failure` says so,
and holds whether it failed or was cancelled between two attempts.
"""

from dataclasses import replace
from typing import Protocol

from engine.domain.plan import Plan, Step
from engine.domain.state import Outcome, RunState, StepError, StepState, StepStatus
from engine.domain.variables import is_undo, step_of, undo_key


class Settle(Protocol):
    """Ends a step; `Decider` passes its own."""

    def __call__(
        self,
        state: RunState,
        key: str,
        outcome: Outcome,
        why: str,
    ) -> RunState:
        """Return the state in which the step has ended."""
        ...


def owe(state: RunState, step: Step) -> RunState:
    """Return the state in which a step, if it can be undone, is among those that may have to be."""
    if step.compensate is None or step.id in state.undoable:
        return state
    return replace(state, undoable=(*state.undoable, step.id))


def owe_unfinished(state: RunState, step: Step, *, attempt_count: int) -> RunState:
    """Do what `owe` does for a step that ends without having completed, if it wants that."""
    may_have_had_effect = step.compensate_on_failure and attempt_count > 0
    return owe(state, step) if may_have_had_effect else state


def fail(
    state: RunState,
    *,
    key: str,
    error: StepError,
    plan: Plan,
    settle: Settle,
) -> RunState:
    """Return the state in which a step has failed for good.

    If its `on-error` compensates, it ends only when that is done, so that what depends on it never
    runs beside the undoing.
    """
    failed = replace(state.steps[key], error=error, started_at=None)
    state = replace(
        state,
        steps=state.steps.set(key, failed),
        ready=tuple(item for item in state.ready if item != key),
    )
    if is_undo(key):
        return settle(state, key, Outcome.FAILED, error.kind)
    step = plan.steps[step_of(key)]
    state = owe_unfinished(state, step, attempt_count=failed.attempt)
    targets = _targets(state, step.on_error.compensate if step.on_error else ())
    if not targets:
        return settle(state, key, Outcome.FAILED, error.kind)
    unwinding = replace(
        failed, status=StepStatus.UNWINDING, unwinding=tuple(undo_key(item) for item in targets)
    )
    return replace(
        state,
        steps=state.steps.set(key, unwinding),
        unwinding=(*state.unwinding, key),
        undo=(*state.undo, *targets),
        undone=state.undone | set(targets),
    )


def advance(state: RunState, *, plan: Plan, settle: Settle) -> RunState:
    """Return the state with compensation moved on by one step, or the same object if it stands."""
    for key in state.unwinding:
        if _is_unwound(state, key):
            state = replace(state, unwinding=tuple(item for item in state.unwinding if item != key))
            error = state.steps[key].error
            return settle(state, key, Outcome.FAILED, error.kind if error else "")
    if state.open_count == 0 and state.worst is Outcome.FAILED and not state.undo:
        targets = _targets(state, tuple(plan.steps))
        if targets:
            state = replace(state, undo=targets, undone=state.undone | set(targets))
    if state.undo and not state.undoing:
        return _undo_next(state)
    return state


def _undo_next(state: RunState) -> RunState:
    key = undo_key(state.undo[0])
    return replace(
        state,
        undo=state.undo[1:],
        undoing=key,
        steps=state.steps.set(key, StepState()),
    )


def _targets(state: RunState, named: tuple[str, ...]) -> tuple[str, ...]:
    """Return the completed, not yet undone steps among `named`, newest first."""
    wanted = set(named) - state.undone
    return tuple(step for step in reversed(state.undoable) if step in wanted)


def _is_unwound(state: RunState, key: str) -> bool:
    return all(
        undo in state.steps and state.steps[undo].status is StepStatus.ENDED
        for undo in state.steps[key].unwinding
    )
