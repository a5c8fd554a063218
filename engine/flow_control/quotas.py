"""What projects may start, and what they have: the only writer of quotas. Raw SQL, short.

Starts are counted in rows of an hour and a day of UTC, which are there only for projects with a
quota. Open runs are not counted one by one: they are measured when a start asks, at most every
`limits.MEASURE_SECONDS` in a process, and by no more rows than the quota allows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from core.kernel import limits
from core.toolkit.db import fetch_rows, require_transaction
from engine import conf

_FIND = """
    SELECT open_run_count_max, hour_start_count_max, day_start_count_max FROM engine_quota
    WHERE project_id = %s::uuid"""

_SET = """
    INSERT INTO engine_quota (project_id, open_run_count_max, hour_start_count_max,
        day_start_count_max, changed_at)
    VALUES (%s::uuid, %s::int, %s::int, %s::int, clock_timestamp())
    ON CONFLICT (project_id) DO UPDATE SET open_run_count_max = excluded.open_run_count_max,
        hour_start_count_max = excluded.hour_start_count_max,
        day_start_count_max = excluded.day_start_count_max, changed_at = excluded.changed_at"""

# From the side of open runs: a project's workflows may be many, and their closed runs more.
_COUNT_OPEN = """
    SELECT count(*) FROM (
        SELECT 1 FROM engine_run r JOIN engine_workflow w ON w.id = r.workflow_id
        WHERE NOT r.status = 'CLOSED' AND w.project_id = %s::uuid LIMIT %s::int) AS found"""

# Whoever adds the last one that is allowed holds the row until it commits; the next one waits.
_RESERVE = """
    INSERT INTO engine_quota_use AS u (project_id, span, begins_at, count)
    VALUES (%s::uuid, %s::text, date_trunc(%s::text, clock_timestamp(), 'UTC'), 1)
    ON CONFLICT (project_id, span, begins_at) DO UPDATE SET count = u.count + 1
    WHERE u.count < %s::int
    RETURNING count"""

_LEFT = """
    SELECT extract(epoch FROM date_trunc(%s::text, now, 'UTC') + ('1 ' || %s::text)::interval - now)
    FROM clock_timestamp() AS now"""

_USE = """
    SELECT span, count FROM engine_quota_use
    WHERE project_id = %s::uuid AND begins_at = date_trunc(span, clock_timestamp(), 'UTC')"""

_CLEAN = """
    DELETE FROM engine_quota_use WHERE (project_id, span, begins_at) IN (
        SELECT project_id, span, begins_at FROM engine_quota_use
        WHERE begins_at < clock_timestamp() - interval '2 days' LIMIT %s
        FOR UPDATE SKIP LOCKED)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a project may have and do; 0 is no bound."""

    open_run_count_max: int = 0
    hour_start_count_max: int = 0
    day_start_count_max: int = 0

    @property
    def is_bounded(self) -> bool:
        """Say whether there is any bound."""
        return bool(
            self.open_run_count_max or self.hour_start_count_max or self.day_start_count_max
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a project has now; `open_run_count` is cut at the number that was asked for."""

    open_run_count: int
    hour_start_count: int
    day_start_count: int
    at: datetime | None = None


def effective(own: Sequence[int | None]) -> Limits:
    """Return the limits of a project whose own are these; `None` is what the settings say."""
    known = [
        default if value is None else value
        for value, default in zip(own, conf.project_quota(), strict=True)
    ]
    return Limits(
        open_run_count_max=known[0], hour_start_count_max=known[1], day_start_count_max=known[2]
    )


def find_own(*, project_id: UUID) -> tuple[int | None, int | None, int | None]:
    """Return what was set for a project: open runs, starts in an hour, starts in a day."""
    rows = fetch_rows(_FIND, (project_id,))
    return (rows[0][0], rows[0][1], rows[0][2]) if rows else (None, None, None)


def set_own(*, project_id: UUID, own: Sequence[int | None]) -> None:
    """Set what a project may; `None` is what the settings say, 0 no bound."""
    with connection.cursor() as cursor:
        cursor.execute(_SET, (project_id, *own))


def count_open(*, project_id: UUID, limit: int) -> int:
    """Return how many runs of a project are open, at most `limit`. One statement."""
    return int(fetch_rows(_COUNT_OPEN, (project_id, limit))[0][0])


def reserve(*, project_id: UUID, span: str, limit: int) -> bool:
    """Count one start in this hour or day (`span`). `False`: there have been as many as may be.

    Transaction: the start's, which takes it back if nothing starts.
    """
    require_transaction()
    return bool(fetch_rows(_RESERVE, (project_id, span, span, limit)))


def seconds_left(*, span: str) -> float:
    """Return how long this hour or day goes on."""
    return float(fetch_rows(_LEFT, (span, span))[0][0])


def read_use(*, project_id: UUID, open_limit: int) -> Use:
    """Return what a project has now, its open runs up to a number. Two statements."""
    counts: dict[str, Any] = {row[0]: row[1] for row in fetch_rows(_USE, (project_id,))}
    return Use(
        open_run_count=count_open(project_id=project_id, limit=open_limit),
        hour_start_count=int(counts.get("hour", 0)),
        day_start_count=int(counts.get("day", 0)),
    )


def clean() -> int:
    """Delete counts nobody needs any more; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(_CLEAN, (limits.SWEEP_ROW_COUNT_MAX,))
        return int(cursor.rowcount)
