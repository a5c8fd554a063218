"""The pages of a table: its list, and a row with its forms. Read `ConsoleAdmin` first.

Lists, search, filters and paging are Django's. The page of a row is ours: its facts, and one form
for each service that applies. `save_model`, `delete_model` and actions are never reached.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from django.contrib import admin, messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from core.identity.console import forms
from core.identity.console.site import get_visit, read_visit
from core.identity.selectors import console
from core.kernel import ids
from core.kernel.errors import MissingError, PlatformError
from core.toolkit.api.errors import status_of

_HISTORY_COUNT_MAX = 100
_INVALID = 422
_CONFLICT = 409
_ONCE = "once"  # field: one value for each form that was shown
_SENT_KEY = "console_sent"
_SENT_COUNT_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A line about a row; `url` leads to what it names."""

    label: str
    text: str
    url: str = ""


# django-stubs makes it generic; the class itself is not subscriptable.
class ConsoleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # see above
    """A table of the console.

    `adding` and `changing` are the forms of the page that makes a row and of a row's page.
    """

    heading: ClassVar[str] = ""
    noun: ClassVar[str] = ""
    about: ClassVar[str] = ""
    adding: ClassVar[Sequence[type[forms.ActForm]]] = ()
    changing: ClassVar[Sequence[type[forms.ActForm]]] = ()

    actions = None
    list_per_page = 50
    show_facets = admin.ShowFacets.NEVER  # each would be a query
    change_list_template = "admin/console_list.html"

    def list_facts(self, row: Any) -> list[Fact]:
        """Return what the page of a row shows."""
        raise NotImplementedError

    def name_of(self, row: Any) -> str:
        """Return what a row is called."""
        return str(row)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether who asks may be in the console: it lists everything to whoever may."""
        visit = read_visit(request)
        return visit is not None and visit.may_enter

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Return the same: there is no app without a list."""
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether one of the forms that make a row is offered."""
        return bool(self._offer(request, self.adding, None))

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether a list may offer changing; each form is asked for again."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return no: what can be ended has a form for it, with a reason."""
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list under our words."""
        context = {"title": self.heading, "about": self.about, "noun": self.noun}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a row, or the page that makes one, and do what its forms ask for."""
        row = None if object_id is None else self._get_row(request, object_id)
        offered = self._offer(request, self.adding if row is None else self.changing, row)
        if row is None and not offered:
            raise MissingError
        chosen = next((item for item in offered if item.key == request.POST.get("act")), None)
        if request.method != "POST" or chosen is None:
            return self._show(request, row, self._blank(request, offered, row))
        if row is None and _was_sent_before(request):
            return self._refuse_repeat(request, offered)
        return self._act(request, row, offered, chosen)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> NoReturn:
        """Answer as for an address that leads nowhere: nothing is deleted here."""
        raise MissingError

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show who changed a row's fields when; the values are in the ledger."""
        row = self._get_row(request, object_id)
        label = self.opts.label_lower
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"History of {self.name_of(row)}",
            "heading": self.heading,
            "original": row,
            "changes": console.list_changes(
                models=[label], key=str(row.pk), limit=_HISTORY_COUNT_MAX
            ),
        }
        return TemplateResponse(request, "admin/object_history.html", context)

    def show_result(self, request: HttpRequest, result: Any) -> HttpResponse:
        """Go to the row that was made."""
        messages.success(request, f"{self.noun.capitalize()} {self.name_of(result)} was added.")
        return _go(reverse(self.page_name("change"), args=(result.pk,)))

    def page_name(self, page: str) -> str:
        """Return the name of an address: "changelist", "add", "change" or "history"."""
        return f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}"

    def _get_row(self, request: HttpRequest, object_id: str) -> Any:
        row = self.get_object(request, object_id)
        if row is None:
            raise MissingError
        return row

    def _offer(
        self, request: HttpRequest, acts: Sequence[type[forms.ActForm]], row: Any
    ) -> list[type[forms.ActForm]]:
        powers = get_visit(request).powers
        return [
            act for act in acts if (not act.takes or act.takes & powers) and act.is_offered(row)
        ]

    def _blank(
        self, request: HttpRequest, acts: Sequence[type[forms.ActForm]], row: Any
    ) -> list[forms.ActForm]:
        principal = get_visit(request).principal
        return [act(principal=principal, target=row) for act in acts]

    def _act(
        self,
        request: HttpRequest,
        row: Any,
        offered: Sequence[type[forms.ActForm]],
        chosen: type[forms.ActForm],
    ) -> HttpResponse:
        principal = get_visit(request).principal
        form = chosen(principal=principal, target=row, data=request.POST)
        others = [act for act in offered if act is not chosen]
        status = _INVALID
        if form.is_valid():
            try:
                return self._answer(request, row, form, form.run())
            except PlatformError as error:
                status = status_of(type(error))
        shown = {item.key: item for item in (form, *self._blank(request, others, row))}
        return self._show(request, row, [shown[act.key] for act in offered], status=status)

    def _refuse_repeat(
        self, request: HttpRequest, offered: Sequence[type[forms.ActForm]]
    ) -> HttpResponse:
        """Answer a form that was sent before: a reload must not make the same thing twice."""
        said = f"This form was sent before. What it made is in the list of {self.heading.lower()}."
        messages.warning(request, said)
        return self._show(request, None, self._blank(request, offered, None), status=_CONFLICT)

    def _answer(
        self, request: HttpRequest, row: Any, form: forms.ActForm, result: Any
    ) -> HttpResponse:
        if row is None:
            _note_sent(request)
            return self.show_result(request, result)
        messages.success(request, f"{form.heading}: done, and on record.")
        if type(row)._default_manager.filter(pk=row.pk).exists():  # noqa: SLF001  # documented API
            return _go(reverse(self.page_name("change"), args=(row.pk,)))
        return _go(reverse(self.page_name("changelist")))

    def _show(
        self, request: HttpRequest, row: Any, shown: Sequence[forms.ActForm], *, status: int = 200
    ) -> HttpResponse:
        name = f"Add {self.noun}" if row is None else self.name_of(row)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": name,
            "heading": self.heading,
            "original": row,
            "facts": [] if row is None else self.list_facts(row),
            "forms": shown,
            "once": ids.uuid7().hex,
        }
        return TemplateResponse(request, "admin/change_form.html", context, status=status)


def _was_sent_before(request: HttpRequest) -> bool:
    return request.POST.get(_ONCE) in request.session.get(_SENT_KEY, [])


def _note_sent(request: HttpRequest) -> None:
    key = request.POST.get(_ONCE)
    if key:
        request.session[_SENT_KEY] = [*request.session.get(_SENT_KEY, []), key][-_SENT_COUNT_MAX:]


def _go(address: str) -> HttpResponseRedirect:
    return HttpResponseRedirect(address, status=303)
