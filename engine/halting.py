"""Stopping a run that cannot go on. Read `Halter`.

What comes back however often it is tried halts the run at once. A bug is tried again, with a delay
that grows, and halts it with the last try. Only an operator goes on from there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

import structlog
from django.db import DatabaseError, DataError, InterfaceError, OperationalError

from core.kernel import limits
from core.kernel.errors import PlatformError
from engine import announcing, loading, store, writing
from engine.actions.contract import one_line
from engine.domain.errors import DriverFailedError
from engine.domain.events import Event, EventKind
from engine.domain.moving import Move
from engine.domain.state import RunState, RunStatus
from engine.session import Session, TakenOverError
from engine.store import RunRow, read_run

log = structlog.get_logger(__name__)

# What comes back however often it is tried: the record does not replay, or what follows from it
# cannot be recorded (too large, not storable). Without a halt the sweep would hint it for ever.
HOPELESS = (PlatformError, DataError)

# What is nobody's bug: the database is away or too busy. The heartbeat or the sweep frees the run.
_PASSING = (OperationalError, InterfaceError)


class Halter:
    """Halts runs for a worker."""

    def __init__(self, *, worker: UUID) -> None:
        self._worker = worker

    @contextmanager
    def escalating(self, run: RunRow) -> Iterator[None]:
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

    def halt(self, run: RunRow, error: Exception) -> bool:
        """Stop a run that nobody drives. `False`: somebody else has it by now."""
        loading.forget_state(run_id=run.id)
        move = _halting(run_id=run.id, state=RunState(), at=run.now, error=error)
        stamp = loading.get_stamp(version_id=run.version_id)
        place = writing.Place(
            run=run,
            epoch=run.epoch + 1,
            head=run.stream,
            worker=self._worker,
            version_digest=stamp.version_digest,
            scope_id=stamp.scope_id,
            project_id=stamp.project_id,
        )
        return writing.append(place, move, claiming=True) is not None

    def halt_driven(
        self,
        session: Session,
        error: Exception,
        *,
        write: Callable[..., bool],
        refresh: Callable[[Session], None],
    ) -> None:
        """Stop the run that is driven: how its attempts ended cannot be recorded."""
        session.unwritten = None
        run_id = session.run.id
        while not write(
            session,
            _halting(run_id=run_id, state=session.state, at=session.now(), error=error),
            claiming=False,
        ):
            refresh(session)
        loading.forget_state(run_id=run_id)
        announcing.announce(run_id=run_id, seq=session.head.seq)

    def _note_fault(self, run: RunRow, error: Exception) -> None:
        count = store.note_fault(run=run, worker=self._worker)
        log.error("engine.driver_failed", run=str(run.id), count=count, error=repr(error))
        if count is None or count < limits.FAULT_COUNT_MAX:
            return
        freed = read_run(run_id=run.id)
        assert freed is not None, "runs are never deleted"
        last = f"{type(error).__name__}: {error}"
        # If somebody else takes it first, the bug comes back to its driver, and so does the halt.
        self.halt(freed, DriverFailedError(fault_count=count, last=last))


def _halting(*, run_id: UUID, state: RunState, at: datetime, error: Exception) -> Move:
    """Return the move that stops a run, with the reason on record."""
    code = error.code if isinstance(error, PlatformError) else "engine.unrecordable"
    reason = one_line(str(error))
    log.error("engine.run_halted", run=str(run_id), code=code, reason=reason)
    event = Event(
        kind=EventKind.RUN_HALTED, at=at, data={"code": code}, payloads={"difference": reason}
    )
    return Move(state=state, events=(event,), begun=(), effects=(), status=RunStatus.HALTED)
