"""Redactions, legal holds and retention over HTTP. Read `RedactionViewSet` first."""

from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.domain.redaction import (
    ORDERED_BASES,
    HoldKind,
    LegalBasis,
    Order,
    OrderStatus,
    Part,
    Target,
    TargetKind,
)
from audit.selectors import redactions as selectors
from audit.selectors.retention import list_outlooks
from audit.services import holds, redactions, retention
from core.kernel import limits
from core.toolkit.api.pagination import read_page_query, respond_with_page
from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import (
    InputSerializer,
    OutputSerializer,
    TextField,
    WholeNumberField,
    read_body,
    read_query,
)
from core.toolkit.api.views import ApiViewSet, principal_of

_REFERENCE: dict[str, Any] = {
    "required": False,
    "default": "",
    "allow_blank": True,
    "max_length": limits.REDACTION_REFERENCE_CHARS_MAX,
    "help_text": "A case number or the like.",
}


class RedactionInput(InputSerializer):
    """What is to be erased, and why."""

    target = serializers.ChoiceField(
        choices=[item.value for item in TargetKind],
        help_text="`run`: a run with everything that took values from it. `request`: one request. "
        "`entry`: one entry, or one payload of it. `person`: what a person wrote, who they are.",
    )
    target_id = serializers.UUIDField(help_text="A run's, request's or person's id, or a stream's.")
    seq = WholeNumberField(
        required=False, default=0, min_value=0, help_text="Number of the entry in its stream."
    )
    name = TextField(
        required=False,
        default="",
        allow_blank=True,
        max_length=100,
        help_text="Name of the entry's payload; empty for all of them.",
    )
    basis = serializers.ChoiceField(choices=[item.value for item in ORDERED_BASES])
    reason = TextField(max_length=limits.REASON_CHARS_MAX, help_text="It goes on record.")
    reference = TextField(**_REFERENCE)


class RedactionQuery(InputSerializer):
    """What a list of redactions is narrowed to."""

    status = serializers.ChoiceField(
        required=False, choices=[item.value for item in OrderStatus], help_text="Exactly this one."
    )


class RedactionReasonInput(InputSerializer):
    """Why."""

    reason = TextField(max_length=limits.REASON_CHARS_MAX, help_text="It goes on record.")


class RedactionApprovalInput(InputSerializer):
    """Nothing."""


class HoldInput(InputSerializer):
    """What is to be kept, and why."""

    kind = serializers.ChoiceField(choices=[item.value for item in HoldKind])
    target_id = serializers.UUIDField(help_text="Of a project, a workflow, a run or a person.")
    reason = TextField(max_length=limits.REASON_CHARS_MAX, help_text="It goes on record.")
    reference = TextField(**_REFERENCE)


class HoldQuery(InputSerializer):
    """What a list of holds is narrowed to."""

    standing = serializers.BooleanField(
        required=False, help_text="Only those that were not released."
    )


class RetentionInput(InputSerializer):
    """How long a project keeps a part of its payloads."""

    part = serializers.ChoiceField(
        choices=[item.value for item in Part],
        help_text="`runs`: what runs recorded. `requests`: what was shown, comments, form values. "
        "`addresses`: where people and programs acted from.",
    )
    period = TextField(
        allow_blank=True, max_length=10, help_text="Whole days, such as P400D; empty for ever."
    )
    reason = TextField(max_length=limits.REASON_CHARS_MAX, help_text="It goes on record.")


class RedactionSerializer(OutputSerializer):
    """An order to erase."""

    id = serializers.UUIDField()
    target = serializers.CharField()
    target_id = serializers.UUIDField()
    seq = serializers.IntegerField(help_text="0 where it is about more than one entry.")
    name = serializers.CharField(help_text="Empty for all payloads.")
    label = serializers.CharField(  # type: ignore[assignment]  # DRF takes fields off the class
        help_text="What it is about, in words."
    )
    basis = serializers.CharField()
    reason = serializers.CharField()
    reference = serializers.CharField()
    status = serializers.CharField(help_text="requested, approved, done or declined.")
    blocked = serializers.CharField(help_text="What an approved one waits for; empty for nothing.")
    requested_by = serializers.CharField(help_text="Name of an account.")
    requested_at = serializers.DateTimeField()
    decided_by = serializers.CharField(help_text="Name of an account; empty if nobody has.")
    decided_at = serializers.DateTimeField(allow_null=True)
    done_at = serializers.DateTimeField(allow_null=True)
    payload_count = serializers.IntegerField(help_text="Payloads that were erased.")
    stream_count = serializers.IntegerField(help_text="Of so many streams.")


