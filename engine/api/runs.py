"""Runs over HTTP. Read `RunViewSet` first."""

from typing import ClassVar
from uuid import UUID

from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from core.toolkit.api.errors import problems_under
from core.toolkit.api.headers import read_idempotency_key
from core.toolkit.api.pagination import read_page_query, respond_with_page
from core.toolkit.api.schema import IDEMPOTENCY_KEY, operation
from core.toolkit.api.serializers import read_body, read_query
from core.toolkit.api.views import ApiViewSet, principal_of
from engine.api import examples
from engine.api.serializers import (
    CancelInput,
    RunDetailSerializer,
    RunEventSerializer,
    RunQuery,
    RunSerializer,
    StartedRunSerializer,
    StartInput,
    StepQuery,
    StepSerializer,
)
from engine.domain.errors import InputsInvalidError
from engine.selectors import runs as selectors
from engine.selectors.step_views import StepFilters
from engine.services import runs as services


class RunViewSet(ApiViewSet):
    """Runs the caller may see."""

    throttle_scopes: ClassVar[dict[str, str]] = {"start": "start"}

    @operation(
        operation_id="runs_start",
        summary="Start a run",
        body=StartInput,
        answer=StartedRunSerializer,
        status=201,
        answers={200: "This key and body had started the run before."},
        errors=(403, 404, 409),
        headers=(IDEMPOTENCY_KEY,),
        examples=(examples.START, examples.STARTED, examples.INPUTS_INVALID),
    )
    def start(self, request: Request, project: str, slug: str) -> Response:
        """Start a run of a workflow's newest published version, or of the version named.

        With an `Idempotency-Key` the request can be sent again without starting a second run, also
        when both arrive at once.
        """
        body = read_body(request, StartInput)
        with problems_under("/inputs", of=InputsInvalidError):
            started = services.start_run(
                principal=principal_of(request),
                project_slug=project,
                workflow_slug=slug,
                inputs=body["inputs"],
                idempotency_key=read_idempotency_key(request),
                rev=body["rev"],
                priority=body["priority"],
            )
        return Response(
            StartedRunSerializer(started).data,
            status=200 if started.replayed else 201,
            headers={"Location": reverse("api-run", kwargs={"run_id": started.run_id})},
        )

    @operation(
        operation_id="runs_list",
        summary="List runs",
        answer=RunSerializer,
        query=RunQuery,
        is_list=True,
    )
    def list(self, request: Request) -> Response:
        """Return the runs the caller may see, newest first."""
        page = read_page_query(request, list_name="runs")
        rows = selectors.list_runs(
            principal=principal_of(request),
            filters=selectors.RunFilters(**read_query(request, RunQuery)),
            after=page.after_uuid(),
            limit=page.fetch_count,
        )
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.id, shape=RunSerializer
        )

    @operation(
        operation_id="runs_get",
        summary="Get a run",
        answer=RunDetailSerializer,
        errors=(404,),
    )
    def retrieve(self, request: Request, run_id: UUID) -> Response:
        """Return one run with its inputs, outputs and steps, as its ledger stream tells them.

        Of a map over thousands of items only some are among the steps: `hidden_step_count` says how
        many are not, and the list of the run's steps has all of them.
        """
        found = selectors.get_run(principal=principal_of(request), run_id=run_id)
        return Response(RunDetailSerializer(found).data)

    @operation(
        operation_id="runs_steps",
        summary="List a run's steps",
        answer=StepSerializer,
        query=StepQuery,
        is_list=True,
        errors=(404,),
    )
    def steps(self, request: Request, run_id: UUID) -> Response:
        """Return all steps of a run, outer ones before what is inside them, compensations last."""
        page = read_page_query(request, list_name=f"steps:{run_id}")
        rows = selectors.list_run_steps(
            principal=principal_of(request),
            run_id=run_id,
            filters=StepFilters(**read_query(request, StepQuery)),
            after=page.after_text(),
            limit=page.fetch_count,
        )
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.key, shape=StepSerializer
        )

    @operation(
        operation_id="runs_events",
        summary="List a run's events",
        answer=RunEventSerializer,
        is_list=True,
        errors=(404,),
    )
    def events(self, request: Request, run_id: UUID) -> Response:
        """Return the entries of a run's ledger stream, oldest first."""
        page = read_page_query(request, list_name=f"events:{run_id}")
        rows = selectors.list_run_events(
            principal=principal_of(request),
            run_id=run_id,
            after_seq=page.after_number() or 0,
            limit=page.fetch_count,
        )
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.seq, shape=RunEventSerializer
        )

    @operation(
        operation_id="runs_cancel",
        summary="Cancel a run",
        body=CancelInput,
        answer=None,
        status=204,
        errors=(403, 404, 409),
    )
    def cancel(self, request: Request, run_id: UUID) -> Response:
        """Cancel a run: what has not begun never will, and its open requests are voided.

        An attempt that executes now is finished and recorded; then the run closes as cancelled.
        With `compensate`, what has completed is undone before, newest first. Cancelling again
        changes nothing.
        """
        body = read_body(request, CancelInput)
        services.cancel_run(principal=principal_of(request), run_id=run_id, **body)
        return Response(status=204)
