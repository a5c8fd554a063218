"""What operators do to a run that goes on. Read `APPLIERS`; see `applying`.

An operator's event says what somebody wants, and by then it has been judged whether that can be:
`find_retry_obstacle` here and `find_skip_obstacle` in `skipping`. Both are pure, so that an event
that was right when it was appended is right whenever it is folded again.
"""

from collections.abc import Callable, Iterator, Mapping

from core.kernel.values import evolve
from engine.domain.cancelling import cancel_inside, owe_unfinished
from engine.domain.considering import ATTEMPT
from engine.domain.definition import Definition
from engine.domain.errors import UnexpectedEventError
from engine.domain.events import Event, EventKind
from engine.domain.keys import is_undo, parent_of, sibling_key, step_key
from engine.domain.settling import means, settle, without
from engine.domain.skipping import ASKED, find_run_obstacle, find_skip_obstacle, is_question
from engine.domain.state import Outcome, RunState, StepState, StepStatus, worse
from engine.domain.unwinding import back_off

Applier = Callable[[Definition, RunState, Event], RunState]

OPERATOR = "operator"  # why a step is skipped that an operator has skipped
_UNCERTAIN = "uncertain"

# --- the run -------------------------------------------------------------------------------------


def _paused(definition: Definition, state: RunState, event: Event) -> RunState:
    del definition
    if state.cancelling or state.halted:
        reason = "the run is being cancelled" if state.cancelling else "the run has halted"
        raise UnexpectedEventError(kind=event.kind, reason=reason)
    return evolve(state, paused=True, idle_claim_count=0)


def _resumed(definition: Definition, state: RunState, event: Event) -> RunState:
    del definition
    if not (state.paused or state.halted):
        raise UnexpectedEventError(kind=event.kind, reason="the run has not been stopped")
    return evolve(state, paused=False, halted=False, idle_claim_count=0)


def _unchanged(definition: Definition, state: RunState, event: Event) -> RunState:
    del definition, event
    return state


# --- trying a step again -------------------------------------------------------------------------


def find_retry_obstacle(definition: Definition, state: RunState, key: str) -> str:
    """Return why a step cannot be tried again now, as a sentence; "" if it can.

    A step whose next attempt is due later can be begun at once; one about which a person is to be
    asked begins anew; so does one that has failed in a run that is still open, if nothing has
    followed from it but that others were not reached.
    """
    step = state.steps.get(key)
    if step is None or is_undo(key) or key in state.listening:
        return "There is no such step to try again."
    return find_run_obstacle(state) or _find_own_obstacle(definition, state, key, step)


def _find_own_obstacle(definition: Definition, state: RunState, key: str, step: StepState) -> str:
    if step.status is StepStatus.BACKOFF:
        return _find_backoff_obstacle(step)
    if is_question(state, key):
        return ASKED if step.status is StepStatus.WAITING else ""
    if step.status is not StepStatus.ENDED:
        return f"The step is {step.status}: nothing has failed that could be tried again."
    if step.outcome is not Outcome.FAILED:
        return f"The step ended {step.outcome}; only what failed can be tried again."
    return _find_place_obstacle(definition, key) or _find_failed_obstacle(
        definition, state, key, step
    )


def _find_backoff_obstacle(step: StepState) -> str:
    if ATTEMPT in step.passed:
        return "A rate limit lets the step through later; it is not tried again before."
    if step.error is not None and step.error.kind == _UNCERTAIN:
        return "Its last attempt may still be executing; the step begins when its time is over."
    return ""


def _find_place_obstacle(definition: Definition, key: str) -> str:
    if parent_of(key):
        return f"The step is inside {parent_of(key)}, which has heard of it; try that again."
    return "The run has gone on from the state that failed." if definition.is_machine else ""


def _find_failed_obstacle(
    definition: Definition, state: RunState, key: str, step: StepState
) -> str:
    """Return why a step that has failed for good cannot be open again, "" if it can."""
    if state.echo or state.todo or state.closing is not None:
        return "The run has not come to rest; try again in a moment."
    if step.error is not None and step.error.kind == _UNCERTAIN:
        return "Nobody knows whether its last attempt happened, and somebody has let it fail."
    if state.undo or state.undoing or state.undone or state.late:
        return "What the run did is being undone, or has been."
    for other in _reopened(definition, state, key):
        for dependent in _dependents(definition, other):
            found = state.steps[dependent]
            if not _is_untouched(found):
                return f"{dependent} needs it, and has gone on without it: it is {_stands(found)}."
    return ""


