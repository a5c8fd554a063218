"""The only writer of leaves, nodes, tree heads and keys, and who empties the queue.

Read `take_batch` first. Everything here is one statement each, and needs the transaction of the
batch; only `has_pending` and what doctors ask stand alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection

from audit.domain.entry import stream_id_of
from core.kernel.limits import SEAL_ENTRY_COUNT_MAX, SEAL_LAG_SECONDS_MAX
from core.toolkit.db import fetch_rows

# One sealer at a time in a database. Let go of by the end of the transaction, after its rows are
# visible, so that whoever comes next sees them in its next statement.
_LOCK_KEY: Final = 0x5EA1_1ED6

LEDGER_STREAM: Final = "ledger"

# What was signed must not be lost with a crash of the server, so a commit waits for the disk.
_LOCK = """
SELECT pg_try_advisory_xact_lock(%s::bigint), current_setting('transaction_isolation'),
       set_config('synchronous_commit', CASE current_setting('synchronous_commit')
           WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true)"""

_PENDING = "SELECT EXISTS (SELECT 1 FROM audit_pending)"

_LAG = """
SELECT count(*), (SELECT extract(epoch FROM clock_timestamp() - e.at)::float8
                  FROM audit_entry e WHERE e.id = min(p.entry_id))
FROM audit_pending p"""

_OLD = """
SELECT COALESCE((SELECT e.at < clock_timestamp() - make_interval(secs => %s::float8)
    FROM audit_entry e WHERE e.id = (SELECT min(entry_id) FROM audit_pending)), false)"""

# The leaf by a sub-select: a join may be planned to walk all entries from the first.
_TAKE = """
SELECT p.entry_id, (SELECT e.leaf FROM audit_entry e WHERE e.id = p.entry_id)
FROM (SELECT entry_id FROM audit_pending ORDER BY entry_id LIMIT %s::bigint) p
ORDER BY p.entry_id"""

_HEADS = """
SELECT tree_size, root, note, at FROM audit_tree_head
WHERE tree_size = ANY (
    array_append(%s::bigint[], (SELECT max(tree_size) FROM audit_tree_head)))
ORDER BY tree_size DESC"""

_HEAD_OF = "SELECT EXISTS (SELECT 1 FROM audit_tree_head WHERE starts_with(note, %s::text))"

_LEAVES = """
INSERT INTO audit_leaf (leaf_index, entry_id)
SELECT %s::bigint + t.place - 1, t.id
FROM unnest(%s::bigint[]) WITH ORDINALITY AS t (id, place) ORDER BY t.place"""

_NODES = """
INSERT INTO audit_node (level, index, hash)
SELECT * FROM unnest(%s::smallint[], %s::bigint[], %s::bytea[])"""

_HEAD = """
INSERT INTO audit_tree_head (tree_size, root, note, at)
VALUES (%s::bigint, %s::bytea, %s::text, %s::timestamptz)"""

_UNQUEUE = "DELETE FROM audit_pending WHERE entry_id = ANY (%s::bigint[])"

_KEYS = "SELECT key_id, name, vkey, added_at FROM audit_key ORDER BY added_at, key_id"

_KEY = """
INSERT INTO audit_key (key_id, name, vkey, added_at)
VALUES (%s::text, %s::text, %s::text, %s::timestamptz)"""

_RECORDED = """
SELECT body FROM audit_entry WHERE stream = %s::uuid AND kind = %s::text ORDER BY id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHead:
    """A tree head as stored."""

    size: int
    root: bytes
    note: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A public key that signs or signed. `vkey` is its line."""

    key_id: str
    name: str
    vkey: str
    added_at: datetime


def try_lock() -> str | None:
    """Take the sealer's lock until the transaction ends.

    Returns:
        The transaction's isolation level, or `None` if another sealer has the lock.
    """
    ((taken, isolation, _),) = fetch_rows(_LOCK, (_LOCK_KEY,))
    return isolation if taken else None


def has_pending() -> bool:
    """Say whether an entry waits. One probe of an index."""
    return bool(fetch_rows(_PENDING, ())[0][0])


def read_lag() -> tuple[int, float]:
    """Return how many entries wait, and for how many seconds the first of them does; 0 if none."""
    ((count, seconds),) = fetch_rows(_LAG, ())
    return count, seconds or 0.0


def is_late() -> bool:
    """Say whether an entry waits longer than it should. A few probes of indexes."""
    return bool(fetch_rows(_OLD, (SEAL_LAG_SECONDS_MAX,))[0][0])


def take_batch() -> tuple[list[int], list[bytes | None]]:
    """Return the ids and leaves of the entries that wait, in id order, at most one batch.

    A statement of its own after the lock: it must see what the sealer before has committed. A leaf
    is `None` where the entry itself is gone.
    """
    rows = fetch_rows(_TAKE, (SEAL_ENTRY_COUNT_MAX,))
    return [row[0] for row in rows], [row[1] for row in rows]


def read_heads(*, sizes: Sequence[int]) -> tuple[StoredHead | None, dict[int, StoredHead]]:
    """Return the newest head, and those of some sizes, by size."""
    rows = fetch_rows(_HEADS, (list(sizes),))
    heads = [StoredHead(size=row[0], root=row[1], note=row[2], at=row[3]) for row in rows]
    wanted = set(sizes)
    newest = heads[0] if heads else None
    return newest, {head.size: head for head in heads if head.size in wanted}


def has_head_of(*, origin: str) -> bool:
    """Say whether a log of that name ever had a head here. Walks all heads."""
    return bool(fetch_rows(_HEAD_OF, (f"{origin}\n",))[0][0])


def add_leaves(*, first: int, entry_ids: Sequence[int]) -> None:
    """Give entries their places, densely from `first`."""
    _execute(_LEAVES, (first, list(entry_ids)), count=len(entry_ids))


def add_nodes(nodes: Sequence[tuple[int, int, bytes]]) -> None:
    """Keep complete subtrees: (level, index, hash) each."""
    if nodes:
        levels, indexes, hashes = (list(column) for column in zip(*nodes, strict=True))
        _execute(_NODES, (levels, indexes, hashes), count=len(nodes))


def add_head(head: StoredHead) -> None:
    """Keep a signed head."""
    _execute(_HEAD, (head.size, head.root, head.note, head.at), count=1)


def leave_queue(*, entry_ids: Sequence[int]) -> None:
    """Take entries out of the queue that have leaves now."""
    _execute(_UNQUEUE, (list(entry_ids),), count=len(entry_ids))


def list_keys() -> tuple[StoredKey, ...]:
    """Return every public key that signs or signed, the oldest first."""
    rows = fetch_rows(_KEYS, ())
    return tuple(
        StoredKey(key_id=row[0], name=row[1], vkey=row[2], added_at=row[3]) for row in rows
    )


def add_key(key: StoredKey) -> None:
    """Keep a public key for whoever reads old heads."""
    _execute(_KEY, (key.key_id, key.name, key.vkey, key.added_at), count=1)


def list_recorded(*, kind: str) -> list[bytes]:
    """Return the bytes of the entries of one kind in the stream `ledger`, in order."""
    return [row[0] for row in fetch_rows(_RECORDED, (stream_id_of(LEDGER_STREAM), kind))]


def _execute(sql: str, params: tuple[Any, ...], *, count: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        assert cursor.rowcount == count, f"{cursor.rowcount} rows instead of {count}"
