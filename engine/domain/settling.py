"""How an instance of a step ends. Read `settle`.

Whoever that concerns (what depends on it, the container it is in, the machine) hears of it when
consequences are drawn: see `hearing`.
"""

from core.kernel.values import evolve
from engine.domain.definition import Definition
from engine.domain.events import Settled
from engine.domain.keys import is_undo, parent_of
from engine.domain.plan import AfterError
from engine.domain.state import Outcome, RunState, StepStatus, worse
from engine.domain.timers import Purpose, timer_name

# Why a step was cancelled by something inside the run: the run as a whole goes on.
LOCAL_REASONS = frozenset({"join", "race", "fail-fast", "enough", "timeout", "left", "failed"})

# What a step's end means for what it is part of, if nothing absorbs it.
MEANS = {
    Outcome.FAILED: Outcome.FAILED,
    Outcome.REJECTED: Outcome.REJECTED,
    Outcome.EXPIRED: Outcome.EXPIRED,
    Outcome.CANCELLED: Outcome.CANCELLED,
    Outcome.WITHDRAWN: Outcome.CANCELLED,
    Outcome.VOIDED: Outcome.CANCELLED,
}
GOOD = frozenset({Outcome.SUCCEEDED, Outcome.APPROVED, Outcome.OVERRIDDEN})

_IMPLIED = frozenset(Outcome) - {Outcome.SKIPPED, Outcome.UNREACHED, Outcome.FAILED}
_OWN_TIMERS = (Purpose.SLEEP, Purpose.DEADLINE, Purpose.DELAY)


def settle(
    state: RunState,
    key: str,
    outcome: Outcome,
    why: str = "",
    *,
    silent: bool = False,
    implied: bool | None = None,
) -> RunState:
    """Return the state in which an instance of a step, or a compensation, has ended.

    Args:
        state: the state before.
        key: the instance.
        outcome: how it ended.
        why: what led to it, if no event says so.
        silent: what it is part of ends as well, so nobody needs to hear of it.
        implied: the event being applied already tells of this end. By default, if it completed or
            was decided. Any other end becomes news.
    """
    before = state.steps[key]
    # What executes goes on although its step has ended: until then nobody else may have the mutex.
    keeps_mutex = bool(before.mutex) and _goes_on(state, key)
    ended = evolve(
        before,
        status=StepStatus.ENDED,
        outcome=outcome,
        why=why,
        arguments=None,
        wake_at=None,
        unwinding=(),
        passed=frozenset(),
        keeps_mutex=keeps_mutex,
    )
    if implied is None:
        implied = outcome in _IMPLIED and not why
    if not implied:
        message = before.error.message if before.error else ""
        news = Settled(key=key, outcome=outcome, why=why, message=message)
        state = evolve(state, news=(*state.news, news))
    state = evolve(state, steps=state.steps.set(key, ended))
    state = _forget(state, key, before.status)
    if before.mutex and not keeps_mutex:
        state = evolve(state, releasing=(*state.releasing, key))
    if is_undo(key):
        return _undo_settled(state, outcome)
    return state if silent else evolve(state, echo=(*state.echo, key))


def means(definition: Definition, state: RunState, key: str) -> Outcome:
    """Return what an ended instance means for the run or container it is part of."""
    step = state.steps[key]
    assert step.outcome is not None, f"{key} has ended"
    if step.outcome is Outcome.FAILED:
        on_error = definition.step(key).on_error
        absorbed = on_error is not None and on_error.then is AfterError.CONTINUE
        return Outcome.SUCCEEDED if absorbed else Outcome.FAILED
    if step.outcome is Outcome.CANCELLED and step.why in LOCAL_REASONS:
        return Outcome.SUCCEEDED
    return MEANS.get(step.outcome, Outcome.SUCCEEDED)


def release_around(state: RunState, key: str) -> RunState:
    """Return the state without the mutexes that were kept for what has just ended."""
    around = key
    while around and not is_undo(key):
        step = state.steps.get(around)
        if step is not None and step.keeps_mutex and not _goes_on(state, around):
            freed = evolve(step, keeps_mutex=False)
            state = evolve(
                state,
                steps=state.steps.set(around, freed),
                releasing=(*state.releasing, around),
            )
        around = parent_of(around)
    return state


def _goes_on(state: RunState, key: str) -> bool:
    """Say whether an attempt of an instance, or anything inside it, goes on."""
    inside = f"{key}/"
    if any(item == key or item.startswith(inside) for item in state.running):
        return True
    # A map that has enough ends before all of its items have.
    return state.straggler_count > 0 and any(
        item.startswith(inside) and step.status is not StepStatus.ENDED
        for item, step in state.steps.items()
    )


def without(keys: tuple[str, ...], key: str) -> tuple[str, ...]:
    """Return keys without one of them, which mostly is the first; the same if it is not there."""
    if key not in keys:
        return keys
    place = keys.index(key)
    return keys[:place] + keys[place + 1 :]


def _forget(state: RunState, key: str, status: StepStatus) -> RunState:
    """Remove an ended instance from every index that says what it could still do."""
    if status is StepStatus.READY:
        state = evolve(state, ready=without(state.ready, key))
    if status is StepStatus.HELD:
        state = evolve(state, held=without(state.held, key))
    if status is StepStatus.OPENING:
        state = evolve(state, opening=without(state.opening, key))
    if key in state.restarting:
        left = tuple(item for item in state.restarting if item != key)
        state = evolve(state, restarting=left)
    if key in state.backoff:
        state = evolve(state, backoff=state.backoff.delete(key))
    return drop_timers(state, key)


def drop_timers(state: RunState, key: str) -> RunState:
    """Return the state in which time does nothing to an instance any more."""
    if not state.timers:
        return state
    timers = state.timers
    for purpose in _OWN_TIMERS:
        name = timer_name(purpose, key)
        timers = timers.delete(name) if name in timers else timers
    return evolve(state, timers=timers)


def _undo_settled(state: RunState, outcome: Outcome) -> RunState:
    """A compensation that failed leaves the world half changed: the run has failed."""
    failed = outcome is not Outcome.SUCCEEDED
    return evolve(
        state, undoing="", worst=worse(state.worst, Outcome.FAILED) if failed else state.worst
    )
