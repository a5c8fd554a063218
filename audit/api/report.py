"""The compliance report over HTTP. Read `ReportViewSet`."""

from typing import Any, Final

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.domain.report_document import write_lines
from audit.selectors.report import Period
from audit.services.reporting import make_report
from core.kernel import limits
from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import InputSerializer, OutputSerializer, read_query
from core.toolkit.api.views import ApiViewSet, principal_of

CSV: Final = "text/csv; charset=utf-8"


class ReportQuery(InputSerializer):
    """What is reported on."""

    since = serializers.DateTimeField(help_text="The first instant of the period.")
    until = serializers.DateTimeField(
        help_text="The first instant after it; one to come counts as now."
    )
    project = serializers.CharField(
        required=False,
        default="",
        source="project_slug",
        max_length=limits.SLUG_CHARS_MAX,
        help_text="Slug of a project; without it the whole ledger.",
    )
    form = serializers.ChoiceField(
        required=False, default="json", choices=["json", "csv"], help_text="json, or csv."
    )


class MadeReportSerializer(OutputSerializer):
    """A report, and where its making is on record."""

    document = serializers.DictField(
        help_text="The report: `countersign-report/v1`, without floats; times in milliseconds."
    )
    digest = serializers.CharField(
        source="digest_hex",
        help_text="SHA-256 of `document` in canonical JSON (RFC 8785); the entry holds it too.",
    )
    entry = serializers.IntegerField(
        source="entry_id", help_text="Id of the ledger entry `report.made`."
    )


class ReportViewSet(ApiViewSet):
    """Reports of periods, for those who hold `view_audit` there."""

    @operation(
        operation_id="ledger_report",
        summary="Make a compliance report",
        answer=MadeReportSerializer,
        query=ReportQuery,
        errors=(404, 413, 422),
    )
    def retrieve(self, request: Request) -> Any:
        """Make the report of a period: runs, approvals, four eyes, overrides, refusals and more.

        Its making is put on record each time, with the digest of the document. `form=csv` answers
        with one line a figure instead.
        """
        asked = read_query(request, ReportQuery)
        form = asked.pop("form")
        made = make_report(principal=principal_of(request), period=Period(**asked))
        if form == "csv":
            answer = HttpResponse(write_lines(made.document), content_type=CSV)
            answer["Content-Disposition"] = 'attachment; filename="ledger-report.csv"'
            return answer
        return Response(MadeReportSerializer(made).data)
