"""Addresses of the ledger under /api/v1/."""

from audit.api.entries import EntryViewSet
from core.toolkit.api.routing import route

urlpatterns = [
    *route("ledger/entries/", EntryViewSet, {"get": "list"}, name="api-entries"),
    *route("ledger/entries/<int:entry_id>/", EntryViewSet, {"get": "retrieve"}, name="api-entry"),
]
