"""Tree heads and proofs. Read `prove_inclusion` first.

Nothing goes out that was not checked: a proof that is made from stored hashes must lead to a root
that was signed. A guarded reader holds `view_audit`; heads and hashes say nothing about anybody, so
holding it anywhere is enough for them, while an entry must be one that the reader may see.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit import conf
from audit.domain.entry import leaf_hash
from audit.domain.errors import (
    EntryMissingError,
    EntryNotSealedError,
    HeadMissingError,
    LedgerCorruptError,
    LogMissingError,
    ProofInvalidError,
)
from audit.domain.merkle import (
    EMPTY_ROOT,
    Tree,
    check_consistency,
    check_inclusion,
    consistency_ranges,
    inclusion_ranges,
)
from audit.models import Entry, TreeHead
from audit.selectors.entries import make_visible
from audit.stored_hashes import make_tree
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.selectors.access import list_scopes
from core.toolkit.db import fetch_rows

# A proof is made in a few milliseconds, of which Django's own layers would take one for these.
_HEADS = "SELECT tree_size, root, note, at FROM audit_tree_head"
_LATEST = f"{_HEADS} ORDER BY tree_size DESC LIMIT 1"
_COVERING = f"{_HEADS} WHERE tree_size > %s::bigint ORDER BY tree_size LIMIT 1"
_OF_SIZE = f"{_HEADS} WHERE tree_size = %s::bigint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A signed statement about the first `size` leaves; `note` is the signed text."""

    size: int
    root: bytes
    note: str
    at: datetime

    @property
    def root_hex(self) -> str:
        """The root, 64 hex digits."""
        return self.root.hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """That an entry is leaf `index` of the tree of `size` leaves, which `note` is about."""

    entry_id: int
    leaf: bytes
    body: bytes
    index: int
    size: int
    path: tuple[bytes, ...]
    root: bytes
    note: str

    @property
    def leaf_hex(self) -> str:
        """The entry's hash, 64 hex digits."""
        return self.leaf.hex()

    @property
    def path_hex(self) -> list[str]:
        """The path, 64 hex digits each."""
        return [item.hex() for item in self.path]

    @property
    def root_hex(self) -> str:
        """The root, 64 hex digits."""
        return self.root.hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """That the tree of `second` leaves begins with the tree of `first` leaves."""

    first: int
    first_root: bytes
    second: int
    second_root: bytes
    path: tuple[bytes, ...]

    @property
    def first_root_hex(self) -> str:
        """The earlier root, 64 hex digits."""
        return self.first_root.hex()

    @property
    def second_root_hex(self) -> str:
        """The later root, 64 hex digits."""
        return self.second_root.hex()

    @property
    def path_hex(self) -> list[str]:
        """The path, 64 hex digits each."""
        return [item.hex() for item in self.path]


def latest_head() -> Head | None:
    """Return the newest tree head, if anything was sealed. One query."""
    return _head_of(fetch_rows(_LATEST, ()))


def head_covering(*, index: int) -> Head | None:
    """Return the oldest tree head that has a leaf, if one has. One query."""
    return _head_of(fetch_rows(_COVERING, (index,)))


def find_head(*, size: int) -> Head | None:
    """Return the tree head of exactly so many leaves, if it was signed. One query."""
    return _head_of(fetch_rows(_OF_SIZE, (size,)))


def tree(*, size: int) -> Tree:
    """Return the tree of the first leaves over what is stored; see `make_tree`."""
    return make_tree(size=size)


def list_heads(*, principal: Principal, after: int | None = None, limit: int) -> list[Head]:
    """Return tree heads, newest first, after a cursor; at most 4 queries.

    Raises:
        LogMissingError: if the caller may not read the log.
    """
    require_log(principal=principal)
    rows = TreeHead.objects.order_by("-tree_size")
    if after is not None:
        rows = rows.filter(tree_size__lt=after)
    return [
        Head(size=row.tree_size, root=bytes(row.root), note=row.note, at=row.at)
        for row in rows[:limit]
    ]


def can_read_log(*, principal: Principal | None) -> bool:
    """Return whether somebody may read tree heads and hashes: `view_audit` anywhere."""
    return not list_scopes(principal=principal, permission=Permission.VIEW_AUDIT).is_empty()


def can_read_everything(*, principal: Principal | None) -> bool:
    """Return whether somebody may read every entry: `view_audit` everywhere."""
    return list_scopes(principal=principal, permission=Permission.VIEW_AUDIT).everything


