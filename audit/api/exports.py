"""Exports of the ledger over HTTP. Read `ExportViewSet`."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.domain.exporting import MEDIA_TYPES, ExportFormat, ExportKind, Period, Wish
from audit.selectors import exports as selectors
from audit.services import exports as services
from core.kernel import limits
from core.toolkit.api.headers import read_idempotency_key
from core.toolkit.api.pagination import read_page_query, respond_with_page
from core.toolkit.api.ranges import choose_range
from core.toolkit.api.schema import IDEMPOTENCY_KEY, operation
from core.toolkit.api.serializers import InputSerializer, OutputSerializer, TextField, read_body
from core.toolkit.api.views import ApiViewSet, principal_of
from core.toolkit.streaming import stream_file

_HEADERS = (
    OpenApiParameter(
        name="Range",
        location=OpenApiParameter.HEADER,
        type=str,
        description="One part of the file, such as `bytes=1000-`; answered with 206.",
    ),
    OpenApiParameter(
        name="If-Range",
        location=OpenApiParameter.HEADER,
        type=str,
        description="The `ETag` of the part one has; another file is then sent whole.",
    ),
)


class ExportInput(InputSerializer):
    """What is to be exported."""

    kind = serializers.ChoiceField(choices=[item.value for item in ExportKind])
    format = serializers.ChoiceField(
        choices=[item.value for item in ExportFormat], default=ExportFormat.BUNDLE.value
    )
    run_id = serializers.UUIDField(required=False, help_text="Of the kind `run`.")
    project = TextField(
        required=False, max_length=limits.SLUG_CHARS_MAX, help_text="Slug; of the kind `project`."
    )
    since = serializers.DateTimeField(
        required=False, help_text="Not before this instant; of `period`, and perhaps of `project`."
    )
    until = serializers.DateTimeField(required=False, help_text="Before this instant.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the values; a period has both ends."""
        if ("since" in attrs) != ("until" in attrs):
            name = "until" if "since" in attrs else "since"
            raise serializers.ValidationError({name: ["A period has both ends."]})
        return attrs


class ExportSerializer(OutputSerializer):
    """An export and how far it has come."""

    id = serializers.UUIDField()
    kind = serializers.CharField(help_text="run, period, project or whole.")
    subject = serializers.CharField(help_text="run:<id>, project:<id>, or empty.")
    since = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True)
    format = serializers.CharField(help_text="bundle, jsonl, csv, cloudevents or ocsf.")
    requested_by = serializers.CharField(help_text="Name of the account.")
    requested_by_id = serializers.UUIDField()
    status = serializers.CharField(
        help_text="queued, running, ready, failed, cancelled or expired."
    )
    done_count = serializers.IntegerField(help_text="Entries that are written.")
    total_count = serializers.IntegerField(
        allow_null=True, help_text="Entries there are; null until it began."
    )
    payload_count = serializers.IntegerField(help_text="Openings in a bundle, erased ones too.")
    tree_size = serializers.IntegerField(
        allow_null=True, help_text="Size of the tree that all of it is measured against."
    )
    unsealed_count = serializers.IntegerField(
        allow_null=True, help_text="Entries of the scope that were not sealed when it began."
    )
    is_complete = serializers.BooleanField(
        allow_null=True, help_text="Everything was sealed, and a run had ended."
    )
    size_bytes = serializers.IntegerField(allow_null=True, help_text="Of the file.")
    sha256 = serializers.CharField(help_text="Of the file, hex; empty until it is ready.")
    error_code = serializers.CharField(help_text="Why it failed, or empty.")
    file_name = serializers.CharField()
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True, help_text="When the file is deleted.")


class RequestedExportSerializer(ExportSerializer):
    """An export that was asked for."""

    replayed = serializers.BooleanField(help_text="The same key had asked for it before.")


