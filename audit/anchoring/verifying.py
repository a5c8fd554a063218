"""Whether what anchors kept is still what the log says. Read `verify_anchors`."""

from collections.abc import Iterator
from dataclasses import dataclass

from audit.anchoring import rows
from audit.anchoring.files import folder_of, list_sizes, name_of, read_head
from audit.domain.errors import LedgerCorruptError, NoteInvalidError, NoteUnverifiedError
from audit.domain.notes import VerifierKey
from audit.outward import conf
from audit.outward.rows import find_end
from audit.outward.targets import FileAnchor
from audit.stored_hashes import make_tree

_PAGE = 1_000  # receipts read at once


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorTally:
    """How many of an anchor's tree heads hold."""

    anchor: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorsVerified:
    """What was compared, and the first thing that does not hold, in words; `None` if all does."""

    tallies: tuple[AnchorTally, ...]
    fault: str | None


@dataclass(slots=True, kw_only=True)
class _Log:
    """The log as it is now: roots of earlier sizes are computed from its stored hashes."""

    size: int

    def find_fault(self, *, size: int, root: bytes, where: str) -> str | None:
        """Say what is wrong with a tree head that somebody kept."""
        if size > self.size:
            return f"{where} is of {size} entries; the log has {self.size}."
        try:
            found = make_tree(size=size).root()
        except LedgerCorruptError as error:
            return f"{where}: the log cannot be compared: {error.message}"
        if found != root:
            return (
                f"{where} is a fork: its tree of {size} entries has the root {root.hex()}, the "
                f"log's has {found.hex()}."
            )
        return None


def verify_anchors() -> AnchorsVerified:
    """Compare each kept note of each folder, and each receipt, with the log; smallest size first.

    A note that is cut short, not signed by a key of ours, or gone although it was taken, is a
    fault as well.
    """
    size, _ = find_end()
    log, origin = _Log(size=size), conf.origin()
    tallies: list[AnchorTally] = []
    for anchor in conf.anchors():
        count = 0
        items = _list_receipts(origin, anchor.name)
        if isinstance(anchor, FileAnchor):
            items = _list_notes(anchor, origin=origin)
        for size, root, where, fault in items:
            wrong = fault or log.find_fault(size=size, root=root, where=where)
            if wrong is not None:
                return AnchorsVerified(tallies=tuple(tallies), fault=wrong)
            count += 1
        tallies.append(AnchorTally(anchor=anchor.name, count=count))
    return AnchorsVerified(tallies=tuple(tallies), fault=None)


def _list_receipts(origin: str, anchor: str) -> Iterator[tuple[int, bytes, str, str | None]]:
    """Yield what we wrote down ourselves of an anchor's answers."""
    after = -1
    while page := rows.list_receipts_of(anchor=anchor, origin=origin, tree_size=after, limit=_PAGE):
        for row in page:
            where = f"The tree head that {anchor} took at {row.at:%Y-%m-%d %H:%M:%S} UTC"
            yield row.tree_size, row.root, where, None
        after = page[-1].tree_size


def _list_notes(anchor: FileAnchor, *, origin: str) -> Iterator[tuple[int, bytes, str, str | None]]:
    """Yield what a folder has, and where a note is missing that it took."""
    keys = tuple(VerifierKey.parse(line) for line in rows.list_verifiers())
    folder = folder_of(anchor, origin=origin)
    kept = set(list_sizes(folder))
    taken = {size: root for size, root, _, _ in _list_receipts(origin, anchor.name)}
    for size in sorted(kept | set(taken)):
        path = folder / name_of(size)
        if size not in kept:
            yield size, taken[size], str(path), f"{path} is gone, although it was written."
            continue
        try:
            head = read_head(path, keys=keys)
        except (NoteInvalidError, NoteUnverifiedError, OSError) as error:
            yield size, b"", str(path), f"{path} does not hold: {error}"
            continue
        if head.origin != origin:
            yield size, head.root, str(path), f"{path} is of the log {head.origin}."
            continue
        yield size, head.root, str(path), None
