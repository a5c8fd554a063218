"""The only writer of backfills and occurrences. Raw SQL, short.

Whoever writes both a workflow's record and its backfills has locked the workflow first.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from core.kernel import ids
from core.kernel.types import Json

_INSERT = """
    INSERT INTO engine_backfill (id, workflow_id, name, source, requested_by_id, since, until,
        again, run_count_max, skipped_count, created_at)
    VALUES (%s, %s, %s, %s::jsonb, %s, %s, %s, %s, %s, %s, clock_timestamp())
    ON CONFLICT (workflow_id, name) WHERE ended_at IS NULL DO NOTHING"""

_INSERT_WAITING = """
    INSERT INTO engine_occurrence (id, workflow_id, name, due_at, status, backfill_id)
    SELECT o.id, %s, %s, o.due_at, 'waiting', %s
    FROM unnest(%s::uuid[], %s::timestamptz[]) AS o (id, due_at)"""

_HAD = """
    SELECT DISTINCT due_at FROM engine_occurrence
    WHERE workflow_id = %s AND name = %s AND due_at >= %s AND due_at < %s AND status = 'started'"""

_NOTE_RUN = """
    INSERT INTO engine_occurrence (id, workflow_id, name, due_at, status, run_id)
    VALUES (%s, %s, %s, %s, 'started', %s)"""

_OPEN = "SELECT id, workflow_id FROM engine_backfill WHERE ended_at IS NULL ORDER BY id LIMIT %s"

_LOCK = """
    SELECT id, name, source, run_count_max FROM engine_backfill
    WHERE id = %s AND ended_at IS NULL FOR UPDATE"""

_COUNT_OPEN = """
    SELECT count(*) FROM engine_occurrence o LEFT JOIN engine_run r ON r.id = o.run_id
    WHERE o.backfill_id = %s
      AND (o.status = 'pulled' OR o.status = 'started' AND r.status <> 'CLOSED')"""

_TAKE = """
    UPDATE engine_occurrence SET status = 'pulled' WHERE id IN (
        SELECT id FROM engine_occurrence WHERE backfill_id = %s AND status = 'waiting'
        ORDER BY due_at LIMIT %s)
    RETURNING id, due_at"""

_CANCEL_WAITING = """
    UPDATE engine_occurrence SET status = 'cancelled'
    WHERE backfill_id = %s AND status = 'waiting'"""

_END = """
    UPDATE engine_backfill SET ended_at = clock_timestamp(), is_cancelled = %s WHERE id = %s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBackfill:
    """A backfill to be stored, and the instants it is to make up for."""

    id: UUID
    workflow_id: UUID
    name: str
    source: Mapping[str, Json]
    requested_by_id: UUID
    since: datetime
    until: datetime
    again: bool
    run_count_max: int
    skipped_count: int
    instants: Sequence[datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBackfill:
    """A backfill whose row this transaction has locked."""

    id: UUID
    name: str
    source: Mapping[str, Any]
    run_count_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """An instant whose run is to be started now."""

    id: UUID
    due_at: datetime


def insert(*, backfill: NewBackfill) -> bool:
    """Store a backfill with its instants. `False`: the trigger has one that is open."""
    params = (
        backfill.id,
        backfill.workflow_id,
        backfill.name,
        json.dumps(dict(backfill.source)),
        backfill.requested_by_id,
        backfill.since,
        backfill.until,
        backfill.again,
        backfill.run_count_max,
        backfill.skipped_count,
    )
    keys = [ids.uuid7() for _ in backfill.instants]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, params)
        if cursor.rowcount == 0:
            return False
        place = (backfill.workflow_id, backfill.name, backfill.id)
        cursor.execute(_INSERT_WAITING, (*place, keys, list(backfill.instants)))
    return True


def list_had(*, workflow_id: UUID, name: str, since: datetime, until: datetime) -> set[datetime]:
    """Return the instants of a period, from `since` and before `until`, that had a run."""
    with connection.cursor() as cursor:
        cursor.execute(_HAD, (workflow_id, name, since, until))
        return {row[0] for row in cursor.fetchall()}


def note_run(*, workflow_id: UUID, name: str, due_at: str, run_id: UUID) -> None:
    """Keep that an instant, as ISO 8601, has a run."""
    _execute(_NOTE_RUN, (ids.uuid7(), workflow_id, name, due_at, run_id))


def note_made_up(*, occurrence_id: UUID, run_id: UUID) -> None:
    """Keep that an instant of a backfill has its run."""
    _execute(
        "UPDATE engine_occurrence SET status = 'started', run_id = %s WHERE id = %s",
        (run_id, occurrence_id),
    )


def note_refused(*, occurrence_id: UUID) -> None:
    """Keep that an instant of a backfill could not be made up for."""
    _execute(
        "UPDATE engine_occurrence SET status = 'refused' WHERE id = %s AND status = 'pulled'",
        (occurrence_id,),
    )


def list_open(*, limit: int) -> list[tuple[UUID, UUID]]:
    """Return id and workflow of backfills that go on, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, (limit,))
        return [(row[0], row[1]) for row in cursor.fetchall()]


def lock(*, backfill_id: UUID) -> OpenBackfill | None:
    """Return a backfill that goes on, locked, or `None`. The workflow is locked before."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, (backfill_id,))
        row = cursor.fetchone()
    if row is None:
        return None
    source = json.loads(row[2]) if isinstance(row[2], str) else row[2]
    return OpenBackfill(id=row[0], name=row[1], source=source, run_count_max=row[3])


def count_open(*, backfill_id: UUID) -> int:
    """Return how many instants of a backfill have been pulled and their runs not ended."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_OPEN, (backfill_id,))
        return int(cursor.fetchone()[0])


def take(*, backfill_id: UUID, limit: int) -> list[Pulled]:
    """Return the next instants of a backfill, oldest first; they count as pulled."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, (backfill_id, limit))
        found = [Pulled(id=row[0], due_at=row[1]) for row in cursor.fetchall()]
    return sorted(found, key=lambda item: item.due_at)


def end(*, backfill_id: UUID, is_cancelled: bool = False) -> int:
    """End a backfill; return how many instants it had not come to, which are cancelled."""
    _execute(_END, (is_cancelled, backfill_id))
    return _execute(_CANCEL_WAITING, (backfill_id,))


def _execute(statement: str, params: tuple[Any, ...]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return int(cursor.rowcount)
