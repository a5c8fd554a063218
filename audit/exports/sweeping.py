"""What becomes of exports nobody works on. Read `sweep_exports`."""

from collections.abc import Sequence
from uuid import UUID

from django.db import connection, transaction

from audit.exports import files, recording, store
from audit.exports.models import Export
from core.kernel import limits
from core.kernel.record import SYSTEM_ACTOR, Origin, Via
from core.toolkit import queue

EXPORT_TASK = "audit.export"

# Nearly always nothing: one probe of the few rows that are under way or wait to expire.
_PROBE = """
SELECT EXISTS (
    SELECT 1 FROM audit_export WHERE status IN ('queued', 'running', 'ready')
      AND (status = 'ready' AND expires_at < clock_timestamp()
        OR status <> 'ready' AND (lease_until IS NULL OR lease_until < clock_timestamp())
           AND hinted_at < clock_timestamp() - make_interval(secs => %s)))"""


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
    expired = store.list_expired(limit=limits.SWEEP_ROW_COUNT_MAX)
    expire_exports(
        export_ids=expired, origin=Origin(actor=SYSTEM_ACTOR, via=Via.ENGINE), reason="time"
    )
    return len(overdue) + len(expired)


def expire_exports(*, export_ids: Sequence[UUID], origin: Origin, reason: str) -> int:
    """Delete the files of exports that are ready; return how many there were.

    A file is deleted first: what is said to be gone is gone. Transaction: one an export.

    Args:
        export_ids: which.
        origin: who has them deleted.
        reason: a code that goes on record: `time`, or `redaction`.

    Raises:
        OSError: if a file cannot be deleted; it is tried again.
    """
    count = 0
    for export in Export.objects.select_related("requested_by").filter(pk__in=list(export_ids)):
        files.delete_all(export_id=export.pk)
        with transaction.atomic():
            if store.expire(export_ids=[export.pk]):
                recording.record(
                    export=export, kind=recording.EXPIRED, origin=origin, reason=reason
                )
                count += 1
    return count
