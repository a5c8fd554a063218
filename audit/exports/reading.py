"""What an export reads of the ledger. Read `Selection`, then `read_entries`.

Everything is read by leaf index below one tree size. Entries and leaves never change, so parts that
are read at different moments, by different workers, are parts of one whole; no snapshot is held.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from audit import registry
from audit.domain.entry import stream_id_of
from audit.domain.exporting import ExportKind
from core.kernel import limits

_ENTRIES = """
SELECT l.leaf_index, e.id, e.leaf, e.body
FROM audit_leaf l JOIN audit_entry e ON e.id = l.entry_id
WHERE l.leaf_index > %s AND l.leaf_index < %s AND {where}
ORDER BY l.leaf_index LIMIT %s"""

_PAYLOADS = """
SELECT l.leaf_index, p.name, p.salt, p.value
FROM audit_payload p JOIN audit_leaf l ON l.entry_id = p.entry_id
WHERE p.entry_id = ANY(%s::bigint[])
ORDER BY l.leaf_index, p.name COLLATE "C\""""

_COUNT = """
SELECT count(*) FROM audit_leaf l JOIN audit_entry e ON e.id = l.entry_id
WHERE l.leaf_index < %s AND {where}"""

# Entries on record beside the tree: those that wait, and those that came into it later.
_COUNT_UNSEALED = """
SELECT count(*) FROM audit_entry e JOIN (
    SELECT entry_id FROM audit_pending
    UNION ALL SELECT entry_id FROM audit_leaf WHERE leaf_index >= %s) x ON x.entry_id = e.id
WHERE {where}"""

_LAST_KIND = """
SELECT e.kind FROM audit_leaf l JOIN audit_entry e ON e.id = l.entry_id
WHERE e.stream = %s AND l.leaf_index < %s ORDER BY e.seq DESC LIMIT 1"""

_FIRST = "SELECT scope FROM audit_entry WHERE stream = %s ORDER BY seq LIMIT 1"
# By the number in the stream, not by the id: a stream is appended to under its lock, so its numbers
# come in the order of commits, while an entry with a lower id may be committed later.
_NEWEST = "SELECT COALESCE(max(seq), 0) FROM audit_entry WHERE stream = %s"
_OVERTAKEN = """
SELECT EXISTS (SELECT 1 FROM audit_entry WHERE stream = %s AND kind = %s AND seq > %s)"""
_HEAD = "SELECT COALESCE(max(tree_size), 0) FROM audit_tree_head"
_NOTE = "SELECT note FROM audit_tree_head WHERE tree_size = %s"
_INSIDE = "SELECT id FROM identity_scope WHERE parent_id = ANY(%s::uuid[])"

