"""What the inbox shows, most pressing first. Read `list_needing` first.

The API's lists are newest first and have cursors; a person's inbox is a work list, ordered by
deadline, and bounded: what does not fit is counted, never silently left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from approvals import store
from approvals.models import Audience, Request, RequestStatus, Vote
from approvals.selectors import requests
from approvals.selectors.requests import RequestFilters
from approvals.selectors.views import RequestSummary, make_summary, map_open_stages
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.selectors.access import list_audience_keys, list_scopes
from core.kernel import limits
from core.kernel.record import ActorKind


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxPage:
    """Requests in the order to deal with them. `has_more`: less pressing ones were left out."""

    requests: tuple[RequestSummary, ...]
    has_more: bool


def list_needing(*, principal: Principal, filters: RequestFilters | None = None) -> InboxPage:
    """Return the open requests the caller can decide now, soonest deadline first.

    Its cost follows what may concern the caller, never how many requests there are. At most
    `limits.INBOX_COUNT_MAX`. At most 14 queries, more only where expressions keep the caller out of
    many in a row.
    """
    if principal.kind is not ActorKind.PERSON:
        return InboxPage(requests=(), has_more=False)
    keys = list_audience_keys(principal=principal)
    ids = store.list_asked(keys=keys, before=None, limit=limits.INBOX_CANDIDATE_COUNT_MAX)
    query = requests.make_decidable(principal).filter(
        requests.make_conditions(filters or RequestFilters())
    )
    if len(ids) < limits.INBOX_CANDIDATE_COUNT_MAX:
        return _take_decidable(principal, query.filter(pk__in=ids))
    # So many concern the caller that walking along the deadlines finds enough of them soon.
    asked = Audience.objects.filter(request=OuterRef("pk"), is_open=True, key__in=keys)
    found = _take_decidable(principal, query.filter(Exists(asked), expires_at__isnull=False))
    return replace(found, has_more=True)


def list_following(*, principal: Principal, filters: RequestFilters | None = None) -> InboxPage:
    """Return the open requests that wait for somebody else and that the caller asked for or signed.

    Soonest deadline first, at most `limits.INBOX_COUNT_MAX`; at most 6 queries.
    """
    own = {"request": OuterRef("pk"), "round": OuterRef("round"), "person": principal.person_id}
    signed = Exists(Vote.objects.filter(**own))
    query = _seen(principal, filters).filter(
        Q(requester_person=principal.person_id) | signed, status=RequestStatus.OPEN
    )
    rows = list(_by_deadline(query)[: limits.INBOX_COUNT_MAX + 1])
    return _page(rows, has_more=len(rows) > limits.INBOX_COUNT_MAX)


def list_decided(*, principal: Principal, filters: RequestFilters | None = None) -> InboxPage:
    """Return the closed requests the caller may see, newest first; at most 6 queries."""
    query = _seen(principal, filters).filter(status=RequestStatus.CLOSED)
    rows = list(query.order_by("-closed_at", "-pk")[: limits.INBOX_COUNT_MAX + 1])
    return _page(rows, has_more=len(rows) > limits.INBOX_COUNT_MAX)


def _take_decidable(principal: Principal, query: QuerySet[Request]) -> InboxPage:
    """Return the most pressing requests of a query that no expression keeps the caller out of."""
    ordered = _by_deadline(query)
    wanted = limits.INBOX_COUNT_MAX + 1
    found: list[Request] = []
    for start in range(0, limits.INBOX_CANDIDATE_COUNT_MAX, wanted):
        rows = list(ordered[start : start + wanted])
        found += requests.list_without_excluded(principal=principal, rows=rows)
        if len(found) >= wanted or len(rows) < wanted:
            break
    return _page(found, has_more=len(found) > limits.INBOX_COUNT_MAX)


def _seen(principal: Principal, filters: RequestFilters | None) -> QuerySet[Request]:
    scopes = list_scopes(principal=principal, permission=Permission.VIEW_REQUEST)
    conditions = requests.make_conditions(filters or RequestFilters())
    return requests.make_rows().filter(requests.make_covered(scopes), conditions)


def _by_deadline(query: QuerySet[Request]) -> QuerySet[Request]:
    return query.order_by(F("expires_at").asc(nulls_last=True), "pk")


def _page(rows: Sequence[Request], *, has_more: bool) -> InboxPage:
    shown = list(rows)[: limits.INBOX_COUNT_MAX]
    stages = map_open_stages([row.pk for row in shown])
    found = tuple(make_summary(row, stages.get(row.pk)) for row in shown)
    return InboxPage(requests=found, has_more=has_more)
