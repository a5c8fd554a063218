"""Keeping what comes too late: the end of an attempt that was given up. Read `note_late`.

Nothing follows from such an end. But somebody who has to say what becomes of a step that may have
been executed wants to know, and whoever looks later too. Source: ENGINE §6.
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import structlog
from django.db import DatabaseError, connection, transaction

from core.kernel.canonical import sha256
from core.kernel.errors import PlatformError
from core.kernel.record import ENGINE_ORIGIN
from engine import store
from engine.domain.events import EventKind
from engine.domain.state import RunStatus
from engine.executing import Ended
from engine.services import outside

log = structlog.get_logger(__name__)


def note_late(*, run_id: UUID, ended: Sequence[Ended]) -> int:
    """Put ends of attempts on the record of a run that has given them up. Idempotent.

    Nothing is added to the record of a run that has closed meanwhile. Never raises for what is
    wrong with the run or the database: what is kept here is worth no failure.
    Transaction: one of its own; locks the run.

    Returns:
        How many were put on record.
    """
    for item in ended:
        log.warning("engine.attempt_late", run=str(run_id), step=item.key, attempt=item.attempt)
    try:
        return _note(run_id, ended) if ended else 0
    except (PlatformError, DatabaseError):
        log.exception("engine.late_end_not_noted", run=str(run_id))
        connection.close_if_unusable_or_obsolete()
        return 0


def _note(run_id: UUID, ended: Sequence[Ended]) -> int:
    with transaction.atomic():
        row = store.lock_run(run_id=run_id)
        assert row is not None, "runs are never deleted"
        if row.status == RunStatus.CLOSED:
            return 0
        events = [
            replace(item.as_event(at=row.now), kind=EventKind.ATTEMPT_LATE)
            for item in ended
            if store.deduplicate(run_id=run_id, key=_signal_of(item))
        ]
        if events:
            outside.append(row=row, events=events, origin=ENGINE_ORIGIN)
        return len(events)


def _signal_of(ended: Ended) -> str:
    # What begins anew counts its attempts from 1 again, under the same key but in another round.
    # A step's key may be longer than the name of a signal.
    said = f"{ended.round}:{ended.attempt}:{ended.key}"
    return f"late:{sha256(said.encode()).hex()}"
