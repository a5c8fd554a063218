"""Results that steps of a project use again. Read `find`, then `keep`."""

import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from core.kernel import limits
from core.kernel.canonical import canonical_bytes, sha256
from core.kernel.types import Json

_FIND = """
    SELECT result, run_id, step, kept_at FROM engine_cache
    WHERE project_id = %s AND key_digest = %s AND expires_at > clock_timestamp()"""

_KEEP = """
    INSERT INTO engine_cache (project_id, key_digest, result, run_id, step, kept_at, expires_at)
    VALUES (%s, %s, %s, %s, %s, clock_timestamp(),
        clock_timestamp() + make_interval(secs => %s))
    ON CONFLICT (project_id, key_digest) DO UPDATE SET
        result = EXCLUDED.result, run_id = EXCLUDED.run_id, step = EXCLUDED.step,
        kept_at = EXCLUDED.kept_at, expires_at = EXCLUDED.expires_at"""

_SWEEP = """
    DELETE FROM engine_cache WHERE (project_id, key_digest) IN (
        SELECT project_id, key_digest FROM engine_cache WHERE expires_at < clock_timestamp()
        LIMIT %s FOR UPDATE SKIP LOCKED)"""

# Of each project that keeps too many, those that end first.
_TRIM = """
    DELETE FROM engine_cache WHERE (project_id, key_digest) IN (
        SELECT project_id, key_digest FROM (
            SELECT project_id, key_digest,
                row_number() OVER (PARTITION BY project_id ORDER BY expires_at DESC) AS place
            FROM engine_cache) AS ranked
        WHERE place > %s)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A result that may be used again, and whose it was: a run's step, by its key."""

    result: Json
    run_id: UUID
    step_key: str
    kept_at: datetime


def find(*, project_id: UUID, key: str) -> Hit | None:
    """Return the result kept under a key of a project, `None` if there is none. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(_FIND, (project_id, sha256(key.encode())))
        row = cursor.fetchone()
    if row is None:
        return None
    return Hit(result=json.loads(bytes(row[0])), run_id=row[1], step_key=row[2], kept_at=row[3])


def keep(
    *, project_id: UUID, key: str, ttl_seconds: float, result: Json, run_id: UUID, step_key: str
) -> bool:
    """Keep the result of a step that succeeded for others, in place of an older one.

    Call it in the transaction of the append that records the result, or after it. One statement.

    Returns:
        `False` if the result is over `limits.CACHE_RESULT_BYTES_MAX` and was not kept.
    """
    written = canonical_bytes(result)
    if len(written) > limits.CACHE_RESULT_BYTES_MAX:
        return False
    key_digest = sha256(key.encode())
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, (project_id, key_digest, written, run_id, step_key, ttl_seconds))
    return True


def sweep_cache() -> int:
    """Delete results whose time is over; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(_SWEEP, (limits.SWEEP_ROW_COUNT_MAX,))
        return int(cursor.rowcount)


def trim_cache() -> int:
    """Keep no more than `limits.CACHE_ROW_COUNT_MAX` results of each project; now and then."""
    with connection.cursor() as cursor:
        cursor.execute(_TRIM, (limits.CACHE_ROW_COUNT_MAX,))
        return int(cursor.rowcount)
