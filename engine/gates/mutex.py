"""Named mutexes: one step at a time, over all runs of a project. Read `acquire`.

A step's place in the queue is a row. Who lets go of a mutex grants it to the next in the same
transaction and wakes that run after the commit, so nothing is handed to a run that has gone, and
nothing leaks: the rows of closed runs are swept.
"""

from collections.abc import Sequence
from uuid import UUID

from django.db import connection, transaction

from core.kernel import limits
from core.toolkit import queue
from core.toolkit.db import after_commit, require_transaction
from engine.locks import lock_names

# Already granted stays granted; a name nobody holds is granted at once.
_ACQUIRE = """
    INSERT INTO engine_slot (project_id, name, run_id, key, priority, since, granted_at, taken_at)
    SELECT %s::uuid, %s::text, %s::uuid, %s::text, %s::smallint, clock_timestamp(),
        free.at, free.at
    FROM (SELECT CASE WHEN NOT EXISTS (
              SELECT 1 FROM engine_slot
              WHERE project_id = %s::uuid AND name = %s::text AND granted_at IS NOT NULL)
          THEN clock_timestamp() END AS at) AS free
    ON CONFLICT (project_id, name, run_id, key) DO UPDATE SET
        granted_at = coalesce(engine_slot.granted_at, EXCLUDED.granted_at),
        taken_at = coalesce(engine_slot.taken_at, engine_slot.granted_at, EXCLUDED.granted_at)
    RETURNING granted_at IS NOT NULL"""

_FIND = """
    SELECT project_id, name FROM engine_slot
    WHERE run_id = %s AND (%s::text[] IS NULL OR key = ANY(%s::text[]))"""

_DELETE = """
    DELETE FROM engine_slot WHERE run_id = %s AND (%s::text[] IS NULL OR key = ANY(%s::text[]))"""

# A run that stands still would keep everybody waiting; it asks again when it goes on.
_GRANT = """
    UPDATE engine_slot s SET granted_at = clock_timestamp()
    FROM (SELECT q.run_id, q.key FROM engine_slot q JOIN engine_run r ON r.id = q.run_id
          WHERE q.project_id = %s::uuid AND q.name = %s::text
            AND r.status NOT IN ('PAUSED', 'HALTED', 'CLOSED')
          ORDER BY q.priority DESC, q.since, q.run_id, q.key LIMIT 1) AS next
    WHERE s.project_id = %s::uuid AND s.name = %s::text
      AND s.run_id = next.run_id AND s.key = next.key
      AND NOT EXISTS (SELECT 1 FROM engine_slot h
                      WHERE h.project_id = %s::uuid AND h.name = %s::text
                        AND h.granted_at IS NOT NULL)
    RETURNING s.run_id"""

_WAKE = """
    UPDATE engine_run r SET status = 'READY', wake_at = clock_timestamp()
    WHERE r.id = ANY(%s::uuid[]) AND r.status = 'WAITING'
      AND EXISTS (SELECT 1 FROM engine_slot s
                  WHERE s.run_id = r.id AND s.granted_at IS NOT NULL AND s.taken_at IS NULL)
    RETURNING r.id"""

_UNTAKEN = """
    SELECT run_id FROM engine_slot WHERE granted_at IS NOT NULL AND taken_at IS NULL
    ORDER BY granted_at LIMIT %s"""

# Granted to a run that has stopped since: the next one has it, and this one asks again.
_STALLED = """
    SELECT s.project_id, s.name FROM engine_slot s JOIN engine_run r ON r.id = s.run_id
    WHERE s.granted_at IS NOT NULL AND s.taken_at IS NULL AND r.status IN ('PAUSED', 'HALTED')
    LIMIT %s"""

_TAKE_BACK = """
    UPDATE engine_slot s SET granted_at = NULL FROM engine_run r
    WHERE s.project_id = %s AND s.name = %s AND r.id = s.run_id
      AND s.granted_at IS NOT NULL AND s.taken_at IS NULL AND r.status IN ('PAUSED', 'HALTED')"""

