"""The driver: takes a run and moves it on until it blocks. Read `Driver.drive` first.

    claim → (execute → append)* → park, release or close

The driver holds the run's epoch, place and state in memory, so a step costs one statement. When an
append comes back empty, somebody else has appended (a decision, a cancel: read it and go on) or has
taken over (stop: the run is theirs). Source: ENGINE §3 to §5.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from uuid import UUID

import structlog
from django.db import (
    DatabaseError,
    DataError,
    InterfaceError,
    OperationalError,
    transaction,
)

from audit.domain.entry import StreamHead
from core.kernel import limits
from core.kernel.clock import SYSTEM_CLOCK, Clock
from core.kernel.errors import PlatformError
from core.toolkit import queue
from engine import announcing, effects, loading, registry, store, writing
from engine.actions.contract import one_line
from engine.attempts import AttemptBook
from engine.crew import Crew
from engine.domain.errors import DriverFailedError, RunTooLongError
from engine.domain.events import Begun, Event, EventKind
from engine.domain.keys import step_of
from engine.domain.moving import Hands, Move, take_over, work_out
from engine.domain.state import RunState, RunStatus
from engine.executing import Ended, StepCall, execute
from engine.loading import Rules
from engine.sources import SOURCES
from engine.store import RunRow, read_run

log = structlog.get_logger(__name__)

_CLAIM_TRIES = 3
_DRIVABLE = frozenset({RunStatus.READY, RunStatus.WAITING, RunStatus.RUNNING})

# What comes back however often it is tried: the record does not replay, or what follows from it
# cannot be recorded (too large, not storable). Without a halt the sweep would hint it for ever.
_HOPELESS = (PlatformError, DataError)

# What is nobody's bug: the database is away or too busy. The heartbeat or the sweep frees the run.
_PASSING = (OperationalError, InterfaceError)


class DriveEnd(StrEnum):
    """Why a driver stopped driving a run."""

    NOT_FREE = "not-free"  # closed, waiting, or somebody else's
    PARKED = "parked"
    RELEASED = "released"  # there is more to do, but not by this driver
    CLOSED = "closed"
    HALTED = "halted"
    TAKEN_OVER = "taken-over"


_ENDS = {
    RunStatus.CLOSED: DriveEnd.CLOSED,
    RunStatus.HALTED: DriveEnd.HALTED,
    RunStatus.READY: DriveEnd.RELEASED,
    RunStatus.WAITING: DriveEnd.PARKED,
}


class TakenOverError(Exception):
    """Another driver has the run: nothing of it may be written any more. Never leaves here."""


@dataclass(slots=True, kw_only=True)
class Session:
    """A driven run: what the driver holds in memory. Changed only by its driver's thread."""

    run: RunRow
    rules: Rules
    epoch: int
    head: StreamHead
    state: RunState
    clock: Clock  # this machine's; only how it goes on counts
    clock_base: datetime  # the database's
    clock_started: float  # in the seconds of `clock.monotonic`, when `clock_base` was read
    executing: dict["Future[Ended]", str] = field(default_factory=dict)

    def now(self) -> datetime:
        """Return the database's clock, carried on by this machine's monotonic one."""
        return self.clock_base + timedelta(seconds=self.clock.monotonic() - self.clock_started)


