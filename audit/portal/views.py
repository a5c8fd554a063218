"""The pages of the ledger. Read `ExplorerView` first.

A view asks a selector once and translates the answer. Nonsense in a query shows the page without
it, or says why nothing is found, because addresses are typed and old.
"""

from django.http import HttpRequest, HttpResponse

from audit.domain.errors import LeafInvalidError, StreamNameError
from audit.portal.context.entry import make_entry
from audit.portal.context.explorer import PAGE_COUNT, make_explorer, make_problem
from audit.portal.filters import read_filters
from audit.selectors import entry_pages, explorer
from core.kernel.clock import SYSTEM_CLOCK
from core.toolkit.portal.address import Query
from core.toolkit.portal.views import PortalView


class ExplorerView(PortalView):
    """The ledger, searched."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Return the entries the reader may see, newest first, as the address narrows them."""
        query = Query(values=request.GET.dict())
        search = read_filters(query, now=SYSTEM_CLOCK.now())
        status = 200
        try:
            page = explorer.list_explorer_rows(
                principal=self.principal,
                filters=search.filters,
                after=read_number(query.get("after")),
                limit=PAGE_COUNT + 1,
            )
        except (LeafInvalidError, StreamNameError) as error:
            context = make_problem(error.message, query=query)
            status = 422
        else:
            context = make_explorer(page, query=query, problems=search.problems)
        return self.render(
            "audit/explorer.html", {"place": "ledger", "ledger": context}, status=status
        )


class EntryView(PortalView):
    """One entry of the ledger."""

    def get(self, request: HttpRequest, entry_id: int) -> HttpResponse:
        """Return an entry: what it says, its exact bytes, and its place in the log."""
        page = entry_pages.get_entry_page(principal=self.principal, entry_id=entry_id)
        return self.render("audit/entry.html", {"place": "ledger", "entry": make_entry(page)})


def read_number(text: str) -> int | None:
    """Return the id after which a page starts; nonsense is the first page."""
    is_number = text.isascii() and text.isdigit() and len(text) <= 18  # noqa: PLR2004  # a bigint
    return int(text) if is_number else None
