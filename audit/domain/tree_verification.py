"""Checking a stored tree and its signed heads. Read `verify_tree` first.

As in `audit.domain.verification`, nothing here reads the database, rows come as iterables in order,
and the first discrepancy ends it. The tree is grown again leaf by leaf, so a root that is met on
the way is the root of that size, and two heads that both hold are consistent with each other.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from audit.domain.checkpoints import Checkpoint, parse_checkpoint
from audit.domain.errors import NoteInvalidError, NoteUnverifiedError
from audit.domain.merkle import Frontier
from audit.domain.notes import VerifierKey, open_note
from audit.domain.verification import Discrepancy


class LeafRow(NamedTuple):
    """A place in the tree, and the leaf of the entry there; `None` if there is no such entry."""

    place: int
    leaf: bytes | None


class NodeRow(NamedTuple):
    """The stored hash of a complete subtree."""

    level: int
    place: int
    hash: bytes


class TreeHeadRow(NamedTuple):
    """A tree head as stored."""

    size: int
    root: bytes
    note: str


@dataclass(slots=True, kw_only=True)
class TreeTally:
    """What was checked so far. `origin` is the name of the log in the last head."""

    leaf_count: int = 0
    node_count: int = 0
    head_count: int = 0
    origin: str = ""


def verify_tree(
    *,
    leaves: Iterable[LeafRow],
    nodes: Iterable[NodeRow],
    heads: Iterable[TreeHeadRow],
    keys: tuple[VerifierKey, ...],
    restored: Mapping[str, str],
    tally: TreeTally,
) -> Discrepancy | None:
    """Grow the tree again, and compare each stored node and each signed head with it.

    Args:
        leaves: every leaf, by index.
        nodes: every node in the order in which a growing tree completes them: by the number of
            leaves up to its end, then by level.
        heads: every tree head, by size.
        keys: who may have signed.
        restored: which log was continued under which other name, by restores on record.
        tally: counts what was checked, also while it goes on.

    Returns:
        The first discrepancy, or `None`.
    """
    frontier = Frontier()
    signed = _Heads(heads, keys=keys, restored=restored, tally=tally)
    stored = iter(nodes)
    for row in leaves:
        found = signed.check(size=frontier.size, frontier=frontier) or _grow(
            row, frontier=frontier, stored=stored, tally=tally
        )
        if found is not None:
            return found
    found = signed.check(size=frontier.size, frontier=frontier)
    if found is not None:
        return found
    extra = next(stored, None)
    if extra is not None:
        return about(_name(extra.level, extra.place), expected="no such node", found="one")
    return signed.finish(size=frontier.size)


def _grow(
    row: LeafRow, *, frontier: Frontier, stored: Iterator[NodeRow], tally: TreeTally
) -> Discrepancy | None:
    """Add a leaf, and compare the nodes it completes with those stored."""
    if row.place != frontier.size:
        return about("audit_leaf", expected=f"leaf {frontier.size}", found=f"{row.place}")
    if row.leaf is None:
        return about(f"leaf {row.place}", expected="an entry", found="none")
    for level, index, digest in frontier.append(row.leaf):
        found = _compare_node(next(stored, None), level=level, index=index, digest=digest)
        if found is not None:
            return found
        tally.node_count += 1
    tally.leaf_count += 1
    return None


class _Heads:
    """Tree heads, walked in step with the leaves."""

    def __init__(
        self,
        heads: Iterable[TreeHeadRow],
        *,
        keys: tuple[VerifierKey, ...],
        restored: Mapping[str, str],
        tally: TreeTally,
    ) -> None:
        self._heads: Iterator[TreeHeadRow] = iter(heads)
        self._next = next(self._heads, None)
        self._keys = keys
        self._restored = restored
        self._tally = tally
        self._size = 0  # of the last head

    def check(self, *, size: int, frontier: Frontier) -> Discrepancy | None:
        """Check the head of a size, if there is one."""
        head = self._next
        if head is None or head.size != size:
            return None
        self._next, self._size = next(self._heads, None), size
        self._tally.head_count += 1
        return self._verify(head, root=frontier.root())

    def finish(self, *, size: int) -> Discrepancy | None:
        """Check that no head is left over, and no leaf is beyond the last."""
        if self._next is not None:
            return about(
                f"tree head {self._next.size}",
                expected=f"no head beyond the {size} leaves",
                found="one",
            )
        if self._size < size:
            return about("audit_leaf", expected=f"{self._size} leaves, as signed", found=f"{size}")
        return None

    def _verify(self, head: TreeHeadRow, *, root: bytes) -> Discrepancy | None:
        field = f"tree head {head.size}"
        if head.root != root:
            return about(f"{field}, root", expected=root.hex(), found=head.root.hex())
        try:
            checkpoint = read_signed(head.note, keys=self._keys)
        except (NoteInvalidError, NoteUnverifiedError) as error:
            return about(f"{field}, note", expected="one of ours", found=error.message)
        if checkpoint.size != head.size:
            return about(f"{field}, note", expected=f"size {head.size}", found=f"{checkpoint.size}")
        if checkpoint.root != root:
            return about(f"{field}, note", expected=root.hex(), found=checkpoint.root.hex())
        before, self._tally.origin = self._tally.origin, checkpoint.origin
        if before and not is_continued(
            before=before, now=checkpoint.origin, restored=self._restored
        ):
            return about(f"{field}, origin", expected=before, found=checkpoint.origin)
        return None


def read_signed(note: str, *, keys: Iterable[VerifierKey]) -> Checkpoint:
    """Return the checkpoint of a note that one of the keys signed under the log's own name.

    Raises:
        NoteInvalidError: if it is not a checkpoint.
        NoteUnverifiedError: if none of the keys did, or a signature of one does not hold.
    """
    opened = open_note(note, keys)
    checkpoint = parse_checkpoint(opened.text)
    if all(signed.key.name != checkpoint.origin for signed in opened.signed):
        raise NoteUnverifiedError(f"No key of {checkpoint.origin} signed this.")
    return checkpoint


def is_continued(*, before: str, now: str, restored: Mapping[str, str]) -> bool:
    """Say whether a log goes on under a name: its own, or one that restores gave it."""
    seen = {before}
    while before != now:
        following = restored.get(before)
        if following is None or following in seen:
            return False
        seen.add(following)
        before = following
    return True


def about(field: str, *, expected: str, found: str) -> Discrepancy:
    """Return a discrepancy that is about no stream."""
    return Discrepancy(stream="", seq=0, field=field, expected=expected, found=found)


def _compare_node(
    row: NodeRow | None, *, level: int, index: int, digest: bytes
) -> Discrepancy | None:
    name = _name(level, index)
    if row is None:
        return about(name, expected="the node", found="none")
    if (row.level, row.place) != (level, index):
        return about(name, expected="the node", found=_name(row.level, row.place))
    if row.hash != digest:
        return about(name, expected=digest.hex(), found=row.hash.hex())
    return None


def _name(level: int, index: int) -> str:
    return f"node {index} of level {level}"
