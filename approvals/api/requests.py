"""Approval requests over HTTP. Read `RequestViewSet.decide` first."""

from typing import ClassVar
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from approvals.api import examples
from approvals.api.serializers import (
    DecisionInput,
    DecisionSerializer,
    ExplanationSerializer,
    RequestDetailSerializer,
    RequestQuery,
    RequestSerializer,
)
from approvals.selectors import explaining, receipts
from approvals.selectors import requests as selectors
from approvals.services.decide import decide
from audit.api.log import ReceiptSerializer, respond_with_receipt
from core.kernel.errors import Problem
from core.toolkit.api.errors import InputRefusedError
from core.toolkit.api.headers import read_idempotency_key, read_if_match
from core.toolkit.api.pagination import read_page_query, respond_with_page
from core.toolkit.api.schema import IDEMPOTENCY_KEY, IF_MATCH, operation
from core.toolkit.api.serializers import read_body, read_query
from core.toolkit.api.views import ApiViewSet, principal_of


class RequestViewSet(ApiViewSet):
    """Approval requests."""

    throttle_scopes: ClassVar[dict[str, str]] = {"decide": "decide"}

    @operation(
        operation_id="requests_list",
        summary="List approval requests",
        answer=RequestSerializer,
        query=RequestQuery,
        is_list=True,
    )
    def list(self, request: Request) -> Response:
        """Return requests, newest first: those the caller can decide now, unless told otherwise."""
        wanted = read_query(request, RequestQuery)
        view = selectors.View(wanted.pop("view"))
        page = read_page_query(request, list_name=f"requests:{view.value}")
        rows = selectors.list_requests(
            principal=principal_of(request),
            view=view,
            filters=selectors.RequestFilters(**wanted),
            after=page.after_uuid(),
            limit=page.fetch_count,
        )
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.id, shape=RequestSerializer
        )

    @operation(
        operation_id="requests_get",
        summary="Get an approval request",
        answer=RequestDetailSerializer,
        errors=(404,),
    )
    def retrieve(self, request: Request, request_id: UUID) -> Response:
        """Return one request: what is to be decided, by what rule, and what was decided so far.

        `digest`, also sent as the ETag, is what a decision must send back.
        """
        found = selectors.get_request(principal=principal_of(request), request_id=request_id)
        return Response(
            RequestDetailSerializer(found).data, headers={"ETag": f'"{found.digest_hex}"'}
        )

    @operation(
        operation_id="requests_why",
        summary="Explain who may decide a request",
        answer=ExplanationSerializer,
        errors=(404,),
    )
    def why(self, request: Request, request_id: UUID) -> Response:
        """Return whether the caller may decide now, rule by rule, and who else may."""
        found = explaining.explain(principal=principal_of(request), request_id=request_id)
        return Response(ExplanationSerializer(found).data)

    @operation(
        operation_id="votes_receipt_get",
        summary="Download the receipt of a decision",
        answer=ReceiptSerializer,
        errors=(404, 409),
    )
    def receipt(self, request: Request, request_id: UUID, vote_id: UUID) -> HttpResponse:
        """Return one decision as the ledger has it, with the proof that it is there.

        It opens the comment and the form, and the address it came from for those who may read the
        entry in the ledger. Before it is sealed 409 with `audit.not_sealed`; `Retry-After` says
        when to ask again.
        """
        found = receipts.get_vote_receipt(
            principal=principal_of(request), request_id=request_id, vote_id=vote_id
        )
        return respond_with_receipt(found.data, name=found.name)

    @operation(
        operation_id="requests_decide",
        summary="Approve or reject a request, or answer a question",
        body=DecisionInput,
        answer=DecisionSerializer,
        errors=(403, 404, 409, 410, 412, 428),
        headers=(IDEMPOTENCY_KEY, IF_MATCH),
        examples=(examples.APPROVE, examples.REJECT, examples.SKIP, examples.STALE),
    )
    def decide(self, request: Request, request_id: UUID) -> Response:
        """Record the caller's decision about exactly what it was shown.

        The digest that was shown comes in the body or in `If-Match`: without it 428, with another
        one than stands now 412. The same decision again, or the same `Idempotency-Key` and body,
        gives the first answer with `replayed: true`. A different decision than before, or a closed
        request, is 409; time passed is 410; not being entitled is 403; what is incomplete is 422
        and leaves the request open.
        """
        body = read_body(request, DecisionInput)
        result = decide(
            principal=principal_of(request),
            request_id=request_id,
            decision=body["decision"],
            digest_hex=_read_digest(request, body["digest"]),
            comment=body["comment"],
            form=body["form"],
            confirmed=body["confirmed"],
            idempotency_key=read_idempotency_key(request),
            stage=body["stage"],
        )
        return Response(DecisionSerializer(result).data)


def _read_digest(request: Request, in_body: str) -> str:
    in_header = read_if_match(request)
    if in_header is not None and in_body and in_header != in_body:
        problem = Problem(
            message="The body's digest and If-Match differ.", path="/digest", code="contradiction"
        )
        raise InputRefusedError(problems=(problem,))
    return in_header or in_body
