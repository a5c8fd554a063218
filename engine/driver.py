"""The driver: takes a run and moves it on until it blocks. Read `Driver.drive` first.

    claim → (execute → append)* → park, release or close

The driver holds the run's epoch, place and state in memory, so a step costs one statement. When an
append comes back empty, somebody else has appended (a decision, a cancel: read it and go on) or has
taken over (stop: the run is theirs). Source: ENGINE §3 to §5.
"""

import threading
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from functools import partial
from uuid import UUID

from core.kernel import limits
from core.kernel.clock import SYSTEM_CLOCK, Clock
from core.toolkit import queue
from engine import admitting, announcing, appending, loading, registry, remote, store, waking
from engine.attempts import AttemptBook
from engine.crew import Crew
from engine.domain.events import Begun, Event, EventKind
from engine.domain.keys import step_of
from engine.domain.moving import Hands, Move, take_over, work_out
from engine.domain.state import RunState, RunStatus, StepStatus
from engine.executing import Ended, StepCall, execute
from engine.external import rows as claims
from engine.flow_control import groups
from engine.halting import HOPELESS, Halter
from engine.remote import Collected
from engine.secrets.opening import lock_of
from engine.services import late, reporting
from engine.session import Session, TakenOverError
from engine.sources import EngineSources
from engine.store import HungAttempt, RunRow, read_run

_CLAIM_TRIES = 3
_DRIVABLE = frozenset({RunStatus.READY, RunStatus.WAITING, RunStatus.RUNNING})


class DriveEnd(StrEnum):
    """Why a driver stopped driving a run."""

    NOT_FREE = "not-free"  # closed, waiting, or somebody else's
    PARKED = "parked"
    RELEASED = "released"  # there is more to do, but not by this driver
    CLOSED = "closed"
    PAUSED = "paused"  # by an operator
    HALTED = "halted"
    TAKEN_OVER = "taken-over"


_ENDS = {
    RunStatus.CLOSED: DriveEnd.CLOSED,
    RunStatus.HALTED: DriveEnd.HALTED,
    RunStatus.PAUSED: DriveEnd.PAUSED,
    RunStatus.READY: DriveEnd.RELEASED,
    RunStatus.WAITING: DriveEnd.PARKED,
}


