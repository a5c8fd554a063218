"""The only writer of the ledger's tables. Read `append_statement` first, then `append`.

An append is one statement: the caller's compare-and-swap `g`, and everything else `FROM g`, so that
guard, entries, payloads and the queue to the sealer happen together or not at all. Statement texts
are cached by shape and every parameter has a cast, so the server prepares few statements and keeps
them. Entry ids are drawn in `seq` order while the guard row is locked: the sealer relies on it.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.transaction import TransactionManagementError

from audit import registry
from audit.domain.entry import (
    EMPTY_HEAD,
    SOURCE_PAYLOAD,
    BuiltEntry,
    StreamHead,
    commitment,
    extend,
    leaf_hash,
    stream_id_of,
)
from audit.domain.errors import LedgerCorruptError, StreamNameError
from core.kernel import ids
from core.kernel.record import Draft
from core.kernel.types import Json
from core.toolkit.db import fetch_rows
from core.toolkit.ledger import RecordedEntry

_ENTRY_VALUES = "%s::bigint,%s::text,%s::timestamptz,%s::text,%s::text,%s::uuid,%s::bytea,%s::bytea"
_PAYLOAD_ROW = "(%s::bigint,%s::text,%s::bytea,%s::bytea)"
_SHAPE_COUNT_MAX = 512  # statement texts kept; hot paths use about a dozen

_APPEND = """WITH g AS ({guard}),
e AS (
  INSERT INTO audit_entry (stream, seq, kind, at, actor, subject, scope, leaf, body)
  {entries}
  RETURNING id, seq),{payloads}
q AS (INSERT INTO audit_pending (entry_id) SELECT id FROM e)
SELECT id, seq FROM e{order}"""

# One entry is the common case; its plan needs no sort.
_APPEND_ONE = "SELECT %s::uuid, {values} FROM g"

_APPEND_MANY = """SELECT %s::uuid, v.seq, v.kind, v.at, v.actor, v.subject, v.scope, v.leaf, v.body
  FROM g CROSS JOIN (VALUES {rows}) AS v (seq, kind, at, actor, subject, scope, leaf, body)
  ORDER BY v.seq"""

_APPEND_PAYLOADS = """
p AS (
  INSERT INTO audit_payload (entry_id, name, salt, value)
  SELECT e.id, v.name, v.salt, v.value
  FROM e JOIN (VALUES {rows}) AS v (seq, name, salt, value) ON v.seq = e.seq),"""

_OPEN_STREAM = """
INSERT INTO audit_stream (id, name, seq, head) VALUES (%s::uuid, %s::text, 0, %s::bytea)
ON CONFLICT DO NOTHING"""

_LOCK_STREAM = "SELECT seq, head FROM audit_stream WHERE id = %s::uuid FOR UPDATE"

_MOVE_STREAM = """
UPDATE audit_stream SET seq = %s::bigint, head = %s::bytea
WHERE id = %s::uuid AND seq = %s::bigint AND head = %s::bytea RETURNING id"""

# One statement, so that entries and payloads are of one snapshot.
_READ = """
SELECT e.seq, e.kind, e.at, e.leaf, e.body, p.name, p.salt, p.value
FROM (SELECT id, seq, kind, at, leaf, body FROM audit_entry
      WHERE stream = %s::uuid AND seq > %s::bigint ORDER BY seq LIMIT %s::bigint) e
LEFT JOIN audit_payload p ON p.entry_id = e.id
ORDER BY e.seq, p.name"""

# The same with only some of the payloads: a result may have a megabyte.
_READ_NAMED = _READ.replace(
    "ON p.entry_id = e.id", "ON p.entry_id = e.id AND p.name = ANY(%s::text[])"
)

# A row of the caller's, and what its stream has after a place: both of one snapshot.
_READ_BESIDE = """
WITH h AS MATERIALIZED ({row})
SELECT h.*, e.seq, e.kind, e.at, e.leaf, e.body, p.name, p.salt, p.value
FROM h LEFT JOIN LATERAL (
    SELECT id, seq, kind, at, leaf, body FROM audit_entry
    WHERE stream = %s::uuid AND seq > %s::bigint ORDER BY seq LIMIT %s::bigint) e ON true
