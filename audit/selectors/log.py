"""The log as its readers find it: its state, and its files. Read `get_log` first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from audit.anchoring.cosigning import add_cosignatures
from audit.domain.checkpoints import parse_checkpoint
from audit.domain.errors import (
    HeadMissingError,
    LedgerCorruptError,
    LogMissingError,
    NoteInvalidError,
)
from audit.domain.notes import parse_note
from audit.domain.tiles import Tile, entry_bundle
from audit.models import Key
from audit.selectors.anchors import Outward, list_anchors
from audit.selectors.proofs import Head, can_read_everything, latest_head, require_log
from audit.stored_hashes import read_hashes
from core.identity.domain.principal import Principal
from core.kernel import limits
from core.toolkit.db import fetch_rows

_PENDING = """
SELECT count(*), clock_timestamp() - (
    SELECT e.at FROM audit_entry e
    WHERE e.id = (SELECT p.entry_id FROM audit_pending p ORDER BY p.entry_id LIMIT 1))
FROM (SELECT FROM audit_pending LIMIT %s::bigint) AS waiting"""

_BODIES = """
SELECT e.body FROM (
    SELECT leaf_index, entry_id FROM audit_leaf
    WHERE leaf_index >= %s::bigint AND leaf_index < %s::bigint ORDER BY leaf_index LIMIT 256) l
JOIN audit_entry e ON e.id = l.entry_id ORDER BY l.leaf_index"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKey:
    """A public key that ever signed tree heads; `vkey` is its line."""

    key_id: str
    name: str
    vkey: str
    added_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LogView:
    """The log's state.

    `origin` is its name, "" before anything was sealed. `pending_count` entries wait for the sealer
    (counted up to `limits.PENDING_COUNT_SHOWN_MAX`), the oldest for `pending_age`.
    """

    origin: str
    head: Head | None
    pending_count: int
    pending_age: timedelta | None
    keys: tuple[LogKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchoredLog:
    """The log's state, and who keeps its tree heads: `None` for who may not read everything."""

    log: LogView
    anchors: tuple[Outward, ...] | None


def get_anchored_log(*, principal: Principal) -> AnchoredLog:
    """Return the log's state and how far its anchors are; at most 12 queries.

    Raises:
        LogMissingError: if the caller may not read the log.
    """
    found = get_log(principal=principal)
    sees_all = can_read_everything(principal=principal)
    return AnchoredLog(log=found, anchors=list_anchors() if sees_all else None)


def get_log(*, principal: Principal) -> LogView:
    """Return the log's state; at most 6 queries.

    Raises:
        LogMissingError: if the caller may not read the log.
    """
    require_log(principal=principal)
    head = latest_head()
    [(count, age)] = fetch_rows(_PENDING, (limits.PENDING_COUNT_SHOWN_MAX,))
    keys = Key.objects.order_by("added_at", "pk")
    return LogView(
        origin="" if head is None else _origin_of(head),
        head=head,
        pending_count=count,
        pending_age=age,
        keys=tuple(
            LogKey(key_id=key.pk, name=key.name, vkey=key.vkey, added_at=key.added_at)
            for key in keys
        ),
    )


def get_checkpoint(*, principal: Principal | None, is_public: bool) -> str:
    """Return the newest signed checkpoint, with its cosignatures; at most 5 queries.

    Args:
        principal: who asks, `None` for nobody.
        is_public: whether anybody may read it.

    Raises:
        LogMissingError: if the caller may not.
        HeadMissingError: if nothing was sealed yet.
    """
    _require(principal, is_public=is_public)
    head = latest_head()
    if head is None:
        raise HeadMissingError
    return add_cosignatures(head.note, origin=_origin_of(head), tree_size=head.size)


def get_tile(*, principal: Principal | None, is_public: bool, tile: Tile) -> bytes:
    """Return a tile or a bundle of entries, as far as the newest tree head goes.

    Bundles hold what the entries say, so they are for those who may read all of them, also where
    the log is public. At most 5 queries.

    Raises:
        LogMissingError: if the caller may not read it.
        HeadMissingError: if no signed tree has it.
        LedgerCorruptError: if something of it is missing.
    """
    _require(principal, is_public=is_public and tile.level is not None)
    head = latest_head()
    if head is None or not tile.is_covered(head.size):
        raise HeadMissingError("No signed tree has this tile.")
    if tile.level is not None:
        return b"".join(read_hashes(tile.level, tile.start, tile.width))
    return entry_bundle(_read_bodies(tile))


def _require(principal: Principal | None, *, is_public: bool) -> None:
    if not is_public and not can_read_everything(principal=principal):
        raise LogMissingError


def _read_bodies(tile: Tile) -> Sequence[bytes]:
    rows = fetch_rows(_BODIES, (tile.start, tile.start + tile.width))
    if len(rows) != tile.width:
        raise LedgerCorruptError(
            f"Of the leaves from {tile.start}, {tile.width - len(rows)} are missing.", field="leaf"
        )
    return [bytes(row[0]) for row in rows]


def _origin_of(head: Head) -> str:
    try:
        return parse_checkpoint(parse_note(head.note).text).origin
    except NoteInvalidError as error:
        message = f"The tree head of {head.size} leaves is no signed checkpoint."
        raise LedgerCorruptError(message, field="note", size=head.size) from error
