"""Addresses of the ledger under /api/v1/."""

from audit.api.entries import EntryViewSet
from audit.api.exports import ExportViewSet
from audit.api.log import EntryProofViewSet, LogViewSet
from audit.api.outward import OutwardViewSet
from audit.api.redactions import HoldViewSet, RedactionViewSet, RetentionViewSet
from audit.api.report import ReportViewSet
from core.toolkit.api.routing import route

_ENTRY = "ledger/entries/<int:entry_id>/"
_REDACTION = "ledger/redactions/<uuid:redaction_id>/"

urlpatterns = [
    *route("ledger/entries/", EntryViewSet, {"get": "list"}, name="api-entries"),
    *route(_ENTRY, EntryViewSet, {"get": "retrieve"}, name="api-entry"),
    *route(f"{_ENTRY}proof/", EntryProofViewSet, {"get": "proof"}, name="api-entry-proof"),
    *route(f"{_ENTRY}receipt/", EntryProofViewSet, {"get": "receipt"}, name="api-entry-receipt"),
    *route("ledger/log/", LogViewSet, {"get": "retrieve"}, name="api-log"),
    *route("ledger/log/heads/", LogViewSet, {"get": "heads"}, name="api-log-heads"),
    *route(
        "ledger/log/consistency/", LogViewSet, {"get": "consistency"}, name="api-log-consistency"
    ),
    *route("ledger/outward/", OutwardViewSet, {"get": "retrieve"}, name="api-ledger-outward"),
    *route("ledger/report/", ReportViewSet, {"get": "retrieve"}, name="api-ledger-report"),
    *route("ledger/exports/", ExportViewSet, {"get": "list", "post": "create"}, name="api-exports"),
    *route(
        "ledger/exports/<uuid:export_id>/", ExportViewSet, {"get": "retrieve"}, name="api-export"
    ),
    *route(
        "ledger/exports/<uuid:export_id>/cancel/",
        ExportViewSet,
        {"post": "cancel"},
        name="api-export-cancel",
    ),
    *route(
        "ledger/exports/<uuid:export_id>/download/",
        ExportViewSet,
        {"get": "download"},
        name="api-export-download",
    ),
    *route(
        "ledger/redactions/",
        RedactionViewSet,
        {"get": "list", "post": "create"},
        name="api-redactions",
    ),
    *route(_REDACTION, RedactionViewSet, {"get": "retrieve"}, name="api-redaction"),
    *route(
        f"{_REDACTION}approve/", RedactionViewSet, {"post": "approve"}, name="api-redaction-approve"
    ),
    *route(
        f"{_REDACTION}decline/", RedactionViewSet, {"post": "decline"}, name="api-redaction-decline"
    ),
    *route("ledger/holds/", HoldViewSet, {"get": "list", "post": "create"}, name="api-holds"),
    *route(
        "ledger/holds/<uuid:hold_id>/release/",
        HoldViewSet,
        {"post": "release"},
        name="api-hold-release",
    ),
    *route("ledger/retention/", RetentionViewSet, {"get": "list"}, name="api-retention"),
    *route(
        "ledger/retention/outlook/",
        RetentionViewSet,
        {"get": "outlook"},
        name="api-retention-outlook",
    ),
    *route(
        "projects/<slug:project>/retention/",
        RetentionViewSet,
        {"put": "set_period"},
        name="api-project-retention",
    ),
]
