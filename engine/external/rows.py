"""The only writer of claims. Raw SQL, because every statement locks or judges by the clock.

Read `find_open` and `lock_claim` first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from core.kernel import limits
from engine.domain.external import ClaimStatus
from engine.remote import ClaimedTask

# The run's row comes first in every lock order. A run that somebody else holds just now is
# passed over, unless there is no other.
_FIND_OPEN = """
    SELECT t.id, t.run_id
    FROM engine_task t
    JOIN engine_run r ON r.id = t.run_id
    JOIN engine_workflow w ON w.id = r.workflow_id
    WHERE t.status = 'open' AND t.queue = ANY(%s) AND w.project_id = %s
      AND r.status IN ('READY', 'RUNNING', 'WAITING')
      AND NOT EXISTS (SELECT 1 FROM engine_dedupe d WHERE d.run_id = r.id AND d.key = 'cancel')
    ORDER BY r.priority DESC, t.id LIMIT 1
    FOR NO KEY UPDATE OF r"""

_INSERT = """
    INSERT INTO engine_claim (id, token, run_id, project_id, account_id, worker, topic, key,
        attempt, round, status, lease_seconds, claimed_at, lease_until, deadline_at)
    SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'held', %s, at,
        at + make_interval(secs => least(%s, %s)), at + make_interval(secs => %s)
    FROM clock_timestamp() AS at
    RETURNING lease_until, deadline_at"""

_LOCK = """
    SELECT c.id, c.token, c.run_id, p.scope_id, c.account_id, c.worker, c.topic, c.key, c.attempt,
        c.round, c.status, c.answer, c.deadline_at <= clock_timestamp(),
        c.is_wanted AND r.status <> 'CLOSED' AND NOT EXISTS (
            SELECT 1 FROM engine_dedupe d WHERE d.run_id = c.run_id AND d.key = 'cancel'),
        r.status = 'CLOSED'
    FROM engine_claim c
    JOIN engine_run r ON r.id = c.run_id
    JOIN identity_project p ON p.id = c.project_id
    WHERE c.id = %s
    FOR UPDATE OF c"""

_EXTEND = """
    UPDATE engine_claim
    SET lease_until = least(deadline_at, clock_timestamp() + make_interval(secs => lease_seconds))
    WHERE id = %s AND status = 'held'
    RETURNING lease_until, deadline_at"""

_END = """
    UPDATE engine_claim SET status = %s, answer = %s, ended_at = clock_timestamp()
    WHERE id = %s AND status = 'held'"""

_TAKE_SILENT = """
    SELECT id, token, run_id, key, attempt, deadline_at <= clock_timestamp(),
        extract(epoch FROM deadline_at - claimed_at)
    FROM engine_claim
    WHERE status = 'held' AND lease_until <= clock_timestamp()
    ORDER BY lease_until LIMIT %s
    FOR UPDATE SKIP LOCKED"""

_UNWANT = """
    UPDATE engine_claim SET is_wanted = false
    WHERE run_id = %s AND key = ANY(%s) AND status = 'held'"""

_CLEAN = """
    DELETE FROM engine_claim WHERE id IN (
        SELECT id FROM engine_claim
        WHERE ended_at < clock_timestamp() - make_interval(secs => %s)
        LIMIT %s FOR UPDATE SKIP LOCKED)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClaim:
    """Who takes an attempt, and for how long it may be silent."""

    token: UUID
    project_id: UUID
    account_id: UUID
    worker: str
    topic: str
    lease_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRow:
    """A claim this transaction has locked; `scope_id` is its project's.

    `is_overdue`: its time is up, whether or not anybody has noticed. `is_wanted`: the run still
    needs a result. `is_closed`: the run is over.
    """

    id: UUID
    token: UUID
    run_id: UUID
    scope_id: UUID
    account_id: UUID
    worker: str
    topic: str
    key: str
    attempt: int
    round: int
    status: ClaimStatus
    answer: bytes | None
    is_overdue: bool
    is_wanted: bool
    is_closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentClaim:
    """A claim this transaction has locked whose lease is over. `seconds` is the attempt's time."""

    id: UUID
    token: UUID
    run_id: UUID
    key: str
    attempt: int
    is_overdue: bool
    seconds: float


