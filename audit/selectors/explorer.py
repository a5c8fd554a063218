"""What the page of the ledger shows. Read `list_explorer_rows`."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from audit.domain.errors import LogMissingError
from audit.models import Entry, Leaf
from audit.narrowing import EntryFilters, narrow, visible_to
from audit.selectors.entries import LedgerEntry, view_entry
from audit.selectors.naming import Names, find_names
from audit.selectors.reading import find_readable_scopes
from core.identity.domain.principal import Principal
from core.identity.models import Project
from core.identity.selectors.access import ScopeSet
from core.kernel import limits
from core.kernel.clock import SYSTEM_CLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplorerPage:
    """Entries, newest first, with the names of what is in them.

    `sealed` are the ids of those that are leaves of the tree already; `projects` are the slugs of
    those whose entries the reader may see, `sees_everything` says that it is all of the ledger.
    """

    entries: tuple[LedgerEntry, ...]
    names: Names
    sealed: frozenset[int]
    projects: tuple[str, ...]
    sees_everything: bool
    now: datetime


def list_explorer_rows(
    *, principal: Principal, filters: EntryFilters, after: int | None, limit: int
) -> ExplorerPage:
    """Return a page of the ledger; at most 20 queries, however much there is.

    Raises:
        LogMissingError: if the principal may read none of it.
        StreamNameError, LeafInvalidError: as `narrow`.
    """
    scopes = find_readable_scopes(principal=principal)
    if scopes is None:
        raise LogMissingError
    rows = narrow(Entry.objects.filter(visible_to(scopes)), filters).order_by("-pk")
    if after is not None:
        rows = rows.filter(pk__lt=after)
    entries = tuple(view_entry(row) for row in rows[:limit])
    ids = [entry.id for entry in entries]
    sealed = Leaf.objects.filter(entry_id__in=ids).values_list("entry_id", flat=True)
    return ExplorerPage(
        entries=entries,
        names=find_names(views=[entry.view for entry in entries]),
        sealed=frozenset(sealed),
        projects=_list_projects(scopes),
        sees_everything=scopes.everything,
        now=SYSTEM_CLOCK.now(),
    )


def _list_projects(scopes: ScopeSet) -> tuple[str, ...]:
    covered: list[UUID] = list(scopes.scope_ids)
    condition = Q() if scopes.everything else Q(scope__in=covered) | Q(scope__children__in=covered)
    rows = Project.objects.filter(condition).order_by("slug").distinct()
    return tuple(rows.values_list("slug", flat=True)[: limits.EXPLORER_PROJECT_COUNT_MAX])
