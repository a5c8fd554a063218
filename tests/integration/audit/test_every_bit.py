"""Every bit that a small ledger stores, flipped: `verify_ledger` finds it and names it.

Flips of every bit go through the pure checks on rows read from PostgreSQL; a sample of each column
of each row is flipped in PostgreSQL itself. Columns come from the catalog, so that a new one is
covered as soon as it exists, or has its reason below.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction

from audit.domain.notes import VerifierKey
from audit.domain.tree_verification import LeafRow, NodeRow, TreeHeadRow, TreeTally, verify_tree
from audit.domain.verification import HeadRow, Tally, verify_chains
from audit.sealing import verifying
from audit.selectors import verification
from tests.fakes.drafts import SCOPE, draft
from tests.fakes.streams import every_flip
from tests.integration.audit.streams import append, open_stream
from tests.integration.audit.tampering import restore_triggers
from tests.sealed import SealedLog

pytestmark = pytest.mark.django_db(transaction=True)

TABLES = (
    "audit_entry",
    "audit_key",
    "audit_leaf",
    "audit_node",
    "audit_payload",
    "audit_pending",
    "audit_stream",
    "audit_tree_head",
)
# What is stored and proves nothing, with the reason.
WITHOUT_EVIDENCE = {
    ("audit_tree_head", "at"): "when a head was stored; a checkpoint says no time, witnesses do",
}
STEP = 41  # one bit of so many is flipped in PostgreSQL itself; prime, so that all places come
INTEGER_BITS = (0, 1, 8, 31, 40)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One stored value."""

    table: str
    column: str
    row: str  # its ctid
    value: object


@pytest.fixture
def ledger(tmp_path):
    """Seal two streams and enough entries for a node, twice, and leave one entry waiting."""
    log = SealedLog(tmp_path)
    head = open_stream()
    shapes = (
        draft(data={"n": 1}, payloads={"comment": "ok", "form": {"n": 1}}, scope=SCOPE),
        draft(subject="request:1", reason="none"),
    )
    head, _ = append(head, *shapes)
    log.seal()
    bulk = open_stream()
    append(bulk, *(draft() for _ in range(256)))
    log.seal()
    append(head)
    yield log
    restore_triggers()


def check():
    """Return what `verify_ledger` finds in the transaction that is open, but for the triggers."""
    found = verification._verify_streams(stream=None, tally=Tally(), on_progress=None, on_head=None)
    found = found or verifying.verify_queue()[2]
    return found or verifying.verify_stored_tree(trusted=(), tally=TreeTally())


def test_every_column_of_the_evidence_is_covered():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname = ANY(%s)",
            [list(TABLES)],
        )
        there = {name for (name,) in cursor.fetchall()}
        columns = {(table, column) for table in TABLES for column in _columns(cursor, table)}

    assert there == set(TABLES)
    assert set(WITHOUT_EVIDENCE) < columns


@pytest.mark.parametrize("table", TABLES)
def test_a_bit_flipped_in_the_database_is_found_and_named(ledger, table):
    missed, found = [], set()
    with transaction.atomic():
        _disable_triggers()
        assert check() is None
        for cell in _cells(table):
            for flipped in _sample(cell):
                name = _flip(cell, flipped)
                if name is None:
                    missed.append(f"{cell.column} of {cell.row}: {cell.value!r} to {flipped!r}")
                else:
                    found.add(cell.column)
        transaction.set_rollback(True)

    assert missed == []
    with connection.cursor() as cursor:
        covered = {
            column for column in _columns(cursor, table) if (table, column) not in WITHOUT_EVIDENCE
        }
    assert found == covered


def test_every_bit_of_every_row_is_found_by_the_pure_checks(ledger):
    rows, heads = _read_streams()
    short = [row for row in rows if row.seq <= 3]
    kept = [head for head in heads if head.stream in {row.stream for row in short}]
    ends = {row.stream: row for row in short}
    kept = [head._replace(seq=ends[head.stream].seq, head=ends[head.stream].leaf) for head in kept]
    assert verify_chains(rows=short, heads=kept, tally=Tally()) is None

    missed = []
    for place, row in enumerate(short):
        for changed in _changes_of_row(row):
            others = [*short[:place], changed, *short[place + 1 :]]
            if verify_chains(rows=others, heads=kept, tally=Tally()) is None:
                missed.append(changed)

    assert missed == []


def test_every_bit_of_the_tree_is_found_by_the_pure_checks(ledger):
    leaves, nodes, heads = _read_tree()
    keys = tuple(VerifierKey.parse(text) for text in ledger.vkeys)
    assert nodes
    assert len(heads) > 1

    def holds(leaves, nodes, heads):
        found = verify_tree(
            leaves=leaves, nodes=nodes, heads=heads, keys=keys, restored={}, tally=TreeTally()
        )
        assert found is None or found.field
        return found is None

    assert holds(leaves, nodes, heads)
    few = leaves[:4]  # of the others a sample, because each costs a whole tree
    missed = [
        *_held(few, lambda rows: holds([*rows, *leaves[4:]], nodes, heads), ("leaf",)),
        *_held(nodes, lambda rows: holds(leaves, rows, heads), ("hash",)),
        *_held(heads, lambda rows: holds(leaves, nodes, rows), ("root", "note")),
    ]

    assert missed == []