class HoldSerializer(OutputSerializer):
    """A legal hold."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    target_id = serializers.UUIDField()
    label = serializers.CharField(  # type: ignore[assignment]  # DRF takes fields off the class
        help_text="What it is on, in words."
    )
    reason = serializers.CharField()
    reference = serializers.CharField()
    placed_by = serializers.CharField(help_text="Name of an account.")
    placed_at = serializers.DateTimeField()
    released_by = serializers.CharField(help_text="Name of an account; empty while it stands.")
    released_at = serializers.DateTimeField(allow_null=True)
    release_reason = serializers.CharField()


class RetentionSerializer(OutputSerializer):
    """How long a project keeps the payloads of each part; empty for ever."""

    project = serializers.CharField(source="project_slug")
    runs = serializers.CharField()
    requests = serializers.CharField()
    addresses = serializers.CharField()


class RetentionMonthSerializer(OutputSerializer):
    """What would be erased of streams that closed in one month."""

    month = serializers.CharField(help_text="Year and month, of UTC.")
    streams = serializers.IntegerField()
    payloads = serializers.IntegerField()


class OutlookSerializer(OutputSerializer):
    """What the keeper would erase now of one part of a project."""

    project = serializers.CharField(source="project_slug")
    part = serializers.CharField()
    days = serializers.IntegerField()
    months = RetentionMonthSerializer(many=True)
    held_count = serializers.IntegerField(help_text="Streams that a legal hold keeps.")
    is_whole = serializers.BooleanField(help_text="False if only the oldest were looked at.")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the outlook with its months as objects."""
        return {
            "project": instance.project_slug,
            "part": instance.part.value,
            "days": instance.days,
            "months": [
                {"month": month, "streams": streams, "payloads": payloads}
                for month, streams, payloads in instance.months
            ],
            "held_count": instance.held_count,
            "is_whole": instance.is_whole,
        }


class OutlooksSerializer(OutputSerializer):
    """What the keeper would erase now."""

    items = OutlookSerializer(many=True)


class RetentionsSerializer(OutputSerializer):
    """How long each project keeps what."""

    items = RetentionSerializer(many=True)


class RedactionViewSet(ApiViewSet):
    """Orders to erase payloads."""

    @operation(
        operation_id="redactions_list",
        summary="List redactions",
        answer=RedactionSerializer,
        query=RedactionQuery,
        is_list=True,
    )
    def list(self, request: Request) -> Response:
        """Return orders to erase, newest first, for who holds `view_audit` or `redact_audit`."""
        page = read_page_query(request, list_name="redactions")
        rows = selectors.list_redactions(
            principal=principal_of(request),
            **read_query(request, RedactionQuery),
            after=page.after_uuid(),
            limit=page.fetch_count,
        )
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.id, shape=RedactionSerializer
        )

    @operation(
        operation_id="redactions_request",
        summary="Ask for a redaction",
        body=RedactionInput,
        answer=RedactionSerializer,
        status=201,
        errors=(403, 404, 409, 413),
    )
    def create(self, request: Request) -> Response:
        """Ask that payloads be erased. A second person approves it; then the keeper erases.

        Only what is closed can be erased, and nothing that a legal hold keeps.
        """
        body = read_body(request, RedactionInput)
        target = Target(
            kind=TargetKind(body["target"]),
            id=body["target_id"],
            seq=body["seq"],
            name=body["name"],
        )
        made = redactions.request_redaction(
            principal=principal_of(request),
            order=Order(
                target=target,
                basis=LegalBasis(body["basis"]),
                reason=body["reason"],
                reference=body["reference"],
            ),
        )
        return self._answer(request, made, status=201)

    @operation(
        operation_id="redactions_get",
        summary="Get a redaction",
        answer=RedactionSerializer,
        errors=(404,),
    )
    def retrieve(self, request: Request, redaction_id: UUID) -> Response:
        """Return one order to erase, and how far it has come."""
        return self._answer(request, redaction_id)

    @operation(
        operation_id="redactions_approve",
        summary="Approve a redaction",
        body=RedactionApprovalInput,
        answer=RedactionSerializer,
        errors=(403, 404, 409, 413),
    )
    def approve(self, request: Request, redaction_id: UUID) -> Response:
        """Approve an order that another person gave. What it names cannot be brought back."""
        read_body(request, RedactionApprovalInput)
        redactions.approve_redaction(principal=principal_of(request), redaction_id=redaction_id)
        return self._answer(request, redaction_id)

    @operation(
        operation_id="redactions_decline",
        summary="Decline a redaction",
        body=RedactionReasonInput,
        answer=RedactionSerializer,
        errors=(403, 404, 409),
    )
    def decline(self, request: Request, redaction_id: UUID) -> Response:
        """Decline an order, or take one's own back."""
        redactions.decline_redaction(
            principal=principal_of(request),
            redaction_id=redaction_id,
            reason=read_body(request, RedactionReasonInput)["reason"],
        )
        return self._answer(request, redaction_id)

    def _answer(self, request: Request, redaction_id: UUID, *, status: int = 200) -> Response:
        found = selectors.get_redaction(principal=principal_of(request), redaction_id=redaction_id)
        return Response(RedactionSerializer(found).data, status=status)


