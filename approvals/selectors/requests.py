"""Requests as readers see them. Read `list_requests` first, then `get_request`."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from approvals.domain.errors import RequestMissingError
from approvals.domain.exclusion import excluded_by_expression
from approvals.domain.rule import rule_from_json
from approvals.models import Audience, Exclusion, Request, RequestStatus, StageStatus, Vote
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
    """Return requests, newest first, after a cursor; at most 9 queries a page.

    `View.MINE` needs more only when expressions keep the caller out of many in a row.
    """
    rows = _list_rows(
        principal=principal,
        view=view,
        filters=filters or RequestFilters(),
        after=after,
        limit=limit,
    )
    stages = map_open_stages([row.pk for row in rows])
    return [make_summary(row, stages.get(row.pk)) for row in rows]


def count_mine(*, principal: Principal) -> int:
    """Return how many requests wait for the caller, at most `COUNT_MAX` + 1."""
    return len(
        _list_rows(
            principal=principal,
            view=View.MINE,
            filters=RequestFilters(),
            after=None,
            limit=COUNT_MAX + 1,
        )
    )


def get_request(*, principal: Principal, request_id: UUID) -> RequestDetail:
    """Return one request; 6 queries. Raises: RequestMissingError."""
    return make_detail(find_visible(principal=principal, request_id=request_id))


def find_visible(*, principal: Principal, request_id: UUID) -> Request:
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


def _list_rows(
    *,
    principal: Principal,
    view: View,
    filters: RequestFilters,
    after: UUID | None,
    limit: int,
) -> list[Request]:
    if view is View.MINE:
        query = _decidable(principal)
    else:
        scopes = list_scopes(principal=principal, permission=Permission.VIEW_REQUEST)
        query = Request.objects.filter(_covered(scopes))
        if view is View.DECIDED:
            query = query.filter(status=RequestStatus.CLOSED)
    query = query.select_related("requester").filter(_conditions(filters)).order_by("-pk")
    if view is not View.MINE:
        return list(_after(query, after)[:limit])
    return _fill(principal, query, after=after, limit=limit)


def _fill(
    principal: Principal, query: QuerySet[Request], *, after: UUID | None, limit: int
) -> list[Request]:
    """Return a full page although expressions, which no index knows, may exclude the caller."""
    found: list[Request] = []
    while len(found) < limit:
        batch = list(_after(query, after)[:limit])
        found += _without_excluded(principal, batch)
        if len(batch) < limit:
            break
        after = batch[-1].pk
    return found[:limit]


def _after(query: QuerySet[Request], after: UUID | None) -> QuerySet[Request]:
    return query if after is None else query.filter(pk__lt=after)


def _decidable(principal: Principal) -> QuerySet[Request]:
    """Return the open requests a principal may decide now, as far as the database can tell."""
    if principal.kind is not ActorKind.PERSON:
        return Request.objects.none()
    keys = list_audience_keys(principal=principal)
    scopes = list_scopes(principal=principal, permission=Permission.DECIDE_REQUEST)
    asked = Audience.objects.filter(is_open=True, key__in=keys).values("request_id")
    own = {"request": OuterRef("pk"), "round": OuterRef("round"), "person": principal.person_id}
    voted = Vote.objects.filter(**own, stage__status=StageStatus.OPEN)
    return (
        Request.objects.filter(_covered(scopes), status=RequestStatus.OPEN, pk__in=asked)
        .filter(Q(expires_at__isnull=True) | Q(expires_at__gt=Now()))
        .exclude(Exists(Exclusion.objects.filter(**own)))
        .exclude(Exists(voted))
    )


def _without_excluded(principal: Principal, rows: Sequence[Request]) -> list[Request]:
    """Drop the requests whose expressions exclude the caller; 1 query if any has expressions."""
    rules = {row.pk: rule_from_json(row.rule) for row in rows}
    if not any(rule.exclusions.expressions for rule in rules.values()):
        return list(rows)
    accounts = list_accounts(person_ids=[principal.person_id])
    return [
        row
        for row in rows
        if not excluded_by_expression(
            rules[row.pk].exclusions,
            accounts=accounts,
            variables={**row.variables, "subject": row.subject},
            evaluator=EVALUATOR,
        )
    ]


def _covered(scopes: ScopeSet) -> Q:
    if scopes.everything:
        return Q()
    covered = list(scopes.scope_ids)
    return Q(scope_id__in=covered) | Q(project_scope_id__in=covered)


def _conditions(filters: RequestFilters) -> Q:
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
