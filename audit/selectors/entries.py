"""The ledger as its readers may see it. Read `list_entries` first.

Whoever holds `view_audit` everywhere sees every entry; whoever holds it in a project or on a
workflow sees the entries of that scope. Nobody else sees any, not even their own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q

from audit.domain.entry import EntryView, read_entry
from audit.domain.errors import EntryMissingError
from audit.models import Entry, Payload
from audit.narrowing import EntryFilters as EntryFilters  # noqa: PLC0414  # for readers of lists
from audit.narrowing import narrow, visible_to
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.selectors.access import list_scopes
from core.kernel.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """An entry of the ledger: its place, its hash (hex), and what its hashed bytes say."""

    id: int
    leaf_hex: str
    view: EntryView


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntryDetail:
    """An entry with its canonical bytes as text, and the values it commits to, opened.

    `salts` (hex) open the commitments; `erased` are the names of values that were redacted.
    """

    entry: LedgerEntry
    body: str
    payloads: Mapping[str, Json]
    salts: Mapping[str, str]
    erased: tuple[str, ...]


def list_entries(
    *, principal: Principal, filters: EntryFilters, after: int | None = None, limit: int
) -> list[LedgerEntry]:
    """Return entries, newest first, after a cursor; at most 10 queries, none of payloads.

    Of them 3 are for who asks and 1 for the entries; names and instants are looked up in 1 each.

    Raises:
        StreamNameError: if the filter's stream is neither an id nor a name.
        LeafInvalidError: if the filter's leaf is not the beginning of a hash.
    """
    rows = narrow(Entry.objects.filter(make_visible(principal)), filters).order_by("-pk")
    if after is not None:
        rows = rows.filter(pk__lt=after)
    return [view_entry(row) for row in rows[:limit]]


def get_entry(*, principal: Principal, entry_id: int) -> LedgerEntryDetail:
    """Return one entry with what it commits to; at most 5 queries. Raises: EntryMissingError."""
    row = Entry.objects.filter(make_visible(principal), pk=entry_id).first()
    if row is None:
        raise EntryMissingError(entry=entry_id)
    return view_detail(row=row, payloads=list_payloads(entry_id=entry_id))


def list_payloads(*, entry_id: int) -> list[Payload]:
    """Return an entry's payloads by name, erased ones too; 1 query.

    For whoever has been asked whether the reader may see the entry.
    """
    return list(Payload.objects.filter(entry_id=entry_id).order_by("name"))


def view_detail(*, row: Entry, payloads: Sequence[Payload]) -> LedgerEntryDetail:
    """Return a row with what it commits to, as its readers see it."""
    opened = [item for item in payloads if item.value is not None and item.salt is not None]
    return LedgerEntryDetail(
        entry=view_entry(row),
        body=bytes(row.body).decode(),
        payloads={item.name: json.loads(bytes(item.value)) for item in opened if item.value},
        salts={item.name: bytes(item.salt).hex() for item in opened if item.salt},
        erased=tuple(item.name for item in payloads if item.value is None),
    )


def make_visible(principal: Principal) -> Q:
    """Return the condition that somebody may see an entry; at most 3 queries."""
    return visible_to(list_scopes(principal=principal, permission=Permission.VIEW_AUDIT))


def view_entry(row: Entry) -> LedgerEntry:
    """Return a row as its readers see it."""
    return LedgerEntry(id=row.pk, leaf_hex=bytes(row.leaf).hex(), view=read_entry(bytes(row.body)))
