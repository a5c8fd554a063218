"""What the page of one entry shows. Read `get_entry_page`."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from audit.domain.errors import EntryMissingError, EntryNotSealedError, LedgerCorruptError
from audit.models import Entry, Key, Leaf
from audit.narrowing import visible_to
from audit.selectors.entries import LedgerEntryDetail, list_payloads, view_detail
from audit.selectors.naming import Names, find_names
from audit.selectors.proofs import Inclusion, prove_leaf
from audit.selectors.reading import find_readable_scopes
from core.identity.domain.principal import Principal
from core.kernel.clock import SYSTEM_CLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbor:
    """The entry before or after one in its stream."""

    id: int
    kind: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPage:
    """An entry with its place: in its stream, and in the tree.

    `before` and `after` are `None` at the stream's ends, and where the reader may not see them.
    `values` are the payloads' bytes as they were committed to, as text, by name. `leaf_index` is
    `None` while the entry waits for the sealer, and so is `proof`; `broken` says, instead of a
    proof, that what is stored does not lead to what was signed. `keys` are those that ever signed.
    """

    detail: LedgerEntryDetail
    names: Names
    values: dict[str, str]
    before: Neighbor | None
    after: Neighbor | None
    leaf_index: int | None
    proof: Inclusion | None
    broken: str
    keys: tuple[str, ...]
    now: datetime


def get_entry_page(*, principal: Principal, entry_id: int) -> EntryPage:
    """Return one entry; at most 20 queries. Raises: EntryMissingError."""
    scopes = find_readable_scopes(principal=principal)
    rows = Entry.objects.none() if scopes is None else Entry.objects.filter(visible_to(scopes))
    row = rows.filter(pk=entry_id).first()
    if row is None:
        raise EntryMissingError(entry=entry_id)
    payloads = list_payloads(entry_id=entry_id)
    detail = view_detail(row=row, payloads=payloads)
    view = detail.entry.view
    before, after = _find_neighbors(rows, detail)
    leaves = Leaf.objects.filter(entry_id=entry_id).values_list("leaf_index", flat=True)
    index = leaves.first()
    proof, broken = _prove(detail, index=index)
    return EntryPage(
        detail=detail,
        names=find_names(views=[view]),
        values={item.name: bytes(item.value).decode() for item in payloads if item.value},
        before=before,
        after=after,
        leaf_index=index,
        proof=proof,
        broken=broken,
        keys=tuple(Key.objects.order_by("-added_at").values_list("vkey", flat=True)),
        now=SYSTEM_CLOCK.now(),
    )


def _prove(detail: LedgerEntryDetail, *, index: int | None) -> tuple[Inclusion | None, str]:
    """Return the proof for the newest tree head, or why there is none where there must be one."""
    entry = detail.entry
    try:
        proof = prove_leaf(
            entry_id=entry.id,
            index=index,
            leaf=bytes.fromhex(entry.leaf_hex),
            body=detail.body.encode(),
        )
    except EntryNotSealedError:
        return None, ""
    except LedgerCorruptError as error:
        return None, error.message
    return proof, ""


def _find_neighbors(
    rows: QuerySet[Entry], detail: LedgerEntryDetail
) -> tuple[Neighbor | None, Neighbor | None]:
    view = detail.entry.view
    places = (view.seq - 1, view.seq + 1)
    beside = rows.filter(stream=view.stream, seq__in=places).values_list("pk", "kind", "seq")
    found = {seq: Neighbor(id=key, kind=kind, seq=seq) for key, kind, seq in beside}
    return found.get(places[0]), found.get(places[1])