def _retry_requested(definition: Definition, state: RunState, event: Event) -> RunState:
    key = str(event.data["key"])
    if obstacle := find_retry_obstacle(definition, state, key):
        raise UnexpectedEventError(kind=event.kind, reason=f"{key}: {obstacle}")
    state = evolve(state, idle_claim_count=0)
    step = state.steps[key]
    if step.status is StepStatus.BACKOFF:
        return back_off(state, key, event.at)
    if step.status is StepStatus.ENDED:
        state = _reopen(definition, state, key)
    again = evolve(
        step, status=StepStatus.PENDING, outcome=None, why="", unmet_count=0, arguments=None
    )
    return evolve(
        state,
        steps=state.steps.set(key, again),
        opening=without(state.opening, key),
        restarting=(*state.restarting, key),
    )


def _reopen(definition: Definition, state: RunState, key: str) -> RunState:
    """Return the state in which an outermost step that failed, and what was not reached, is open.

    What the run has come to is that of the steps that are left.
    """
    reopened = set(_reopened(definition, state, key))
    steps = state.steps
    for other in reopened - {key}:
        steps = steps.set(other, StepState())
    worst = Outcome.SUCCEEDED
    for name in definition.plan.steps:
        own = step_key(name)
        if own not in reopened and steps[own].status is StepStatus.ENDED:
            worst = worse(worst, means(definition, state, own))
    state = evolve(
        state,
        steps=steps.set(key, evolve(steps[key], status=StepStatus.PENDING)),
        open_count=state.open_count + len(reopened),
        worst=worst,
    )
    steps = state.steps
    # Of what needs any of them, some may have been waiting for other needs all the time.
    for other in sorted({item for own in reopened for item in _dependents(definition, own)}):
        needs = definition.step(other).needs
        unmet = sum(
            steps[sibling_key(other, need)].status is not StepStatus.ENDED for need in needs
        )
        steps = steps.set(other, evolve(steps[other], unmet_count=unmet))
    return evolve(state, steps=steps)


def _reopened(definition: Definition, state: RunState, key: str) -> Iterator[str]:
    """Yield an outermost step and, over any number of needs, what was not reached for it."""
    found, left = {key}, [key]
    while left:
        own = left.pop()
        yield own
        for dependent in _dependents(definition, own):
            if state.steps[dependent].outcome is Outcome.UNREACHED and dependent not in found:
                found.add(dependent)
                left.append(dependent)


def _dependents(definition: Definition, key: str) -> list[str]:
    return [sibling_key(key, name) for name in definition.node(key).dependents]


def _is_untouched(step: StepState) -> bool:
    """Say whether a step that needs one that failed has neither begun nor decided anything."""
    return step.status is StepStatus.PENDING or step.outcome is Outcome.UNREACHED


def _stands(step: StepState) -> str:
    return str(step.outcome or step.status)


# --- going on without a step ---------------------------------------------------------------------


def _skip_requested(definition: Definition, state: RunState, event: Event) -> RunState:
    key = str(event.data["key"])
    if obstacle := find_skip_obstacle(definition, state, key):
        raise UnexpectedEventError(kind=event.kind, reason=f"{key}: {obstacle}")
    state = cancel_inside(definition, evolve(state, idle_claim_count=0), key, why=OPERATOR)
    if state.steps[key].status is StepStatus.WAITING:
        state = evolve(
            state,
            withdrawing=(*state.withdrawing, key),
            waiting_count=state.waiting_count - 1,
        )
    state = owe_unfinished(definition, state, key)  # an attempt may have failed midway
    return settle(state, key, Outcome.SKIPPED, OPERATOR)


APPLIERS: Mapping[str, Applier] = {
    EventKind.RUN_PAUSED: _paused,
    EventKind.RUN_RESUMED: _resumed,
    EventKind.STEP_RETRY_REQUESTED: _retry_requested,
    EventKind.STEP_SKIP_REQUESTED: _skip_requested,
    EventKind.EVENT_ADDRESSED: _unchanged,
}
