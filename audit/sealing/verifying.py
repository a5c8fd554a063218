"""The stored tree against its own leaves. Read `verify_stored_tree`.

Needs the one snapshot that `audit.selectors.verification` opens.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any, Final

from django.db import connection

from audit.domain.entry import read_entry
from audit.domain.errors import NoteInvalidError, NoteUnverifiedError
from audit.domain.notes import VerifierKey
from audit.domain.tree_verification import (
    LeafRow,
    NodeRow,
    TreeHeadRow,
    TreeTally,
    about,
    read_signed,
    verify_tree,
)
from audit.domain.verification import Discrepancy
from audit.sealing import guarding, registering, rows
from audit.sealing.rows import StoredKey

_FETCH_ROW_COUNT: Final = 5_000  # small rows: a hash each

# Entries are leaves or wait to be, never both, and nothing else is either. In ONE statement.
_QUEUE = """
SELECT e.id, e.stream::text, e.seq, l.entry_id, p.entry_id
FROM audit_entry e
FULL JOIN audit_leaf l ON l.entry_id = e.id
FULL JOIN audit_pending p ON p.entry_id = COALESCE(e.id, l.entry_id)
WHERE e.id IS NULL OR (l.entry_id IS NULL) = (p.entry_id IS NULL)
ORDER BY COALESCE(e.id, l.entry_id, p.entry_id) LIMIT 1"""

_COUNTS = """
SELECT (SELECT count(*) FROM audit_pending), count(*), min(leaf_index), max(leaf_index)
FROM audit_leaf"""

_LEAVES = """
SELECT l.leaf_index, e.leaf FROM audit_leaf l LEFT JOIN audit_entry e ON e.id = l.entry_id
ORDER BY l.leaf_index"""

# The order in which a growing tree completes them: by the leaves up to its end, then by level.
_NODES = """
SELECT level, index, hash FROM audit_node
ORDER BY (index + 1)::numeric * 256::numeric ^ level, level"""

_HEADS = "SELECT tree_size, root, note FROM audit_tree_head ORDER BY tree_size"


def verify_stored_tree(*, trusted: Sequence[VerifierKey], tally: TreeTally) -> Discrepancy | None:
    """Check every leaf, node, tree head and key.

    Args:
        trusted: who may have signed; if none are given, the keys on record.
        tally: counts what was checked.
    """
    stored = rows.list_keys()
    found = _verify_keys(stored)
    if found is not None:
        return found
    keys = tuple(trusted) or tuple(VerifierKey.parse(key.vkey) for key in stored)
    with (
        closing(_fetch(_LEAVES)) as leaves,
        closing(_fetch(_NODES)) as nodes,
        closing(_fetch(_HEADS)) as heads,
    ):
        return verify_tree(
            leaves=map(LeafRow._make, leaves),
            nodes=map(NodeRow._make, nodes),
            heads=map(TreeHeadRow._make, heads),
            keys=keys,
            restored=guarding.list_restored(),
            tally=tally,
        )


def find_head_fault(*, size: int, root: bytes, note: str) -> str:
    """Return what is wrong with a tree head, opened under the keys on record; "" if it holds.

    A sentence: that no key on record signed it, that a signature is false, that the note says
    otherwise than the row, or that the keys themselves are not as they were recorded.
    """
    stored = rows.list_keys()
    stray = _verify_keys(stored)
    if stray is not None:
        return f"The keys on record do not hold: {stray.field} should be {stray.expected}."
    try:
        said = read_signed(note, keys=[VerifierKey.parse(key.vkey) for key in stored])
    except (NoteInvalidError, NoteUnverifiedError) as error:
        return f"The tree head is not signed by a key on record: {error.message}"
    if (said.size, said.root) != (size, root):
        return "The signed note of the tree head says otherwise than its row."
    return ""


def verify_queue() -> tuple[int, int, Discrepancy | None]:
    """Return the number of pending entries and of leaves, and what is wrong with them.

    Two statements, of one snapshot.
    """
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS)
        pending_count, leaf_count, first, last = cursor.fetchone()
        cursor.execute(_QUEUE)
        row = cursor.fetchone()
    if row is not None:
        return pending_count, leaf_count, _name_stray(*row)
    found = None
    if leaf_count and (first, last) != (0, leaf_count - 1):
        found = about(
            "audit_leaf", expected=f"indexes 0 to {leaf_count - 1}", found=f"{first} to {last}"
        )
    return pending_count, leaf_count, found


def _verify_keys(stored: Sequence[StoredKey]) -> Discrepancy | None:
    """Check that each key's columns say what its line says, and that its making is on record."""
    recorded = set()
    for kind in (registering.ADDED_KIND, registering.ROTATED_KIND):
        for body in rows.list_recorded(kind=kind):
            entry = read_entry(body)
            recorded.add((str(entry.data["vkey"]), entry.at))
    for key in stored:
        field = f"key {key.key_id}"
        try:
            parsed = VerifierKey.parse(key.vkey)
        except NoteInvalidError as error:
            return about(field, expected="a key", found=error.message)
        if (parsed.key_id.hex(), parsed.name) != (key.key_id, key.name):
            return about(field, expected=parsed.text, found=f"{key.name}+{key.key_id}")
        if (key.vkey, key.added_at) not in recorded:
            return about(field, expected="its making on record, at that time", found="none")
        recorded.remove((key.vkey, key.added_at))
    for vkey, _ in sorted(recorded):
        return about("audit_key", expected=vkey, found="none")
    return None


def _name_stray(
    entry_id: int | None, stream: str, seq: int, sealed: int | None, pending: int | None
) -> Discrepancy:
    if entry_id is None:
        table = "audit_pending" if sealed is None else "audit_leaf"
        stray = pending if sealed is None else sealed
        return about(table, expected=f"an entry with id {stray}", found="none")
    return Discrepancy(
        stream=stream,
        seq=seq,
        field="audit_pending",
        expected="the entry to be either pending or a leaf",
        found="neither" if sealed is None else "both",
    )


def _fetch(statement: str) -> Generator[tuple[Any, ...]]:
    """Yield rows through a cursor on the server."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement)
        while batch := cursor.fetchmany(_FETCH_ROW_COUNT):
            yield from batch
