"""What anchors know of a log, for the sealer to compare before it signs. Read `list_known`.

The database forgets with a restore what it anchored; folders do not, and a witness tells the keeper
as soon as that asks, which makes a dispute.
"""

from collections.abc import Iterator

import structlog

from audit.anchoring import rows
from audit.anchoring.files import folder_of, list_sizes, name_of, read_head
from audit.domain.errors import NoteInvalidError, NoteUnverifiedError
from audit.domain.notes import VerifierKey
from audit.outward import conf
from audit.outward.targets import FileAnchor
from audit.sealing.guarding import KnownHead

_log = structlog.get_logger(__name__)


def list_known(origin: str) -> Iterator[KnownHead]:
    """Yield the largest tree each folder has of a log, and what anchors dispute."""
    for dispute in rows.list_disputes(origin=origin):
        yield KnownHead(
            origin=origin,
            size=dispute.size,
            root=dispute.root,
            where=f"The anchor {dispute.anchor}",
        )
    keys = tuple(VerifierKey.parse(line) for line in rows.list_verifiers())
    for anchor in conf.anchors():
        if isinstance(anchor, FileAnchor):
            yield from _find_newest(anchor, origin=origin, keys=keys)


def _find_newest(
    anchor: FileAnchor, *, origin: str, keys: tuple[VerifierKey, ...]
) -> Iterator[KnownHead]:
    folder = folder_of(anchor, origin=origin)
    try:
        newest = max(list_sizes(folder), default=None)
        if newest is None:
            return
        head = read_head(folder / name_of(newest), keys=keys)
    except (OSError, NoteInvalidError, NoteUnverifiedError) as error:
        # It cannot be asked now; the keeper says so as well, and tries again.
        _log.warning("audit.anchor_unreadable", anchor=anchor.name, reason=str(error))
        return
    # The sealer passes over what is about another log.
    yield KnownHead(origin=head.origin, size=head.size, root=head.root, where=str(folder))