class ExportViewSet(ApiViewSet):
    """Exports, for those who hold `export_audit` and `view_audit`."""

    @operation(
        operation_id="exports_list",
        summary="List exports of the ledger",
        answer=ExportSerializer,
        is_list=True,
    )
    def list(self, request: Request) -> Response:
        """Return exports, newest first: one's own, and with both rights everywhere all of them."""
        page = read_page_query(request, list_name="exports")
        rows = selectors.list_exports(
            principal=principal_of(request), after=page.after_uuid(), limit=page.fetch_count
        )
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.id, shape=ExportSerializer
        )

    @operation(
        operation_id="exports_request",
        summary="Export entries of the ledger",
        body=ExportInput,
        answer=RequestedExportSerializer,
        status=201,
        answers={200: "The same key had asked for it before."},
        errors=(403, 404, 409),
        headers=(IDEMPOTENCY_KEY,),
    )
    def create(self, request: Request) -> Response:
        """Have entries exported; a worker writes the file, which is there for seven days.

        Needs `export_audit` and `view_audit`: everywhere for `whole` and `period`, on the project
        for `project`, on the workflow for a `run`. The file holds what the caller sees in lists of
        entries. A run's requests are exported with it; runs it has called are runs of their own.
        """
        body = read_body(request, ExportInput)
        period = Period(since=body["since"], until=body["until"]) if body.get("since") else None
        requested = services.request_export(
            principal=principal_of(request),
            wish=Wish(
                kind=ExportKind(body["kind"]),
                format=ExportFormat(body["format"]),
                run_id=body.get("run_id"),
                project=body.get("project", ""),
                period=period,
            ),
            idempotency_key=read_idempotency_key(request),
        )
        shown: dict[str, Any] = dict(ExportSerializer(requested.export).data)
        shown["replayed"] = requested.replayed
        return Response(shown, status=200 if requested.replayed else 201)

    @operation(
        operation_id="exports_get",
        summary="Get an export of the ledger",
        answer=ExportSerializer,
        errors=(404,),
    )
    def retrieve(self, request: Request, export_id: UUID) -> Response:
        """Return an export and how far it has come; the counts never go back but for a restart.

        It is begun anew if values are redacted while it is written.
        """
        found = selectors.get_export(principal=principal_of(request), export_id=export_id)
        return Response(ExportSerializer(found).data)

    @operation(
        operation_id="exports_cancel",
        summary="Cancel an export of the ledger",
        answer=ExportSerializer,
        errors=(403, 404),
    )
    def cancel(self, request: Request, export_id: UUID) -> Response:
        """End an export that is under way; one that has ended stays as it is."""
        found = services.cancel_export(principal=principal_of(request), export_id=export_id)
        return Response(ExportSerializer(found).data)

    @operation(
        operation_id="exports_download",
        summary="Download an export of the ledger",
        answer=None,
        answers={206: "A part of the file"},
        errors=(403, 404, 409, 410, 416),
        headers=_HEADERS,
    )
    def download(self, request: Request, export_id: UUID) -> Any:
        """Return the file, or a part of it, so that a download that broke off can go on.

        `ETag` is the file's SHA-256. Whether the caller may still see all of it is asked anew.
        """
        found = services.open_download(principal=principal_of(request), export_id=export_id)
        etag = f'"{found.sha256_hex}"'
        chosen = choose_range(
            range_header=request.headers.get("Range"),
            if_range=request.headers.get("If-Range"),
            size=found.size,
            etag=etag,
        )
        response = stream_file(
            request._request,  # noqa: SLF001  # which server it is only Django's own request says
            path=found.path,
            start=chosen.start,
            length=chosen.length,
            status=206 if chosen.is_part else 200,
        )
        if chosen.is_part:
            last = chosen.end - 1
            response.headers["Content-Range"] = f"bytes {chosen.start}-{last}/{found.size}"
        response.headers["Accept-Ranges"] = "bytes"
        response.headers["Cache-Control"] = "private, no-store, no-transform"
        response.headers["Content-Disposition"] = f'attachment; filename="{found.file_name}"'
        response.headers["Content-Type"] = MEDIA_TYPES[found.format]
        response.headers["ETag"] = etag
        return response
