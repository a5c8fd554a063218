"""Attempts that others execute than who drives the run. Read `publish`, `claim`, `collect`.

The only writer of `engine_task`. A row is an attempt the run's entry has begun. Whoever serves the
label claims it, executes it and writes its end into the row; the run's next driver tells of it and
deletes the row in the same transaction. So a run's entries are written by its driver alone.

Programs outside are such others too, see `engine.external`: the `worker` of theirs is the token of
their claim, which has a lease of its own.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from core.kernel import ids, limits
from core.kernel.canonical import canonical_bytes
from core.kernel.types import Json
from core.toolkit import queue, realtime
from engine import store
from engine.domain import external
from engine.executing import Ended

_INSERT = """
    INSERT INTO engine_task (id, run_id, key, attempt, queue, action, arguments, timeout_seconds,
        heartbeat_seconds, round, status, due_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'open', clock_timestamp())"""

_ALIVE = """EXISTS (SELECT 1 FROM engine_worker w
    WHERE w.id = {worker} AND w.lease_until > clock_timestamp())"""

# A worker whose lease has run out is dead to everybody else, and takes nothing. Nothing of a
# paused run begins.
_CLAIM = f"""
    UPDATE engine_task SET status = 'claimed', worker = %s::uuid
    WHERE {_ALIVE.format(worker="%s::uuid")}
      AND id IN (SELECT id FROM engine_task t WHERE status = 'open' AND queue = ANY(%s)
                   AND NOT EXISTS (SELECT 1 FROM engine_run r
                                   WHERE r.id = t.run_id AND r.status = 'PAUSED')
                 ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
    RETURNING id, run_id, key, attempt, action, arguments, timeout_seconds, heartbeat_seconds,
        round"""  # noqa: S608 - constants only

_FINISH = """
    UPDATE engine_task SET status = 'done', ended = %s
    WHERE id = %s AND worker = %s AND status = 'claimed'
    RETURNING run_id"""

_COLLECT = """
    SELECT id, key, attempt, status, ended FROM engine_task
    WHERE run_id = %s AND status IN ('done', 'lost') ORDER BY id"""

_DISCARD = "DELETE FROM engine_task WHERE id = ANY(%s)"

_ABANDON = "DELETE FROM engine_task WHERE run_id = %s AND status <> 'claimed'"
_REVOKE = """
    UPDATE engine_task SET status = 'lost'
    WHERE run_id = %s AND key = ANY(%s) AND status = 'open'
    RETURNING key, attempt"""

_HELD = "SELECT id, run_id, key FROM engine_task WHERE worker = %s AND status = 'claimed'"

_CLAIM_ONE = """
    UPDATE engine_task SET status = 'claimed', worker = %s
    WHERE id = %s AND status = 'open'
    RETURNING id, run_id, key, attempt, action, arguments, timeout_seconds, heartbeat_seconds,
        round"""

_END_CLAIM = """
    UPDATE engine_task SET status = CASE WHEN %s::bytea IS NULL THEN 'lost' ELSE 'done' END,
        ended = %s
    WHERE id = %s AND worker = %s AND status = 'claimed'
    RETURNING run_id"""

_GIVE_UP = """
    UPDATE engine_task SET status = 'lost'
    WHERE id = ANY(%s) AND worker = %s AND status = 'claimed'
    RETURNING run_id"""

_LOSE = f"""
    UPDATE engine_task SET status = 'lost'
    WHERE id IN (SELECT id FROM engine_task t
                 WHERE status = 'claimed' AND NOT {_ALIVE.format(worker="t.worker")}
                   AND NOT starts_with(t.queue, 'external:')
                 LIMIT %s FOR UPDATE SKIP LOCKED)
    RETURNING run_id"""  # noqa: S608 - constants only

_ENDED_UNTOLD = """
    SELECT DISTINCT t.run_id FROM engine_task t JOIN engine_run r ON r.id = t.run_id
    WHERE t.status IN ('done', 'lost') AND r.status = 'WAITING' LIMIT %s"""

_LEFT_BEHIND = """
    DELETE FROM engine_task WHERE id IN (
        SELECT t.id FROM engine_task t JOIN engine_run r ON r.id = t.run_id
        WHERE t.status <> 'claimed' AND r.status = 'CLOSED'
        LIMIT %s FOR UPDATE OF t SKIP LOCKED)"""

_UNTAKEN = """
    UPDATE engine_task SET due_at = clock_timestamp()
    WHERE id IN (SELECT id FROM engine_task
                 WHERE status = 'open' AND NOT starts_with(queue, 'external:')
                   AND due_at < clock_timestamp() - make_interval(secs => %s)
                 ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED)
    RETURNING queue"""

_WAKE = """
    UPDATE engine_run SET status = 'READY', wake_at = clock_timestamp()
    WHERE id = ANY(%s) AND status = 'WAITING' RETURNING id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """An attempt to hand over to workers that serve `queue`."""

    key: str
    attempt: int
    queue: str
    action: str
    arguments: dict[str, Json]
    timeout_seconds: float
    heartbeat_seconds: float | None
    round: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedTask:
    """An attempt this worker executes now."""

    id: UUID
    run_id: UUID
    key: str
    attempt: int
    action: str
    arguments: dict[str, Json]
    timeout: timedelta
    heartbeat_seconds: float | None
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """How an attempt that was handed over ended; `None`: its worker died."""

    task_id: UUID
    key: str
    attempt: int
    ended: Ended | None


def topic_group(topic: str) -> str:
    """Return the group of signals that tell of new tasks of a topic, of whatever project."""
    return f"topic.{topic}"


def queue_name(label: str) -> str:
    """Return the broker's queue for a label."""
    return f"engine.{label}"


# --- the run's driver ------------------------------------------------------------------------


def publish(*, run_id: UUID, tasks: Sequence[NewTask]) -> None:
    """Hand attempts over. Transaction: needs the append's; workers are hinted after the commit."""
    rows = [
        (
            ids.uuid7(),
            run_id,
            task.key,
            task.attempt,
            task.queue,
            task.action,
            canonical_bytes(task.arguments),
            task.timeout_seconds,
            task.heartbeat_seconds,
            task.round,
        )
        for task in tasks
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_INSERT, rows)
    for task in tasks:
        if not external.find_topic(task.queue):
            queue.hint_at_on_commit(queue_name(task.queue), "engine.execute")
    for topic in sorted({external.find_topic(task.queue) for task in tasks} - {""}):
        realtime.publish_on_commit(groups=[topic_group(topic)], signal={"topic": topic})


def collect(*, run_id: UUID) -> list[Collected]:
    """Return the attempts that have ended and are not discarded yet, in order.

    A worker that ended itself because its attempt hung has left word of it: that is a failure of
    kind `timeout` or `heartbeat`. Any other dead worker's attempt has no end.
    """
    with connection.cursor() as cursor:
        cursor.execute(_COLLECT, (run_id,))
        rows = cursor.fetchall()
    is_any_lost = any(row[3] == "lost" for row in rows)
    hung = store.list_hung(run_id=run_id) if is_any_lost else []
    kinds = {(item.key, item.attempt): item.kind for item in hung}
    return [
        Collected(
            task_id=task_id,
            key=key,
            attempt=attempt,
            ended=_ended(key, attempt, ended, kinds.get((key, attempt), "")),
        )
        for task_id, key, attempt, _, ended in rows
    ]


def discard(*, task_ids: Sequence[UUID]) -> None:
    """Forget attempts whose ends are told. Transaction: the append's that tells of them."""
    with connection.cursor() as cursor:
        cursor.execute(_DISCARD, (list(task_ids),))


def revoke(*, run_id: UUID, keys: Sequence[str]) -> list[tuple[str, int]]:
    """Take attempts back that nobody has begun: they are collected as lost. The others still end.

    Returns:
        The (key, attempt) of those that were taken back. Idempotent; one statement.
    """
    with connection.cursor() as cursor:
        cursor.execute(_REVOKE, (run_id, list(keys)))
        return [(row[0], row[1]) for row in cursor.fetchall()]


def abandon(*, run_id: UUID) -> None:
    """Take everything back that nobody executes, of a run that closes without its driver.

    What is executed still ends, and the sweep deletes it then.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ABANDON, (run_id,))


# --- the worker that executes ----------------------------------------------------------------


def claim(*, worker: UUID, labels: Sequence[str], count: int) -> list[ClaimedTask]:
    """Take attempts that wait under these labels, the oldest first. One statement.

    Returns:
        At most `count`; none, if the worker's lease has run out.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, (worker, worker, list(labels), count))
        rows = sorted(cursor.fetchall())
    return [_read_claimed(row) for row in rows]


def finish(*, task_id: UUID, worker: UUID, ended: Ended) -> bool:
    """Record how an attempt ended, and wake its run. Two statements, each its own transaction.

    Returns:
        `False`: the attempt was given up for lost meanwhile, and its end does not count.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FINISH, (_write_ended(ended), task_id, worker))
        row = cursor.fetchone()
    if row is None:
        return False
    wake([row[0]])
    return True


# --- programs outside ------------------------------------------------------------------------


def claim_one(*, task_id: UUID, token: UUID) -> ClaimedTask | None:
    """Take one attempt under a token, unless somebody else has. Transaction: needs the claim's."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM_ONE, (token, task_id))
        row = cursor.fetchone()
    return _read_claimed(row) if row is not None else None


def end_claim(*, task_id: UUID, token: UUID, ended: Ended | None) -> bool:
    """Record how a claimed attempt ended; `None`: it is lost. Call `wake` after the commit.

    Transaction: needs the claim's. Returns: `False`, if it is not under this token any more.
    """
    written = None if ended is None else _write_ended(ended)
    with connection.cursor() as cursor:
        cursor.execute(_END_CLAIM, (written, written, task_id, token))
        return cursor.fetchone() is not None


def wake(run_ids: Sequence[UUID]) -> int:
    """Make runs that wait for ends of attempts ready; return how many. The sweep finds the rest."""
    if not run_ids:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_WAKE, (list(run_ids),))
        woken = [row[0] for row in cursor.fetchall()]
    for run_id in woken:
        queue.hint("engine.drive", run_id=str(run_id))
    return len(woken)


