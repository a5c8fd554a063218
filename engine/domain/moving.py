"""One move of a run: from what happened to what is appended. Read `work_out`.

Pure: the driver brings the time and the ids, the shell writes the result.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any, Protocol, cast
from uuid import UUID

from core.kernel.canonical import digest
from core.kernel.types import Json, JsonLike
from core.kernel.values import evolve
from engine.domain import external
from engine.domain.decider import Decider
from engine.domain.events import Begun, Event, EventKind, Settled, with_decided
from engine.domain.keys import is_undo, path_of, step_of
from engine.domain.plan import AwaitEvent, Call, Emit
from engine.domain.state import RunState, RunStatus, StepError, StepStatus
from engine.domain.unwinding import QUESTION


class EffectKind(StrEnum):
    """What an append does beside its entries, in the same transaction."""

    OPEN = "open"  # a wait of a package above; body: what its `prepare` made
    ASK = "ask"  # a question to a person; body: error, attempt, choices
    AWAIT = "await"  # an event; body: type, correlate
    EMIT = "emit"  # an event; body: event (its id), type, data
    CALL = "call"  # a child run; body: run (its id), version, inputs, detached
    WITHDRAW = "withdraw"  # whatever was opened under the key, by `verb`
    RELEASE = "release"  # the mutex an ended step held or waited for
    ALARM = "alarm"  # a run is in a state for too long; body: notify (whom), since
    CONTINUE = "continue"  # the run goes on as another; body: run (its id), state, vars
    LEAVE = "leave"  # the run's turn in its concurrency group


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One effect of a move. `event` is the place in `Move.events` of the event that tells of it."""

    kind: EffectKind
    key: str
    step: str
    verb: str
    body: Mapping[str, Json]
    event: int


class Sources(Protocol):
    """What a move needs from outside, as far as it has to be known before it is written."""

    def draw_id(self) -> UUID:
        """Return a new id: of an event that is sent, of a run that is started."""
        ...

    def refuse_call(self, body: Mapping[str, Json]) -> StepError | None:
        """Return why a run cannot be started, `None` if it can."""
        ...

    def refuse_event(self, body: Mapping[str, Json]) -> StepError | None:
        """Return why an event cannot be sent, `None` if it can."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """Who executes what a move begins.

    `capacity` is how many attempts this driver may execute at once (0: none begin), `serves` the
    labels it executes itself. Steps of any other label are handed over.
    """

    capacity: int
    serves: Collection[str] = ("",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What one append does: the state after it, its events in order, and what it begins."""

    state: RunState
    events: tuple[Event, ...]
    begun: tuple[Begun, ...]
    effects: tuple[Effect, ...]
    status: RunStatus
    wake_at: datetime | None = None
    outcome: str = ""


@dataclass(slots=True, kw_only=True)
class _Work:
    """A move while it is worked out."""

    decider: Decider
    sources: Sources
    hands: Hands
    at: datetime
    state: RunState
    events: list[Event]
    settled: tuple[Settled, ...] = ()  # by the last event
    begun: list[Begun] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)


def work_out(
    decider: Decider,
    state: RunState,
    happened: Sequence[Event],
    *,
    at: datetime,
    hands: Hands,
    sources: Sources,
) -> Move:
    """Return the move that follows from what happened.

    Args:
        decider: the rules of the run's version.
        state: the state before.
        happened: at least one event; the last one carries what was decided.
        at: the database's time.
        hands: who executes what begins.
        sources: ids, and what is known outside.
    """
    for event in happened:
        state = decider.apply(state, event)
    work = _Work(
        decider=decider, sources=sources, hands=hands, at=at, state=state, events=list(happened)
    )
    _draw(work)
    # What opens may end at once, an event that is sent for one, and a timer may be due already.
    while _open(work) or _fire(work):
        _draw(work)
    # Only now: what a timer that is due has just ended must not begin.
    _begin(work)
    _release(work)
    is_over = work.state.closing is not None and not work.state.closed
    if is_over and not _stands_still(work.state):
        _close(work)
    status, wake_at = _rest(decider, work.state, at=at)
    closing = work.state.closing
    return Move(
        state=work.state,
        events=tuple(work.events),
        begun=tuple(work.begun),
        effects=tuple(work.effects),
        status=status,
        wake_at=wake_at,
        outcome=str(closing.outcome) if work.state.closed and closing else "",
    )