def _held(rows, holds, columns):
    """Return the flips of columns of rows after which everything still holds."""
    missed = []
    for place, row in enumerate(rows):
        for column in columns:
            for flipped in _flips(getattr(row, column)):
                changed = row._replace(**{column: flipped})
                if holds([*rows[:place], changed, *rows[place + 1 :]]):
                    missed.append((place, column, flipped))
    return missed


def _changes_of_row(row):
    """Yield a stored entry with each bit of its bytes, columns and payloads flipped."""
    for column in ("leaf", "body", "kind", "actor", "subject"):
        for flipped in _flips(getattr(row, column)):
            yield row._replace(**{column: flipped})
    for bit in range(60):
        yield row._replace(seq=row.seq ^ (1 << bit))
    for bit in range(50):
        yield row._replace(at=row.at + timedelta(microseconds=1 << bit))
    for place, (name, salt, value) in enumerate(row.payloads):
        for item in (
            *((flipped, salt, value) for flipped in _flips(name)),
            *((name, flipped, value) for flipped in _flips(salt)),
            *((name, salt, flipped) for flipped in _flips(value)),
        ):
            payloads = [*row.payloads[:place], item, *row.payloads[place + 1 :]]
            yield row._replace(payloads=payloads)


def _flips(value):
    """Yield a text or bytes with each bit flipped, as far as a text is still one."""
    if isinstance(value, str):
        for flipped in every_flip(value.encode()):
            try:
                yield flipped.decode()
            except UnicodeDecodeError:
                continue
    else:
        yield from every_flip(bytes(value))


def _sample(cell):
    """Yield other values of a cell, each one bit away."""
    value = cell.value
    if value is None:
        return
    if isinstance(value, bool) or (cell.table, cell.column) in WITHOUT_EVIDENCE:
        return
    if isinstance(value, int):
        yield from (value ^ (1 << bit) for bit in INTEGER_BITS)
    elif isinstance(value, UUID):
        yield from (UUID(int=value.int ^ (1 << bit)) for bit in range(0, 128, STEP))
    elif isinstance(value, datetime):
        yield from (value + timedelta(microseconds=1 << bit) for bit in (0, 10, 33, 40))
    else:
        is_text = isinstance(value, str)
        raw = value.encode() if isinstance(value, str) else bytes(value)
        for number in range(0, len(raw) * 8, STEP):
            flipped = bytearray(raw)
            flipped[number // 8] ^= 1 << (number % 8)
            try:
                yield flipped.decode() if is_text else bytes(flipped)
            except UnicodeDecodeError:
                continue


def _flip(cell, flipped):
    """Return what is said of a flipped value, or `None` if nobody minds; leave it as it was."""
    point = transaction.savepoint()
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {cell.table} SET {connection.ops.quote_name(cell.column)} = %s"
                " WHERE ctid = %s::tid",
                [flipped, cell.row],
            )
            assert cursor.rowcount == 1
        discrepancy = check()
    except (DatabaseError, ValueError) as error:  # the database itself, or a NUL in a text
        if not isinstance(error, DatabaseError) and "NUL" not in str(error):
            raise
        return "refused"
    finally:
        transaction.savepoint_rollback(point)
    if discrepancy is None:
        return None
    assert discrepancy.field
    return str(discrepancy)


def _cells(table):
    """Return the values of the first and the last rows of a table."""
    with connection.cursor() as cursor:
        columns = _columns(cursor, table)
        names = ", ".join(connection.ops.quote_name(column) for column in columns)
        order = connection.ops.quote_name(columns[0])
        cursor.execute(f"SELECT ctid::text, {names} FROM {table} ORDER BY {order}")
        rows = cursor.fetchall()
    assert rows, table
    chosen = rows if len(rows) <= 4 else [*rows[:3], rows[-1]]
    return [
        Cell(table=table, column=column, row=row[0], value=value)
        for row in chosen
        for column, value in zip(columns, row[1:], strict=True)
    ]


def _columns(cursor, table):
    cursor.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum",
        [table],
    )
    return [name for (name,) in cursor.fetchall()]


def _disable_triggers():
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")


def _read_streams():
    with transaction.atomic():
        rows = list(
            verification._gather(verification._fetch(verification._ROWS.format(where=""), ()))
        )
        statement = verification._HEADS.format(sources=verification._head_sources(), where="")
        heads = [HeadRow(*row) for row in verification._fetch(statement, ())]
    return rows, heads


def _read_tree():
    with transaction.atomic():
        return (
            [LeafRow._make(row) for row in verifying._fetch(verifying._LEAVES)],
            [NodeRow._make(row) for row in verifying._fetch(verifying._NODES)],
            [TreeHeadRow._make(row) for row in verifying._fetch(verifying._HEADS)],
        )
