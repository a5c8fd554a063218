"""What the page of one entry shows. Read `get_entry_page`."""

from dataclasses import dataclass
from datetime import datetime

from audit.models import Entry, Leaf, Payload
from audit.narrowing import visible_to
from audit.selectors.entries import LedgerEntryDetail, get_entry
from audit.selectors.naming import Names, find_names
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
    `None` while the entry waits for the sealer.
    """

    detail: LedgerEntryDetail
    names: Names
    values: dict[str, str]
    before: Neighbor | None
    after: Neighbor | None
    leaf_index: int | None
    now: datetime


def get_entry_page(*, principal: Principal, entry_id: int) -> EntryPage:
    """Return one entry; at most 20 queries. Raises: EntryMissingError."""
    detail = get_entry(principal=principal, entry_id=entry_id)
    view = detail.entry.view
    before, after = _find_neighbors(principal, detail)
    rows = Payload.objects.filter(entry_id=entry_id, value__isnull=False).order_by("name")
    return EntryPage(
        detail=detail,
        names=find_names(views=[view]),
        values={row.name: bytes(row.value or b"").decode() for row in rows},
        before=before,
        after=after,
        leaf_index=Leaf.objects.filter(entry_id=entry_id)
        .values_list("leaf_index", flat=True)
        .first(),
        now=SYSTEM_CLOCK.now(),
    )


def _find_neighbors(
    principal: Principal, detail: LedgerEntryDetail
) -> tuple[Neighbor | None, Neighbor | None]:
    view = detail.entry.view
    scopes = find_readable_scopes(principal=principal)
    if scopes is None:
        return None, None
    rows = Entry.objects.filter(
        visible_to(scopes), stream=view.stream, seq__in=(view.seq - 1, view.seq + 1)
    ).values_list("pk", "kind", "seq")
    found = {seq: Neighbor(id=key, kind=kind, seq=seq) for key, kind, seq in rows}
    return found.get(view.seq - 1), found.get(view.seq + 1)