def take_over(
    decider: Decider,
    state: RunState,
    *,
    worker: str,
    epoch: int,
    at: datetime,
    hung: Mapping[str, str] | None = None,
) -> tuple[Event, ...]:
    """Return the events with which a driver takes a run: the attempts of the last one are over.

    An attempt past its timeout failed by it, as did one whose worker ended itself because it hung
    (`hung`: key → error kind). Any other was lost with its worker; of a step that must not execute
    twice nobody knows. Attempts handed to other workers go on.
    """
    owned = Event(kind=EventKind.RUN_OWNED, at=at, data={"epoch": epoch, "worker": worker})
    keys = [key for key in sorted(state.running) if key not in state.remote]
    known = hung or {}
    return (owned, *(_over(decider, state, key, at=at, hung=known.get(key, "")) for key in keys))


def lose(decider: Decider, state: RunState, key: str, *, at: datetime) -> Event:
    """Return the event that tells of an attempt whose worker is gone."""
    data: dict[str, Any] = {"key": key, "attempt": state.running[key]}
    at_most_once = not is_undo(key) and decider.step_at(key).at_most_once
    kind = EventKind.ATTEMPT_UNCERTAIN if at_most_once else EventKind.ATTEMPT_LOST
    return Event(kind=kind, at=at, data=data)


def _over(decider: Decider, state: RunState, key: str, *, at: datetime, hung: str) -> Event:
    step = state.steps[key]
    timeout = decider.timeout_of(key)
    is_late = step.started_at is not None and at - step.started_at >= timeout
    at_most_once = not is_undo(key) and decider.step_at(key).at_most_once
    if at_most_once or not (is_late or hung):
        return lose(decider, state, key, at=at)
    message = f"no result within {timeout.total_seconds():g} s"
    if hung == "heartbeat" and not is_late:
        message = f"no heartbeat within {decider.step_at(key).heartbeat_seconds or 0:g} s"
    return Event(
        kind=EventKind.ATTEMPT_FAILED,
        at=at,
        data={"key": key, "attempt": state.running[key], "error": hung or "timeout"},
        payloads={"message": message},
    )


# --- parts of a move -----------------------------------------------------------------------------


def _draw(work: _Work) -> None:
    """Draw the consequences, and record them in the last event."""
    work.state, work.settled = work.decider.advance(work.state)
    work.events[-1] = with_decided(work.events[-1], work.settled, ())


def _begin(work: _Work) -> None:
    """Begin what may begin, and record it in the last event."""
    state, decider = work.state, work.decider
    if _stands_still(state) or not work.hands.capacity or not (state.ready or state.backoff):
        return
    free = work.hands.capacity - (len(state.running) - len(state.remote))
    begun: list[Begun] = []
    # Others may execute more than this driver has hands for.
    most = None if decider.has_queues else max(free, 0)
    for key in list(islice(decider.beginnable(state, at=work.at), most)):
        queue = _queue_of(decider, state, key)
        is_own = queue in work.hands.serves
        if is_own and free <= 0:
            continue
        state, item = decider.begin(state, key, at=work.at, queue="" if is_own else queue)
        free -= is_own
        begun.append(item)
    work.state, work.begun = state, begun
    work.events[-1] = with_decided(work.events[-1], work.settled, tuple(begun))


def _queue_of(decider: Decider, state: RunState, key: str) -> str:
    """Return the label of who executes an attempt, "" for whoever drives the run."""
    uses = decider.uses_of(key)
    if uses.action == external.ACTION:
        return external.queue_of(uses.action, state.steps[key].arguments)
    return "" if is_undo(key) else decider.step_at(key).queue


