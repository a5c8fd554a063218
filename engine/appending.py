"""From what happened to what is written. Read `write`; `can_defer` is about lazy steps."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil
from uuid import UUID

from django.db import transaction

from core.kernel import limits
from core.kernel.types import JsonLike
from engine import effects, remote, writing
from engine.domain.errors import RunTooLongError
from engine.domain.events import Begun, Event, EventKind
from engine.domain.moving import Move, lose
from engine.domain.state import RunState, RunStatus
from engine.executing import Ended
from engine.remote import Collected, NewTask
from engine.services.children import ChildRefusedError
from engine.session import Session, Unwritten


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What happened to a run: attempts that ended here or elsewhere, gates that said yes.

    Nothing of all that means that others have appended, or that a timer is due.
    """

    ended: tuple[Ended, ...] = ()
    collected: tuple[Collected, ...] = ()
    events: tuple[Event, ...] = ()

    def as_events(self, session: Session, *, at: datetime) -> list[Event]:
        """Return the events to append now, at least one."""
        held = session.rules.decider.to_admit(session.state, at=at) if self.events else ()
        happened = [item.as_event(at=at) for item in self.ended]
        happened += tell(session, self.collected, at=at)
        # What others appended meanwhile may have ended the step that was let through.
        happened += [replace(item, at=at) for item in self.events if _still_stands(item, held)]
        return happened or [Event(kind=EventKind.STEP_STARTED, at=at)]


def _still_stands(event: Event, held: Collection[str]) -> bool:
    return event.kind == EventKind.STEP_HELD or event.data["key"] in held


def hold(session: Session, *, again_at: datetime | None) -> Found:
    """Return that no gate lets anything through now, and when it is worth asking again."""
    now = session.now()
    held = session.rules.decider.to_admit(session.state, at=now)
    data: dict[str, JsonLike] = {"keys": list(held[: limits.DECIDED_COUNT_MAX])}
    if again_at is not None:
        data["delay_ms"] = max(1, ceil((again_at - now).total_seconds() * 1_000))
    return Found(events=(Event(kind=EventKind.STEP_HELD, at=now, data=data),))


def tell(session: Session, collected: Sequence[Collected], *, at: datetime) -> list[Event]:
    """Return the events that tell how attempts of other workers ended."""
    decider, state = session.rules.decider, session.state
    told = []
    for item in collected:
        if state.running.get(item.key) != item.attempt:
            continue  # of an attempt that this run has told of before
        if item.ended is None:
            told.append(lose(decider, state, item.key, at=at))
        else:
            told.append(item.ended.as_event(at=at))
    return told


def check_room(session: Session, move: Move) -> None:
    """Check that a move leaves room for those outside. Raises: RunTooLongError."""
    entry_count_max = limits.RUN_ENTRY_COUNT_MAX - limits.OUTSIDE_ENTRY_COUNT_MAX
    if session.head.seq + len(move.events) > entry_count_max:
        raise RunTooLongError(entry_count=session.head.seq)


def write(
    session: Session,
    move: Move,
    *,
    worker: UUID,
    claiming: bool,
    collected: Sequence[Collected] = (),
) -> bool:
    """Write a move, with what lazy steps did before it, and do what it asks for.

    Returns:
        `False`: the run, or what it wants to call, is not as the driver knew it; nothing was
        written.
    """
    move = _with_unwritten(session, move)
    place = writing.Place(
        run=session.run,
        epoch=session.epoch,
        head=session.head,
        worker=worker,
        version_digest=session.rules.version_digest,
        scope_id=session.rules.scope_id,
        project_id=session.rules.project_id,
    )
    tasks = [_task(session, move, item) for item in move.begun if item.queue]
    if not (move.effects or tasks or collected):
        written = writing.append(place, move, claiming=claiming)
    else:
        try:
            with transaction.atomic():
                written = writing.append(place, move, claiming=claiming)
                if written is not None:
                    effects.execute(place, move.effects, written)
                    if tasks:
                        remote.publish(run_id=session.run.id, tasks=tasks)
                    if collected:
                        remote.discard(task_ids=[item.task_id for item in collected])
        except ChildRefusedError:
            written = None  # worked out again, the step is refused
    if written is None:
        return False
    session.head, session.state, session.unwritten = written.head, move.state, None
    return True


# --- lazy steps ----------------------------------------------------------------------------------


def can_defer(session: Session, found: Found, move: Move) -> bool:
    """Say whether a move may wait for the next one to be written.

    Only lazy steps have ended by it and begin with it, one after the other, and nothing else
    happened: what gets lost is done again.
    """
    if len(found.ended) != 1 or len(move.begun) != 1 or session.executing:
        return False
    if move.effects or move.status is not RunStatus.RUNNING or found.events or found.collected:
        return False
    if not _is_alone(move.state):
        return False
    count = len(session.unwritten.events) if session.unwritten else 0
    if count + len(move.events) > limits.LAZY_EVENT_COUNT_MAX:
        return False
    decider = session.rules.decider
    keys = (found.ended[0].key, move.begun[0].key)
    if decider.needs_note(keys[0]):
        return False
    return not move.begun[0].queue and all(decider.is_lazy(key) for key in keys)


def _is_alone(state: RunState) -> bool:
    """Say whether nothing but the attempt that executes can move a run, so that nobody looks."""
    others = state.waiting_count or state.remote or state.timers or state.backoff or state.held
    return not others and len(state.running) == 1


def defer(session: Session, move: Move) -> None:
    """Keep a move in memory only."""
    kept = session.unwritten
    begun = kept.begun if kept is not None else _begun_in(session)
    session.unwritten = Unwritten(
        events=(*kept.events, *move.events) if kept is not None else move.events,
        state=kept.state if kept is not None else session.state,
        begun=begun,
    )
    session.state = move.state


def forget_unwritten(session: Session) -> Move | None:
    """Go back to the last entry, because others have written after it.

    Returns:
        The move that was written last, to begin again what it began; `None` if nothing is lost.
    """
    kept = session.unwritten
    if kept is None:
        return None
    session.state, session.unwritten = kept.state, None
    return Move(state=kept.state, events=(), begun=kept.begun, effects=(), status=RunStatus.RUNNING)


def _begun_in(session: Session) -> tuple[Begun, ...]:
    """Return the attempts that the record says execute now."""
    state = session.state
    return tuple(
        Begun(key=key, attempt=attempt, digest="") for key, attempt in sorted(state.running.items())
    )


def _with_unwritten(session: Session, move: Move) -> Move:
    kept = session.unwritten
    if kept is None:
        return move
    offset = len(kept.events)
    moved = tuple(replace(item, event=item.event + offset) for item in move.effects)
    return replace(move, events=(*kept.events, *move.events), effects=moved)


def _task(session: Session, move: Move, begun: Begun) -> NewTask:
    decider = session.rules.decider
    arguments = move.state.steps[begun.key].arguments
    assert isinstance(arguments, dict), "an action's arguments are a map"
    return NewTask(
        key=begun.key,
        attempt=begun.attempt,
        queue=begun.queue,
        action=decider.uses_of(begun.key).action,
        arguments=arguments,
        timeout_seconds=decider.timeout_of(begun.key).total_seconds(),
        heartbeat_seconds=decider.heartbeat_of(begun.key),
        round=move.state.steps[begun.key].round,
    )
