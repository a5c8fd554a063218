"""The ledger as its readers may see it. Read `list_entries` first.

Whoever holds `view_audit` everywhere sees every entry; whoever holds it in a project or on a
workflow sees the entries of that scope. Nobody else sees any, not even their own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from audit.domain.entry import EntryView, read_entry, stream_id_of
from audit.domain.errors import EntryMissingError
from audit.models import Entry, Payload
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.models import Scope
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


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilters:
    """What a list of entries may be narrowed to; `None` means any.

    `stream` is a stream's id or its name, such as `run:<uuid>` or `access`. `since` and `until`
    (aware) bound when it happened; the period is half-open.
    """

    stream: str | None = None
    kind: str | None = None
    actor: str | None = None
    subject: str | None = None
    scope_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


def list_entries(
    *, principal: Principal, filters: EntryFilters, after: int | None = None, limit: int
) -> list[LedgerEntry]:
    """Return entries, newest first, after a cursor; at most 4 queries, none of payloads.

    Raises:
        StreamNameError: if the filter's stream is neither an id nor a name.
    """
    rows = Entry.objects.filter(make_visible(principal), _conditions(filters)).order_by("-pk")
    if after is not None:
        rows = rows.filter(pk__lt=after)
    return [_view(row) for row in rows[:limit]]


def get_entry(*, principal: Principal, entry_id: int) -> LedgerEntryDetail:
    """Return one entry with what it commits to; at most 5 queries. Raises: EntryMissingError."""
    row = Entry.objects.filter(make_visible(principal), pk=entry_id).first()
    if row is None:
        raise EntryMissingError(entry=entry_id)
    found = list(Payload.objects.filter(entry_id=entry_id).order_by("name"))
    opened = [item for item in found if item.value is not None and item.salt is not None]
    return LedgerEntryDetail(
        entry=_view(row),
        body=bytes(row.body).decode(),
        payloads={item.name: json.loads(bytes(item.value)) for item in opened if item.value},
        salts={item.name: bytes(item.salt).hex() for item in opened if item.salt},
        erased=tuple(item.name for item in found if item.value is None),
    )


def make_visible(principal: Principal) -> Q:
    """Return the condition that somebody may see an entry; at most 3 queries."""
    scopes = list_scopes(principal=principal, permission=Permission.VIEW_AUDIT)
    if scopes.everything:
        return Q()
    covered = list(scopes.scope_ids)
    inside = Scope.objects.filter(parent_id__in=covered).values("pk")
    return Q(scope__in=covered) | Q(scope__in=inside)


def _conditions(filters: EntryFilters) -> Q:
    named = {
        "stream": None if filters.stream is None else _read_stream(filters.stream),
        "kind": filters.kind,
        "actor": filters.actor,
        "subject": filters.subject,
        "scope": filters.scope_id,
        "at__gte": filters.since,
        "at__lt": filters.until,
    }
    return Q(**{name: value for name, value in named.items() if value is not None})


def _read_stream(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return stream_id_of(text)


def _view(row: Entry) -> LedgerEntry:
    return LedgerEntry(id=row.pk, leaf_hex=bytes(row.leaf).hex(), view=read_entry(bytes(row.body)))
