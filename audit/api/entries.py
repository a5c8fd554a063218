"""Ledger entries over HTTP. Read `EntryViewSet`."""

from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.serializers import EntryDetailSerializer, EntryQuery, EntrySerializer
from audit.selectors import entries
from core.toolkit.api.pagination import read_page_query, respond_with_page
from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import read_query
from core.toolkit.api.views import ApiViewSet, principal_of


class EntryViewSet(ApiViewSet):
    """The ledger, for those who hold `view_audit`."""

    @operation(
        operation_id="entries_list",
        summary="List ledger entries",
        answer=EntrySerializer,
        query=EntryQuery,
        is_list=True,
    )
    def list(self, request: Request) -> Response:
        """Return entries, newest first: those of the scopes where the caller holds `view_audit`."""
        page = read_page_query(request, list_name="entries")
        rows = entries.list_entries(
            principal=principal_of(request),
            filters=entries.EntryFilters(**read_query(request, EntryQuery)),
            after=page.after_number(),
            limit=page.fetch_count,
        )
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.id, shape=EntrySerializer
        )

    @operation(
        operation_id="entries_get",
        summary="Get a ledger entry",
        answer=EntryDetailSerializer,
        errors=(404,),
    )
    def retrieve(self, request: Request, entry_id: int) -> Response:
        """Return one entry with its exact bytes, and the values and salts that open it."""
        found = entries.get_entry(principal=principal_of(request), entry_id=entry_id)
        return Response(EntryDetailSerializer(found).data)