_LEFT_BEHIND = """
    SELECT DISTINCT s.run_id FROM engine_slot s JOIN engine_run r ON r.id = s.run_id
    WHERE r.status = 'CLOSED' LIMIT %s"""


def acquire(*, project_id: UUID, run_id: UUID, key: str, name: str, priority: int = 0) -> bool:
    """Take a mutex for a step, or a place in its queue. Idempotent: a yes stays a yes.

    Asked before the entry that admits the step is written, in a transaction of its own: a process
    that dies in between leaves a mutex that its run's next driver finds its own. After a no, the
    run is woken when its turn has come; ask again then.

    Args:
        project_id: whose mutexes.
        run_id: the run that asks.
        key: the step's key in it.
        name: the mutex, at most `limits.NAME_CHARS_MAX` characters.
        priority: higher ones come first, of equal ones who has waited longest.
    """
    with transaction.atomic():
        lock_names(kind="mutex", project_id=project_id, names=(name,))
        with connection.cursor() as cursor:
            params = (project_id, name, run_id, key, priority, project_id, name)
            cursor.execute(_ACQUIRE, params)
            return bool(cursor.fetchone()[0])


def release(*, run_id: UUID, keys: Sequence[str] | None) -> None:
    """Give back what steps of a run hold or wait for; `None`: all of it. Idempotent.

    Transaction: needs the append's; locks the names. The next ones are woken after the commit.
    """
    require_transaction()
    wanted = None if keys is None else list(keys)
    with connection.cursor() as cursor:
        cursor.execute(_FIND, (run_id, wanted, wanted))
        held = sorted({(project_id, name) for project_id, name in cursor.fetchall()})
        if not held:
            return
        for project_id in {project_id for project_id, _ in held}:  # a run is of one project
            names = [name for owner, name in held if owner == project_id]
            lock_names(kind="mutex", project_id=project_id, names=names)
        cursor.execute(_DELETE, (run_id, wanted, wanted))
        granted: list[UUID] = []
        for place in held:
            cursor.execute(_GRANT, (*place, *place, *place))
            granted += [row[0] for row in cursor.fetchall()]
    if granted:
        after_commit(_wake, granted)


def sweep_slots() -> int:
    """Free what closed and stopped runs hold up and wake who was granted something.

    Returns: how many it moved.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LEFT_BEHIND, (limits.SWEEP_ROW_COUNT_MAX,))
        gone = [row[0] for row in cursor.fetchall()]
        cursor.execute(_STALLED, (limits.SWEEP_ROW_COUNT_MAX,))
        stalled = cursor.fetchall()
        cursor.execute(_UNTAKEN, (limits.SWEEP_ROW_COUNT_MAX,))
        granted = [row[0] for row in cursor.fetchall()]
    for run_id in gone:
        with transaction.atomic():
            release(run_id=run_id, keys=None)
    for place in stalled:
        granted += _pass_on(*place)
    return len(gone) + len(stalled) + (_wake(granted) if granted else 0)


def _pass_on(project_id: UUID, name: str) -> list[UUID]:
    """Grant a mutex to the next instead of a run that has stopped; return whom it was granted."""
    place = (project_id, name)
    with transaction.atomic():
        lock_names(kind="mutex", project_id=project_id, names=(name,))
        with connection.cursor() as cursor:
            cursor.execute(_TAKE_BACK, place)
            cursor.execute(_GRANT, (*place, *place, *place))
            return [row[0] for row in cursor.fetchall()]


def _wake(run_ids: Sequence[UUID]) -> int:
    """Make waiting runs ready that were granted a mutex; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(_WAKE, (list(run_ids),))
        woken = [row[0] for row in cursor.fetchall()]
    for run_id in woken:
        queue.hint("engine.drive", run_id=str(run_id))
    return len(woken)
