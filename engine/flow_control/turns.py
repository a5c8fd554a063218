"""The only writer of turns and of what changed in their groups. Raw SQL, short.

A run's turn is a row that is deleted with the run's closing entry, in its transaction; what is
free is what no row holds. Source: decision 38.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from core.kernel import limits
from core.toolkit.db import fetch_rows, require_transaction
from engine.domain.plan import OnConflict
from engine.domain.turns import Turn

# The run waits from its first entry on, and nothing wakes it but its turn and a cancel.
_JOIN = """
    WITH t AS (
        INSERT INTO engine_turn (run_id, project_id, workflow_id, name, run_count_max, on_conflict,
            priority, since)
        SELECT id, %s::uuid, workflow_id, %s::text, %s::smallint, %s::text, priority,
            clock_timestamp()
        FROM engine_run WHERE id = %s::uuid
        RETURNING project_id, name),
    c AS (
        INSERT INTO engine_turn_change (project_id, name, at)
        SELECT project_id, name, clock_timestamp() FROM t)
    UPDATE engine_run SET status = 'WAITING', wake_at = NULL, concurrency_key = %s::text
    WHERE id = %s::uuid"""

_KEY = "UPDATE engine_run SET concurrency_key = %s::text WHERE id = %s::uuid"

_HAND_ON = "UPDATE engine_turn SET run_id = %s::uuid WHERE run_id = %s::uuid"

_LEAVE = """
    WITH t AS (DELETE FROM engine_turn WHERE run_id = %s::uuid RETURNING project_id, name)
    INSERT INTO engine_turn_change (project_id, name, at)
    SELECT project_id, name, clock_timestamp() FROM t
    RETURNING project_id, name"""

_CHANGE = """
    INSERT INTO engine_turn_change (project_id, name, at)
    SELECT project_id, name, clock_timestamp() FROM engine_turn
    WHERE run_id = %s::uuid AND taken_at IS NULL
    RETURNING project_id, name"""

# From a run up to the outermost that awaits it: who of them has the turn of a group.
_FIND_HOLDER = """
    WITH RECURSIVE line AS (
        SELECT id, parent_id, parent_reported, 1 AS depth FROM engine_run WHERE id = %s::uuid
        UNION ALL
        SELECT r.id, r.parent_id, r.parent_reported, line.depth + 1
        FROM line JOIN engine_run r ON r.id = line.parent_id
        WHERE NOT line.parent_reported AND line.depth <= %s::int)
    SELECT t.run_id FROM line JOIN engine_turn t ON t.run_id = line.id
    WHERE t.project_id = %s::uuid AND t.name = %s::text AND t.granted_at IS NOT NULL LIMIT 1"""

_LIST_CHANGES = """
    SELECT id FROM engine_turn_change WHERE project_id = %s::uuid AND name = %s::text LIMIT %s"""

_FORGET_CHANGES = "DELETE FROM engine_turn_change WHERE id = ANY(%s::bigint[])"

_LIST_CHANGED = """
    SELECT DISTINCT project_id, name FROM (
        SELECT project_id, name FROM engine_turn_change
        WHERE at < clock_timestamp() - make_interval(secs => %s) LIMIT %s) AS old"""

# Who goes on, who comes next, and who does not wait in line. A run that stands still is passed
# over: it would keep everybody waiting.
_LIST = """
    WITH found AS (
        SELECT run_id FROM engine_turn
        WHERE project_id = %s::uuid AND name = %s::text AND granted_at IS NOT NULL
        UNION
        (SELECT t.run_id FROM engine_turn t JOIN engine_run r ON r.id = t.run_id
         WHERE t.project_id = %s::uuid AND t.name = %s::text AND t.granted_at IS NULL
           AND r.status NOT IN ('PAUSED', 'HALTED')
         ORDER BY t.priority DESC, t.since, t.run_id LIMIT %s)
        UNION
        (SELECT t.run_id FROM engine_turn t JOIN engine_run r ON r.id = t.run_id
         WHERE t.project_id = %s::uuid AND t.name = %s::text AND t.granted_at IS NULL
           AND NOT t.on_conflict = 'queue' AND r.status NOT IN ('PAUSED', 'HALTED') LIMIT %s))
    SELECT t.run_id, t.workflow_id, t.run_count_max, t.on_conflict, t.priority, t.since,
        t.granted_at IS NOT NULL,
        EXISTS (SELECT 1 FROM engine_dedupe d WHERE d.run_id = t.run_id AND d.key = 'cancel')
    FROM found JOIN engine_turn t USING (run_id)"""

_GRANT = """
    UPDATE engine_turn SET granted_at = clock_timestamp()
    WHERE run_id = ANY(%s::uuid[]) AND granted_at IS NULL"""

_UNTOLD = """
    SELECT run_id FROM engine_turn
    WHERE project_id = %s::uuid AND name = %s::text
      AND granted_at IS NOT NULL AND taken_at IS NULL
    ORDER BY priority DESC, since, run_id"""

_TAKE = """
    UPDATE engine_turn SET taken_at = clock_timestamp()
    WHERE run_id = %s::uuid AND granted_at IS NOT NULL AND taken_at IS NULL"""

_WAITS = "SELECT 1 FROM engine_turn WHERE run_id = %s::uuid AND granted_at IS NULL"


def join(
    *, run_id: UUID, project_id: UUID, name: str, run_count_max: int, on_conflict: OnConflict
) -> None:
    """Put a run that has just been inserted into a group; it waits. Transaction: its start's."""
    require_transaction()
    params = (project_id, name, run_count_max, on_conflict.value, run_id, name, run_id)
    _execute(_JOIN, params)


