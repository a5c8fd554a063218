"""The whole ledger against its own hashes. Read `verify_ledger` first.

Everything is read in one REPEATABLE READ snapshot, because checks of several moments contradict
each other: an entry that is appended between counting entries and counting the queue would look
like a theft. Rows are streamed, so memory does not grow with the ledger.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from audit import registry
from audit.domain.entry import stream_id_of
from audit.domain.notes import VerifierKey
from audit.domain.tree_verification import TreeTally
from audit.domain.verification import Discrepancy, HeadRow, StoredRow, Tally, verify_chains
from audit.immutability import FUNCTION_BODY, FUNCTION_NAME
from audit.sealing import rows
from audit.sealing.verifying import verify_queue, verify_stored_tree
from audit.selectors.redacted import RecordedErasures
from core.kernel.limits import SEAL_LAG_SECONDS_MAX

_FETCH_ROW_COUNT = 250  # rows held at once; a payload may have a mebibyte
_PROGRESS_ENTRY_COUNT = 10_000
_COMPARE_ROW_COUNT = 1_000

SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"

# UUIDs as text, because making a UUID of each costs more than hashing the entry.
_ROWS = """
SELECT e.id, e.stream::text, e.seq, e.kind, e.at, e.actor, e.subject, e.scope::text,
       e.leaf, e.body, p.name, p.salt, p.value
FROM audit_entry e LEFT JOIN audit_payload p ON p.entry_id = e.id
{where} ORDER BY e.stream, e.seq"""

_HEADS = """
SELECT h.id::text, h.seq, h.head, h.name FROM ({sources}) h {where} ORDER BY h.id"""
_STREAM_HEADS = "SELECT id, seq, head, name FROM audit_stream"
_OTHER_HEADS = "SELECT id, seq, head, '' FROM ({query}) AS {noun} (id, seq, head)"

_CACHE = """
SELECT seqcache FROM pg_sequence
WHERE seqrelid = pg_get_serial_sequence('audit_entry', 'id')::regclass"""

_TRIGGERS = """
SELECT t.tgrelid::regclass::text, t.tgname, t.tgenabled::text, t.tgtype, t.tgqual IS NOT NULL,
       f.proname, f.prosrc
FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid
WHERE NOT t.tgisinternal AND t.tgrelid = ANY (
    SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)"""

_KEPT = """
SELECT k.stream, k.seq, k.leaf, encode(e.leaf, 'hex')
FROM unnest(%s::text[], %s::bigint[], %s::text[]) WITH ORDINALITY AS k (stream, seq, leaf, place)
LEFT JOIN audit_entry e ON e.stream = k.stream::uuid AND e.seq = k.seq
WHERE encode(e.leaf, 'hex') IS DISTINCT FROM k.leaf ORDER BY k.place LIMIT 1"""

# What PostgreSQL calls BEFORE … FOR EACH ROW or STATEMENT, by the end of a trigger's name.
_TRIGGER_TYPES = {"_no_update": 19, "_no_delete": 11, "_no_truncate": 34}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was checked, and the first thing that is wrong, if any.

    `pending_count` entries wait for the sealer, `leaf_count` are in the tree, `head_count` heads of
    it are signed, the last of them under the name `origin`; where only one stream was checked, 0.
    `warnings` are sentences about what does not hurt the evidence.
    """

    entry_count: int
    stream_count: int
    payload_count: int
    erased_count: int
    pending_count: int
    leaf_count: int
    node_count: int
    head_count: int
    origin: str
    warnings: tuple[str, ...]
    discrepancy: Discrepancy | None


def verify_ledger(
    *,
    stream: UUID | None = None,
    on_progress: Callable[[int], None] | None = None,
    on_head: Callable[[HeadRow], None] | None = None,
    kept: Iterable[HeadRow] = (),
    trusted: Sequence[VerifierKey] = (),
) -> Verification:
    """Check every entry, payload, guard row and trigger, the queue, the tree and its signed heads.

    Args:
        stream: check this one only, and nothing that concerns all.
        on_progress: told the number of entries checked, every 10,000.
        on_head: told where each stream ends according to its guard row, before it is checked.
        kept: heads noted earlier; each must still be in its stream.
        trusted: who may have signed tree heads; if none are given, the keys on record.

    Transaction: opens one, read-only, at REPEATABLE READ; it cannot run inside another.
    """
    tally, tree = Tally(), TreeTally()
    leaf_count = pending_count = 0
    warnings: tuple[str, ...] = ()
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute(SNAPSHOT)
        found = _find_missing_head(kept) or _verify_streams(
            stream=stream, tally=tally, on_progress=on_progress, on_head=on_head
        )
        if found is None and stream is None:
            pending_count, leaf_count, found = verify_queue()
            found = found or find_trigger_fault()
            found = found or verify_stored_tree(trusted=trusted, tally=tree)
            warnings = _list_warnings()
    return Verification(
        entry_count=tally.entry_count,
        stream_count=tally.stream_count,
        payload_count=tally.payload_count,
        erased_count=tally.erased_count,
        pending_count=pending_count,
        leaf_count=leaf_count,
        node_count=tree.node_count,
        head_count=tree.head_count,
        origin=tree.origin,
        warnings=warnings,
        discrepancy=found,
    )


