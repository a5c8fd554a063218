"""The only writer of waits for events, of the inbox and of deliveries. Raw SQL.

An event and a wait find each other whichever comes first: both take the lock on the event's type,
so that one sees the other, and each writes a delivery for every match in its own transaction. A
delivery names a wait that may have something; which event the wait gets is decided under the run's
lock, when it is delivered.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from core.kernel import limits
from core.kernel.canonical import UncanonicalError, digest
from core.kernel.types import Json
from engine.locks import lock_names

_INTEGER_MAX = 2**53 - 1
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # as JSON writes it

_INSERT_WAITS = """
    INSERT INTO engine_wait (run_id, key, project_id, type, correlate, shape, match, created_at)
    SELECT %s::uuid, w.key, %s::uuid, w.type, w.correlate::jsonb, w.shape, w.match,
        clock_timestamp()
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::bytea[], %s::bytea[])
        AS w (key, type, correlate, shape, match)"""

# What a wait `w` of a run `r` may have. Containment goes by the index and compares single values;
# what stands inside lists and maps is compared exactly after it.
_MATCHES = """
    e.project_id = w.project_id AND e.type = w.type
    AND (e.run_id IS NULL OR e.run_id IN (r.id, r.predecessor_id))
    AND e.received_at >= coalesce(r.events_since, r.created_at)
    AND e.expires_at > clock_timestamp()
    AND e.data @> w.correlate
    AND NOT EXISTS (SELECT 1 FROM jsonb_each(w.correlate) c
                    WHERE e.data -> c.key IS DISTINCT FROM c.value)
    AND NOT EXISTS (SELECT 1 FROM engine_dedupe d
                    WHERE d.run_id = r.id AND d.key = 'event:' || e.id)"""

_DELIVER_PAST = f"""
    INSERT INTO engine_delivery (event_id, run_id, key, due_at)
    SELECT e.id, w.run_id, w.key, clock_timestamp()
    FROM engine_wait w JOIN engine_run r ON r.id = w.run_id
    CROSS JOIN LATERAL (SELECT e.id FROM engine_inbox e WHERE {_MATCHES}
                        ORDER BY e.received_at, e.id LIMIT 1) e
    WHERE w.run_id = %s AND w.key = ANY(%s) AND w.match IS NOT NULL"""  # noqa: S608 - constants only

_INSERT_EVENT = """
    INSERT INTO engine_inbox (id, project_id, type, data, source, run_id, received_at, expires_at)
    VALUES (%s, %s, %s, %s::jsonb, %s::jsonb, %s::uuid, clock_timestamp(),
        clock_timestamp() + make_interval(secs => %s))
    ON CONFLICT (id) DO NOTHING"""

_READ_EVENT = "SELECT project_id, type, data, run_id FROM engine_inbox WHERE id = %s"

# One row for each set of field names, found by jumping through the index.
_SHAPES = """
    WITH RECURSIVE shapes AS (
        (SELECT shape, correlate FROM engine_wait WHERE project_id = %s AND type = %s
         ORDER BY shape LIMIT 1)
        UNION ALL
        SELECT following.shape, following.correlate FROM shapes CROSS JOIN LATERAL (
            SELECT w.shape, w.correlate FROM engine_wait w
            WHERE w.project_id = %s AND w.type = %s AND w.shape > shapes.shape
            ORDER BY w.shape LIMIT 1) following)
    SELECT shape, correlate FROM shapes"""

_DELIVER_NEW = """
    INSERT INTO engine_delivery (event_id, run_id, key, due_at)
    SELECT %s::uuid, w.run_id, w.key, clock_timestamp()
    FROM unnest(%s::bytea[], %s::bytea[]) AS m (shape, match)
    JOIN engine_wait w ON w.project_id = %s AND w.type = %s
        AND w.shape = m.shape AND w.match = m.match
    WHERE %s::uuid IS NULL OR w.run_id = %s::uuid"""

_RUNS_OF_EVENT = "SELECT DISTINCT run_id FROM engine_delivery WHERE event_id = %s LIMIT %s"

# A delivery whose wait is gone comes first and is only cleared away.
_NEXT_KEY = """
    SELECT d.key, w.key IS NOT NULL
    FROM engine_delivery d LEFT JOIN engine_wait w ON w.run_id = d.run_id AND w.key = d.key
    WHERE d.run_id = %s ORDER BY w.created_at NULLS FIRST, d.key LIMIT 1"""

_CLEAR_KEY = "DELETE FROM engine_delivery WHERE run_id = %s AND key = %s"

_FIND_EVENT = f"""
    SELECT e.id, e.type, e.data, e.source
    FROM engine_wait w JOIN engine_run r ON r.id = w.run_id JOIN engine_inbox e ON {_MATCHES}
    WHERE w.run_id = %s AND w.key = %s
    ORDER BY e.received_at, e.id LIMIT 1"""  # noqa: S608 - constants only

_WITHDRAW = """
    WITH gone AS (DELETE FROM engine_delivery
                  WHERE run_id = %s AND (%s::text[] IS NULL OR key = ANY(%s::text[])))
    DELETE FROM engine_wait WHERE run_id = %s AND (%s::text[] IS NULL OR key = ANY(%s::text[]))"""

_DUE_RUNS = """
    SELECT run_id FROM engine_delivery
    WHERE due_at < clock_timestamp() - make_interval(secs => %s)
    ORDER BY due_at LIMIT %s"""

_POSTPONE = """
    UPDATE engine_delivery SET due_at = clock_timestamp() + make_interval(secs => %s)
    WHERE run_id = %s"""

_EXPIRE = """
    DELETE FROM engine_inbox WHERE id IN (
        SELECT e.id FROM engine_inbox e
        WHERE e.expires_at < clock_timestamp() - make_interval(secs => %s)
          AND NOT EXISTS (SELECT 1 FROM engine_delivery d WHERE d.event_id = e.id)
        LIMIT %s)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """A wait to be registered: its key in the run, and what the event must be.

    `correlate`: field of the event's data → value it must equal. A null matches nothing.
    """

    key: str
    type: str
    correlate: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An event that a wait gets. `source` is what `insert_event` was given."""

    id: UUID
    type: str
    data: Json
    source: Mapping[str, Any]


def lock_types(*, project_id: UUID, types: Sequence[str]) -> None:
    """Let nobody else register waits for, or send, events of these types. Needs a transaction."""
    lock_names(kind="event", project_id=project_id, names=types)


def insert_waits(*, run_id: UUID, project_id: UUID, waits: Sequence[Awaited]) -> int:
    """Register waits, and deliveries of what the run may have by now. The types are locked.

    Returns:
        The number of waits for which an event is there already.
    """
    keys = [wait.key for wait in waits]
    rows = [_fingerprint(wait.correlate) for wait in waits]
    with connection.cursor() as cursor:
        cursor.execute(
            _INSERT_WAITS,
            (
                run_id,
                project_id,
                keys,
                [wait.type for wait in waits],
                [row.correlate for row in rows],
                [row.shape for row in rows],
                [row.match for row in rows],
            ),
        )
        cursor.execute(_DELIVER_PAST, (run_id, keys))
        return int(cursor.rowcount)


def insert_event(
    *,
    event_id: UUID,
    project_id: UUID,
    event_type: str,
    data: Mapping[str, Json],
    source: Json,
    run_id: UUID | None = None,
) -> bool:
    """Keep an event, and deliveries to the waits that match. The type is locked.

    With a `run_id`, only that run may have it, or the one it goes on as.

    Returns:
        `False` if an event with this id is there already; nothing was written then.
    """
    lasting = limits.INBOX_RETENTION.total_seconds()
    texts = (json.dumps(data), json.dumps(source))
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_EVENT, (event_id, project_id, event_type, *texts, run_id, lasting))
        if cursor.rowcount == 0:
            return False
        cursor.execute(_SHAPES, (project_id, event_type, project_id, event_type))
        shapes = [(bytes(shape), read_column(correlate)) for shape, correlate in cursor.fetchall()]
        found = [(shape, match_of(data, fields)) for shape, fields in shapes]
        matching = [(shape, match) for shape, match in found if match is not None]
        if matching:
            matches = [match for _, match in matching]
            asked = [shape for shape, _ in matching]
            to = (project_id, event_type, run_id, run_id)
            cursor.execute(_DELIVER_NEW, (event_id, asked, matches, *to))
    return True


def find_event(*, event_id: UUID) -> tuple[UUID, str, Json, UUID | None] | None:
    """Return the project, type, data and addressed run of an event in the inbox, or `None`."""
    with connection.cursor() as cursor:
        cursor.execute(_READ_EVENT, (event_id,))
        row = cursor.fetchone()
    return None if row is None else (row[0], row[1], read_column(row[2]), row[3])


def list_runs_of(*, event_id: UUID, limit: int) -> list[UUID]:
    """Return runs that have a delivery of an event."""
    with connection.cursor() as cursor:
        cursor.execute(_RUNS_OF_EVENT, (event_id, limit))
        return [row[0] for row in cursor.fetchall()]


def take_next_key(*, run_id: UUID) -> tuple[str, bool] | None:
    """Take the deliveries for one wait of a run, the oldest wait's first. The run is locked.

    Returns:
        The key, and whether its wait is still there; `None` if there is no delivery.
    """
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_KEY, (run_id,))
        row = cursor.fetchone()
        if row is None:
            return None
        # Taken before the event is looked for: a delivery that comes in between stays.
        cursor.execute(_CLEAR_KEY, (run_id, row[0]))
    return row[0], row[1]


def find_match(*, run_id: UUID, key: str) -> Received | None:
    """Return the oldest event a wait may have and its run has not had yet, or `None`."""
    with connection.cursor() as cursor:
        cursor.execute(_FIND_EVENT, (run_id, key))
        row = cursor.fetchone()
    if row is None:
        return None
    return Received(id=row[0], type=row[1], data=read_column(row[2]), source=read_column(row[3]))


def withdraw(*, run_id: UUID, keys: Sequence[str] | None) -> None:
    """Forget waits of a run and their deliveries; `None`: all of them. One statement."""
    wanted = None if keys is None else list(keys)
    with connection.cursor() as cursor:
        cursor.execute(_WITHDRAW, (run_id, wanted, wanted, run_id, wanted, wanted))


def list_due_runs(*, limit: int) -> list[UUID]:
    """Return runs with deliveries that nobody has made for a while, each once."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE_RUNS, (limits.READY_OLD_SECONDS, limit))
        return list(dict.fromkeys(row[0] for row in cursor.fetchall()))