def require_log(*, principal: Principal | None) -> None:
    """Refuse whoever may not read tree heads and hashes. Raises: LogMissingError."""
    if not can_read_log(principal=principal):
        raise LogMissingError


def prove_inclusion(*, principal: Principal, entry_id: int, size: int | None = None) -> Inclusion:
    """Return the proof that an entry is in the log; at most 6 queries.

    Args:
        principal: who asks.
        entry_id: which entry.
        size: of the tree to prove it for, one that was signed; `None` for the newest.

    Raises:
        EntryMissingError: if there is none, or it may not be seen.
        EntryNotSealedError: if it waits for the sealer.
        HeadMissingError: if no tree head of that size was signed.
        ProofInvalidError: if that tree ended before the entry.
        LedgerCorruptError: if what is stored does not lead to the signed root.
    """
    row = (
        Entry.objects.filter(make_visible(principal), pk=entry_id)
        .values_list("sealed__leaf_index", "leaf", "body")
        .first()
    )
    if row is None:
        raise EntryMissingError(entry=entry_id)
    index, leaf, body = row
    return prove_leaf(entry_id=entry_id, index=index, leaf=bytes(leaf), body=bytes(body), size=size)


def prove_leaf(
    *, entry_id: int, index: int | None, leaf: bytes, body: bytes, size: int | None = None
) -> Inclusion:
    """Return the proof that an entry whose row was read is in the log; 2 queries.

    Whoever calls has asked whether the reader may see it. Errors as `prove_inclusion`.
    """
    head = latest_head() if size is None else find_head(size=size)
    if index is None or (size is None and (head is None or head.size <= index)):
        # One look of the sealer, and the second it may take.
        raise EntryNotSealedError(
            entry=entry_id, retry_after_seconds=conf.ledger_seal_seconds() + 1
        )
    if head is None:
        raise HeadMissingError(size=size)
    ranges = inclusion_ranges(index, size=head.size)
    path = make_tree(size=head.size, ranges=ranges).inclusion_path(index)
    _require_leaf(leaf, body, index=index)
    try:
        check_inclusion(leaf=leaf, index=index, size=head.size, path=path, root=head.root)
    except ProofInvalidError as error:
        raise _unsound(head.size) from error
    return Inclusion(
        entry_id=entry_id,
        leaf=leaf,
        body=body,
        index=index,
        size=head.size,
        path=tuple(path),
        root=head.root,
        note=head.note,
    )


def prove_consistency(*, first: int, second: int) -> Consistency:
    """Return the proof that one tree begins with an earlier one; at most 3 queries.

    Both sizes are any up to the newest tree head's, because witnesses and readers may have seen
    others' heads; where one was signed, its root is what the proof leads to.

    Raises:
        HeadMissingError: if nothing so large was signed.
        ProofInvalidError: if the first is larger than the second, or below 0.
        LedgerCorruptError: if what is stored does not lead to a signed root.
    """
    newest = latest_head()
    if newest is None or second > newest.size:
        raise HeadMissingError(size=second)
    ranges = consistency_ranges(first, size=second)
    stored = make_tree(size=second, ranges=[*ranges, *_whole(first), *_whole(second)])
    roots = {size: stored.subtree(0, size) if size else EMPTY_ROOT for size in (first, second)}
    path = stored.consistency_path(first)
    signed = dict(TreeHead.objects.filter(pk__in=[first, second]).values_list("pk", "root"))
    for size, root in signed.items():
        if bytes(root) != roots[size]:
            raise _unsound(size)
    try:
        check_consistency(
            first=first,
            first_root=roots[first],
            second=second,
            second_root=roots[second],
            path=path,
        )
    except ProofInvalidError as error:
        raise _unsound(second) from error
    return Consistency(
        first=first,
        first_root=roots[first],
        second=second,
        second_root=roots[second],
        path=tuple(path),
    )


def _whole(size: int) -> Sequence[tuple[int, int]]:
    return [(0, size)] if size else []


def _unsound(size: int) -> LedgerCorruptError:
    message = f"The stored hashes of the first {size} leaves do not lead to one signed root."
    return LedgerCorruptError(message, field="tree", size=size)


def _require_leaf(leaf: bytes, body: bytes, *, index: int) -> None:
    if leaf_hash(body) != leaf:
        raise LedgerCorruptError(
            "An entry's stored hash is not that of its bytes.",
            field="leaf",
            index=index,
            expected=leaf_hash(body).hex(),
            found=leaf.hex(),
        )


def _head_of(rows: Sequence[tuple[Any, ...]]) -> Head | None:
    for size, root, note, at in rows:
        return Head(size=size, root=bytes(root), note=note, at=at)
    return None
