"""Rate limits shared by all runs of a project. Read `reserve`.

The newest instants are kept, so the limit holds exactly in any stretch of its length: an attempt
may begin once the one `limit` places before it is that long ago.
"""

from dataclasses import dataclass
from datetime import datetime
from math import ceil
from uuid import UUID

from django.db import connection

from core.kernel import limits

# One statement: the row's lock is what orders those who ask at once. `instants` is ascending.
_RESERVE = """
    INSERT INTO engine_rate AS r (project_id, name, instants, idle_at)
    VALUES (%s::uuid, %s::text, ARRAY[clock_timestamp()],
        clock_timestamp() + make_interval(secs => %s::float8))
    ON CONFLICT (project_id, name) DO UPDATE SET
        instants = (r.instants || greatest(
            clock_timestamp(),
            r.instants[cardinality(r.instants)],
            r.instants[cardinality(r.instants) - %s::int + 1]
                + make_interval(secs => %s::float8)))
            [greatest(cardinality(r.instants) + 2 - %s::int, 1):],
        idle_at = greatest(
            clock_timestamp(),
            r.instants[cardinality(r.instants)],
            r.instants[cardinality(r.instants) - %s::int + 1] + make_interval(secs => %s::float8))
            + make_interval(secs => %s::float8)
    RETURNING instants[cardinality(instants)]"""

_SWEEP = """
    DELETE FROM engine_rate WHERE (project_id, name) IN (
        SELECT project_id, name FROM engine_rate WHERE idle_at < clock_timestamp()
        LIMIT %s FOR UPDATE SKIP LOCKED)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """At most `count` attempts in `seconds`, with few enough instants to be kept in a row."""

    count: int
    seconds: float


def pace_of(*, limit: int, seconds: float) -> Pace:
    """Return the pace that keeps a limit. A high limit is kept in each equal part of its time."""
    parts = ceil(limit / limits.RATE_INSTANT_COUNT_MAX)
    return Pace(count=limit // parts, seconds=seconds / parts)


def reserve(*, project_id: UUID, name: str, limit: int, seconds: float) -> datetime:
    """Reserve the next instant at which an attempt may begin; it may be now or have passed.

    Each call takes an instant: ask once for each attempt, and let it begin then and not before.

    Args:
        project_id: whose limit.
        name: what it is called, at most `limits.NAME_CHARS_MAX` characters.
        limit: attempts that may begin, 1 at least.
        seconds: in so much time.

    Transaction: needs none. One statement.
    """
    pace = pace_of(limit=limit, seconds=seconds)
    count, span = pace.count, pace.seconds
    params = (project_id, name, span, count, span, count, count, span, span)
    with connection.cursor() as cursor:
        cursor.execute(_RESERVE, params)
        at: datetime = cursor.fetchone()[0]
    return at


def sweep_rates() -> int:
    """Delete limits that hold nobody back any more; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(_SWEEP, (limits.SWEEP_ROW_COUNT_MAX,))
        return int(cursor.rowcount)
