"""One batch of sealing. Read `seal_batch` first.

A batch is one transaction: lock, look, take, sign, store. What happens if the process dies:

* before the commit: nothing happened. The signature was in this process's memory only, nobody
  outside ever saw it, and the next batch may sign something else of that size.
* while the commit is under way: the server decides whether it stands. The next batch reads the
  newest head from the database and builds on whatever that is.
* after the commit, before `last-signed`: the file is one batch behind. The next batch finds the
  database ahead of the file, sees that the file's tree is one of the database's, and brings the
  file up first. Only a database that is set back to just the file's size before any sealer starts
  again would not be noticed by the file; anchors, which read committed heads, notice that.
* after `last-signed`: the batch is done.

The file is never ahead of the database, because it is written after the commit, and whoever
compares the two holds the lock and reads the database after it got it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from django.db import IntegrityError, transaction

from audit.domain.checkpoints import Checkpoint
from audit.domain.errors import (
    LedgerCorruptError,
    ProofInvalidError,
    SealRefusal,
    SealRefusedError,
)
from audit.domain.merkle import Frontier, Range
from audit.sealing import rows
from audit.sealing.guarding import Ground, KnownHead, check
from audit.sealing.keys import KeyFolder, sign_checkpoint
from audit.sealing.rows import StoredHead
from audit.stored_hashes import make_tree
from core.kernel.limits import SEAL_ENTRY_COUNT_MAX
from core.toolkit.db import read_database_clock

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What a batch did: how many entries it gave a place, and how large the tree is now.

    `was_locked` says that another sealer was at work, and nothing was looked at.
    """

    count: int = 0
    size: int = 0
    was_locked: bool = False

    @property
    def has_more(self) -> bool:
        """Say whether the batch was full, so that the next should come at once."""
        return self.count == SEAL_ENTRY_COUNT_MAX


def seal_batch(*, folder: KeyFolder, origin: str, known: Iterable[KnownHead] = ()) -> Sealed:
    """Give entries that wait their places in the tree, and sign it.

    Any number of processes may do this; one of them does at a time. Entries come in the order of
    their ids, which within a stream is the order of the stream; what commits later comes later.

    Args:
        folder: of the private keys; all of this log sign.
        origin: the log's name.
        known: heads that somebody outside remembers, to be compared with.

    Raises:
        SealRefusedError: if something contradicts what was signed; nothing is changed then.

    Transaction: opens one, and writes `last-signed` after it.
    """
    with _naming_damage(), transaction.atomic(durable=True):
        isolation = rows.try_lock()
        if isolation is None:
            return Sealed(was_locked=True)
        if isolation != "read committed":
            # A snapshot from before the lock would not show what the sealer before has committed.
            raise SealRefusedError(
                f"Sealing needs READ COMMITTED, not {isolation}.", reason=SealRefusal.ISOLATION
            )
        ground = check(folder=folder, origin=origin, known=known)
        head, count = _extend(ground, origin=origin)
    if head is not None and (head.size, origin) != (ground.last.size, ground.last.origin):
        folder.write_last_signed(head.note)
    return Sealed(count=count, size=0 if head is None else head.size)


def _extend(ground: Ground, *, origin: str) -> tuple[StoredHead | None, int]:
    """Put a batch into the tree; return the newest head and the number of entries."""
    entry_ids, leaves = rows.take_batch()
    if not entry_ids:
        return (ground.head if _is_ours(ground, origin=origin) else None), 0
    frontier = _load_frontier(ground)
    nodes: list[tuple[int, int, bytes]] = []
    for entry_id, leaf in zip(entry_ids, leaves, strict=True):
        if leaf is None:
            raise SealRefusedError(
                f"Entry {entry_id} waits to be sealed and is not there.",
                reason=SealRefusal.TREE_DAMAGED,
            )
        nodes += frontier.append(leaf)
    root = frontier.root()
    checkpoint = Checkpoint(origin=origin, size=frontier.size, root=root)
    head = StoredHead(
        size=frontier.size,
        root=root,
        note=sign_checkpoint(checkpoint, keys=ground.keys),
        at=read_database_clock(),
    )
    rows.add_leaves(first=ground.size, entry_ids=entry_ids)
    rows.add_nodes(nodes)
    rows.add_head(head)
    rows.leave_queue(entry_ids=entry_ids)
    return head, len(entry_ids)


@contextmanager
def _naming_damage() -> Iterator[None]:
    """Turn what the database says to an impossible tree into a refusal."""
    try:
        yield
    except (IntegrityError, LedgerCorruptError, ProofInvalidError) as error:
        raise SealRefusedError(
            f"The stored tree cannot be continued: {str(error).strip()}",
            reason=SealRefusal.TREE_DAMAGED,
        ) from error


def _is_ours(ground: Ground, *, origin: str) -> bool:
    """Say whether the newest head is of this log, not of one that ended with a restore."""
    return ground.head is not None and ground.head.note.startswith(f"{origin}\n")


def _load_frontier(ground: Ground) -> Frontier:
    """Return the right edge of the stored tree, having checked that it leads to the signed root."""
    tree = make_tree(size=ground.size, ranges=list(_edge_ranges(ground.size)))
    frontier = Frontier(tree)
    if frontier.root() != ground.root:
        raise SealRefusedError(
            f"The stored tree of {ground.size} entries does not lead to the root that was signed.",
            reason=SealRefusal.TREE_DAMAGED,
        )
    return frontier


def _edge_ranges(size: int) -> Iterator[Range]:
    """Yield the complete subtrees a tree of that size ends in, the largest first."""
    start = 0
    for height in range(size.bit_length() - 1, -1, -1):
        if size >> height & 1:
            yield start, start + (1 << height)
            start += 1 << height