class Driver:
    """Drives one run at a time for a worker. Not to be shared between threads.

    `queues` are the labels of the steps it executes itself; "" are those without a label.
    """

    def __init__(
        self,
        *,
        worker: UUID,
        attempts: AttemptBook | None = None,
        clock: Clock = SYSTEM_CLOCK,
        crew: Crew | None = None,
        queues: Sequence[str] = ("",),
    ) -> None:
        self._worker = worker
        self._attempts = attempts or AttemptBook()
        self._clock = clock
        self._crew = crew or Crew()
        self._queues = frozenset(queues)
        self._draining = threading.Event()
        self._halter = Halter(worker=worker)

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
            with self._halter.escalating(session[0].run):
                try:
                    end = self._drive(*session)
                except TakenOverError:
                    self._crew.wait_all(session[0].executing)
                    late.note_late(run_id=run_id, ended=_untold(session[0]))
                    raise
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
        if end is DriveEnd.CLOSED and session[0].run.parent_id is not None:
            reporting.report_child(child_id=run_id)  # what this misses, the sweep finds
        return end

    # --- claiming ----------------------------------------------------------------------------

    def _claim(self, run_id: UUID) -> tuple[Session, Move] | DriveEnd | None:
        for _ in range(_CLAIM_TRIES):
            loaded = loading.load_run(run_id=run_id)
            read_at = self._clock.monotonic()
            if loaded is None or not _is_free(loaded.row):
                return None
            run = loaded.row
            with self._halter.escalating(run):
                try:
                    rules = loading.get_rules(version_id=run.version_id)
                    state, head = loaded.fold(rules.decider)
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
                    # If somebody appended after a tail that was cut, it is read again.
                    move = self._try_claim(session) if head.seq == run.seq else None
                except HOPELESS as error:
                    return DriveEnd.HALTED if self._halter.halt(run, error) else DriveEnd.NOT_FREE
            if move is not None:
                return session, move
        return None

    def _try_claim(self, session: Session) -> Move | None:
        at = session.now()
        decider, state = session.rules.decider, session.state
        hung: dict[str, str] = {}
        if len(state.running) > len(state.remote):  # their driver has died, perhaps for a reason
            found = store.list_hung(run_id=session.run.id)
            hung = {item.key: item.kind for item in found if _is_of(state, item)}
        events = take_over(
            decider, state, worker=str(self._worker), epoch=session.epoch, at=at, hung=hung
        )
        collected = remote.collect(run_id=session.run.id) if state.remote else []
        events = (*events, *appending.tell(session, collected, at=at))
        if state.idle_claim_count >= limits.IDLE_CLAIM_COUNT_MAX:
            poisoned = Event(kind=EventKind.RUN_HALTED, at=at, data={"code": "engine.poisoned"})
            events = (*events, poisoned)
        hands = self._hands(in_time=not self._draining.is_set())
        move = work_out(decider, state, events, at=at, hands=hands, sources=_sources(session))
        appending.check_room(session, move)
        # Known to the heartbeat before the row says so: a run it does not find here is orphaned.
        self._attempts.enter(run_id=session.run.id, epoch=session.epoch)
        if self._write(session, move, claiming=True, collected=collected):
            elsewhere = [item.ended for item in collected if item.ended is not None]
            admitting.note(session, before=state, ended=elsewhere)
            self._tell_cancelled(session)
            return move
        self._attempts.leave(run_id=session.run.id)
        return None

    # --- the loop ----------------------------------------------------------------------------

    def _drive(self, session: Session, move: Move) -> DriveEnd:
        until = self._clock.monotonic() + limits.DRIVE_SECONDS_MAX
        while move.status is RunStatus.RUNNING:
            found = self._next(session, move.begun)
            session.untold = found.ended
            in_time = self._clock.monotonic() < until and not self._draining.is_set()
            try:
                move = self._append(session, found, hands=self._hands(in_time=in_time))
                session.untold = ()
            except HOPELESS as error:
                self._halter.halt_driven(session, error, write=self._write, refresh=self._refresh)
                return DriveEnd.HALTED
            if move.begun or move.effects:
                announcing.announce(run_id=session.run.id, seq=session.head.seq)
        loading.keep_state(head=session.head, state=session.state)
        announcing.announce(run_id=session.run.id, seq=session.head.seq)
        if move.status is RunStatus.READY:
            queue.hint("engine.drive", run_id=str(session.run.id))
        elif move.status is RunStatus.WAITING and (session.state.remote or session.state.held):
            waking.recheck(run_id=session.run.id)
        elif session.state.is_queued:  # it was passed over while it did not wait
            groups.look_again(run_id=session.run.id)
        return _ENDS[move.status]

    def _next(self, session: Session, begun: Sequence[Begun]) -> "appending.Found":
        """Return what happens next."""
        calls = [self._call(session, item) for item in begun if not item.queue]
        decider = session.rules.decider
        held = decider.to_admit(session.state, at=session.now())
        if len(calls) == 1 and not held and self._is_quiet(session):
            return appending.Found(ended=(self._guarded(calls[0]),))
        for call in calls:
            session.executing[self._crew.begin(partial(self._guarded, call))] = call.key
        admission = admitting.admit(session) if held else admitting.Admission()
        if admission.events:
            return appending.Found(events=admission.events)
        if session.executing:
            return self._wait(session)
        collected = remote.collect(run_id=session.run.id) if session.state.remote else []
        if collected:
            return appending.Found(collected=tuple(collected))
        return appending.hold(session, again_at=admission.again_at)

    def _is_quiet(self, session: Session) -> bool:
        """Say whether nothing can happen to the run but by the attempt that begins."""
        state = session.state
        return not (session.executing or state.waiting_count or state.remote or state.timers)

    def _wait(self, session: Session) -> "appending.Found":
        """Return the attempts that ended first, or nothing if something else may have happened."""
        while True:
            done = self._crew.wait_first(session.executing, seconds=self._patience(session))
            for future in done:
                del session.executing[future]
            if done:
                return appending.Found(ended=tuple(future.result() for future in done))
            if session.state.remote:
                collected = remote.collect(run_id=session.run.id)
                if collected:
                    return appending.Found(collected=tuple(collected))
            now = session.now()
            if session.rules.decider.to_admit(session.state, at=now):
                admission = admitting.admit(session)
                if admission.events:
                    return appending.Found(events=admission.events)
            wake_at = self._next_wake(session)
            if wake_at is not None and wake_at <= now:
                return appending.Found()
            if self._is_behind(session):
                self._refresh(session)
                return appending.Found()

    def _next_wake(self, session: Session) -> datetime | None:
        decider = session.rules.decider
        held = decider.to_admit(session.state, at=session.now())
        return decider.next_wake(session.state, besides=held)

    def _patience(self, session: Session) -> float | None:
        """Return how long to wait for an attempt before looking at what else happens, seconds."""
        state = session.state
        bounds = []
        held = session.rules.decider.to_admit(state, at=session.now())
        if state.waiting_count or state.remote or held or state.paused:
            bounds.append(limits.TAIL_POLL_SECONDS)
        wake_at = self._next_wake(session)
        if wake_at is not None:
            bounds.append(max(0.001, (wake_at - session.now()).total_seconds()))
        return min(bounds, default=None)

    def _append(self, session: Session, found: "appending.Found", *, hands: Hands) -> Move:
        """Append what happened, whatever others append meanwhile."""
        while True:
            at = session.now()
            happened = found.as_events(session, at=at)
            before = session.state
            move = work_out(
                session.rules.decider,
                session.state,
                happened,
                at=at,
                hands=hands,
                sources=_sources(session),
            )
            appending.check_room(session, move)
            if appending.can_defer(session, found, move):
                appending.defer(session, move)
                return move
            if self._write(session, move, claiming=False, collected=found.collected):
                elsewhere = [item.ended for item in found.collected if item.ended is not None]
                admitting.note(session, before=before, ended=(*found.ended, *elsewhere))
                self._tell_cancelled(session)
                return move
            again = appending.forget_unwritten(session)
            self._refresh(session)
            if again is not None:
                return again

    def _write(
        self,
        session: Session,
        move: Move,
        *,
        claiming: bool,
        collected: Sequence[Collected] = (),
    ) -> bool:
        return appending.write(
            session, move, worker=self._worker, claiming=claiming, collected=collected
        )

    def _tell_cancelled(self, session: Session) -> None:
        """Let attempts know that nobody needs them any more: they may stop early, or never begin.

        Their ends are awaited all the same, because they may have done something.
        """
        state = session.state
        unwanted = [
            key
            for key in state.running
            if state.cancelling or state.steps[key].status is not StepStatus.RUNNING
        ]
        remote_keys = sorted(key for key in unwanted if key in state.remote)
        if remote_keys:
            remote.revoke(run_id=session.run.id, keys=remote_keys)
            claims.note_unwanted(run_id=session.run.id, keys=remote_keys)
        for key in unwanted:
            self._attempts.cancel(run_id=session.run.id, key=key)

    def _refresh(self, session: Session) -> None:
        """Read what others appended. Raises: TakenOverError."""
        run = read_run(run_id=session.run.id)
        mine = run is not None and run.epoch == session.epoch and run.worker == self._worker
        if not mine or run is None or run.status != RunStatus.RUNNING:
            raise TakenOverError
        session.state, session.head = loading.fold_tail(
            decider=session.rules.decider, state=session.state, head=session.head
        )
        self._tell_cancelled(session)

    def _is_behind(self, session: Session) -> bool:
        run = read_run(run_id=session.run.id)
        return run is None or run.seq != session.head.seq or run.epoch != session.epoch

    # --- executing ---------------------------------------------------------------------------

    def _call(self, session: Session, begun: Begun) -> StepCall:
        decider, step = session.rules.decider, session.state.steps[begun.key]
        assert isinstance(step.arguments, dict), "an action's arguments are a map"
        uses = decider.uses_of(begun.key)
        timeout = decider.timeout_of(begun.key)
        return StepCall(
            run_id=session.run.id,
            key=begun.key,
            step=step_of(begun.key),
            attempt=begun.attempt,
            spec=registry.actions().get(uses.action),
            action=uses.action,
            arguments=step.arguments,
            timeout=timeout,
            deadline=self._clock.monotonic() + timeout.total_seconds(),
            heartbeat_seconds=decider.heartbeat_of(begun.key),
            round=step.round,
            locked=lock_of(project_id=session.rules.project_id, template=uses.arguments),
        )

    def _guarded(self, call: StepCall) -> Ended:
        with self._attempts.attempt(
            deadline=call.deadline,
            run_id=call.run_id,
            key=call.key,
            number=call.attempt,
            heartbeat_seconds=call.heartbeat_seconds,
        ) as beat:
            return execute(call, now=self._clock.monotonic(), beat=beat)

    def _hands(self, *, in_time: bool) -> Hands:
        capacity = limits.PARALLEL_STEP_COUNT_MAX if in_time else 0
        return Hands(capacity=capacity, serves=self._queues)


def _sources(session: Session) -> EngineSources:
    return EngineSources(run_id=session.run.id)


def _untold(session: Session) -> tuple[Ended, ...]:
    """Return how attempts ended that this driver may not record any more."""
    since = [future.result() for future in session.executing]
    return (*session.untold, *since)


def _is_free(run: RunRow) -> bool:
    """Say whether a run may be there to be claimed: the claim itself finds out."""
    if run.status not in _DRIVABLE:
        return False
    if run.status != RunStatus.WAITING:
        return True
    return run.wake_at is not None and run.wake_at <= run.now


def _is_of(state: RunState, hung: HungAttempt) -> bool:
    """Say whether a worker ended itself for an attempt that the record says executes."""
    return state.running.get(hung.key) == hung.attempt