LEFT JOIN audit_payload p ON p.entry_id = e.id
ORDER BY e.seq, p.name"""
_READ_COLUMN_COUNT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """Entries of a stream after a place in it, as they were read: not checked yet."""

    stream: UUID
    rows: Sequence[tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """SQL with `%s` placeholders, and their values in order."""

    sql: str
    params: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """An entry as it is in the database.

    `data` is the part of the hashed bytes with that name. `payloads` are the opened values by name,
    the source address among them; an erased one is in `erased` instead.
    """

    seq: int
    kind: str
    at: datetime
    leaf: bytes
    body: bytes
    data: Mapping[str, Json]
    payloads: Mapping[str, Json]
    erased: frozenset[str] = frozenset()


def append_statement(
    *, guard: str, guard_params: Sequence[Any], entries: Sequence[BuiltEntry]
) -> Statement:
    """Return one statement that appends entries if and only if the guard holds.

    Args:
        guard: one data-modifying statement with RETURNING, such as `UPDATE … WHERE id = %s AND
            seq = %s RETURNING id`. It gives one row if the caller's compare-and-swap held, else
            none. Give parameters casts.
        guard_params: the values of its placeholders.
        entries: from `extend`, of one stream, at least one.

    Returns:
        A statement that gives (id, seq) of each entry, or no row if the guard did not hold.
    """
    assert entries, "an append without entries would move the guard silently"
    stream = entries[0].stream
    assert all(entry.stream == stream for entry in entries), "one guard heads one stream"
    params = [*guard_params, stream]
    payloads: list[Any] = []
    for entry in entries:
        params += (
            entry.seq,
            entry.kind,
            entry.at,
            entry.actor_id,
            entry.subject,
            entry.scope,
            entry.leaf,
            entry.body,
        )
        for payload in entry.payloads:
            payloads += (entry.seq, payload.name, payload.salt, payload.value_bytes)
    sql = _append_text(guard, len(entries), len(payloads) // 4)
    return Statement(sql=sql, params=(*params, *payloads))


def append_guarded(
    *, guard: str, guard_params: Sequence[Any], entries: Sequence[BuiltEntry]
) -> int:
    """Append entries if and only if the guard holds; see `append_statement`.

    Returns:
        The number of entries written: all of them, or 0 if the guard did not hold.

    Transaction: needs none; takes part in the one that is open. One round trip.
    """
    statement = append_statement(guard=guard, guard_params=guard_params, entries=entries)
    count = len(fetch_rows(statement.sql, statement.params))
    assert count in {0, len(entries)}, "the guard gave more than one row"
    return count


def append(*, stream: str, drafts: Sequence[Draft]) -> RecordedEntry:
    """Append to a stream that has no guard row of its own elsewhere.

    The stream's row stays locked until the transaction ends, so append late in it, and to several
    streams always in the same order.

    Args:
        stream: a name, such as `access` or `project:<uuid>`.
        drafts: what happened, in order, at least one.

    Returns:
        The last entry's place.

    Transaction: needs one.

    Raises:
        StreamNameError: if the name is malformed, or the stream's guard row is elsewhere.
        TransactionManagementError: outside a transaction.
    """
    if stream.partition(":")[0] in registry.stream_heads():
        raise StreamNameError(f"The head of {stream} is a row of its own; append with its guard.")
    if not connection.in_atomic_block:
        msg = f"an append to {stream} needs the transaction of what it records"
        raise TransactionManagementError(msg)
    before = _lock_stream(stream)
    after, entries = extend(head=before, drafts=drafts, salts=ids.salt)
    count = append_guarded(
        guard=_MOVE_STREAM,
        guard_params=(after.seq, after.head, before.stream, before.seq, before.head),
        entries=entries,
    )
    assert count == len(entries), "the stream moved although its row is locked"
    return RecordedEntry(stream_id=after.stream, seq=after.seq, leaf=after.head)


def read_stream(
    *, stream: UUID, after_seq: int = 0, limit: int, payload_names: Collection[str] | None = None
) -> list[StoredEntry]:
    """Return entries of a stream in order, after a place in it. One query.

    Args:
        stream: its id.
        after_seq: the number of the last entry the caller has; 0 for none.
        limit: the most entries to return.
        payload_names: read only these payloads; `None` for all.
    """
    rows = _read(stream=stream, after_seq=after_seq, limit=limit, payload_names=payload_names)
    return [_stored(row) for row in rows]


def read_verified(
    *, stream: UUID, after_seq: int = 0, after_head: bytes = EMPTY_HEAD, limit: int
) -> list[StoredEntry]:
    """Return entries of a stream in order, each checked against the one before. One query.

    Args:
        stream: its id.
        after_seq: the number of the last entry the caller has; 0 for none.
        after_head: that entry's leaf; 32 zero bytes for none.
        limit: the most entries to return.

    Raises:
        LedgerCorruptError: if a number is missing, a leaf, link or commitment does not hold.
    """
    rows = fetch_rows(_READ, (stream, after_seq, limit))
    return verify(Tail(stream=stream, rows=rows), after_seq=after_seq, after_head=after_head)


def read_beside(
    *, row: str, params: Sequence[Any], stream: UUID, after_seq: int, limit: int
) -> tuple[tuple[Any, ...], Tail] | None:
    """Return a row, and entries of a stream after a place, of one snapshot. One query.

    Args:
        row: a query that gives one row, or none.
        params: the values of its placeholders.
        stream: whose entries.
        after_seq: the number of the last entry the caller has; 0 for none.
        limit: the most entries to return.

    Returns:
        The row, and entries to be given to `verify`; `None` without a row.
    """
    found = fetch_rows(_READ_BESIDE.format(row=row), (*params, stream, after_seq, limit))
    if not found:
        return None
    width = len(found[0]) - _READ_COLUMN_COUNT
    rows = [each[width:] for each in found if each[width] is not None]
    return found[0][:width], Tail(stream=stream, rows=rows)


def verify(tail: Tail, *, after_seq: int, after_head: bytes) -> list[StoredEntry]:
    """Return entries that were read, each checked against the one before; see `read_verified`.

    Raises:
        LedgerCorruptError: if a number is missing, a leaf, link or commitment does not hold.
    """
    entries = []
    for row in _group(tail.rows, stream=tail.stream):
        _verify(row, stream=tail.stream, after_seq=after_seq, after_head=after_head)
        after_seq, after_head = row.seq, row.leaf
        entries.append(_stored(row))
    return entries


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    seq: int
    kind: str
    at: datetime
    leaf: bytes
    body: bytes
    document: dict[str, Any]
    payloads: list[tuple[str, bytes | None, bytes | None]]


@lru_cache(maxsize=_SHAPE_COUNT_MAX)
def _append_text(guard: str, entry_count: int, payload_count: int) -> str:
    if entry_count == 1:
        entries, order = _APPEND_ONE.format(values=_ENTRY_VALUES), ""
    else:
        rows = ",".join([f"({_ENTRY_VALUES})"] * entry_count)
        entries, order = _APPEND_MANY.format(rows=rows), " ORDER BY seq"
    rows = ",".join([_PAYLOAD_ROW] * payload_count)
    payloads = _APPEND_PAYLOADS.format(rows=rows) if payload_count else ""
    return _APPEND.format(guard=guard, entries=entries, payloads=payloads, order=order)


def _lock_stream(name: str) -> StreamHead:
    stream = stream_id_of(name)
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_STREAM, (stream,))
        row = cursor.fetchone()
        if row is None:
            cursor.execute(_OPEN_STREAM, (stream, name, EMPTY_HEAD))
            cursor.execute(_LOCK_STREAM, (stream,))
            row = cursor.fetchone()
    return StreamHead(stream=stream, seq=row[0], head=bytes(row[1]))


def _read(
    *, stream: UUID, after_seq: int, limit: int, payload_names: Collection[str] | None = None
) -> list[_Row]:
    if payload_names is None:
        rows = fetch_rows(_READ, (stream, after_seq, limit))
    else:
        rows = fetch_rows(_READ_NAMED, (stream, after_seq, limit, list(payload_names)))
    return _group(rows, stream=stream)


def _group(rows: Sequence[tuple[Any, ...]], *, stream: UUID) -> list[_Row]:
    found = []
    for _, group in groupby(rows, key=lambda row: row[0]):
        members = list(group)
        seq, kind, at, leaf, body = members[0][:5]
        payloads = [(name, salt, value) for *_, name, salt, value in members if name is not None]
        found.append(
            _Row(
                seq=seq,
                kind=kind,
                at=at,
                leaf=leaf,
                body=body,
                document=_parse(body, stream=stream, seq=seq),
                payloads=payloads,
            )
        )
    return found


def _parse(body: bytes, *, stream: UUID, seq: int) -> dict[str, Any]:
    """Return what an entry says. Lighter than the strict reader: its leaf is checked instead."""
    try:
        document: dict[str, Any] = json.loads(body)
    except ValueError:
        document = {}
    _expect("payloads" in document, stream=stream, seq=seq, field="body")
    return document


def _stored(row: _Row) -> StoredEntry:
    return StoredEntry(
        seq=row.seq,
        kind=row.kind,
        at=row.at,
        leaf=row.leaf,
        body=row.body,
        data=row.document["data"],
        payloads={name: json.loads(value) for name, _, value in row.payloads if value is not None},
        erased=frozenset(name for name, _, value in row.payloads if value is None),
    )


def _verify(row: _Row, *, stream: UUID, after_seq: int, after_head: bytes) -> None:
    document = row.document
    committed = dict(document["payloads"])
    if document["source"] is not None:
        committed[SOURCE_PAYLOAD] = document["source"]
    for name, salt, value in row.payloads:
        if salt is None or value is None:
            continue  # erased: the caller sees it in `erased`
        opened = commitment(
            stream=stream, seq=row.seq, name=name, value_bytes=value, salt=salt
        ).hex()
        _expect(committed.get(name) == opened, stream=stream, seq=row.seq, field=f"payload {name}")
    checks = {
        "seq": row.seq == after_seq + 1 == document["seq"],
        "leaf": leaf_hash(row.body) == row.leaf,
        "prev": document["prev"] == after_head.hex(),
        "stream": document["stream"] == str(stream),
        "kind": document["kind"] == row.kind,
        "payloads": committed.keys() == {name for name, _, _ in row.payloads},
    }
    for field, holds in checks.items():
        _expect(holds, stream=stream, seq=row.seq, field=field)


def _expect(holds: bool, *, stream: UUID, seq: int, field: str) -> None:  # noqa: FBT001 - a check
    if not holds:
        raise LedgerCorruptError(
            f"Stream {stream}, entry {seq}: {field} does not hold.",
            stream=str(stream),
            seq=seq,
            field=field,
        )