def postpone(*, run_id: UUID, seconds: float) -> None:
    """Let the sweep leave the deliveries of a run alone for a while."""
    with connection.cursor() as cursor:
        cursor.execute(_POSTPONE, (seconds, run_id))


def delete_expired() -> int:
    """Delete events that nobody can get any more; return how many."""
    with connection.cursor() as cursor:
        grace = limits.INBOX_GRACE.total_seconds()
        cursor.execute(_EXPIRE, (grace, limits.SWEEP_ROW_COUNT_MAX))
        return int(cursor.rowcount)


# --- matching --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fingerprint:
    correlate: str
    shape: bytes
    match: bytes | None


def match_of(data: Mapping[str, Json], fields: Mapping[str, Any]) -> bytes | None:
    """Return the digest of the named fields of an event's data.

    `None`: a field is missing or null, so that nothing that asks for these fields matches.
    """
    values = {name: data.get(name) for name in fields}
    return None if None in values.values() else digest(values)


def has_nul(value: Json) -> bool:
    """Say whether a JSON value holds a NUL character, which the database does not keep."""
    return _NUL.search(json.dumps(value)) is not None


def _fingerprint(correlate: Mapping[str, Json]) -> _Fingerprint:
    shape = digest(sorted(correlate))
    fields = dict(correlate)
    try:
        match = match_of(fields, fields)
    except UncanonicalError:
        match = None
    if match is None or has_nul(fields):  # no event can hold this, so it is not kept either
        fields, match = dict.fromkeys(fields), None
    return _Fingerprint(correlate=json.dumps(fields), shape=shape, match=match)


def read_column(value: Any) -> Any:
    """Return a JSON column as it was let in, whether the driver has parsed it or not."""
    return json.loads(value, parse_int=_number) if isinstance(value, str) else value


def _number(digits: str) -> int | float:
    # The database writes 1e300 in digits; an integer as large as that was never let in.
    number = int(digits)
    return number if abs(number) <= _INTEGER_MAX else float(digits)
