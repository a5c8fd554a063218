"""What becomes of exports nobody works on. Read `sweep_exports`."""

from collections.abc import Sequence
from uuid import UUID

from django.db import connection, transaction

from audit.domain.entry import stream_id_of
from audit.exports import files, reading, recording, store
from audit.exports.models import Export
from core.kernel import limits
from core.kernel.record import SYSTEM_ACTOR, Origin, Via
from core.toolkit import queue

EXPORT_TASK = "audit.export"

# What nobody may download any more: its time is up, while no legal hold stands; or it may hold a
# value that was redacted after it began.
_EXPIRED = f"""
(status = 'ready' AND (
    expires_at < clock_timestamp()
        AND NOT EXISTS (SELECT 1 FROM audit_hold WHERE released_at IS NULL)
    OR format = 'bundle' AND EXISTS (SELECT 1 FROM audit_entry e
                                     WHERE e.stream = '{stream_id_of("ledger")}'
                                       AND e.kind = 'payload.redacted' AND e.seq > x.pinned_entry)))
"""  # noqa: S608 - from a constant
_OVERDUE = """
(status IN ('queued', 'running') AND (lease_until IS NULL OR lease_until < clock_timestamp())
    AND hinted_at < clock_timestamp() - make_interval(secs => %s))"""

# Nearly always nothing: one probe of the few rows that are under way or have a file.
_PROBE = f"""
SELECT EXISTS (SELECT 1 FROM audit_export x
               WHERE status IN ('queued', 'running', 'ready') AND ({_EXPIRED} OR {_OVERDUE}))
"""  # noqa: S608 - of the texts above
_LIST_EXPIRED = f"SELECT id FROM audit_export x WHERE {_EXPIRED} ORDER BY id LIMIT %s"  # noqa: S608


def sweep_exports() -> int:
    """Hint exports that lost their worker or their hint, and delete files whose time is up.

    Returns:
        How many exports it moved. An idle call is one statement.
    """
    with connection.cursor() as cursor:
        cursor.execute(_PROBE, (limits.EXPORT_OLD_SECONDS,))
        (is_needed,) = cursor.fetchone()
    if not is_needed:
        return 0
    overdue = store.list_overdue(limit=limits.SWEEP_ROW_COUNT_MAX)
    for export_id in overdue:
        queue.hint(EXPORT_TASK, export_id=str(export_id))
    with connection.cursor() as cursor:
        cursor.execute(_LIST_EXPIRED, (limits.SWEEP_ROW_COUNT_MAX,))
        expired = [row[0] for row in cursor.fetchall()]
    expire_exports(export_ids=expired)
    return len(overdue) + len(expired)


def expire_exports(*, export_ids: Sequence[UUID]) -> int:
    """Delete the files of exports that are ready; return how many there were.

    A file is deleted first: what is said to be gone is gone. Transaction: one an export.

    Raises:
        OSError: if a file cannot be deleted; the next sweep tries again.
    """
    count = 0
    origin = Origin(actor=SYSTEM_ACTOR, via=Via.ENGINE)
    for export in Export.objects.filter(pk__in=list(export_ids)):
        files.delete_all(export_id=export.pk)
        assert export.pinned_entry is not None, "what is ready was pinned"
        is_overtaken = reading.is_overtaken(newest_entry=export.pinned_entry)
        with transaction.atomic():
            if store.expire(export_id=export.pk):
                recording.record(
                    export=export,
                    kind=recording.EXPIRED,
                    origin=origin,
                    reason="redaction" if is_overtaken else "time",
                )
                count += 1
    return count