def find_stream(*, text: str) -> UUID | None:
    """Return the id of a stream that has entries or a guard row, by its id or name, or `None`.

    Raises:
        StreamNameError: if the text is neither an id nor a name.
    """
    try:
        stream = UUID(text)
    except ValueError:
        stream = stream_id_of(text)
    where = "WHERE h.id = %s::uuid"
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM audit_entry WHERE stream = %s LIMIT 1", (stream,))
        if cursor.fetchone() is None:
            cursor.execute(_HEADS.format(sources=_head_sources(), where=where), (stream,))
            return stream if cursor.fetchone() else None
    return stream


def _verify_streams(
    *,
    stream: UUID | None,
    tally: Tally,
    on_progress: Callable[[int], None] | None,
    on_head: Callable[[HeadRow], None] | None,
) -> Discrepancy | None:
    params = () if stream is None else (stream,)
    rows_sql = _ROWS.format(where="WHERE e.stream = %s::uuid" if params else "")
    where = "WHERE h.id = %s::uuid" if params else ""
    heads_sql = _HEADS.format(sources=_head_sources(), where=where)
    # Both closed by hand: a verification that ends early leaves them half read.
    with closing(_fetch(rows_sql, params)) as flat, closing(_fetch(heads_sql, params)) as heads:
        return verify_chains(
            rows=_report_progress(_gather(flat), on_progress),
            heads=_report_heads((HeadRow(*row) for row in heads), on_head),
            tally=tally,
            redacted=RecordedErasures(),
            nouns=registry.stream_nouns(),
        )


def _fetch(statement: str, params: tuple[Any, ...]) -> Generator[tuple[Any, ...]]:
    """Yield rows through a cursor on the server."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement, params)
        while rows := cursor.fetchmany(_FETCH_ROW_COUNT):
            yield from rows


def _gather(flat: Iterable[tuple[Any, ...]]) -> Iterator[StoredRow]:
    """Put the payloads of an entry, which come as one row each, into one row."""
    for _, group in groupby(flat, key=itemgetter(0)):
        members = list(group)
        payloads = [(row[10], row[11], row[12]) for row in members if row[10] is not None]
        yield StoredRow._make((*members[0][:10], payloads))


def _report_progress(
    rows: Iterator[StoredRow], on_progress: Callable[[int], None] | None
) -> Iterator[StoredRow]:
    for count, row in enumerate(rows, start=1):
        yield row
        if on_progress is not None and count % _PROGRESS_ENTRY_COUNT == 0:
            on_progress(count)


def _report_heads(
    heads: Iterable[HeadRow], on_head: Callable[[HeadRow], None] | None
) -> Iterator[HeadRow]:
    for head in heads:
        if on_head is not None:
            on_head(head)
        yield head


def _head_sources() -> str:
    others = [
        _OTHER_HEADS.format(query=query, noun=f"head_{index}")
        for index, query in enumerate(registry.stream_heads().values())
    ]
    return " UNION ALL ".join([_STREAM_HEADS, *others])


def _find_missing_head(kept: Iterable[HeadRow]) -> Discrepancy | None:
    remaining = iter(kept)
    while batch := list(islice(remaining, _COMPARE_ROW_COUNT)):
        streams, seqs, leaves, _ = zip(*batch, strict=True)
        with connection.cursor() as cursor:
            cursor.execute(_KEPT, (list(streams), list(seqs), [leaf.hex() for leaf in leaves]))
            row = cursor.fetchone()
        if row is not None:
            stream, seq, expected, found = row
            return Discrepancy(
                stream=stream, seq=seq, field="leaf", expected=expected, found=found or "none"
            )
    return None


def _list_warnings() -> tuple[str, ...]:
    count, seconds = rows.read_lag()
    if seconds <= SEAL_LAG_SECONDS_MAX:
        return ()
    return (f"{count:,} entries wait to be sealed, the first for {seconds:,.0f} s",)


def find_trigger_fault() -> Discrepancy | None:
    """Return the first guard of a table of evidence that is gone, weakened or replaced."""
    tables = registry.append_only_tables()
    with connection.cursor() as cursor:
        cursor.execute(_CACHE)
        (cache,) = cursor.fetchone()
        cursor.execute(_TRIGGERS, ([table.name for table in tables],))
        found = {(row[0], row[1]): row[2:] for row in cursor.fetchall()}
    if cache != 1:
        return _about_all("audit_entry.id", expected="a sequence with CACHE 1", found=f"{cache}")
    for table in tables:
        for name in table.triggers:
            fault = _find_fault(table, name, found.get((table.name, name)))
            if fault:
                return _about_all(
                    f"trigger {name}", expected=f"on {table.name}, enabled ALWAYS", found=fault
                )
    return None


def _find_fault(table: registry.AppendOnlyTable, name: str, trigger: tuple[Any, ...] | None) -> str:
    """Return what is wrong with a trigger, or ""."""
    if trigger is None:
        return "none"
    enabled, kind, is_conditional, function, source = trigger
    if enabled != "A":
        return f"tgenabled {enabled}"
    expected_kind = _TRIGGER_TYPES.get(name.removeprefix(table.name))
    if expected_kind is None:
        return ""  # the table's own; only that it fires is known here
    faults = (
        (kind != expected_kind, f"tgtype {kind}"),
        (is_conditional and name not in table.conditional, "a condition"),
        ((function, source) != (FUNCTION_NAME, FUNCTION_BODY), f"another function, {function}"),
    )
    return next((text for is_wrong, text in faults if is_wrong), "")


def _about_all(field: str, *, expected: str, found: str) -> Discrepancy:
    return Discrepancy(stream="", seq=0, field=field, expected=expected, found=found)