def _fire(work: _Work) -> bool:
    """Let the timer that is due first fire; say whether there was one."""
    if not work.state.timers or _stands_still(work.state):
        return False
    names = work.decider.due_timers(work.state, at=work.at)
    if names:
        event = Event(kind=EventKind.TIMER_FIRED, at=work.at, data={"timer": names[0]})
        _add(work, event)
    return bool(names)


def _stands_still(state: RunState) -> bool:
    """Say whether nothing new may begin, whatever would be next."""
    return state.halted or state.paused


def _standstill(state: RunState) -> RunStatus:
    """Return the status of a run in which nothing new may begin. What executes may finish."""
    if state.halted:
        return RunStatus.HALTED
    is_busy = len(state.running) > len(state.remote)
    return RunStatus.RUNNING if is_busy else RunStatus.PAUSED


def _open(work: _Work) -> bool:
    """Open what is to be opened and take back what is not wanted; say whether there was any."""
    if _stands_still(work.state):
        return False
    for key, since in work.state.alarms:
        stuck = work.decider.plan.states[path_of(key)].stuck
        assert stuck is not None, f"{key} has a deadline"
        told: dict[str, Json] = {"notify": dict(stuck.notify), "since": since.isoformat()}
        _effect(work, EffectKind.ALARM, key, "stuck", told)
    if work.state.alarms:
        work.state = evolve(work.state, alarms=())
    # An alarm is no event of its own: nothing follows from it.
    if not (work.state.opening or work.state.withdrawing):
        return False
    for key in work.state.withdrawing:
        verb = _verb_of(work, key)
        _add(work, _event(work, EventKind.WAIT_WITHDRAWN, key, verb=verb))
        _effect(work, EffectKind.WITHDRAW, key, verb, {})
    for key in work.state.opening:
        _open_one(work, key)
    return True


def _open_one(work: _Work, key: str) -> None:
    step = work.state.steps[key]
    body = cast("Mapping[str, Json]", step.arguments)
    prepared = digest(step.arguments).hex()
    if step.error is not None:
        _add(work, _event(work, EventKind.QUESTION_ASKED, key, verb=QUESTION, prepared=prepared))
        _effect(work, EffectKind.ASK, key, QUESTION, body)
        return
    verb = None if key in work.state.listening else work.decider.step_at(key).verb
    if verb is None or isinstance(verb, AwaitEvent):
        data = {"verb": AwaitEvent.verb, "type": str(body["type"]), "prepared": prepared}
        _add(work, _event(work, EventKind.EVENT_AWAITED, key, **data))
        _effect(work, EffectKind.AWAIT, key, AwaitEvent.verb, body)
    elif isinstance(verb, Emit):
        _emit(work, key, body, prepared)
    elif isinstance(verb, Call):
        _call(work, key, body, prepared)
    else:
        _add(
            work, _event(work, EventKind.APPROVAL_REQUESTED, key, verb=verb.verb, prepared=prepared)
        )
        _effect(work, EffectKind.OPEN, key, verb.verb, body)


def _emit(work: _Work, key: str, body: Mapping[str, Json], prepared: str) -> None:
    refusal = work.sources.refuse_event(body)
    if refusal is not None:
        _add(work, _refused(work, key, refusal, prepared))
        return
    event_id = str(work.sources.draw_id())
    data = {"event": event_id, "type": str(body["type"]), "prepared": prepared}
    event = _event(work, EventKind.EVENT_EMITTED, key, **data)
    _add(
        work, Event(kind=event.kind, at=event.at, data=event.data, payloads={"data": body["data"]})
    )
    _effect(work, EffectKind.EMIT, key, Emit.verb, {**body, "event": event_id})


def _call(work: _Work, key: str, body: Mapping[str, Json], prepared: str) -> None:
    refusal = work.sources.refuse_call(body)
    if refusal is not None:
        _add(work, _refused(work, key, refusal, prepared))
        return
    run_id = str(work.sources.draw_id())
    chosen: Any = body["version"]
    data: dict[str, JsonLike] = {
        "verb": Call.verb,
        "run": run_id,
        "version": chosen["digest"],
        "detached": bool(body["detached"]),
        "prepared": prepared,
    }
    _add(work, _event(work, EventKind.CHILD_STARTED, key, **data))
    _effect(work, EffectKind.CALL, key, Call.verb, {**body, "run": run_id})


