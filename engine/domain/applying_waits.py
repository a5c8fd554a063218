"""What the events of waits and questions change. Read `APPLIERS`; see `applying`."""

from collections.abc import Callable, Mapping
from typing import Any

from core.kernel.canonical import digest
from core.kernel.types import Json
from core.kernel.values import evolve
from engine.domain import machine, unwinding
from engine.domain.cancelling import owe_unfinished
from engine.domain.completing import complete
from engine.domain.definition import Definition
from engine.domain.errors import NondeterministicError, UnexpectedEventError
from engine.domain.events import Event, EventKind
from engine.domain.plan import Call
from engine.domain.settling import settle, without
from engine.domain.state import (
    Outcome,
    RunState,
    StepError,
    StepState,
    StepStatus,
)
from engine.domain.verbs import WaitOutcome

Applier = Callable[[Definition, RunState, Event], RunState]

# --- waits ---------------------------------------------------------------------------------------


def _wait_requested(definition: Definition, state: RunState, event: Event) -> RunState:
    key, step = _opening(state, event)
    waiting = evolve(
        step,
        status=StepStatus.WAITING,
        started_at=event.at,
        arguments=None,
        is_asked=event.kind == EventKind.QUESTION_ASKED,
    )
    if event.kind == EventKind.CHILD_STARTED:
        waiting = evolve(waiting, child=str(event.data["run"]))
        if event.data["detached"]:
            state = _opened(state, key, waiting)
            made: dict[str, Json] = {"run": waiting.child}
            return complete(definition, state, key, made)
    state = _opened(state, key, waiting)
    return evolve(state, waiting_count=state.waiting_count + 1)


def _opening(state: RunState, event: Event) -> tuple[str, StepState]:
    key = str(event.data["key"])
    step = state.steps[key]
    if step.status is not StepStatus.OPENING:
        raise UnexpectedEventError(kind=event.kind, reason=f"{key} is {step.status}")
    prepared = digest(step.arguments).hex()
    if event.seq and event.data.get("prepared") != prepared:
        raise NondeterministicError(
            seq=event.seq, expected=str(event.data.get("prepared")), found=prepared
        )
    return key, step


def _opened(state: RunState, key: str, step: StepState) -> RunState:
    return evolve(
        state,
        steps=state.steps.set(key, step),
        opening=without(state.opening, key),
        idle_claim_count=0,
    )


def _end_wait(state: RunState, event: Event) -> tuple[str, StepState, RunState]:
    key = str(event.data["key"])
    step = state.steps[key]
    if step.status is not StepStatus.WAITING:
        raise UnexpectedEventError(kind=event.kind, reason=f"{key} is {step.status}")
    return (
        key,
        step,
        evolve(state, waiting_count=state.waiting_count - 1, idle_claim_count=0),
    )


def _unless_left(applier: Applier) -> Applier:
    """Return an applier that does nothing about a wait which nobody wants any more.

    An event that a state listens to may end what the state waits for; until the run's driver has
    taken that wait back, somebody else may end it as well.
    """

    def apply(definition: Definition, state: RunState, event: Event) -> RunState:
        key = str(event.data["key"])
        if key not in state.withdrawing:
            return applier(definition, state, event)
        return evolve(state, withdrawing=without(state.withdrawing, key), idle_claim_count=0)

    return apply


def _wait_resolved(definition: Definition, state: RunState, event: Event) -> RunState:
    key, _, state = _end_wait(state, event)
    outcome = WaitOutcome(str(event.data["outcome"]))
    if outcome is WaitOutcome.FAILED:
        error = StepError(kind="wait", message=str(event.data.get("reason", "the wait failed")))
        return unwinding.fail(definition, state, key, error)
    outputs: Any = event.payloads.get("outputs") or {}
    return complete(
        definition, state, key, dict(outputs), outcome=Outcome(outcome.value), outputs=outputs
    )


