"""What every page of the portal builds on. Read `PortalView` first."""

from collections.abc import Mapping
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.views import View

from core.identity.domain.principal import Principal
from core.identity.models import User
from core.kernel.errors import PlatformError
from core.toolkit.api import throttling
from core.toolkit.api.errors import MalformedError
from core.toolkit.portal import carrying, pages
from core.toolkit.portal.visitor import make_principal

_MACHINE_FIELDS: Final = ("key", "rev")  # hidden ones; what people type is judged by services


class PortalView(View):
    """A page for somebody who is signed in.

    A form is posted to the address of the page that shows it; `self.carried` is then what was typed
    before a session was lost, once. Anticipated errors that a view does not show in place become
    pages. Whether somebody *may* is asked by the service or selector the view calls.
    """

    principal: Principal
    carried: QueryDict | None = None
    throttle_scope = ""  # of `API_THROTTLE_RATES`, for what is posted here

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Return the page, or the sign-in page, or the page of an error."""
        if not isinstance(request.user, User):
            return carrying.ask_to_sign_in(request)
        self.principal = make_principal(request, request.user)
        request.principal = self.principal  # type: ignore[attr-defined]  # read by the frame
        try:
            _refuse_nul(request)
            self._take_turn(request)
            if request.method == "GET":
                self.carried = carrying.take(request)
            response = super().dispatch(request, *args, **kwargs)
        except PlatformError as error:
            return pages.answer_error(request, error)
        # A page is for this person at this moment.
        add_never_cache_headers(response)
        return response

    def render(
        self, template: str, context: Mapping[str, Any], *, status: int = 200
    ) -> HttpResponse:
        """Return a rendered page."""
        return render(self.request, template, dict(context), status=status)

    def go_to(self, address: str) -> HttpResponseRedirect:
        """Send the browser on after something was done (303: by GET)."""
        return HttpResponseRedirect(address, status=303)

    def _take_turn(self, request: HttpRequest) -> None:
        ident = f"user:{self.principal.user_id}"
        throttling.require_turn(scope="any", ident=ident)
        if self.throttle_scope and request.method == "POST":
            throttling.require_turn(scope=self.throttle_scope, ident=ident)


def _refuse_nul(request: HttpRequest) -> None:
    """Refuse an address with the one character that PostgreSQL cannot compare with."""
    shown = [request.path, *(item for _, values in request.GET.lists() for item in values)]
    sent = [request.POST.get(name, "") for name in _MACHINE_FIELDS]
    if any("\x00" in item for item in (*shown, *sent)):
        raise MalformedError("An address cannot hold the character NUL.")