CLOSING_KIND = "run.closed"  # nothing follows it in a run's stream
REDACTION_KIND = "payload.redacted"
_UPKEEP = stream_id_of("ledger")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which entries are meant: a condition on the entry `e`, and the values in it."""

    where: str
    params: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
    """An entry with its place in the tree."""

    leaf_index: int
    entry_id: int
    leaf: bytes
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadRow:
    """A payload of an entry; one that was erased has neither salt nor value."""

    leaf_index: int
    name: str
    salt: bytes | None
    value: bytes | None


def select_entries(
    *,
    kind: str,
    subject_id: UUID | None,
    scope_id: UUID | None,
    covered: Sequence[UUID] | None,
    since: datetime | None,
    until: datetime | None,
) -> Selection:
    """Return which entries an export of a kind is about, at most 3 queries.

    Args:
        kind: an `ExportKind`.
        subject_id: the run or the project.
        scope_id: the scope of the project.
        covered: the scopes whose entries may be in it, and what is inside them; `None` for all.
        since: not before this instant.
        until: before this instant.
    """
    conditions: list[str] = []
    params: list[Any] = []
    if kind == ExportKind.RUN:
        assert subject_id is not None, "an export of a run names it"
        conditions.append("e.stream = ANY(%s::uuid[])")
        params.append([subject_id, *registry.list_related(noun="run", row_id=subject_id)])
    if kind == ExportKind.PROJECT:
        assert subject_id is not None, "an export of a project names it"
        assert scope_id is not None, "a project has a scope"
        conditions.append("(e.scope = ANY(%s::uuid[]) OR e.stream = %s)")
        params += [_expand([scope_id]), subject_id]
    if since is not None:
        conditions.append("e.at >= %s")
        params.append(since)
    if until is not None:
        conditions.append("e.at < %s")
        params.append(until)
    if covered is not None:
        conditions.append("e.scope = ANY(%s::uuid[])")
        params.append(_expand(covered))
    return Selection(where=" AND ".join(conditions) or "TRUE", params=tuple(params))


@contextmanager
def read_entries(
    *, selection: Selection, after_leaf: int, tree_size: int, limit: int
) -> Iterator[Iterator[EntryRow]]:
    """Yield entries after a leaf, in leaf order, through a cursor on the server.

    Transaction: needs one, because the cursor lives in it.
    """
    sql = _ENTRIES.format(where=selection.where)
    params = (after_leaf, tree_size, *selection.params, limit)
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql, params)
        yield (
            EntryRow(leaf_index=row[0], entry_id=row[1], leaf=row[2], body=row[3])
            for row in _fetch(cursor, limits.EXPORT_FETCH_ENTRY_COUNT)
        )


@contextmanager
def read_payloads(*, entry_ids: Sequence[int]) -> Iterator[Iterator[PayloadRow]]:
    """Yield the payloads of entries, in leaf order and by name, through a cursor on the server.

    Transaction: needs one. Few rows are held at once, because a value may have a mebibyte.
    """
    with connection.chunked_cursor() as cursor:
        cursor.execute(_PAYLOADS, (list(entry_ids),))
        yield (
            PayloadRow(leaf_index=row[0], name=row[1], salt=row[2], value=row[3])
            for row in _fetch(cursor, limits.EXPORT_FETCH_PAYLOAD_COUNT)
        )


def count_entries(*, selection: Selection, tree_size: int) -> int:
    """Return how many entries are in a selection and in the tree."""
    return _one(_COUNT.format(where=selection.where), (tree_size, *selection.params))


def count_unsealed(*, selection: Selection, tree_size: int) -> int:
    """Return how many entries are in a selection and on record, but not in the tree."""
    return _one(_COUNT_UNSEALED.format(where=selection.where), (tree_size, *selection.params))


def is_closed(*, run_id: UUID, tree_size: int) -> bool:
    """Say whether a run's closing entry is in the tree."""
    return _fetch_one(_LAST_KIND, (run_id, tree_size)) == (CLOSING_KIND,)


def find_run_scope(*, run_id: UUID) -> tuple[UUID | None] | None:
    """Return the scope in a run's first entry, in a tuple of its own; `None` if it has none."""
    return _fetch_one(_FIRST, (run_id,))


def newest_tree_size() -> int:
    """Return the size of the newest signed tree, 0 if there is none."""
    return _one(_HEAD, ())


def newest_upkeep_seq() -> int:
    """Return the number of the newest entry about the ledger itself, 0 if there is none."""
    return _one(_NEWEST, (_UPKEEP,))


def read_note(*, tree_size: int) -> str:
    """Return the signed checkpoint of a tree."""
    found = _fetch_one(_NOTE, (tree_size,))
    assert found is not None, "a pinned tree has a head, and heads are never deleted"
    note: str = found[0]
    return note


def is_overtaken(*, newest_entry: int) -> bool:
    """Say whether a value was redacted after an entry about the ledger itself was the newest."""
    found = _fetch_one(_OVERTAKEN, (_UPKEEP, REDACTION_KIND, newest_entry))
    return found == (True,)


def _expand(scope_ids: Sequence[UUID]) -> list[UUID]:
    """Return scopes and what is inside them."""
    with connection.cursor() as cursor:
        cursor.execute(_INSIDE, (list(scope_ids),))
        inside = [row[0] for row in cursor.fetchall()]
    return [*scope_ids, *inside]


def _fetch(cursor: Any, count: int) -> Iterator[tuple[Any, ...]]:
    while rows := cursor.fetchmany(count):
        yield from rows


def _fetch_one(sql: str, params: Sequence[Any]) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        found: tuple[Any, ...] | None = cursor.fetchone()
    return found


def _one(sql: str, params: Sequence[Any]) -> int:
    found = _fetch_one(sql, params)
    assert found is not None, "an aggregate gives one row"
    return int(found[0])
