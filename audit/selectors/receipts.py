"""Receipts: an entry, its proof, and what it commits to. Read `get_receipt` first."""

from collections.abc import Collection
from uuid import UUID

from audit.anchoring.cosigning import add_cosignatures
from audit.domain.errors import EntryMissingError
from audit.domain.receipts import Opening, write_receipt
from audit.models import Entry, Payload
from audit.selectors.proofs import Inclusion, prove_inclusion, prove_leaf
from core.identity.domain.principal import Principal


def get_receipt(*, principal: Principal, entry_id: int) -> bytes:
    """Return the receipt of an entry with all that it commits to; at most 8 queries.

    Raises:
        EntryMissingError: if there is no such entry, or it may not be seen.
        EntryNotSealedError: if it waits for the sealer.
        LedgerCorruptError: if what is stored proves nothing.
    """
    return _write(prove_inclusion(principal=principal, entry_id=entry_id), names=None)


def make_receipt(*, stream: UUID, seq: int, leaf: bytes, names: Collection[str]) -> bytes:
    """Return the receipt of an entry that the caller may see; 5 queries.

    For packages above, which know who may see what of their entries and have asked.

    Args:
        stream: whose entry.
        seq: its place in the stream.
        leaf: its hash, as the caller has it: a receipt is for what was decided.
        names: of the payloads that the reader may see; others stay closed.

    Raises:
        EntryMissingError: if there is no such entry, or it has another hash.
        EntryNotSealedError: if it waits for the sealer.
        LedgerCorruptError: if what is stored proves nothing.
    """
    row = (
        Entry.objects.filter(stream=stream, seq=seq, leaf=leaf)
        .values_list("pk", "sealed__leaf_index", "body")
        .first()
    )
    if row is None:
        raise EntryMissingError(stream=str(stream), seq=seq)
    entry_id, index, body = row
    found = prove_leaf(entry_id=entry_id, index=index, leaf=leaf, body=bytes(body))
    return _write(found, names=names)


def list_sealed(*, stream: UUID, seqs: Collection[int]) -> frozenset[int]:
    """Return which of a stream's entries are sealed, so that there are receipts for them; 1 query.

    Whoever calls has asked whether the reader may see them.
    """
    if not seqs:
        return frozenset()
    rows = Entry.objects.filter(stream=stream, seq__in=list(seqs), sealed__isnull=False)
    return frozenset(rows.values_list("seq", flat=True))


def _write(found: Inclusion, *, names: Collection[str] | None) -> bytes:
    rows = Payload.objects.filter(entry_id=found.entry_id)
    if names is not None:
        rows = rows.filter(name__in=list(names))
    return write_receipt(
        body=found.body,
        index=found.index,
        path=found.path,
        note=add_cosignatures(
            found.note, origin=found.note.partition("\n")[0], tree_size=found.size
        ),
        openings=[
            Opening(name=name, salt=bytes(salt), value=bytes(value))
            for name, salt, value in rows.values_list("name", "salt", "value")
            if salt is not None and value is not None  # else it was erased
        ],
    )
