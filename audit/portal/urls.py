"""Addresses of the ledger's pages, under /ledger/."""

from django.urls import path

from audit.portal import views
from audit.portal.export_views import CancelExportView, ExportsView
from audit.portal.log_views import LogView
from audit.portal.redaction_views import RedactionsView
from audit.portal.report_views import ReportView
from audit.portal.verifier import FILE_NAME, VerifierFileView

app_name = "audit_portal"
urlpatterns = [
    path("", views.ExplorerView.as_view(), name="explorer"),
    path("redactions/", RedactionsView.as_view(), name="redactions"),
    path("report/", ReportView.as_view(), name="report"),
    path("entries/<int:entry_id>/", views.EntryView.as_view(), name="entry"),
    path(FILE_NAME, VerifierFileView.as_view(), name="verifier"),
    path("log/", LogView.as_view(), name="log"),
    path("exports/", ExportsView.as_view(), name="exports"),
    path("exports/<uuid:export_id>/cancel/", CancelExportView.as_view(), name="export_cancel"),
]
