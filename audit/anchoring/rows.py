"""Raw SQL of anchoring: what is to be anchored, and what anchors answered. Read `read_standing`.

The only writer of `audit_anchor_receipt`.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from audit.outward.rows import Cursor
from core.toolkit.db import fetch_rows

# The newest head and how far the anchor is in the log of that name, of one snapshot.
_STANDING = """
SELECT h.tree_size, h.root, h.note, split_part(h.note, E'\\n', 1),
  c.position, c.mark, c.generation, c.state, c.attempt_count, c.next_at <= clock_timestamp()
FROM (SELECT tree_size, root, note FROM audit_tree_head ORDER BY tree_size DESC LIMIT 1) h
LEFT JOIN audit_outward_cursor c
  ON c.role = 'anchor' AND c.name = %s::text AND c.origin = split_part(h.note, E'\\n', 1)"""

# Ends at the first entry that is about something else, which is nearly always the first.
_HAS_NEWS = """
SELECT EXISTS (
  SELECT 1 FROM audit_leaf l JOIN audit_entry e ON e.id = l.entry_id
  WHERE l.leaf_index >= %s::bigint AND l.leaf_index < %s::bigint
    AND e.kind <> ALL (%s::text[]))"""

_RECEIVE = """
INSERT INTO audit_anchor_receipt (anchor, kind, origin, tree_size, root, answer, at)
VALUES (%s::text, %s::text, %s::text, %s::bigint, %s::bytea, %s::text, clock_timestamp())
ON CONFLICT DO NOTHING"""

_RECEIPTS = """
SELECT anchor, kind, origin, tree_size, root, answer, at FROM audit_anchor_receipt
WHERE origin = %s::text AND tree_size = %s::bigint ORDER BY anchor"""

_RECEIPTS_OF = """
SELECT anchor, kind, origin, tree_size, root, answer, at FROM audit_anchor_receipt
WHERE anchor = %s::text AND origin = %s::text AND tree_size > %s::bigint
ORDER BY tree_size LIMIT %s::bigint"""

_DISPUTED = """
SELECT name, told_size, told_root FROM audit_outward_cursor
WHERE role = 'anchor' AND origin = %s::text AND state = 'disputed' AND told_size IS NOT NULL
ORDER BY name"""

_VERIFIERS = "SELECT vkey FROM audit_key ORDER BY added_at, key_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewestHead:
    """The newest signed tree head."""

    size: int
    root: bytes
    note: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorStanding:
    """The newest head, and an anchor's cursor in that log, if it has one."""

    head: NewestHead
    cursor: Cursor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """That an anchor took a tree head, and what it answered."""

    anchor: str
    kind: str
    origin: str
    tree_size: int
    root: bytes
    answer: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """The tree an anchor knows that is not ours; `root` is `None` if it only told the size."""

    anchor: str
    size: int
    root: bytes | None


def read_standing(*, name: str) -> AnchorStanding | None:
    """Return the newest head and an anchor's cursor; `None` if nothing is sealed. One query."""
    rows = fetch_rows(_STANDING, (name,))
    if not rows:
        return None
    size, root, note, origin, position, mark, generation, state, attempts, is_due = rows[0]
    head = NewestHead(size=size, root=bytes(root), note=note, origin=origin)
    if position is None:
        return AnchorStanding(head=head, cursor=None)
    cursor = Cursor(
        role="anchor",
        name=name,
        origin=origin,
        position=position,
        mark=None if mark is None else bytes(mark),
        generation=generation,
        state=state,
        attempt_count=attempts,
        is_due=is_due,
    )
    return AnchorStanding(head=head, cursor=cursor)


def has_news(*, start: int, end: int, ignored: tuple[str, ...]) -> bool:
    """Say whether there is an entry of another kind in the leaves [start, end). One query."""
    return bool(fetch_rows(_HAS_NEWS, (start, end, list(ignored)))[0][0])


def add_receipt(*, anchor: str, kind: str, head: NewestHead, answer: str) -> bool:
    """Keep what an anchor answered; `False` if it had taken this tree head before."""
    with connection.cursor() as cursor:
        cursor.execute(_RECEIVE, (anchor, kind, head.origin, head.size, head.root, answer))
        return bool(cursor.rowcount > 0)


def list_receipts(*, origin: str, tree_size: int) -> list[Receipt]:
    """Return what anchors answered to one tree head, by anchor."""
    return [_receipt(row) for row in fetch_rows(_RECEIPTS, (origin, tree_size))]


def list_receipts_of(*, anchor: str, origin: str, tree_size: int, limit: int) -> list[Receipt]:
    """Return what an anchor answered to the tree heads above a size, the smallest first."""
    return [_receipt(row) for row in fetch_rows(_RECEIPTS_OF, (anchor, origin, tree_size, limit))]


def list_disputes(*, origin: str) -> list[Dispute]:
    """Return what anchors know of a log that is not ours, by anchor."""
    return [
        Dispute(anchor=name, size=size, root=None if root is None else bytes(root))
        for name, size, root in fetch_rows(_DISPUTED, (origin,))
    ]


def list_verifiers() -> list[str]:
    """Return the lines of all keys that ever signed."""
    return [row[0] for row in fetch_rows(_VERIFIERS, ())]


def _receipt(row: tuple[object, ...]) -> Receipt:
    anchor, kind, origin, tree_size, root, answer, at = row
    assert isinstance(tree_size, int)
    assert isinstance(at, datetime)
    return Receipt(
        anchor=str(anchor),
        kind=str(kind),
        origin=str(origin),
        tree_size=tree_size,
        root=bytes(root),  # type: ignore[call-overload]  # a bytes-like object of the driver
        answer=str(answer),
        at=at,
    )