def note_group(*, run_id: UUID, name: str) -> None:
    """Note in a run's row what group it is of, if it takes no turn of its own."""
    _execute(_KEY, (name, run_id))


def hand_on(*, run_id: UUID, successor_id: UUID) -> None:
    """Give the turn of a run that goes on as another to that one. Transaction: the append's."""
    require_transaction()
    _execute(_HAND_ON, (successor_id, run_id))


def leave(*, run_id: UUID) -> tuple[UUID, str] | None:
    """Free the turn of a run that closes; return its group to be looked at after the commit.

    `None`: it had none. Transaction: the append's. One statement, which waits for nobody.
    """
    require_transaction()
    rows = fetch_rows(_LEAVE, (run_id,))
    return (rows[0][0], rows[0][1]) if rows else None


def note_change(*, run_id: UUID) -> tuple[UUID, str] | None:
    """Have the group looked at in which a run still waits; return it, `None` without any."""
    rows = fetch_rows(_CHANGE, (run_id,))
    return (rows[0][0], rows[0][1]) if rows else None


def find_holder(*, run_id: UUID, project_id: UUID, name: str) -> UUID | None:
    """Return who has the turn of a group: a run, or the one of those that await it. One query."""
    params = (run_id, limits.CALL_DEPTH_MAX, project_id, name)
    rows = fetch_rows(_FIND_HOLDER, params)
    return rows[0][0] if rows else None


def list_changes(*, project_id: UUID, name: str) -> list[int]:
    """Return the ids of the changes of a group, at most so many as one look takes."""
    params = (project_id, name, limits.TURN_CHANGE_COUNT_MAX)
    return [row[0] for row in fetch_rows(_LIST_CHANGES, params)]


def forget_changes(*, ids: Sequence[int]) -> None:
    """Delete changes that were looked at."""
    _execute(_FORGET_CHANGES, (list(ids),))


def list_changed() -> list[tuple[UUID, str]]:
    """Return groups whose change nobody has looked at in time."""
    params = (limits.READY_OLD_SECONDS, limits.SWEEP_ROW_COUNT_MAX)
    return [(row[0], row[1]) for row in fetch_rows(_LIST_CHANGED, params)]


def list_turns(*, project_id: UUID, name: str) -> list[Turn]:
    """Return the turns of a group that `judge` has to know. Transaction: holds the group's lock."""
    require_transaction()
    group = (project_id, name)
    count = limits.TURN_LOOK_COUNT_MAX
    return [
        Turn(
            run_id=row[0],
            workflow_id=row[1],
            run_count_max=row[2],
            on_conflict=OnConflict(row[3]),
            priority=row[4],
            since=row[5],
            is_granted=row[6],
            is_leaving=row[7],
        )
        for row in fetch_rows(_LIST, (*group, *group, count, *group, count))
    ]


def grant(*, run_ids: Sequence[UUID]) -> None:
    """Grant turns. Transaction: holds the group's lock."""
    require_transaction()
    _execute(_GRANT, (list(run_ids),))


def list_untold(*, project_id: UUID, name: str) -> list[UUID]:
    """Return the runs of a group that have their turn and have not been told."""
    return [row[0] for row in fetch_rows(_UNTOLD, (project_id, name))]


def take(*, run_id: UUID) -> bool:
    """Note that a run was told. `False`: it has been, or has no turn. Transaction: the append's."""
    require_transaction()
    return _execute(_TAKE, (run_id,)) == 1


def is_waiting(*, run_id: UUID) -> bool:
    """Say whether a run waits for its turn."""
    return bool(fetch_rows(_WAITS, (run_id,)))


def _execute(statement: str, params: Sequence[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return int(cursor.rowcount)
