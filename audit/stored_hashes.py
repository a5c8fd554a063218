"""The stored hashes of the tree. Read `read_hashes` first.

The hashes of complete subtrees are those that the sealer stored (`audit_node`), the leaf hashes are
the entries' own. One statement reads whatever a proof takes.
"""

from collections.abc import Collection, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TypeAlias

from audit.domain.errors import LedgerCorruptError
from audit.domain.merkle import Range, Tree, list_reads
from core.toolkit.db import fetch_rows

Read: TypeAlias = tuple[int, int, int]  # tile level, place in it, number of hashes

# A lateral read with a limit for each tile: what a join of ranges would be planned as depends on
# statistics, and a wrong guess would read the whole ledger. 256 is the width of a tile.
_LEAVES = """
SELECT 0::smallint AS level, t.start, l.leaf_index AS place, e.leaf AS hash
FROM unnest(%s::bigint[], %s::bigint[]) AS t (start, width)
CROSS JOIN LATERAL (
    SELECT leaf_index, entry_id FROM audit_leaf
    WHERE leaf_index >= t.start AND leaf_index < t.start + t.width
    ORDER BY leaf_index LIMIT 256) l
JOIN audit_entry e ON e.id = l.entry_id"""
_NODES = """
SELECT t.level, t.start, n.index AS place, n.hash
FROM unnest(%s::smallint[], %s::bigint[], %s::bigint[]) AS t (level, start, width)
CROSS JOIN LATERAL (
    SELECT index, hash FROM audit_node
    WHERE level = t.level AND index >= t.start AND index < t.start + t.width
    ORDER BY index LIMIT 256) n"""
# For `unnest`: starts and widths of leaves, then levels, starts and widths of nodes.
READ = f"{_LEAVES}\nUNION ALL\n{_NODES}\nORDER BY level, start, place"


class StoredHashes:
    """The stored hashes as `audit.domain.merkle.Tree` reads them.

    What is loaded ahead takes one query; anything else takes one query a tile.
    """

    def __init__(self, wanted: Collection[Read] = ()) -> None:
        """Load what is wanted."""
        self._loaded = _load(wanted)

    def __call__(self, level: int, start: int, count: int) -> Sequence[bytes]:
        """Return the hashes of one tile, all of them. Raises: LedgerCorruptError."""
        place = (level, start, count)
        if place not in self._loaded:
            self._loaded.update(_load([place]))
        return self._loaded[place]


def read_hashes(level: int, start: int, count: int) -> Sequence[bytes]:
    """Return hashes of one tile; the `ReadHashes` of a `Tree`. One query.

    Raises:
        LedgerCorruptError: if one is missing.
    """
    place = (level, start, count)
    return _load([place])[place]


def make_tree(*, size: int, ranges: Collection[Range] = ()) -> Tree:
    """Return the tree of the first leaves, over what is stored.

    Args:
        size: number of leaves.
        ranges: subtrees whose hashes will be asked for; one query reads them all now.

    Raises:
        LedgerCorruptError: if a hash is missing, now or when the tree reads it.
    """
    return Tree(size=size, read=StoredHashes(list_reads(ranges, size=size)))


def _load(wanted: Collection[Read]) -> dict[Read, list[bytes]]:
    if not wanted:
        return {}
    leaves = [item for item in wanted if item[0] == 0]
    nodes = [item for item in wanted if item[0] > 0]
    rows = fetch_rows(
        READ,
        (
            [start for _, start, _ in leaves],
            [count for _, _, count in leaves],
            [level for level, _, _ in nodes],
            [start for _, start, _ in nodes],
            [count for _, _, count in nodes],
        ),
    )
    found = {
        place: [(row[2], bytes(row[3])) for row in group]
        for place, group in groupby(rows, key=itemgetter(0, 1))
    }
    return {item: _complete(found.get(item[:2], []), item) for item in wanted}


def _complete(rows: Sequence[tuple[int, bytes]], wanted: Read) -> list[bytes]:
    """Return the hashes of a tile, or say which one is not there."""
    level, start, count = wanted
    places = [place for place, _ in rows]
    expected = range(start, start + count)
    if places != list(expected):
        missing = next(place for place in expected if place not in places)
        raise LedgerCorruptError(
            f"Of the tree, hash {missing} of level {level} is missing.",
            field="leaf" if level == 0 else "node",
            expected=f"hash {missing} of level {level}",
            found="none",
        )
    return [item for _, item in rows]
