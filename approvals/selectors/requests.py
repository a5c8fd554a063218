"""Requests as readers see them. Read `list_requests` first, then `get_request`."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from approvals import store
from approvals.domain.authority import PERMISSIONS
from approvals.domain.errors import RequestMissingError
from approvals.domain.exclusion import excluded_by_expression
from approvals.domain.rule import rule_from_json
from approvals.models import Exclusion, Request, RequestStatus, StageStatus, Vote
from approvals.selectors.approvers import list_accounts
from approvals.selectors.views import (
    RequestDetail,
    RequestSummary,
    make_detail,
    make_summary,
    map_open_stages,
)
from core.identity.authorize import authorize
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.selectors.access import ScopeSet, list_audience_keys, list_scopes
from core.kernel.record import ActorKind
from engine.loading import EVALUATOR

COUNT_MAX = 100  # a badge says "100+" beyond
_BATCH_FACTOR = 4  # requests looked at for each one a page of the inbox may show


class View(StrEnum):
    """Which requests a list holds."""

    MINE = "mine"  # open, and this principal can decide them now
    ALL = "all"  # every one the principal may see
    DECIDED = "decided"  # closed ones the principal may see


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFilters:
    """What a list of requests may be narrowed to; `None` means any."""

    project_slug: str | None = None
    workflow_slug: str | None = None
    run_id: UUID | None = None
    status: str | None = None
    kind: str | None = None
    risk: str | None = None
    requester: str | None = None


def list_requests(
    *,
    principal: Principal,
    view: View,
    filters: RequestFilters | None = None,
    after: UUID | None = None,
    limit: int,
) -> list[RequestSummary]:
    """Return requests, newest first, after a cursor; at most 14 queries a page.

    `View.MINE` needs more only where a rule keeps the caller out of many requests in a row.
    """
    filters = filters or RequestFilters()
    if view is View.MINE:
        rows = _list_mine(principal=principal, filters=filters, after=after, limit=limit)
    else:
        rows = _list_seen(principal=principal, view=view, filters=filters, after=after, limit=limit)
    stages = map_open_stages([row.pk for row in rows])
    return [make_summary(row, stages.get(row.pk)) for row in rows]


def count_mine(*, principal: Principal) -> int:
    """Return how many requests wait for the caller, at most `COUNT_MAX` + 1."""
    rows = _list_mine(
        principal=principal, filters=RequestFilters(), after=None, limit=COUNT_MAX + 1
    )
    return len(rows)


def get_request(*, principal: Principal, request_id: UUID) -> RequestDetail:
    """Return one request; 7 queries. Raises: RequestMissingError."""
    return make_detail(get_visible_row(principal=principal, request_id=request_id))


def get_visible_row(*, principal: Principal, request_id: UUID) -> Request:
    """Return a request's row if the caller may see it. Raises: RequestMissingError."""
    row = Request.objects.select_related("requester").filter(pk=request_id).first()
    visible = row is not None and (
        authorize(
            principal=principal, permission=Permission.VIEW_REQUEST, scope_id=row.scope_id
        ).allowed
    )
    if row is None or not visible:
        raise RequestMissingError(request=str(request_id))
    return row


def _list_seen(
    *,
    principal: Principal,
    view: View,
    filters: RequestFilters,
    after: UUID | None,
    limit: int,
) -> list[Request]:
    """Return what a principal may see."""
    scopes = list_scopes(principal=principal, permission=Permission.VIEW_REQUEST)
    query = make_rows().filter(make_covered(scopes), make_conditions(filters)).order_by("-pk")
    if view is View.DECIDED:
        query = query.filter(status=RequestStatus.CLOSED)
    return list((query if after is None else query.filter(pk__lt=after))[:limit])


def _list_mine(
    *, principal: Principal, filters: RequestFilters, after: UUID | None, limit: int
) -> list[Request]:
    """Return what a principal may decide now.

    It starts from the audience's index, in batches, so that its cost follows what may concern the
    caller and never how many requests there are. A page is full although expressions, which no
    index knows, may keep the caller out of some.
    """
    if principal.kind is not ActorKind.PERSON:
        return []
    keys = list_audience_keys(principal=principal)
    decidable = make_decidable(principal).filter(make_conditions(filters)).order_by("-pk")
    batch_size = limit * _BATCH_FACTOR
    found: list[Request] = []
    while len(found) < limit:
        ids = store.list_asked(keys=keys, before=after, limit=batch_size)
        rows = list(decidable.filter(pk__in=ids)[:limit]) if ids else []
        found += list_without_excluded(principal=principal, rows=rows)
        if len(rows) == limit:
            after = rows[-1].pk
        elif len(ids) == batch_size:
            after = ids[-1]
        else:
            break
    return found[:limit]


def make_rows() -> QuerySet[Request]:
    """Return requests without what is large and no list shows."""
    return Request.objects.select_related("requester").defer(
        "subject", "variables", "notes", "form_schema", "form_values"
    )


def make_decidable(principal: Principal) -> QuerySet[Request]:
    """Return the open requests in a principal's scopes whose round does not keep the person out.

    At most 6 queries to find the scopes: approvals and questions take different permissions.
    """
    entitled = Q()
    for asks, permission in PERMISSIONS.items():
        scopes = list_scopes(principal=principal, permission=permission)
        entitled |= store.make_asking(asks) & make_covered(scopes)
    own = {"request": OuterRef("pk"), "round": OuterRef("round"), "person": principal.person_id}
    voted = Vote.objects.filter(**own, stage__status=StageStatus.OPEN)
    return (
        make_rows()
        .filter(entitled, status=RequestStatus.OPEN)
        .filter(Q(expires_at__isnull=True) | Q(expires_at__gt=Now()))
        .exclude(Exists(Exclusion.objects.filter(**own)))
        .exclude(Exists(voted))
    )


def list_without_excluded(*, principal: Principal, rows: Sequence[Request]) -> list[Request]:
    """Drop the requests whose expressions exclude the caller; 2 queries if any has expressions."""
    rules = {row.pk: rule_from_json(row.rule) for row in rows}
    strict = [pk for pk, rule in rules.items() if rule.exclusions.expressions]
    if not strict:
        return list(rows)
    accounts = list_accounts(person_ids=[principal.person_id])
    excluded = {
        pk
        for pk, variables, subject in Request.objects.filter(pk__in=strict).values_list(
            "pk", "variables", "subject"
        )
        if excluded_by_expression(
            rules[pk].exclusions,
            accounts=accounts,
            variables={**variables, "subject": subject},
            evaluator=EVALUATOR,
        )
    }
    return [row for row in rows if row.pk not in excluded]


def make_covered(scopes: ScopeSet) -> Q:
    """Return the condition that a request is in one of the scopes."""
    if scopes.everything:
        return Q()
    covered = list(scopes.scope_ids)
    return Q(scope_id__in=covered) | Q(project_scope_id__in=covered)


def make_conditions(filters: RequestFilters) -> Q:
    """Return the filters as a condition."""
    names = {
        "project_slug": filters.project_slug,
        "workflow_slug": filters.workflow_slug,
        "run_id": filters.run_id,
        "status": filters.status,
        "kind": filters.kind,
        "risk": filters.risk,
        "requester__username": filters.requester,
    }
    return Q(**{name: value for name, value in names.items() if value is not None})