class Driver:
    """Drives one run at a time for a worker. Not to be shared between threads."""

    def __init__(
        self,
        *,
        worker: UUID,
        attempts: AttemptBook | None = None,
        clock: Clock = SYSTEM_CLOCK,
        crew: Crew | None = None,
    ) -> None:
        self._worker = worker
        self._attempts = attempts or AttemptBook()
        self._clock = clock
        self._crew = crew or Crew()
        self._draining = threading.Event()

    def drain(self) -> None:
        """Begin nothing new; the run is released after the attempts that execute now."""
        self._draining.set()

    def close(self) -> None:
        """Stop the threads that execute parallel steps."""
        self._crew.close()

    def drive(self, *, run_id: UUID) -> DriveEnd:
        """Take a run, if it is free, and move it on until it blocks.

        Raises only for a broken database connection or a bug. The sweep finds the run again: after
        a bug with a delay that grows, until the run is halted.
        """
        if self._draining.is_set():
            return DriveEnd.NOT_FREE  # it would only be taken and given back; the sweep hints again
        try:
            session = self._claim(run_id)
            if session is None:
                return DriveEnd.NOT_FREE
            if isinstance(session, DriveEnd):
                return session
            with self._escalating(session[0].run):
                try:
                    return self._drive(*session)
                finally:
                    # Attempts outlive nothing: whoever takes the run next, also this process, must
                    # not find one of ours still executing beside it.
                    self._crew.wait_all(session[0].executing)
        except TakenOverError:
            loading.forget_state(run_id=run_id)
            return DriveEnd.TAKEN_OVER
        finally:
            # Whatever was raised, also by a claim whose answer got lost: the heartbeat frees the
            # run, if its row says that this worker drives it.
            self._attempts.leave(run_id=run_id)

    # --- the loop ----------------------------------------------------------------------------

    def _drive(self, session: Session, move: Move) -> DriveEnd:
        until = self._clock.monotonic() + limits.DRIVE_SECONDS_MAX
        while session.state.running:
            ended = self._execute(session, move.begun)
            in_time = self._clock.monotonic() < until and not self._draining.is_set()
            try:
                move = self._append(session, ended, capacity=self._capacity(in_time=in_time))
            except _HOPELESS as error:
                return self._halt_driven(session, error)
            if move.begun or move.effects:
                announcing.announce(run_id=session.run.id, seq=session.head.seq)
        loading.keep_state(head=session.head, state=session.state)
        announcing.announce(run_id=session.run.id, seq=session.head.seq)
        if move.status is RunStatus.READY:
            queue.hint("engine.drive", run_id=str(session.run.id))
        return _ENDS[move.status]

    def _claim(self, run_id: UUID) -> tuple[Session, Move] | DriveEnd | None:
        for _ in range(_CLAIM_TRIES):
            run = read_run(run_id=run_id)
            read_at = self._clock.monotonic()
            if run is None or run.status not in _DRIVABLE or not _is_due(run):
                return None
            with self._escalating(run):
                try:
                    rules = loading.get_rules(version_id=run.version_id)
                    claimed = self._claim_as_read(run, rules, read_at=read_at)
                except _HOPELESS as error:
                    return self._halt(run, error)
            if claimed is not None:
                return claimed
        return None

    @contextmanager
    def _escalating(self, run: RunRow) -> Iterator[None]:
        """Let a bug through, but not for ever: count it, and halt the run with the last."""
        try:
            yield
        except (TakenOverError, *_PASSING):
            raise
        except Exception as error:
            loading.forget_state(run_id=run.id)  # it may be what is wrong
            try:
                self._note_fault(run, error)
            except DatabaseError:  # the heartbeat or the sweep frees the run, uncounted
                log.exception("engine.fault_not_noted", run=str(run.id))
            raise

    def _note_fault(self, run: RunRow, error: Exception) -> None:
        count = store.note_fault(run=run, worker=self._worker)
        log.error("engine.driver_failed", run=str(run.id), count=count, error=repr(error))
        if count is None or count < limits.FAULT_COUNT_MAX:
            return
        freed = read_run(run_id=run.id)
        assert freed is not None, "runs are never deleted"
        last = f"{type(error).__name__}: {error}"
        # If somebody else takes it first, the bug comes back to its driver, and so does the halt.
        self._halt(freed, DriverFailedError(fault_count=count, last=last))

    def _claim_as_read(
        self, run: RunRow, rules: Rules, *, read_at: float
    ) -> tuple[Session, Move] | None:
        state, head = loading.load_state(decider=rules.decider, run_id=run.id, seq=run.seq)
        if head.seq != run.seq:
            return None  # somebody appended between the two reads
        session = Session(
            run=run,
            rules=rules,
            epoch=run.epoch + 1,
            head=head,
            state=state,
            clock=self._clock,
            clock_base=run.now,
            clock_started=read_at,
        )
        move = self._try_claim(session)
        return None if move is None else (session, move)

    def _try_claim(self, session: Session) -> Move | None:
        at = session.now()
        events = take_over(
            session.rules.decider,
            session.state,
            worker=str(self._worker),
            epoch=session.epoch,
            at=at,
        )
        if session.state.idle_claim_count >= limits.IDLE_CLAIM_COUNT_MAX:
            poisoned = Event(kind=EventKind.RUN_HALTED, at=at, data={"code": "engine.poisoned"})
            events = (*events, poisoned)
        capacity = self._capacity(in_time=not self._draining.is_set())
        move = work_out(
            session.rules.decider,
            session.state,
            events,
            at=at,
            hands=Hands(capacity=capacity),
            sources=SOURCES,
        )
        _check_room(session, move)
        # Known to the heartbeat before the row says so: a run it does not find here is orphaned.
        self._attempts.enter(run_id=session.run.id, epoch=session.epoch)
        if self._write(session, move, claiming=True):
            return move
        self._attempts.leave(run_id=session.run.id)
        return None

    def _append(self, session: Session, ended: Sequence[Ended], *, capacity: int) -> Move:
        """Append how attempts ended, whatever others append meanwhile."""
        while True:
            at = session.now()
            happened = [item.as_event(at=at) for item in ended]
            if not happened:
                happened = [Event(kind=EventKind.STEP_STARTED, at=at)]
            move = work_out(
                session.rules.decider,
                session.state,
                happened,
                at=at,
                hands=Hands(capacity=capacity),
                sources=SOURCES,
            )
            _check_room(session, move)
            if self._write(session, move, claiming=False):
                return move
            self._refresh(session)

    def _write(self, session: Session, move: Move, *, claiming: bool) -> bool:
        place = writing.Place(
            run=session.run,
            epoch=session.epoch,
            head=session.head,
            worker=self._worker,
            version_digest=session.rules.version_digest,
            scope_id=session.rules.scope_id,
        )
        if not move.effects:
            written = writing.append(place, move, claiming=claiming)
        else:
            with transaction.atomic():
                written = writing.append(place, move, claiming=claiming)
                if written is not None:
                    effects.execute(place, move.effects, written)
        if written is None:
            return False
        session.head, session.state = written.head, move.state
        return True

    def _halt(self, run: RunRow, error: Exception) -> DriveEnd:
        """Stop a run that nobody drives and that cannot go on. Only an operator goes on."""
        loading.forget_state(run_id=run.id)
        move = _halting(run_id=run.id, state=RunState(), at=run.now, error=error)
        version_digest, scope_id = loading.get_stamp(version_id=run.version_id)
        place = writing.Place(
            run=run,
            epoch=run.epoch + 1,
            head=run.stream,
            worker=self._worker,
            version_digest=version_digest,
            scope_id=scope_id,
        )
        written = writing.append(place, move, claiming=True)
        return DriveEnd.NOT_FREE if written is None else DriveEnd.HALTED

    def _halt_driven(self, session: Session, error: Exception) -> DriveEnd:
        """Stop the run that is driven: how its attempts ended cannot be recorded."""
        while not self._write(
            session,
            _halting(run_id=session.run.id, state=session.state, at=session.now(), error=error),
            claiming=False,
        ):
            self._refresh(session)
        loading.forget_state(run_id=session.run.id)
        announcing.announce(run_id=session.run.id, seq=session.head.seq)
        return DriveEnd.HALTED

    def _refresh(self, session: Session) -> None:
        """Read what others appended. Raises: TakenOverError."""
        run = read_run(run_id=session.run.id)
        mine = run is not None and run.epoch == session.epoch and run.worker == self._worker
        if not mine or run is None or run.status != RunStatus.RUNNING:
            raise TakenOverError
        session.state, session.head = loading.fold_tail(
            decider=session.rules.decider, state=session.state, head=session.head
        )

    # --- executing ---------------------------------------------------------------------------

    def _execute(self, session: Session, begun: Sequence[Begun]) -> list[Ended]:
        """Execute what has begun and return the attempts that ended first.

        None, if others appended meanwhile: a decision on a parallel branch may start steps now.
        """
        calls = [self._call(session, item) for item in begun]
        alone = len(calls) == 1 and not session.executing and not session.state.waiting_count
        if alone:
            return [self._guarded(calls[0])]
        for call in calls:
            session.executing[self._crew.begin(partial(self._guarded, call))] = call.key
        while True:
            poll = limits.TAIL_POLL_SECONDS if session.state.waiting_count else None
            done = self._crew.wait_first(session.executing, seconds=poll)
            for future in done:
                del session.executing[future]
            if done:
                return [future.result() for future in done]
            if self._is_behind(session):
                self._refresh(session)
                return []

    def _is_behind(self, session: Session) -> bool:
        run = read_run(run_id=session.run.id)
        return run is None or run.seq != session.head.seq or run.epoch != session.epoch

    def _call(self, session: Session, begun: Begun) -> StepCall:
        arguments = session.state.steps[begun.key].arguments
        assert isinstance(arguments, dict), "an action's arguments are a map"
        uses = session.rules.decider.uses_of(begun.key)
        timeout = session.rules.decider.timeout_of(begun.key)
        return StepCall(
            run_id=session.run.id,
            key=begun.key,
            step=step_of(begun.key),
            attempt=begun.attempt,
            spec=registry.actions().get(uses.action),
            action=uses.action,
            arguments=arguments,
            timeout=timeout,
            deadline=self._clock.monotonic() + timeout.total_seconds(),
        )

    def _guarded(self, call: StepCall) -> Ended:
        with self._attempts.attempt(deadline=call.deadline):
            return execute(call, now=self._clock.monotonic())

    def _capacity(self, *, in_time: bool) -> int:
        return limits.PARALLEL_STEP_COUNT_MAX if in_time else 0


def _check_room(session: Session, move: Move) -> None:
    """Check that a move leaves room for those outside. Raises: RunTooLongError."""
    entry_count_max = limits.RUN_ENTRY_COUNT_MAX - limits.OUTSIDE_ENTRY_COUNT_MAX
    if session.head.seq + len(move.events) > entry_count_max:
        raise RunTooLongError(entry_count=session.head.seq)


def _halting(*, run_id: UUID, state: RunState, at: datetime, error: Exception) -> Move:
    """Return the move that stops a run, with the reason on record."""
    code = error.code if isinstance(error, PlatformError) else "engine.unrecordable"
    reason = one_line(str(error))
    log.error("engine.run_halted", run=str(run_id), code=code, reason=reason)
    event = Event(
        kind=EventKind.RUN_HALTED, at=at, data={"code": code}, payloads={"difference": reason}
    )
    return Move(state=state, events=(event,), begun=(), effects=(), status=RunStatus.HALTED)


def _is_due(run: RunRow) -> bool:
    if run.status != RunStatus.WAITING:
        return True
    return run.wake_at is not None and run.wake_at <= run.now
