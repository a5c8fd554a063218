"""Telling a run that the run it called has ended. Read `report_child`."""

from uuid import UUID

import structlog
from django.db import DatabaseError, connection, transaction

from audit import store as ledger
from core.kernel import limits
from core.kernel.errors import PlatformError
from core.kernel.record import ENGINE_ORIGIN
from core.kernel.types import Json
from engine import store
from engine.domain.events import Event, EventKind
from engine.domain.state import RunStatus
from engine.services import outside

log = structlog.get_logger(__name__)

_CHILD = """
    SELECT parent_id FROM engine_run
    WHERE id = %s AND parent_id IS NOT NULL AND NOT parent_reported AND status = 'CLOSED'"""

_MARK = """
    UPDATE engine_run SET parent_reported = true
    WHERE id = %s AND NOT parent_reported AND status = 'CLOSED'
    RETURNING parent_key, outcome, seq"""

_UNREPORTED = """
    SELECT id FROM engine_run
    WHERE status = 'CLOSED' AND parent_id IS NOT NULL AND NOT parent_reported
      AND closed_at < clock_timestamp() - make_interval(secs => %s)
    ORDER BY closed_at LIMIT %s"""


def report_child(*, child_id: UUID) -> bool:
    """Append a child's end to the run that awaits it, and wake that run. Idempotent.

    Call it after the commit that closed the child; the sweep does it otherwise.
    Transaction: one of its own; locks the parent, then the child.

    Returns:
        Whether the parent was told: not if the run is no child, still open, or nobody waits for it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CHILD, (child_id,))
        found = cursor.fetchone()
    if found is None:
        return False
    with transaction.atomic():
        parent = store.lock_run(run_id=found[0])
        assert parent is not None, "runs are never deleted"
        with connection.cursor() as cursor:
            cursor.execute(_MARK, (child_id,))
            marked = cursor.fetchone()
        if marked is None or parent.status == RunStatus.CLOSED:
            return False
        key, outcome, seq = marked
        event = Event(
            kind=EventKind.CHILD_CLOSED,
            at=parent.now,
            data={"key": key, "run": str(child_id), "outcome": outcome},
            payloads={"outputs": _read_outputs(child_id, seq)},
        )
        outside.append(row=parent, events=(event,), origin=ENGINE_ORIGIN)
    return True


def sweep_children() -> int:
    """Report the ends that nobody reported; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(_UNREPORTED, (limits.READY_OLD_SECONDS, limits.SWEEP_ROW_COUNT_MAX))
        child_ids = [row[0] for row in cursor.fetchall()]
    return sum(_report_safely(child_id) for child_id in child_ids)


def _report_safely(child_id: UUID) -> int:
    """Report one end; what is wrong with it keeps nobody else's from being reported."""
    try:
        return int(report_child(child_id=child_id))
    except (PlatformError, DatabaseError):
        log.exception("engine.child_not_reported", run=str(child_id))
        connection.close_if_unusable_or_obsolete()
        return 0


def _read_outputs(child_id: UUID, seq: int) -> Json:
    """Return the outputs in a run's last entry."""
    entries = ledger.read_stream(stream=child_id, after_seq=seq - 1, limit=1)
    return entries[0].payloads.get("outputs", {}) if entries else {}
