"""The only writer of tallies, which bound what refusals add to a record. Raw SQL.

Of the refusals of one kind that a workflow meets in `limits.REFUSAL_WINDOW`, the first
`limits.REFUSAL_COUNT_MAX` are written out; the others are counted, and an entry at the end of the
window says how many there were.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from core.kernel import limits

DOOR = "door"  # requests that nobody signed
START = "start"  # what a trigger heard and could not start

_COUNT = """
    INSERT INTO engine_tally AS t
        (workflow_id, kind, since, ends_at, noted_count, left_out_count)
    VALUES (%s, %s, clock_timestamp(), clock_timestamp() + make_interval(secs => %s), 1, 0)
    ON CONFLICT (workflow_id, kind) DO UPDATE SET
        noted_count = t.noted_count + (t.noted_count < %s)::int,
        left_out_count = t.left_out_count + (t.noted_count >= %s)::int
    RETURNING left_out_count"""

_TAKE_ENDED = """
    DELETE FROM engine_tally WHERE (workflow_id, kind) IN (
        SELECT workflow_id, kind FROM engine_tally WHERE ends_at < clock_timestamp()
        ORDER BY workflow_id, kind LIMIT %s FOR UPDATE SKIP LOCKED)
    RETURNING workflow_id, kind, since, left_out_count"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedTally:
    """A window that is over: since when, and how many refusals were only counted."""

    workflow_id: UUID
    kind: str
    since: datetime
    left_out_count: int


def count(*, workflow_id: UUID, kind: str) -> bool:
    """Count a refusal; return whether it is to be written out. Transaction: needs one."""
    most = limits.REFUSAL_COUNT_MAX
    seconds = limits.REFUSAL_WINDOW.total_seconds()
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, (workflow_id, kind, seconds, most, most))
        return bool(cursor.fetchone()[0] == 0)


def take_ended(*, limit: int) -> list[EndedTally]:
    """Return windows that are over, which are gone with it. Transaction: needs one."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_ENDED, (limit,))
        return [
            EndedTally(workflow_id=row[0], kind=row[1], since=row[2], left_out_count=row[3])
            for row in cursor.fetchall()
        ]