def find_open(*, project_id: UUID, queues: Sequence[str]) -> tuple[UUID, UUID] | None:
    """Return the id of the attempt that is next and of its run, which is locked then.

    Those of runs of the highest priority are first, of equal ones those that have waited longest.
    Transaction: needs the claim's. Somebody may take the attempt all the same.
    """
    for lock in (f"{_FIND_OPEN} SKIP LOCKED", _FIND_OPEN):
        rows = _fetch(lock, (list(queues), project_id))
        if rows:
            return rows[0][0], rows[0][1]
    return None


def insert(*, task: ClaimedTask, claim: NewClaim) -> tuple[datetime, datetime]:
    """Keep a claim; return until when its lease and the attempt's time last."""
    seconds = task.timeout.total_seconds()
    values = (task.id, claim.token, task.run_id, claim.project_id, claim.account_id)
    named = (claim.worker, claim.topic, task.key, task.attempt, task.round)
    times = (claim.lease_seconds, claim.lease_seconds, seconds, seconds)
    ((lease_until, deadline_at),) = _fetch(_INSERT, (*values, *named, *times))
    return lease_until, deadline_at


def lock_claim(*, claim_id: UUID) -> ClaimRow | None:
    """Return a claim, locked until the transaction ends, or `None`. Transaction: needs one."""
    assert connection.in_atomic_block, "a lock outside a transaction holds nothing"
    rows = _fetch(_LOCK, (claim_id,))
    if not rows:
        return None
    (row,) = rows
    return ClaimRow(
        id=row[0],
        token=row[1],
        run_id=row[2],
        scope_id=row[3],
        account_id=row[4],
        worker=row[5],
        topic=row[6],
        key=row[7],
        attempt=row[8],
        round=row[9],
        status=ClaimStatus(row[10]),
        answer=None if row[11] is None else bytes(row[11]),
        is_overdue=row[12],
        is_wanted=row[13],
        is_closed=row[14],
    )


def extend(*, claim_id: UUID) -> tuple[datetime, datetime]:
    """Begin the lease of a held claim anew; return when it and the attempt's time end."""
    ((lease_until, deadline_at),) = _fetch(_EXTEND, (claim_id,))
    return lease_until, deadline_at


def end(*, claim_id: UUID, status: ClaimStatus, answer: bytes | None = None) -> None:
    """End a held claim. Transaction: the one that has locked it."""
    with connection.cursor() as cursor:
        cursor.execute(_END, (status.value, answer, claim_id))


def take_silent() -> list[SilentClaim]:
    """Return claims whose lease is over, locked. Transaction: needs one."""
    return [
        SilentClaim(
            id=row[0],
            token=row[1],
            run_id=row[2],
            key=row[3],
            attempt=row[4],
            is_overdue=row[5],
            seconds=float(row[6]),
        )
        for row in _fetch(_TAKE_SILENT, (limits.SWEEP_ROW_COUNT_MAX,))
    ]


def note_unwanted(*, run_id: UUID, keys: Sequence[str]) -> None:
    """Let programs know at their next heartbeat that nobody needs what they do. Idempotent."""
    with connection.cursor() as cursor:
        cursor.execute(_UNWANT, (run_id, list(keys)))


def clean() -> int:
    """Delete claims that ended long ago; return how many."""
    seconds = limits.CLAIM_RETENTION.total_seconds()
    with connection.cursor() as cursor:
        cursor.execute(_CLEAN, (seconds, limits.SWEEP_ROW_COUNT_MAX))
        return int(cursor.rowcount)


def _fetch(statement: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found
