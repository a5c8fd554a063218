"""What each event changes, before its consequences. Read `apply_event`, and the table `_APPLIERS`.

An applier changes what the event itself says and nothing more; what follows is drawn by
`Decider.advance`, once, by whoever drives.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from immutables import Map

from core.kernel import limits
from core.kernel.values import evolve
from engine.domain import (
    applying_waits,
    carrying,
    containers,
    machine,
    migrating,
    steering,
    unwinding,
)
from engine.domain.cancelling import cancel, owe
from engine.domain.completing import complete
from engine.domain.considering import ATTEMPT, start
from engine.domain.definition import Definition
from engine.domain.errors import UnexpectedEventError
from engine.domain.events import Event, EventKind
from engine.domain.expressions import ExpressionError
from engine.domain.keys import is_undo, step_key
from engine.domain.retrying import is_retried, retry_delay
from engine.domain.settling import release_around, without
from engine.domain.state import (
    Closing,
    Outcome,
    RunState,
    StepError,
    StepState,
    StepStatus,
)
from engine.domain.timers import Purpose, read_timer
from engine.domain.unwinding import MUTEX, back_off

Applier = Callable[[Definition, RunState, Event], RunState]


def apply_event(definition: Definition, state: RunState, event: Event) -> RunState:
    """Return the state after an event, without its consequences.

    Raises:
        UnexpectedEventError: the event cannot happen in this state.
        NondeterministicError: it was prepared from something else than this version prepares.
    """
    if state.closed:
        raise UnexpectedEventError(kind=event.kind, reason="the run is closed")
    applier = _APPLIERS.get(event.kind)
    if applier is None:
        raise UnexpectedEventError(kind=event.kind, reason="this version does not know it")
    # What happens at the same instant happened because of the first of it.
    rush_count = state.rush_count if event.at == state.at else 0
    begun = evolve(state, at=event.at, rush_count=rush_count, is_parked=False, parked_until=None)
    after = applier(definition, begun, event)
    return evolve(after, seq=event.seq or state.seq, entry_count=state.entry_count + 1)


# --- the run -------------------------------------------------------------------------------------


def _run_started(definition: Definition, state: RunState, event: Event) -> RunState:
    if state.steps or state.current:
        raise UnexpectedEventError(kind=event.kind, reason="the run has started")
    facts: Any = event.data.get("run", {})
    calls: Any = event.payloads.get("calls") or {}
    group: Any = event.data.get("group")
    is_queued = group is not None and "with" not in group
    state = evolve(
        state,
        facts=dict(facts),
        calls=calls,
        inputs=event.payloads.get("inputs"),
        event=event.payloads.get("event"),
        variables=event.payloads.get("vars"),
        group=str(event.payloads.get("group", "")),
        is_queued=is_queued,
    )
    plan = definition.plan
    if definition.is_machine:
        state = carrying.seed(definition, evolve(state, open_count=1), event.payloads)
        visits: Any = event.payloads.get("visits") or ()
        first = str(event.data.get("state") or plan.initial)
        state = machine.revisit(state, visits)
        if is_queued:
            return evolve(state, entering=first)
        return machine.enter(definition, state, first, why="start")
    steps = Map(
        {step_key(key): StepState(unmet_count=len(step.needs)) for key, step in plan.steps.items()}
    )
    state = evolve(
        state,
        steps=steps,
        open_count=len(steps),
        todo=tuple(step_key(key) for key, step in plan.steps.items() if not step.needs),
    )
    return carrying.seed(definition, state, event.payloads)


def _run_admitted(definition: Definition, state: RunState, event: Event) -> RunState:
    if not state.is_queued:
        raise UnexpectedEventError(kind=event.kind, reason="the run waits for no turn")
    first = state.entering
    state = evolve(state, is_queued=False, entering="", idle_claim_count=0)
    return machine.enter(definition, state, first, why="start") if first else state


def _run_owned(definition: Definition, state: RunState, event: Event) -> RunState:
    del definition, event
    return evolve(state, idle_claim_count=state.idle_claim_count + 1)


def _unchanged(definition: Definition, state: RunState, event: Event) -> RunState:
    del definition, event
    return state


def _cancel_requested(definition: Definition, state: RunState, event: Event) -> RunState:
    del definition
    compensating = state.compensating or bool(event.data.get("compensate", False))
    is_unentered = bool(state.entering)
    state = evolve(
        state,
        cancelling=True,
        compensating=compensating,
        paused=False,
        is_queued=False,
        entering="",
        idle_claim_count=0,
    )
    return machine.finish(state, Outcome.CANCELLED) if is_unentered else state


def _run_closed(definition: Definition, state: RunState, event: Event) -> RunState:
    del definition
    if state.halted:  # by an operator: nothing this version computes has a say any more
        outcome = Outcome(str(event.data["outcome"]))
        return evolve(state, closed=True, closing=Closing(outcome=outcome, outputs={}))
    if state.closing is None or str(state.closing.outcome) != event.data["outcome"]:
        reason = f"this version closes it {state.closing and state.closing.outcome}"
        raise UnexpectedEventError(kind=event.kind, reason=reason)
    return evolve(state, closed=True)


def _run_halted(definition: Definition, state: RunState, event: Event) -> RunState:
    del definition, event
    return evolve(state, halted=True)


# --- attempts ------------------------------------------------------------------------------------


def _step_completed(definition: Definition, state: RunState, event: Event) -> RunState:
    key, is_wanted, state = _end_attempt(state, event)
    if not is_wanted:  # its step has ended without it, but what it did may have to be undone
        return state if is_undo(key) else unwinding.undo_late(owe(definition, state, key), key)
    return complete(definition, state, key, event.payloads.get("result"))


def _attempt_failed(definition: Definition, state: RunState, event: Event) -> RunState:
    key, is_wanted, state = _end_attempt(state, event)
    if not is_wanted:
        return unwinding.undo_late(state, key)
    message = str(event.payloads.get("message", ""))
    error = StepError(kind=str(event.data["error"]), message=message)
    failed = evolve(state.steps[key], error=error, started_at=None)
    state = evolve(state, steps=state.steps.set(key, failed))
    failures = failed.attempt - failed.lost - failed.forgiven
    retry = definition.retry(key)
    again = is_retried(retry=retry, error_kind=error.kind, failure_count=failures)
    # A compensation is finished even while the run is being cancelled.
    if again and state.cancelling and not is_undo(key):
        return cancel(definition, state, key, why="cancel")
    if again and state.entry_count >= limits.RETRY_ENTRY_COUNT_MAX:
        again, error = False, _exhausted(error, state.entry_count)
    if not again:
        return unwinding.fail(definition, state, key, error)
    wake_at = event.at + retry_delay(retry=retry, failure_count=failures, key=key)
    return back_off(state, key, wake_at)


def _attempt_lost(definition: Definition, state: RunState, event: Event) -> RunState:
    key, is_wanted, state = _end_attempt(state, event, moves=False)
    if not is_wanted:
        return unwinding.undo_late(state, key)
    step = state.steps[key]
    lost = evolve(step, lost=step.lost + 1, started_at=None)
    state = evolve(state, steps=state.steps.set(key, lost))
    if lost.lost > limits.LOST_ATTEMPT_COUNT_MAX:
        error = StepError(kind="lost", message=f"{lost.lost} workers died executing it")
        return unwinding.fail(definition, state, key, error)
    return unwinding.enable(state, key, arguments=lost.arguments, status=StepStatus.READY)


def _attempt_uncertain(definition: Definition, state: RunState, event: Event) -> RunState:
    """A step that must not execute twice may have been executed: somebody has to look."""
    key, is_wanted, state = _end_attempt(state, event)
    if not is_wanted:
        return unwinding.undo_late(state, key)
    step = state.steps[key]
    message = "its worker died while it was executed, so nobody knows whether it happened"
    due = (step.started_at or event.at) + timedelta(seconds=definition.step(key).timeout_seconds)
    asked = evolve(step, error=StepError(kind="uncertain", message=message), wake_at=due)
    state = evolve(state, steps=state.steps.set(key, asked))
    if state.cancelling:
        return cancel(definition, state, key, why="cancel")
    return unwinding.ask(state, key)


def _end_attempt(
    state: RunState, event: Event, *, moves: bool = True
) -> tuple[str, bool, RunState]:
    """Return the key, whether its step still waits for this attempt, and the state without it."""
    key = str(event.data["key"])
    attempt = state.running.get(key)
    if attempt is None:
        step = state.steps.get(key)
        status = "not in this version" if step is None else str(step.status)
        raise UnexpectedEventError(kind=event.kind, reason=f"{key} is {status}")
    if attempt != event.data["attempt"]:
        reason = f"{key} executes attempt {attempt}, not {event.data['attempt']}"
        raise UnexpectedEventError(kind=event.kind, reason=reason)
    state = evolve(
        state,
        running=state.running.delete(key),
        remote=state.remote.delete(key) if key in state.remote else state.remote,
        idle_claim_count=0 if moves else state.idle_claim_count,
    )
    is_wanted = state.steps[key].status is StepStatus.RUNNING
    return key, is_wanted, state if is_wanted else release_around(state, key)


def _exhausted(error: StepError, entry_count: int) -> StepError:
    """Return why an error is final although its step has retries left."""
    why = f"not tried again, because the run has {entry_count} entries: {error.kind}: "
    return StepError(kind="exhausted", message=(why + error.message)[: limits.ERROR_CHARS_MAX])


# --- gates ---------------------------------------------------------------------------------------


def _step_admitted(definition: Definition, state: RunState, event: Event) -> RunState:
    key, step, state = _held(state, event)
    gate = str(event.data["gate"])
    names: Any = event.payloads.get("names") or {}
    admitted = evolve(
        step,
        passed=step.passed | {gate},
        status=StepStatus.PENDING,
        gates=names if gate != MUTEX else step.gates,
    )
    state = evolve(state, steps=state.steps.set(key, admitted))
    if gate == MUTEX:
        return start(definition, state, key)
    delay_ms = int(str(event.data.get("delay_ms", 0)))
    begins_at = event.at + timedelta(milliseconds=delay_ms)
    if "reserved" in event.data:  # the entry may be written later than the gate was asked
        begins_at = datetime.fromisoformat(str(event.data["reserved"]))
    if begins_at > event.at:
        return back_off(state, key, begins_at)
    return unwinding.enable(state, key, arguments=step.arguments, status=StepStatus.READY)


def _step_held(definition: Definition, state: RunState, event: Event) -> RunState:
    del definition
    delay_ms = int(str(event.data.get("delay_ms", 0)))
    until = event.at + timedelta(milliseconds=delay_ms) if delay_ms else None
    return evolve(state, is_parked=True, parked_until=until, idle_claim_count=0)


def _step_reused(definition: Definition, state: RunState, event: Event) -> RunState:
    key, _, state = _held(state, event)
    return complete(definition, state, key, event.payloads.get("result"), is_reused=True)


def _held(state: RunState, event: Event) -> tuple[str, StepState, RunState]:
    """Return the instance that something held back, and the state in which nothing does."""
    key = str(event.data["key"])
    step = state.steps.get(key)
    due = step is not None and step.status is StepStatus.BACKOFF and ATTEMPT not in step.passed
    if step is None or (step.status is not StepStatus.HELD and not due):
        status = "not in this version" if step is None else str(step.status)
        raise UnexpectedEventError(kind=event.kind, reason=f"{key} is {status}")
    return (
        key,
        step,
        evolve(
            state,
            held=without(state.held, key),
            backoff=state.backoff.delete(key) if due else state.backoff,
            idle_claim_count=0,
        ),
    )


# --- timers --------------------------------------------------------------------------------------


def _timer_fired(definition: Definition, state: RunState, event: Event) -> RunState:
    name = str(event.data["timer"])
    if name not in state.timers:
        raise UnexpectedEventError(kind=event.kind, reason=f"there is no timer {name}")
    state = evolve(state, timers=state.timers.delete(name), idle_claim_count=0)
    purpose, key = read_timer(name)
    if purpose is Purpose.SLEEP:
        return complete(definition, state, key, None, outputs={})
    if purpose is Purpose.DEADLINE:
        return _too_late(definition, state, key)
    if purpose is Purpose.DELAY:
        try:
            return containers.next_turn(definition, state, key)
        except ExpressionError as error:
            return unwinding.fail_expression(definition, state, key, error)
    if purpose is Purpose.AFTER:
        visit, _, index = key.rpartition("/")
        return machine.time_is_up(definition, state, visit, int(index))
    return machine.is_stuck(definition, state, key)


def _too_late(definition: Definition, state: RunState, key: str) -> RunState:
    step = state.steps[key]
    if step.status in {StepStatus.ENDED, StepStatus.UNWINDING}:
        return state
    if step.status is StepStatus.WAITING:
        state = evolve(
            state,
            withdrawing=(*state.withdrawing, key),
            waiting_count=state.waiting_count - 1,
        )
    seconds = definition.step(key).total_seconds or 0.0
    error = StepError(kind="timeout", message=f"it was not done within {seconds:g} s")
    state = evolve(state, opening=without(state.opening, key))
    return unwinding.fail(definition, state, key, error)


_APPLIERS: Mapping[str, Applier] = {
    EventKind.RUN_STARTED: _run_started,
    EventKind.RUN_ADMITTED: _run_admitted,
    EventKind.RUN_OWNED: _run_owned,
    EventKind.RUN_MIGRATED: migrating.migrate,
    EventKind.STEP_STARTED: _unchanged,
    EventKind.STEP_COMPLETED: _step_completed,
    EventKind.ATTEMPT_FAILED: _attempt_failed,
    EventKind.ATTEMPT_LOST: _attempt_lost,
    EventKind.ATTEMPT_UNCERTAIN: _attempt_uncertain,
    EventKind.ATTEMPT_LATE: _unchanged,
    EventKind.ATTEMPT_CLAIMED: _unchanged,
    EventKind.STEP_ADMITTED: _step_admitted,
    EventKind.STEP_HELD: _step_held,
    EventKind.STEP_REUSED: _step_reused,
    EventKind.TIMER_FIRED: _timer_fired,
    EventKind.RUN_CANCEL_REQUESTED: _cancel_requested,
    EventKind.RUN_CLOSED: _run_closed,
    EventKind.RUN_HALTED: _run_halted,
    **applying_waits.APPLIERS,
    **steering.APPLIERS,
}