def _event_emitted(definition: Definition, state: RunState, event: Event) -> RunState:
    key, step = _opening(state, event)
    state = _opened(state, key, step)
    return complete(definition, state, key, {"event": str(event.data["event"])})


def _event_received(definition: Definition, state: RunState, event: Event) -> RunState:
    key, step, state = _end_wait(state, event)
    received: dict[str, Json] = {
        "type": str(event.data["type"]),
        "data": event.payloads.get("data"),
        "id": str(event.data["event"]),
    }
    if key in state.listening:
        ended = evolve(step, status=StepStatus.ENDED, outcome=Outcome.SUCCEEDED)
        state = evolve(state, steps=state.steps.set(key, ended))
        return machine.hear_event(definition, state, key, received)
    return complete(definition, state, key, received)


def _step_refused(definition: Definition, state: RunState, event: Event) -> RunState:
    key = str(event.data["key"])
    if state.steps[key].status in {StepStatus.HELD, StepStatus.BACKOFF}:
        state = evolve(
            state,
            held=without(state.held, key),
            backoff=state.backoff.delete(key) if key in state.backoff else state.backoff,
        )
    else:
        key, step = _opening(state, event)
        state = _opened(state, key, step)
    message = str(event.payloads.get("message", ""))
    error = StepError(kind=str(event.data["error"]), message=message)
    return unwinding.fail(definition, state, key, error)


def _child_closed(definition: Definition, state: RunState, event: Event) -> RunState:
    key, _, state = _end_wait(state, event)
    assert isinstance(definition.step(key).verb, Call), f"{key} runs a workflow"
    outcome = Outcome(str(event.data["outcome"]))
    outputs = event.payloads.get("outputs") or {}
    if outcome is Outcome.FAILED:
        error = StepError(kind="child", message=f"run {event.data['run']} failed")
        return unwinding.fail(definition, state, key, error)
    if outcome is Outcome.SUCCEEDED:
        return complete(definition, state, key, outputs)
    return settle(state, key, outcome)


def _wait_withdrawn(definition: Definition, state: RunState, event: Event) -> RunState:
    del definition
    key = str(event.data["key"])
    if key not in state.withdrawing:
        raise UnexpectedEventError(kind=event.kind, reason=f"{key} is not withdrawn")
    left = tuple(item for item in state.withdrawing if item != key)
    return evolve(state, withdrawing=left, idle_claim_count=0)


# --- questions -----------------------------------------------------------------------------------


def _question_resolved(definition: Definition, state: RunState, event: Event) -> RunState:
    key, step, state = _end_wait(state, event)
    step = evolve(step, is_asked=False)
    state = evolve(state, steps=state.steps.set(key, step))
    choice = str(event.data["choice"])
    if choice == "skip":
        state = owe_unfinished(definition, state, key)  # it failed midway all the same
        return settle(state, key, Outcome.SKIPPED, "question")
    if choice == "fail":
        return unwinding.give_in(definition, state, key)
    waiting = evolve(step, status=StepStatus.PENDING)
    return evolve(state, steps=state.steps.set(key, waiting), restarting=(*state.restarting, key))


APPLIERS: Mapping[str, Applier] = {
    EventKind.APPROVAL_REQUESTED: _wait_requested,
    EventKind.APPROVAL_RESOLVED: _unless_left(_wait_resolved),
    EventKind.EVENT_AWAITED: _wait_requested,
    EventKind.EVENT_RECEIVED: _unless_left(_event_received),
    EventKind.EVENT_EMITTED: _event_emitted,
    EventKind.CHILD_STARTED: _wait_requested,
    EventKind.STEP_REFUSED: _step_refused,
    EventKind.CHILD_CLOSED: _unless_left(_child_closed),
    EventKind.QUESTION_ASKED: _wait_requested,
    EventKind.QUESTION_RESOLVED: _unless_left(_question_resolved),
    EventKind.WAIT_WITHDRAWN: _wait_withdrawn,
}