def _refused(work: _Work, key: str, error: StepError, prepared: str) -> Event:
    data: dict[str, JsonLike] = {"key": key, "error": error.kind, "prepared": prepared}
    return Event(
        kind=EventKind.STEP_REFUSED, at=work.at, data=data, payloads={"message": error.message}
    )


def _release(work: _Work) -> None:
    for key in work.state.releasing:
        step = work.state.steps.get(key)  # gone, if what it is in begins anew
        body: dict[str, Json] = {"mutex": step.mutex if step is not None else ""}
        _effect(work, EffectKind.RELEASE, key, "mutex", body)
    if work.state.releasing:
        work.state = evolve(work.state, releasing=())


def _close(work: _Work) -> None:
    closing = work.state.closing
    assert closing is not None, "only a closing run closes"
    payloads: dict[str, Json] = {"outputs": dict(closing.outputs)}
    data: dict[str, JsonLike] = {"outcome": str(closing.outcome)}
    if closing.why:
        payloads["why"] = closing.why
    if closing.carried is not None:
        data["successor"] = str(work.sources.draw_id())
    _add(work, Event(kind=EventKind.RUN_CLOSED, at=work.at, data=data, payloads=payloads))
    if closing.carried is not None:
        # As the run sees them now: it may have been moved to another version since it began.
        known: dict[str, Json] = {
            "inputs": work.state.inputs,
            "calls": dict(work.state.calls),
            "facts": dict(work.state.facts),
        }
        body = {**closing.carried, **known, "run": cast("str", data["successor"])}
        _effect(work, EffectKind.CONTINUE, "", "continue", body)
    elif work.state.group:
        _effect(work, EffectKind.LEAVE, "", "group", {})


def _verb_of(work: _Work, key: str) -> str:
    """Return which verb opened a wait that is withdrawn."""
    path = path_of(key)
    if path not in work.decider.definition.tree.nodes:
        return AwaitEvent.verb  # what a state listens to
    # Not by its error: a step that is late has one, and waits for something else.
    return QUESTION if work.state.steps[key].is_asked else work.decider.step_at(key).verb.verb


def _add(work: _Work, event: Event) -> None:
    work.state = work.decider.apply(work.state, event)
    work.events.append(event)


def _event(work: _Work, kind: EventKind, key: str, **data: JsonLike) -> Event:
    return Event(kind=kind, at=work.at, data={"key": key, **data})


def _effect(work: _Work, kind: EffectKind, key: str, verb: str, body: Mapping[str, Json]) -> None:
    work.effects.append(
        Effect(
            kind=kind,
            key=key,
            step=step_of(key) if key else "",
            verb=verb,
            body=body,
            event=len(work.events) - 1,
        )
    )


def _rest(decider: Decider, state: RunState, *, at: datetime) -> tuple[RunStatus, datetime | None]:
    """Return who moves the run on from here, and when at the latest."""
    if state.closed:
        return RunStatus.CLOSED, None
    if _stands_still(state):
        return _standstill(state), None
    if state.is_queued:
        return RunStatus.WAITING, None
    # What is held back, the driver asks about before it parks the run.
    held = decider.to_admit(state, at=at)
    if len(state.running) > len(state.remote) or (held and not state.is_parked):
        return RunStatus.RUNNING, None
    if decider.has_beginnable(state, at=at):
        return RunStatus.READY, None
    wake_at = decider.next_wake(state, besides=held)
    is_waited_for = held or state.waiting_count or state.remote or wake_at is not None
    assert is_waited_for, "an open run waits for something"
    assert all(state.steps[key].status is StepStatus.BACKOFF for key in state.backoff), (
        "the backoff index is in step"
    )
    return RunStatus.WAITING, wake_at
