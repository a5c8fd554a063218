"""Backfills of schedules over HTTP. Read `BackfillViewSet` first."""

from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.kernel import limits
from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import (
    FlagField,
    InputSerializer,
    OutputSerializer,
    TextField,
    WholeNumberField,
    read_body,
)
from core.toolkit.api.views import ApiViewSet, principal_of
from engine.api.triggers import TriggerReasonInput
from engine.selectors import backfills as selectors
from engine.services import backfills as services


class BackfillInput(InputSerializer):
    """Which instants are made up for."""

    since = serializers.DateTimeField(help_text="The first instant that may be.")
    until = serializers.DateTimeField(help_text="The first that may not be; not in the future.")
    reason = TextField(
        required=False, allow_blank=True, default="", max_length=limits.REASON_CHARS_MAX
    )
    max_concurrency = WholeNumberField(
        required=False,
        default=limits.BACKFILL_OPEN_DEFAULT,
        min_value=1,
        max_value=limits.BACKFILL_OPEN_MAX,
        help_text="How many of its runs are open at once.",
    )
    again = FlagField(required=False, default=False, help_text="Also instants that had a run.")
    dry_run = FlagField(required=False, default=False, help_text="Only say what it would be.")


class StartedBackfillSerializer(OutputSerializer):
    """What a backfill makes up for."""

    id = serializers.UUIDField(allow_null=True, help_text="Null of a dry run.")
    instants = serializers.ListField(child=serializers.DateTimeField())
    skipped_count = serializers.IntegerField(help_text="Instants that had a run.")


class BackfillSerializer(OutputSerializer):
    """A backfill and how far it has come."""

    id = serializers.UUIDField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    again = serializers.BooleanField()
    max_concurrency = serializers.IntegerField(source="run_count_max")
    requested_by = serializers.CharField(help_text="Name of the account.")
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True, help_text="Null while it goes on.")
    is_cancelled = serializers.BooleanField()
    total_count = serializers.IntegerField(help_text="Instants; each is in one of the next six.")
    waiting_count = serializers.IntegerField()
    open_count = serializers.IntegerField(help_text="Runs that go on.")
    succeeded_count = serializers.IntegerField()
    failed_count = serializers.IntegerField(help_text="Runs that ended in any other way.")
    refused_count = serializers.IntegerField(help_text="Could not start; see the record.")
    cancelled_count = serializers.IntegerField(help_text="Never pulled.")
    skipped_count = serializers.IntegerField(help_text="Had a run before; not in the total.")


class BackfillsSerializer(OutputSerializer):
    """Backfills of a trigger."""

    backfills = BackfillSerializer(many=True, help_text="The newest 20, newest first.")


class BackfillViewSet(ApiViewSet):
    """Making up for the instants of a schedule."""

    @operation(
        operation_id="backfills_list",
        summary="List a schedule's backfills",
        answer=BackfillsSerializer,
        errors=(404,),
    )
    def list(self, request: Request, project: str, slug: str, name: str) -> Response:
        """Return the newest backfills of a schedule and how far they have come."""
        found = selectors.list_backfills(
            principal=principal_of(request), project_slug=project, workflow_slug=slug, name=name
        )
        return Response(BackfillsSerializer({"backfills": found}).data)

    @operation(
        operation_id="backfills_start",
        summary="Backfill a period of a schedule",
        body=BackfillInput,
        answer=StartedBackfillSerializer,
        status=201,
        answers={200: "What a dry run would be."},
        errors=(403, 404, 409),
    )
    def start(self, request: Request, project: str, slug: str, name: str) -> Response:
        """Make up for the instants of a period, up to 1,000, oldest first and a few at a time.

        The runs count as started by the caller. Their `event.data` has `due_at` and `local` as
        always, and `backfill`.
        """
        body = read_body(request, BackfillInput)
        started = services.start_backfill(
            principal=principal_of(request),
            project_slug=project,
            workflow_slug=slug,
            name=name,
            period=services.Period(
                since=body["since"],
                until=body["until"],
                again=body["again"],
                run_count_max=body["max_concurrency"],
            ),
            reason=body["reason"],
            is_dry=body["dry_run"],
        )
        shown = StartedBackfillSerializer(started).data
        return Response(shown, status=200 if started.id is None else 201)

    @operation(
        operation_id="backfills_get",
        summary="Get a backfill",
        answer=BackfillSerializer,
        errors=(404,),
    )
    def retrieve(
        self, request: Request, project: str, slug: str, name: str, backfill_id: UUID
    ) -> Response:
        """Return a backfill and how far it has come."""
        found = selectors.get_backfill(
            principal=principal_of(request),
            project_slug=project,
            workflow_slug=slug,
            name=name,
            backfill_id=backfill_id,
        )
        return Response(BackfillSerializer(found).data)

    @operation(
        operation_id="backfills_cancel",
        summary="Cancel a backfill",
        body=TriggerReasonInput,
        answer=None,
        status=204,
        errors=(403, 404),
    )
    def cancel(
        self, request: Request, project: str, slug: str, name: str, backfill_id: UUID
    ) -> Response:
        """Start no more runs of a backfill; those that are there go on."""
        body = read_body(request, TriggerReasonInput)
        services.cancel_backfill(
            principal=principal_of(request),
            project_slug=project,
            workflow_slug=slug,
            name=name,
            backfill_id=backfill_id,
            reason=body["reason"],
        )
        return Response(status=204)
