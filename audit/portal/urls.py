"""Addresses of the ledger's pages, under /ledger/."""

from django.urls import path

from audit.portal import views
from audit.portal.log_views import LogView

app_name = "audit_portal"
urlpatterns = [
    path("", views.ExplorerView.as_view(), name="explorer"),
    path("entries/<int:entry_id>/", views.EntryView.as_view(), name="entry"),
    path("log/", LogView.as_view(), name="log"),
]
