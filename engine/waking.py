"""Waking a run that was granted something while it was being parked. Read `recheck`."""

from uuid import UUID

from django.db import connection

from core.toolkit import queue

_RECHECK = """
    UPDATE engine_run r SET status = 'READY', wake_at = clock_timestamp()
    WHERE r.id = %s AND r.status = 'WAITING'
      AND (EXISTS (SELECT 1 FROM engine_slot s
                   WHERE s.run_id = r.id AND s.granted_at IS NOT NULL AND s.taken_at IS NULL)
           OR EXISTS (SELECT 1 FROM engine_task t
                      WHERE t.run_id = r.id AND t.status IN ('done', 'lost')))"""


def recheck(*, run_id: UUID) -> bool:
    """Wake a run that has just been parked, if what it waits for came while it was driven.

    A mutex that is granted, or an attempt that ends elsewhere, wakes only a run that waits. Call it
    after the commit that parks a run that waits for one of them; the sweep does it otherwise.
    One statement.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RECHECK, (run_id,))
        is_woken = bool(cursor.rowcount == 1)
    if is_woken:
        queue.hint("engine.drive", run_id=str(run_id))
    return is_woken
