"""The page of the log. Read `LogView`."""

from django.http import HttpRequest, HttpResponse

from audit.portal.context.log import make_log
from audit.portal.verifier import get_verifier_digest
from audit.portal.views import read_number
from audit.selectors.log_pages import get_log_page
from core.toolkit.portal.address import Query
from core.toolkit.portal.views import PortalView


class LogView(PortalView):
    """How sealing goes, the tree heads, the keys, and who else keeps the log."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Return the log's page."""
        query = Query(values=request.GET.dict())
        page = get_log_page(principal=self.principal, before=read_number(query.get("before")))
        return self.render(
            "audit/log.html",
            {
                "place": "ledger",
                "log": make_log(page, query=query),
                "verifier_digest": get_verifier_digest(),
            },
        )
