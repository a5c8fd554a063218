"""The console's site: who may enter, its frame and its front page. Read `ConsoleSite` first.

Django's flags (`is_staff`, `is_superuser`) and its own permissions count for nothing here. Entering
takes an administrative permission held everywhere; every change is asked for again by the service
that makes it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, NoReturn, TypeVar, cast

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.views.decorators.csrf import csrf_protect

from core.identity.domain.errors import AccessForbiddenError
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.models import User
from core.identity.selectors import console
from core.identity.selectors.console import ChangeView
from core.identity.selectors.principals import get_principal, make_origin
from core.kernel.errors import MissingError, PlatformError
from core.kernel.record import Via
from core.toolkit.api import throttling
from core.toolkit.api.origin import read_request_id, read_source_address
from core.toolkit.portal import pages

CHANGES_SHOWN_MAX = 10
_SIGN_IN = "/sign-in/"
_SIGN_OUT = "/sign-out/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Who makes a request of the console, and what they hold everywhere."""

    principal: Principal
    powers: frozenset[Permission]

    @property
    def may_enter(self) -> bool:
        """Return whether one of the powers opens the console."""
        return bool(self.powers & console.ENTRY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A list of the console. `count` is `None` where it is not shown."""

    label: str
    url: str
    is_here: bool
    about: str = ""
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change on the front page; `noun` says what kind of thing it was."""

    noun: str
    url: str
    view: ChangeView


_View = TypeVar("_View", bound=Callable[..., HttpResponseBase])


class ConsoleSite(AdminSite):
    """Django's admin behind our sign-in, our permissions and our looks."""

    site_title = "Countersign console"
    site_header = "Console"
    index_title = "Console"
    site_url = "/inbox/"
    enable_nav_sidebar = False
    # An unknown address is our own 404 page's business.
    final_catch_all_view = False

    def has_permission(self, request: HttpRequest) -> bool:
        """Return whether who asks may be here; one query a request."""
        visit = read_visit(request)
        return visit is not None and visit.may_enter

    def admin_view(self, view: _View, cacheable: bool = False) -> _View:
        """Return a view that asks who comes in first, and shows errors of ours as our pages."""

        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            visit = read_visit(request)
            if visit is None:
                return redirect_to_login(request.get_full_path(), _SIGN_IN)
            try:
                throttling.require_turn(scope="any", ident=f"user:{visit.principal.user_id}")
                _require_entry(visit)
                response = view(request, *args, **kwargs)
            except PlatformError as error:
                return pages.answer_error(request, error)
            add_never_cache_headers(response)
            return response

        return cast("_View", update_wrapper(csrf_protect(inner), view))

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Send to the one sign-in page."""
        return redirect_to_login(reverse("admin:index"), _SIGN_IN)

    def logout(  # type: ignore[override]  # Django's shows a page where we send to one
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Send to the page that signs out."""
        return HttpResponseRedirect(_SIGN_OUT)

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> NoReturn:
        """Answer as for an address that leads nowhere: no service of ours changes passwords."""
        raise MissingError

    def password_change_done(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> NoReturn:
        """Answer as `password_change` does."""
        raise MissingError

    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Show the front page: how the tables are spread over apps is nobody's concern."""
        return self.index(request, extra_context)

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Show what there is, how much of it, and what changed last."""
        context = {
            **self.each_context(request),
            "title": self.index_title,
            "cards": self._list_places(request, counts=console.count_records()),
            "changes": self._list_changes(),
            **(extra_context or {}),
        }
        request.current_app = self.name
        return TemplateResponse(request, "admin/index.html", context)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return what every page's frame shows; asks the database nothing more."""
        return {
            "site_title": self.site_title,
            "site_header": self.site_header,
            "site_url": self.site_url,
            "has_permission": self.has_permission(request),
            "is_popup": False,
            "is_nav_sidebar_enabled": False,
            "places": self._list_places(request),
        }

    def _list_changes(self) -> list[Change]:
        tables = {model._meta.label_lower: table for model, table in self._registry.items()}  # noqa: SLF001  # Django's documented Meta API
        return [
            Change(
                noun=str(getattr(tables[change.model], "noun", change.model)),
                url=reverse(f"admin:{change.model.replace('.', '_')}_change", args=(change.key,)),
                view=change,
            )
            for change in console.list_changes(models=list(tables), limit=CHANGES_SHOWN_MAX)
        ]

    def _list_places(
        self, request: HttpRequest, *, counts: dict[str, int] | None = None
    ) -> list[Place]:
        found = []
        for model, model_admin in self._registry.items():
            label = model._meta.label_lower  # noqa: SLF001  # Django's documented Meta API
            url = reverse(f"admin:{label.replace('.', '_')}_changelist")
            found.append(
                Place(
                    label=getattr(model_admin, "heading", label),
                    about=getattr(model_admin, "about", ""),
                    url=url,
                    is_here=request.path.startswith(url),
                    count=None if counts is None else counts[label],
                )
            )
        return found


def read_visit(request: HttpRequest) -> Visit | None:
    """Return who makes a request, `None` for nobody; one query for each request."""
    known = getattr(request, "console_visit", None)
    if isinstance(known, Visit):
        return known
    if not isinstance(request.user, User):
        return None
    origin = make_origin(
        user=request.user,
        via=Via.CONSOLE,
        auth="session",
        request_id=read_request_id(request),
        source_address=read_source_address(request),
    )
    principal = get_principal(user=request.user, origin=origin)
    visit = Visit(principal=principal, powers=console.list_powers(principal=principal))
    request.console_visit = visit  # type: ignore[attr-defined]  # read above
    return visit


def get_visit(request: HttpRequest) -> Visit:
    """Return who makes a request that `admin_view` let in."""
    visit = read_visit(request)
    assert visit is not None, "admin_view lets nobody in who is not signed in"
    return visit


def _require_entry(visit: Visit) -> None:
    if not visit.may_enter:
        names = ", ".join(sorted(console.ENTRY))
        raise AccessForbiddenError(
            f"The console is for who holds one of {names} everywhere.",
            permission=Permission.MANAGE_USERS.value,
        )