# --- the sweep -------------------------------------------------------------------------------


def sweep_tasks() -> int:
    """Give up what dead workers had, wake runs nobody woke, hint for what nobody took.

    Returns: how many rows it moved.
    """
    count = limits.SWEEP_ROW_COUNT_MAX
    with connection.cursor() as cursor:
        cursor.execute(_LOSE, (count,))
        lost = cursor.rowcount
        cursor.execute(_ENDED_UNTOLD, (count,))
        untold = [row[0] for row in cursor.fetchall()]
        cursor.execute(_LEFT_BEHIND, (count,))
        gone = cursor.rowcount
        cursor.execute(_UNTAKEN, (limits.TASK_OLD_SECONDS, count))
        labels = [row[0] for row in cursor.fetchall()]
    for label in set(labels):
        queue.hint_at(queue_name(label), "engine.execute")
    return int(lost) + wake(untold) + int(gone) + len(labels)


def list_held(*, worker: UUID) -> list[tuple[UUID, UUID, str]]:
    """Return (id, run, key) of the attempts that rows say a worker executes."""
    with connection.cursor() as cursor:
        cursor.execute(_HELD, (worker,))
        return [(row[0], row[1], row[2]) for row in cursor.fetchall()]


def give_up(*, worker: UUID, task_ids: Sequence[UUID]) -> list[UUID]:
    """Call attempts lost that a live worker says it does not execute, and wake their runs.

    Returns:
        The runs.
    """
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_UP, (list(task_ids), worker))
        run_ids = [row[0] for row in cursor.fetchall()]
    wake(run_ids)
    return run_ids


# --- small parts -----------------------------------------------------------------------------


def _read_claimed(row: tuple[Any, ...]) -> ClaimedTask:
    return ClaimedTask(
        id=row[0],
        run_id=row[1],
        key=row[2],
        attempt=row[3],
        action=row[4],
        arguments=json.loads(bytes(row[5])),
        timeout=timedelta(seconds=row[6]),
        heartbeat_seconds=row[7],
        round=row[8],
    )


def _write_ended(ended: Ended) -> bytes:
    value: dict[str, Json] = {"result": ended.result}
    if ended.error:
        value = {"error": ended.error, "message": ended.message, "detail": ended.detail}
    if ended.account:
        value |= {"worker": ended.worker, "account": ended.account}
    return canonical_bytes(value)


def _ended(key: str, attempt: int, written: Any, hung: str) -> Ended | None:
    if written is not None:
        value = json.loads(bytes(written))
        return Ended(key=key, attempt=attempt, **value)
    if not hung:
        return None
    return Ended(key=key, attempt=attempt, error=hung, message=f"its worker ended itself: {hung}")