class HoldViewSet(ApiViewSet):
    """Legal holds."""

    @operation(
        operation_id="holds_list",
        summary="List legal holds",
        answer=HoldSerializer,
        query=HoldQuery,
        is_list=True,
    )
    def list(self, request: Request) -> Response:
        """Return legal holds, newest first, for who holds `view_audit` or `redact_audit`."""
        page = read_page_query(request, list_name="holds")
        rows = selectors.list_holds(
            principal=principal_of(request),
            **read_query(request, HoldQuery),
            after=page.after_uuid(),
            limit=page.fetch_count,
        )
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.id, shape=HoldSerializer
        )

    @operation(
        operation_id="holds_place",
        summary="Place a legal hold",
        body=HoldInput,
        answer=HoldSerializer,
        status=201,
        errors=(403, 404),
    )
    def create(self, request: Request) -> Response:
        """Keep whatever belongs to a project, workflow, run or person from being erased."""
        body = read_body(request, HoldInput)
        made = holds.place_hold(
            principal=principal_of(request),
            kind=HoldKind(body["kind"]),
            target_id=body["target_id"],
            reason=body["reason"],
            reference=body["reference"],
        )
        return self._answer(request, made, status=201)

    @operation(
        operation_id="holds_release",
        summary="Release a legal hold",
        body=RedactionReasonInput,
        answer=HoldSerializer,
        errors=(403, 404, 409),
    )
    def release(self, request: Request, hold_id: UUID) -> Response:
        """Let what a hold kept be erased again, where nothing else keeps it."""
        holds.release_hold(
            principal=principal_of(request),
            hold_id=hold_id,
            reason=read_body(request, RedactionReasonInput)["reason"],
        )
        return self._answer(request, hold_id)

    def _answer(self, request: Request, hold_id: UUID, *, status: int = 200) -> Response:
        found = selectors.get_hold(principal=principal_of(request), hold_id=hold_id)
        return Response(HoldSerializer(found).data, status=status)


class RetentionViewSet(ApiViewSet):
    """How long projects keep payloads."""

    @operation(
        operation_id="retention_list",
        summary="List periods of retention",
        answer=RetentionsSerializer,
    )
    def list(self, request: Request) -> Response:
        """Return how long each project keeps what; none for who may not see it."""
        found = selectors.list_retentions(principal=principal_of(request))
        return Response({"items": RetentionSerializer(found, many=True).data})

    @operation(
        operation_id="retention_outlook",
        summary="See what retention would erase",
        answer=OutlooksSerializer,
        errors=(403,),
    )
    def outlook(self, request: Request) -> Response:
        """Count what the keeper would erase now, by project, part and month. Changes nothing."""
        found = list_outlooks(principal=principal_of(request))
        return Response({"items": OutlookSerializer(found, many=True).data})

    @operation(
        operation_id="retention_set",
        summary="Set a project's retention",
        body=RetentionInput,
        answer=RetentionSerializer,
        errors=(403, 404),
    )
    def set_period(self, request: Request, project: str) -> Response:
        """Set how long a project keeps a part of its payloads; nothing is erased at once."""
        body = read_body(request, RetentionInput)
        retention.set_retention(
            principal=principal_of(request),
            project_slug=project,
            part=Part(body["part"]),
            period=body["period"],
            reason=body["reason"],
        )
        found = selectors.get_retention(principal=principal_of(request), project_slug=project)
        return Response(RetentionSerializer(found).data)
