"""The only writer of runs, workers and dedupe rows. Raw SQL, one statement a transition.

Every append is a compare-and-swap on the run's row: it holds the `seq` it read, so either the
guard, the entries and the projection all happen, or none does and 0 comes back. Source: ENGINE §3.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from audit import store as ledger
from audit.domain.entry import BuiltEntry, StreamHead
from core.kernel import limits
from core.kernel.types import Json
from core.toolkit.db import fetch_rows

_RUN_COLUMNS = """id, number, workflow_id, version_id, status, outcome, epoch, fault_count, worker,
    seq, head, wake_at, initiator_id, parent_id, created_at"""

_READ = f"SELECT {_RUN_COLUMNS}, clock_timestamp() FROM engine_run WHERE id = %s"  # noqa: S608 - constants only

# FOR NO KEY UPDATE: a plain FOR UPDATE would block inserts that reference the run. Locked inside,
# so that the clock is read when the lock is held: beside it, it would be read before the wait.
_LOCK = f"""
    WITH locked AS MATERIALIZED (
        SELECT {_RUN_COLUMNS} FROM engine_run WHERE id = %s FOR NO KEY UPDATE)
    SELECT {_RUN_COLUMNS}, clock_timestamp() FROM locked"""  # noqa: S608 - constants only

_START = """
    INSERT INTO engine_run (id, number, workflow_id, version_id, initiator_id, on_behalf_of_id,
        rerunner_id, agent_owner_id, title, status, outcome, epoch, seq, head, wake_at, priority,
        concurrency_key, idempotency_key, request_digest, snapshot_seq, created_at, parent_id,
        parent_key, parent_reported, predecessor_id, events_since)
    VALUES (%s::uuid, %s::bigint, %s::uuid, %s::uuid, %s::uuid, %s::uuid, %s::uuid, %s::uuid,
        %s::text, 'READY', '', 0, %s::bigint, %s::bytea, %s::timestamptz, %s::smallint, '',
        %s::text, %s::bytea, 0, %s::timestamptz, %s::uuid, %s::text, %s::boolean, %s::uuid,
        %s::timestamptz)
    ON CONFLICT (workflow_id, idempotency_key) WHERE NOT (idempotency_key = '') DO NOTHING
    RETURNING id"""

_SET = """
    seq = %s::bigint, head = %s::bytea, status = %s::text, worker = %s::uuid,
    wake_at = %s::timestamptz, outcome = %s::text, closed_at = %s::timestamptz"""

_ALIVE = """EXISTS (SELECT 1 FROM engine_worker w
    WHERE w.id = {worker} AND w.lease_until > clock_timestamp())"""

# A claim needs a live worker of its own: one whose lease has run out is dead to everybody else.
# A claim that goes on driving has moved nothing yet: what may follow is what failed before.
_CLAIM = f"""
    UPDATE engine_run SET epoch = epoch + 1,
        fault_count = CASE WHEN %s::text = 'RUNNING' THEN fault_count ELSE 0 END, {_SET}
    WHERE id = %s::uuid AND seq = %s::bigint AND epoch = %s::int
      AND (status = 'READY'
           OR (status = 'WAITING' AND wake_at <= clock_timestamp())
           OR (status = 'RUNNING' AND NOT {_ALIVE.format(worker="engine_run.worker")}))
      AND {_ALIVE.format(worker="%s::uuid")}
    RETURNING id"""  # noqa: S608 - constants only

_ADVANCE = f"""
    UPDATE engine_run SET fault_count = 0, {_SET}
    WHERE id = %s::uuid AND epoch = %s::int AND seq = %s::bigint AND status = 'RUNNING'
    RETURNING id"""  # noqa: S608 - constants only

# An outsider holds the row lock. A waiting run becomes ready; a run somebody drives stays so, and
# its driver finds out at its next append.
_OUTSIDE = """
    UPDATE engine_run SET seq = %s::bigint, head = %s::bytea,
        wake_at = CASE WHEN status = 'WAITING' THEN clock_timestamp() ELSE wake_at END,
        status = CASE WHEN status = 'WAITING' THEN 'READY' ELSE status END
    WHERE id = %s::uuid AND seq = %s::bigint AND status <> 'CLOSED'
    RETURNING id"""

# An operator stops a run that nobody drives, lets one go on, or ends one that nobody can follow.
_MOVE = """
    UPDATE engine_run r SET seq = %s::bigint, head = %s::bytea, status = n.status, fault_count = 0,
        worker = NULL, outcome = CASE n.status WHEN 'CLOSED' THEN 'cancelled' ELSE '' END,
        wake_at = CASE n.status WHEN 'READY' THEN clock_timestamp() END,
        closed_at = CASE n.status WHEN 'CLOSED' THEN clock_timestamp() END
    FROM (SELECT %s::text AS status) n
    WHERE r.id = %s::uuid AND r.seq = %s::bigint AND r.status NOT IN ('RUNNING', 'CLOSED')
    RETURNING r.id"""

_RELEASE = """
    UPDATE engine_run SET status = 'READY', worker = NULL, wake_at = clock_timestamp()
    WHERE id = %s AND epoch = %s AND status = 'RUNNING'"""

# Only if nobody else has it: it is as the failed claim read it, or its row says this worker drives.
_FAULT = """
    UPDATE engine_run SET fault_count = fault_count + 1, worker = NULL,
        status = CASE WHEN fault_count + 1 < %s THEN 'WAITING' ELSE 'READY' END,
        wake_at = clock_timestamp() + make_interval(secs => least(%s * 4.0 ^ fault_count, %s))
    WHERE id = %s::uuid
      AND (status IN ('READY', 'WAITING') AND epoch = %s::int AND seq = %s::bigint
           OR status = 'RUNNING' AND epoch = %s::int + 1 AND worker = %s::uuid)
    RETURNING fault_count"""

_HEARTBEAT = """
    INSERT INTO engine_worker (id, name, lease_until, versions, queues, started_at)
    VALUES (%s, %s, clock_timestamp() + make_interval(secs => %s), '{}', %s::jsonb,
        clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET lease_until = EXCLUDED.lease_until"""

_EXPIRE = "UPDATE engine_worker SET lease_until = clock_timestamp() WHERE id = %s"

_NOTE_HUNG = """
    UPDATE engine_worker SET hung = %s::jsonb, lease_until = clock_timestamp() WHERE id = %s"""

_LIST_HUNG = """
    SELECT h.key, h.attempt, h.kind, h.progress
    FROM engine_worker w, jsonb_to_recordset(w.hung)
        AS h (run uuid, key text, attempt int, kind text, progress text)
    WHERE w.hung <> '[]' AND h.run = %s"""

_CANCELLED = "SELECT run_id FROM engine_dedupe WHERE run_id = ANY(%s) AND key = 'cancel'"

_DRIVEN = "SELECT id, epoch FROM engine_run WHERE worker = %s AND status = 'RUNNING'"

_SWEEP_PROBE = f"""
    SELECT EXISTS (SELECT 1 FROM engine_run
                   WHERE status = 'WAITING' AND wake_at <= clock_timestamp())
        OR EXISTS (SELECT 1 FROM engine_run
                   WHERE status = 'READY'
                     AND wake_at < clock_timestamp() - make_interval(secs => %s))
        OR EXISTS (SELECT 1 FROM engine_run
                   WHERE status = 'RUNNING' AND NOT {_ALIVE.format(worker="engine_run.worker")})
    """  # noqa: S608 - constants only

# The most urgent first, of equal ones who has waited longest. Of a READY run, `wake_at` is the
# instant from which on nobody has come for it: a while ahead, if it is hinted now once more.
_SWEEP = """
    WITH taken AS MATERIALIZED (
        SELECT id, priority, wake_at FROM engine_run WHERE {condition}
        ORDER BY priority DESC, wake_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED),
    moved AS (
        UPDATE engine_run r SET status = 'READY', worker = NULL,
            wake_at = clock_timestamp() + make_interval(secs => {ahead})
        FROM taken WHERE r.id = taken.id RETURNING r.id)
    SELECT t.id FROM taken t JOIN moved USING (id) ORDER BY t.priority DESC, t.wake_at"""

_SWEEP_DUE = _SWEEP.format(
    condition="status = 'WAITING' AND wake_at <= clock_timestamp()", ahead="0"
)
_SWEEP_LOST = _SWEEP.format(
    condition=f"status = 'RUNNING' AND NOT {_ALIVE.format(worker='engine_run.worker')}", ahead="0"
)
_SWEEP_READY = _SWEEP.format(
    condition="""status = 'READY'
        AND wake_at < clock_timestamp() - make_interval(secs => %s)""",
    ahead="%s",
)

_FORGET_WORKERS = """
    DELETE FROM engine_worker w WHERE lease_until < clock_timestamp() - interval '1 hour'
      AND NOT EXISTS (SELECT 1 FROM engine_run r WHERE r.worker = w.id AND r.status = 'RUNNING')"""

_WORKFLOW = """
    UPDATE engine_workflow SET seq = %s::bigint, head = %s::bytea
    WHERE id = %s::uuid AND seq = %s::bigint
    RETURNING id"""

_DEDUPE = "INSERT INTO engine_dedupe (run_id, key) VALUES (%s, %s) ON CONFLICT DO NOTHING"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run's row, and the database's clock when it was read."""

    id: UUID
    number: int
    workflow_id: UUID
    version_id: UUID
    status: str
    outcome: str
    epoch: int
    fault_count: int
    worker: UUID | None
    seq: int
    head: bytes
    wake_at: datetime | None
    initiator_id: UUID
    parent_id: UUID | None
    created_at: datetime
    now: datetime

    @property
    def stream(self) -> StreamHead:
        """Return the head of the run's ledger stream."""
        return StreamHead(stream=self.id, seq=self.seq, head=self.head)


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """What an append makes of the run's row, beside `seq` and `head`."""

    status: str
    worker: UUID | None = None
    wake_at: datetime | None = None
    outcome: str = ""
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HungAttempt:
    """An attempt for which a worker ended itself. `kind` is `timeout` or `heartbeat`.

    `progress` is the JSON text of what the attempt last said of itself, or `None`.
    """

    key: str
    attempt: int
    kind: str
    progress: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to be inserted.

    A child has its parent's id and the calling step's key there; `parent_reported` says that nobody
    waits for its end. A successor has a `predecessor_id`, and may have events from `events_since`.
    """

    id: UUID
    number: int
    workflow_id: UUID
    version_id: UUID
    initiator_id: UUID
    on_behalf_of_id: UUID | None
    agent_owner_id: UUID | None
    title: str
    idempotency_key: str
    request_digest: bytes
    created_at: datetime
    rerunner_id: UUID | None = None
    priority: int = 0
    parent_id: UUID | None = None
    parent_key: str = ""
    parent_reported: bool = False
    predecessor_id: UUID | None = None
    events_since: datetime | None = None


# --- reading ---------------------------------------------------------------------------------


def read_run(*, run_id: UUID) -> RunRow | None:
    """Return a run's row, or `None`. One statement, no lock."""
    return _fetch_run(_READ, run_id)


def read_run_with_tail(*, run_id: UUID, after_seq: int) -> tuple[RunRow, ledger.Tail] | None:
    """Return a run's row, and what its stream has after a place, of one snapshot. One statement.

    A long tail is cut at `limits.TAIL_ENTRY_COUNT_MAX` entries.
    """
    found = ledger.read_beside(
        row=_READ,
        params=(run_id,),
        stream=run_id,
        after_seq=after_seq,
        limit=limits.TAIL_ENTRY_COUNT_MAX,
    )
    return None if found is None else (_make_run_row(found[0]), found[1])


def lock_run(*, run_id: UUID) -> RunRow | None:
    """Return a run's row, locked until the transaction ends. Transaction: needs one."""
    assert connection.in_atomic_block, "a lock outside a transaction holds nothing"
    return _fetch_run(_LOCK, run_id)


# --- appends ---------------------------------------------------------------------------------


def start(*, run: NewRun, entries: Sequence[BuiltEntry], head: StreamHead) -> bool:
    """Insert a run with its first entries. `False`: the idempotency key is taken."""
    params = (
        run.id,
        run.number,
        run.workflow_id,
        run.version_id,
        run.initiator_id,
        run.on_behalf_of_id,
        run.rerunner_id,
        run.agent_owner_id,
        run.title,
        head.seq,
        head.head,
        run.created_at,
        run.priority,
        run.idempotency_key,
        run.request_digest,
        run.created_at,
        run.parent_id,
        run.parent_key,
        run.parent_reported,
        run.predecessor_id,
        run.events_since,
    )
    return ledger.append_guarded(guard=_START, guard_params=params, entries=entries) > 0


def claim(
    *,
    run: RunRow,
    worker: UUID,
    head: StreamHead,
    entries: Sequence[BuiltEntry],
    projection: Projection,
) -> bool:
    """Take a run over, if it is as it was read and free. Its epoch grows by one."""
    params = (
        projection.status,
        *_set_params(head, projection),
        run.id,
        run.seq,
        run.epoch,
        worker,
    )
    return ledger.append_guarded(guard=_CLAIM, guard_params=params, entries=entries) > 0


def advance(
    *,
    run_id: UUID,
    epoch: int,
    seq: int,
    head: StreamHead,
    entries: Sequence[BuiltEntry],
    projection: Projection,
) -> bool:
    """Append to a run this caller drives. `False`: somebody else appended or took over."""
    params = (*_set_params(head, projection), run_id, epoch, seq)
    return ledger.append_guarded(guard=_ADVANCE, guard_params=params, entries=entries) > 0


def append_outside(
    *, run: RunRow, head: StreamHead, entries: Sequence[BuiltEntry], move_to: str = ""
) -> None:
    """Append to a run locked by this transaction; wakes it if it waits, or moves it to a status."""
    guard, moved = (_MOVE, [move_to]) if move_to else (_OUTSIDE, [])
    params = (head.seq, head.head, *moved, run.id, run.seq)
    count = ledger.append_guarded(guard=guard, guard_params=params, entries=entries)
    assert count == len(entries), "the run changed although its row is locked"


def append_to_workflow(*, head: StreamHead, entries: Sequence[BuiltEntry]) -> None:
    """Append to the stream of a workflow whose row this transaction has locked."""
    params = (head.seq, head.head, head.stream, head.seq - len(entries))
    count = ledger.append_guarded(guard=_WORKFLOW, guard_params=params, entries=entries)
    assert count == len(entries), "the workflow changed although its row is locked"


def deduplicate(*, run_id: UUID, key: str) -> bool:
    """Remember a signal. `False`: it has counted before. Transaction: needs one."""
    return _execute(_DEDUPE, (run_id, key)) == 1


def release(*, run_id: UUID, epoch: int) -> bool:
    """Give a run back without an entry: it becomes READY for any worker."""
    return _execute(_RELEASE, (run_id, epoch)) == 1


def note_fault(*, run: RunRow, worker: UUID) -> int | None:
    """Give a run back that a bug stopped, to be tried again after a delay that grows.

    With the last of `limits.FAULT_COUNT_MAX` it becomes READY at once, to be halted.

    Args:
        run: as the driver read it before its claim.
        worker: the driver's; it may hold the run by now, or not.

    Returns:
        How many drivers in a row a bug has stopped; `None` if somebody else has the run.
    """
    params = (
        limits.FAULT_COUNT_MAX,
        limits.FAULT_DELAY_FIRST.total_seconds(),
        limits.FAULT_DELAY_MAX.total_seconds(),
        run.id,
        run.epoch,
        run.seq,
        run.epoch,
        worker,
    )
    with connection.cursor() as cursor:
        cursor.execute(_FAULT, params)
        row = cursor.fetchone()
    return None if row is None else int(row[0])


# --- workers ---------------------------------------------------------------------------------


def heartbeat(*, worker: UUID, name: str, queues: Sequence[str] = ()) -> None:
    """Extend a worker's lease by `limits.LEASE_SECONDS`; the first call registers it."""
    _execute(_HEARTBEAT, (worker, name, limits.LEASE_SECONDS, json.dumps(list(queues))))


def expire_worker(*, worker: UUID) -> None:
    """End a worker's lease now, so that the sweep frees its runs at once."""
    _execute(_EXPIRE, (worker,))


def note_hung(*, worker: UUID, hung: Sequence[Mapping[str, Json]]) -> None:
    """End a worker's lease and leave word of why: see `engine.models.Worker.hung`."""
    _execute(_NOTE_HUNG, (json.dumps(list(hung)), worker))


def list_hung(*, run_id: UUID) -> list[HungAttempt]:
    """Return the attempts of a run for which workers ended themselves, in the last hour or so."""
    with connection.cursor() as cursor:
        cursor.execute(_LIST_HUNG, (run_id,))
        return [
            HungAttempt(key=row[0], attempt=row[1], kind=row[2], progress=row[3])
            for row in cursor.fetchall()
        ]


def list_cancelled(*, run_ids: Sequence[UUID]) -> list[UUID]:
    """Return those of the runs that somebody has cancelled."""
    return _ids(_CANCELLED, (list(run_ids),))


def list_driven(*, worker: UUID) -> list[tuple[UUID, int]]:
    """Return the (run id, epoch) that rows say a worker drives."""
    return [(row[0], row[1]) for row in fetch_rows(_DRIVEN, (worker,))]


# --- sweep -----------------------------------------------------------------------------------


def is_sweep_needed() -> bool:
    """Say whether any run is due, lost or forgotten: three index probes, one statement."""
    return bool(fetch_rows(_SWEEP_PROBE, (limits.READY_OLD_SECONDS,))[0][0])


def sweep_due() -> list[UUID]:
    """Make waiting runs whose timer is due READY; return their ids, the most urgent first."""
    return _ids(_SWEEP_DUE, (limits.SWEEP_ROW_COUNT_MAX,))


def sweep_lost() -> list[UUID]:
    """Make runs READY whose worker's lease has run out; return their ids, urgent ones first."""
    return _ids(_SWEEP_LOST, (limits.SWEEP_ROW_COUNT_MAX,))


def sweep_ready() -> list[UUID]:
    """Return READY runs nobody came for, urgent ones first; not again for a while."""
    old, ahead = limits.READY_OLD_SECONDS, limits.READY_AGAIN_SECONDS - limits.READY_OLD_SECONDS
    return _ids(_SWEEP_READY, (old, limits.SWEEP_ROW_COUNT_MAX, ahead))


def forget_workers() -> int:
    """Delete the rows of workers that died more than an hour ago."""
    return _execute(_FORGET_WORKERS, ())


# --- small parts -----------------------------------------------------------------------------


def _set_params(head: StreamHead, projection: Projection) -> tuple[Any, ...]:
    return (
        head.seq,
        head.head,
        projection.status,
        projection.worker,
        projection.wake_at,
        projection.outcome,
        projection.closed_at,
    )


def _fetch_run(statement: str, run_id: UUID) -> RunRow | None:
    rows = fetch_rows(statement, (run_id,))
    return _make_run_row(rows[0]) if rows else None


def _make_run_row(row: Sequence[Any]) -> RunRow:
    names = RunRow.__dataclass_fields__
    values = dict(zip(names, row, strict=True))
    values["head"] = bytes(values["head"])
    return RunRow(**values)


def _execute(statement: str, params: Sequence[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return int(cursor.rowcount)


def _ids(statement: str, params: Sequence[Any]) -> list[UUID]:
    return [row[0] for row in fetch_rows(statement, params)]
