"""One move of a run: from what happened to what is appended. Read `work_out`.

Pure: the driver brings the time, the shell writes the result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.kernel.canonical import digest
from core.kernel.types import Json
from engine.domain.decider import Decider
from engine.domain.events import Begun, Event, EventKind, with_decided
from engine.domain.state import RunState, RunStatus, StepStatus
from engine.domain.variables import step_of


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedWait:
    """A wait to be made visible to those who can end it. `event` is its place in `Move.events`."""

    key: str
    step: str
    verb: str
    body: Mapping[str, Json]
    event: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What one append does: the state after it, its events in order, and what it begins."""

    state: RunState
    events: tuple[Event, ...]
    begun: tuple[Begun, ...]
    opened: tuple[OpenedWait, ...]
    status: RunStatus
    wake_at: datetime | None = None
    outcome: str = ""


def work_out(
    decider: Decider,
    state: RunState,
    happened: Sequence[Event],
    *,
    at: datetime,
    capacity: int,
) -> Move:
    """Return the move that follows from what happened.

    Args:
        decider: the rules of the run's version.
        state: the state before.
        happened: at least one event; the last one carries what was decided.
        at: the database's time.
        capacity: how many attempts may execute at once (0: begin nothing).
    """
    for event in happened:
        state = decider.apply(state, event)
    state, settled = decider.advance(state)
    state, begun = _begin(decider, state, at=at, capacity=capacity)
    events = [*happened[:-1], with_decided(happened[-1], settled, begun)]
    state, opened = _open(decider, state, events, at=at)
    if state.closing is not None and not state.halted:
        closing = _closing_event(state, at=at)
        state = decider.apply(state, closing)
        events.append(closing)
    status, wake_at = _rest(state)
    return Move(
        state=state,
        events=tuple(events),
        begun=begun,
        opened=opened,
        status=status,
        wake_at=wake_at,
        outcome=str(state.closing.outcome) if state.closed and state.closing else "",
    )


def take_over(
    decider: Decider, state: RunState, *, worker: str, epoch: int, at: datetime
) -> tuple[Event, ...]:
    """Return the events with which a driver takes a run: the attempts of the last one are over.

    An attempt past its timeout failed by it; any other was lost with its worker.
    """
    owned = Event(kind=EventKind.RUN_OWNED, at=at, data={"epoch": epoch, "worker": worker})
    return (owned, *(_over(decider, state, key, at=at) for key in sorted(state.running)))


def _over(decider: Decider, state: RunState, key: str, *, at: datetime) -> Event:
    step = state.steps[key]
    data: dict[str, Any] = {"key": key, "attempt": step.attempt}
    timeout = decider.timeout_of(key)
    if step.started_at is not None and at - step.started_at >= timeout:
        message = f"no result within {timeout.total_seconds():g} s"
        return Event(
            kind=EventKind.ATTEMPT_FAILED,
            at=at,
            data=data | {"error": "timeout"},
            payloads={"message": message},
        )
    return Event(kind=EventKind.ATTEMPT_LOST, at=at, data=data)


def _begin(
    decider: Decider, state: RunState, *, at: datetime, capacity: int
) -> tuple[RunState, tuple[Begun, ...]]:
    if state.halted or (not state.ready and not state.backoff):
        return state, ()
    free = max(0, capacity - len(state.running))
    begun: list[Begun] = []
    for key in (*decider.due(state, at=at), *state.ready)[:free]:
        state, item = decider.begin(state, key, at=at)
        begun.append(item)
    return state, tuple(begun)


def _open(
    decider: Decider, state: RunState, events: list[Event], *, at: datetime
) -> tuple[RunState, tuple[OpenedWait, ...]]:
    opened: list[OpenedWait] = []
    for key in state.opening if not state.halted else ():
        body: Any = state.steps[key].arguments
        verb = decider.verb_of(key).verb
        event = Event(
            kind=EventKind.APPROVAL_REQUESTED,
            at=at,
            data={"key": key, "verb": verb, "prepared": digest(body).hex()},
        )
        state = decider.apply(state, event)
        opened.append(
            OpenedWait(key=key, step=step_of(key), verb=verb, body=body, event=len(events))
        )
        events.append(event)
    return state, tuple(opened)


def _closing_event(state: RunState, *, at: datetime) -> Event:
    assert state.closing is not None, "only a closing run closes"
    payloads: dict[str, Json] = {"outputs": dict(state.closing.outputs)}
    if state.closing.why:
        payloads["why"] = state.closing.why
    return Event(
        kind=EventKind.RUN_CLOSED,
        at=at,
        data={"outcome": str(state.closing.outcome)},
        payloads=payloads,
    )


def _rest(state: RunState) -> tuple[RunStatus, datetime | None]:
    """Return who moves the run on from here, and when at the latest."""
    if state.closed:
        return RunStatus.CLOSED, None
    if state.halted:
        return RunStatus.HALTED, None
    if state.running:
        return RunStatus.RUNNING, None
    if state.ready:
        return RunStatus.READY, None
    assert state.waiting_count or state.backoff, "an open run waits for something"
    assert all(state.steps[key].status is StepStatus.BACKOFF for key in state.backoff), (
        "the backoff index is in step"
    )
    return RunStatus.WAITING, min(state.backoff.values(), default=None)
