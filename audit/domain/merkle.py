"""The Merkle tree over all entries: roots, proofs and their checks. Read `Tree` first.

A tree is never held whole. Whoever stores it keeps the hash of every complete subtree of 256, 256²,
… leaves ("tile levels"), and everything else is computed from at most 256 neighbours. Source:
RFC 9162 §2.1 (the same tree as RFC 6962 §2.1); C2SP tlog-tiles for the levels.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import chain
from typing import TypeAlias

from audit.domain.errors import ProofInvalidError

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()  # RFC 9162 §2.1.1: MTH({})

# (level, start, count): `count` hashes of a tile level, from `start`. Hash k of level L is the root
# of the complete subtree of the leaves [k * 256**L, (k + 1) * 256**L); level 0 is the leaf hashes.
ReadHashes: TypeAlias = Callable[[int, int, int], Sequence[bytes]]
Range: TypeAlias = tuple[int, int]  # leaves [start, end)

_NODE_PREFIX = b"\x01"


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node, 32 bytes. Source: RFC 9162 §2.1.1."""
    return sha256(_NODE_PREFIX + left + right).digest()


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes that are all in memory. Source: RFC 9162 §2.1.1."""
    if not leaves:
        return EMPTY_ROOT
    row = list(leaves)
    while len(row) > 1:
        # What has no neighbour on its right goes up as it is: the same tree as the recursive split.
        paired = [node_hash(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
        row = paired + row[len(row) & ~1 :]
    return row[0]


def split(size: int) -> int:
    """Return the largest power of two below a size of at least 2. Source: RFC 9162 §2.1.1."""
    return 1 << (size - 1).bit_length() - 1


class Tree:
    """The first `size` leaves of a log whose complete subtrees are stored.

    Hashes are read in whole tiles, and each tile once; an instance belongs to one moment.
    """

    def __init__(self, *, size: int, read: ReadHashes) -> None:
        """Say how many leaves there are and how stored hashes are read."""
        assert size >= 0, "a tree has no negative size"
        self.size = size
        self._read = read
        self._tiles: dict[tuple[int, int], Sequence[bytes]] = {}

    def root(self) -> bytes:
        """Return the root, 32 bytes. Source: RFC 9162 §2.1.1."""
        return self.subtree(0, self.size)

    def subtree(self, start: int, end: int) -> bytes:
        """Return MTH of the leaves [start, end), one of those the tree is split into.

        Source: RFC 9162 §2.1.1.
        """
        count = end - start
        if count == 0:
            return EMPTY_ROOT
        if count & (count - 1) == 0:
            return self._complete(start, count)
        middle = start + split(count)
        return node_hash(self.subtree(start, middle), self.subtree(middle, end))

    def inclusion_path(self, index: int) -> list[bytes]:
        """Return the proof that a leaf is in the tree, lowest first. Source: RFC 9162 §2.1.3.1.

        Raises:
            ProofInvalidError: if there is no such leaf in the tree.
        """
        return [self.subtree(*part) for part in inclusion_ranges(index, size=self.size)]

    def consistency_path(self, first: int) -> list[bytes]:
        """Return the proof that the first `first` leaves are a tree's that was seen earlier.

        Source: RFC 9162 §2.1.4.1. Empty for the same size and, as C2SP does it, for size 0.

        Raises:
            ProofInvalidError: if the earlier tree is larger.
        """
        return [self.subtree(*part) for part in consistency_ranges(first, size=self.size)]

    def batch_path(self, ranges: Sequence[Range]) -> list[bytes]:
        """Return what proves any set of leaves at once, from left to right.

        The tree is split as RFC 9162 §2.1.1 does it. A subtree with no leaf of the set gives its
        hash; one that is in the set as a whole gives nothing; any other is split further. For one
        leaf these are the hashes of its inclusion path, in another order; for all leaves, none.

        Args:
            ranges: the set as half-open ranges, ascending, not overlapping.

        Raises:
            ProofInvalidError: if the ranges are not such, or reach beyond the tree.
        """
        check_ranges(ranges, size=self.size)
        return [self.subtree(*gap) for gap in batch_gaps(ranges, size=self.size)]

    def _complete(self, start: int, count: int) -> bytes:
        """Return the root of a complete subtree, from the hashes of its tile."""
        level, height = divmod(count.bit_length() - 1, TILE_HEIGHT)
        first = start >> level * TILE_HEIGHT
        tile = self._tile(level, first // TILE_WIDTH)
        place = first % TILE_WIDTH
        return tree_root(tile[place : place + (1 << height)])

    def _tile(self, level: int, index: int) -> Sequence[bytes]:
        found = self._tiles.get((level, index))
        if found is None:
            start, count = _tile_span(level, index, size=self.size)
            found = self._read(level, start, count)
            if len(found) != count:
                raise ProofInvalidError(
                    f"Of level {level}, {count} hashes from {start} are expected; there are "
                    f"{len(found)}."
                )
            self._tiles[level, index] = found
        return found


def inclusion_ranges(index: int, *, size: int) -> list[Range]:
    """Return the subtrees whose hashes an inclusion path has; see `Tree.inclusion_path`.

    Raises:
        ProofInvalidError: if there is no such leaf in the tree.
    """
    if not 0 <= index < size:
        raise ProofInvalidError(f"There is no leaf {index} in a tree of {size}.")
    found: list[Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def consistency_ranges(first: int, *, size: int) -> list[Range]:
    """Return the subtrees whose hashes a consistency path has; see `Tree.consistency_path`.

    Raises:
        ProofInvalidError: if the earlier tree is larger.
    """
    if not 0 <= first <= size:
        raise ProofInvalidError(f"A tree of {size} does not contain one of {first}.")
    if first in {0, size}:
        return []
    found: list[Range] = []
    start, end, is_whole = 0, size, True
    while first != end:
        middle = start + split(end - start)
        if first <= middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start, is_whole = middle, False
    # The earlier root itself is known to whoever checks, unless it was split on the way.
    if not is_whole:
        found.append((start, end))
    return found[::-1]


def list_reads(ranges: Iterable[Range], *, size: int) -> list[tuple[int, int, int]]:
    """Return what a `Tree` reads for the hashes of subtrees, each once: (level, start, count).

    For whoever stores the hashes, so that one query gets all of them.
    """
    found: set[tuple[int, int]] = set()
    for start, end in ranges:
        while start < end:
            # The largest complete subtree here: as the split has it, tallest on the left.
            height = (end - start).bit_length() - 1
            level = height // TILE_HEIGHT
            found.add((level, (start >> level * TILE_HEIGHT) // TILE_WIDTH))
            start += 1 << height  # noqa: PLW2901 - what is left of the range
    return [(level, *_tile_span(level, index, size=size)) for level, index in sorted(found)]


def _tile_span(level: int, index: int, *, size: int) -> tuple[int, int]:
    """Return where a tile starts in its level, and how many hashes it has in a tree."""
    start = index * TILE_WIDTH
    return start, min(TILE_WIDTH, (size >> level * TILE_HEIGHT) - start)


class Frontier:
    """The right edge of a tree that grows: one hash for each bit of its size.

    What a sealer keeps from one batch to the next, so that a batch costs what it adds.
    """

    def __init__(self, tree: Tree | None = None) -> None:
        """Begin with an empty tree, or with where another one ends."""
        self.size = 0 if tree is None else tree.size
        self._edge: list[tuple[int, bytes]] = []  # (height, hash), the tallest first
        if tree is not None:
            start = 0
            for height in range(tree.size.bit_length() - 1, -1, -1):
                if tree.size >> height & 1:
                    end = start + (1 << height)
                    self._edge.append((height, tree.subtree(start, end)))
                    start = end

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf; return the subtrees of 256, 256², … that it completes.

        Returns:
            (tile level from 1, index in that level, hash) of each.
        """
        node, height = leaf, 0
        completed: list[tuple[int, int, bytes]] = []
        self.size += 1
        while self._edge and self._edge[-1][0] == height:
            node = node_hash(self._edge.pop()[1], node)
            height += 1
            if height % TILE_HEIGHT == 0:
                completed.append((height // TILE_HEIGHT, (self.size >> height) - 1, node))
        self._edge.append((height, node))
        return completed

    def root(self) -> bytes:
        """Return the root, 32 bytes."""
        if not self._edge:
            return EMPTY_ROOT
        root = self._edge[-1][1]
        for _, left in reversed(self._edge[:-1]):
            root = node_hash(left, root)
        return root


def check_inclusion(
    *, leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> None:
    """Check that a leaf hash is at an index of a tree. Source: RFC 9162 §2.1.3.2.

    Raises:
        ProofInvalidError: if it is not shown.
    """
    if not 0 <= index < size:
        raise ProofInvalidError(f"There is no leaf {index} in a tree of {size}.")
    _expect_hashes(leaf, *path)
    node = leaf
    for sibling, is_left in _climb(path, place=index, last=size - 1):
        node = node_hash(sibling, node) if is_left else node_hash(node, sibling)
    _expect_root(node, root)


def check_consistency(
    *, first: int, first_root: bytes, second: int, second_root: bytes, path: Sequence[bytes]
) -> None:
    """Check that a tree contains an earlier one as its beginning. Source: RFC 9162 §2.1.4.2.

    Raises:
        ProofInvalidError: if it is not shown.
    """
    if not 0 <= first <= second:
        raise ProofInvalidError(f"A tree of {second} does not contain one of {first}.")
    _expect_hashes(first_root, *path)
    if first in {0, second}:
        if path:
            raise ProofInvalidError("There is nothing to show, and so no path.")
        _expect_root(first_root, EMPTY_ROOT if first == 0 else second_root)
        if second == 0:
            _expect_root(second_root, EMPTY_ROOT)
        return
    # The earlier root stands for itself where the earlier tree is one complete subtree.
    hashes = list(path) if first & (first - 1) else [first_root, *path]
    if not hashes:
        raise ProofInvalidError("The path is empty.")
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    older = newer = hashes[0]
    for sibling, is_left in _climb(hashes[1:], place=place, last=last):
        if is_left:
            older = node_hash(sibling, older)
        newer = node_hash(sibling, newer) if is_left else node_hash(newer, sibling)
    _expect_root(older, first_root)
    _expect_root(newer, second_root)


def _climb(path: Sequence[bytes], *, place: int, last: int) -> Iterator[tuple[bytes, bool]]:
    """Yield each sibling on the way to the root, and whether it is on the left.

    Source: RFC 9162 §2.1.3.2, steps 4 and 5, where `place` is called fn and `last` sn.
    """
    for sibling in path:
        if last == 0:
            raise ProofInvalidError("The path is longer than the tree is high.")
        is_left = bool(place & 1) or place == last
        yield sibling, is_left
        if is_left:
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        place, last = place >> 1, last >> 1
    if last:
        raise ProofInvalidError("The path ends before the root.")


def _expect_hashes(*hashes: bytes) -> None:
    """Refuse what is no hash: of two neighbours only their joined bytes are hashed."""
    if any(len(item) != HASH_BYTES for item in hashes):
        raise ProofInvalidError(f"A hash has {HASH_BYTES} bytes.")


def _expect_root(found: bytes, expected: bytes) -> None:
    if found != expected:
        raise ProofInvalidError(f"The path leads to {found.hex()}, not to {expected.hex()}.")


def check_batch(
    *,
    leaves: Sequence[bytes],
    ranges: Sequence[Range],
    size: int,
    path: Sequence[bytes],
    root: bytes,
) -> None:
    """Check that leaf hashes are at the places of `ranges` in a tree; see `Tree.batch_path`.

    Raises:
        ProofInvalidError: if it is not shown.
    """
    check_ranges(ranges, size=size)
    _expect_hashes(*leaves, *path)
    if len(leaves) != sum(end - start for start, end in ranges):
        raise ProofInvalidError("There are not as many leaves as the ranges have places.")
    gaps = list(batch_gaps(ranges, size=size))
    if len(gaps) != len(path):
        raise ProofInvalidError(f"The path has {len(path)} hashes; it takes {len(gaps)}.")
    given = dict(zip(gaps, path, strict=True))
    _expect_root(_walk_batch(leaves, ranges=ranges, gaps=given, size=size), root)


def check_ranges(ranges: Sequence[Range], *, size: int) -> None:
    """Check that ranges of leaves are ascending, not empty, not overlapping, and inside a tree.

    Raises:
        ProofInvalidError: if they are not.
    """
    before = 0
    for start, end in ranges:
        if not before <= start < end <= size:
            raise ProofInvalidError(f"[{start}, {end}) is no next range in a tree of {size}.")
        before = end


def batch_gaps(ranges: Iterable[Range], *, size: int) -> Iterator[Range]:
    """Yield the subtrees whose hashes a batch proof has, from left to right.

    Between two ranges these are the fewest subtrees of the split that cover the gap.
    """
    before = 0
    for start, end in chain(ranges, [(size, size)]):
        yield from _cover(before, start, low=0, high=size)
        before = end


def _cover(start: int, end: int, *, low: int, high: int) -> Iterator[Range]:
    """Yield the fewest subtrees of [low, high) that cover [start, end)."""
    if start >= end or high <= start or end <= low:
        return
    if start <= low and high <= end:
        yield low, high
        return
    middle = low + split(high - low)
    yield from _cover(start, end, low=low, high=middle)
    yield from _cover(start, end, low=middle, high=high)


def _walk_batch(
    leaves: Sequence[bytes], *, ranges: Sequence[Range], gaps: dict[Range, bytes], size: int
) -> bytes:
    known: dict[int, bytes] = {}
    given = iter(leaves)
    for start, end in ranges:
        known.update(zip(range(start, end), given, strict=False))

    def walk(low: int, high: int) -> bytes:
        gap = gaps.get((low, high))
        if gap is not None:
            return gap
        if high - low == 1:
            return known[low]
        middle = low + split(high - low)
        return node_hash(walk(low, middle), walk(middle, high))

    return walk(0, size) if size else EMPTY_ROOT
