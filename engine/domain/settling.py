"""How a step ends and whom that concerns. Read `settle`."""

from collections.abc import Mapping
from dataclasses import replace

from engine.domain.events import Settled
from engine.domain.plan import AfterError, Plan
from engine.domain.state import Outcome, RunState, StepStatus, worse
from engine.domain.variables import is_undo, step_key, step_of

# What a step's end means for the run, if nothing absorbs it.
_MEANS = {
    Outcome.FAILED: Outcome.FAILED,
    Outcome.REJECTED: Outcome.REJECTED,
    Outcome.EXPIRED: Outcome.EXPIRED,
    Outcome.CANCELLED: Outcome.CANCELLED,
    Outcome.WITHDRAWN: Outcome.CANCELLED,
    Outcome.VOIDED: Outcome.CANCELLED,
}


def settle(
    state: RunState,
    *,
    key: str,
    outcome: Outcome,
    why: str,
    plan: Plan,
    dependents: Mapping[str, tuple[str, ...]],
    implied: bool = False,
) -> RunState:
    """Return the state in which a step, or a compensation, has ended with an outcome.

    `implied` says that the event being applied already tells so; any other end becomes news.
    """
    before = state.steps[key]
    ended = replace(
        before,
        status=StepStatus.ENDED,
        outcome=outcome,
        why=why,
        arguments=None,
        wake_at=None,
        unwinding=(),
    )
    error = before.error
    news = Settled(key=key, outcome=outcome, why=why, message=error.message if error else "")
    state = replace(
        state,
        news=state.news if implied else (*state.news, news),
        steps=state.steps.set(key, ended),
        ready=tuple(item for item in state.ready if item != key) if state.ready else (),
        backoff=state.backoff.delete(key) if key in state.backoff else state.backoff,
    )
    if is_undo(key):
        return _undo_settled(state, outcome)
    state = replace(
        state, open_count=state.open_count - 1, worst=worse(state.worst, _means(plan, key, outcome))
    )
    return _tell_dependents(state, dependents[step_of(key)])


def _means(plan: Plan, key: str, outcome: Outcome) -> Outcome:
    on_error = plan.steps[step_of(key)].on_error
    if outcome is Outcome.FAILED and on_error and on_error.then is AfterError.CONTINUE:
        return Outcome.SUCCEEDED
    return _MEANS.get(outcome, Outcome.SUCCEEDED)


def _undo_settled(state: RunState, outcome: Outcome) -> RunState:
    """A compensation that failed leaves the world half changed: the run has failed."""
    failed = outcome is not Outcome.SUCCEEDED
    return replace(
        state, undoing="", worst=worse(state.worst, Outcome.FAILED) if failed else state.worst
    )


def _tell_dependents(state: RunState, dependents: tuple[str, ...]) -> RunState:
    steps, todo = state.steps, state.todo
    for dependent in dependents:
        key = step_key(dependent)
        step = steps[key]
        if step.status is not StepStatus.PENDING:
            continue
        steps = steps.set(key, replace(step, unmet_count=step.unmet_count - 1))
        if step.unmet_count == 1:
            todo = (*todo, dependent)
    return replace(state, steps=steps, todo=todo)
