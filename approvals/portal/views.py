"""The inbox and one approval in it. Read `RequestView.post` first."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse

from approvals.domain.rule import Asks
from approvals.portal import context, forms
from approvals.portal.forms import Bar, Typed
from approvals.selectors import explaining, inbox, receipts, requests
from approvals.selectors.requests import RequestFilters
from approvals.services.decide import decide
from audit.api.log import respond_with_receipt
from core.kernel.clock import SYSTEM_CLOCK
from core.kernel.errors import (
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    PlatformError,
    PreconditionError,
    Problem,
    StaleError,
)
from core.kernel.types import Json
from core.toolkit.api.errors import status_of
from core.toolkit.portal.views import PortalView

VIEWS: Final = {"needs-you": "Needs you", "others": "Others", "decided": "Decided"}
_FILTERS: Final = ("workflow", "project", "kind", "risk", "requester")


class _ListView(PortalView):
    """A page with the list on it."""

    def list_context(self, *, open_id: UUID | None = None) -> dict[str, Any]:
        """Return what the list shows: the view and filters are in the address."""
        chosen = self.request.GET.get("view", "needs-you")
        view = chosen if chosen in VIEWS else "needs-you"
        names = {key: self.request.GET[key] for key in _FILTERS if self.request.GET.get(key)}
        filters = RequestFilters(
            workflow_slug=names.get("workflow"),
            project_slug=names.get("project"),
            kind=names.get("kind"),
            risk=names.get("risk"),
            requester=names.get("requester"),
        )
        page = _LISTS[view](principal=self.principal, filters=filters)
        now = SYSTEM_CLOCK.now()
        groups = context.group_rows(page.requests, now=now)
        if view == "decided":
            rows = tuple(context.make_row(item) for item in page.requests)
            groups = (context.Group(key="decided", label="", rows=rows),) if rows else ()
        asked = {"view": view, **names} if view != "needs-you" else names
        return {
            "place": "inbox",
            "view": view,
            "views": [
                {"key": key, "label": label, "url": _address({**names, "view": key})}
                for key, label in VIEWS.items()
            ],
            "groups": groups,
            "has_more": page.has_more,
            "filters": names,
            "clear_url": _address({"view": view}),
            "query": f"?{urlencode(asked)}" if asked else "",
            "open_id": open_id,
            "next_id": context.pick_next(page.requests, current=open_id) if open_id else None,
            "now": now,
        }


class InboxView(_ListView):
    """The list, with nothing open."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the list."""
        return self.render("approvals/inbox.html", self.list_context())


class RequestView(_ListView):
    """One approval beside the list: what is asked, who decides, and the decision bar."""

    throttle_scope = "decide"

    def get(self, request: HttpRequest, request_id: UUID) -> HttpResponse:
        """Show the approval."""
        return self._show(request_id, data=self.carried, was_carried=self.carried is not None)

    def post(self, request: HttpRequest, request_id: UUID) -> HttpResponse:
        """Record the decision about exactly what was shown.

        What is incomplete comes back with 422, a race with 409 or 410, something changed with 412,
        each with what was typed; nothing was recorded then.
        """
        typed = forms.read_typed(request.POST)
        try:
            values = self._read_form(request_id, typed)
            decide(
                principal=self.principal,
                request_id=request_id,
                decision=typed.decision,
                digest_hex=typed.digest,
                comment=typed.comment,
                form=values,
                confirmed=typed.confirmed,
                idempotency_key=typed.key,
                stage=typed.stage,
            )
        except (
            ConflictError,
            ForbiddenError,
            GoneError,
            InvalidError,
            PreconditionError,
            StaleError,
        ) as error:
            return self._show(request_id, data=typed.data, error=error, typed=typed)
        return self.go_to(self.request.get_full_path())

    def _read_form(self, request_id: UUID, typed: Typed) -> dict[str, Json] | None:
        """Return the form's values. Raises: InvalidError with the fields that hold no value."""
        if typed.decision != "approve":
            return None
        detail = requests.get_request(principal=self.principal, request_id=request_id)
        bar = forms.make_bar(detail, data=typed.data)
        if bar.form is None:
            return None
        if not bar.form.is_valid():
            raise _FormUnreadableError
        return bar.form.to_values()

    def _show(
        self,
        request_id: UUID,
        *,
        data: QueryDict | None = None,
        error: PlatformError | None = None,
        typed: Typed | None = None,
        was_carried: bool = False,
    ) -> HttpResponse:
        detail = requests.get_request(principal=self.principal, request_id=request_id)
        explanation = explaining.explain(principal=self.principal, request_id=request_id)
        bar = forms.make_bar(detail, data=data)
        if isinstance(error, InvalidError):
            bar = _with_problems(bar, error)
        username = self.principal.username
        sealed = receipts.list_sealed_votes(detail=detail)
        shown = {
            "detail": detail,
            "summary": detail.summary,
            "row": context.make_row(detail.summary),
            "why": explanation,
            "bar": bar if explanation.is_eligible else None,
            "confirm": detail.confirm,
            "facts": context.list_facts(detail.subject),
            "form_facts": context.list_facts(detail.form_values or {}),
            "stages": context.list_stages(detail, explanation, username=username),
            "choices": context.list_choices(detail, is_mine=explanation.is_eligible),
            "is_question": detail.summary.kind == Asks.QUESTION,
            "activity": context.list_activity(detail, sealed=sealed),
            "problem": _problem(error, typed=typed, detail=detail),
            "was_carried": was_carried,
            "chosen": typed.decision if typed else "",
        }
        status = 200 if error is None else status_of(type(error))
        page = self.list_context(open_id=request_id) | shown
        return self.render("approvals/inbox.html", page, status=status)


class ReceiptView(PortalView):
    """One decision as a file that proves itself."""

    def get(self, request: HttpRequest, request_id: UUID, vote_id: UUID) -> HttpResponse:
        """Return the receipt."""
        found = receipts.get_vote_receipt(
            principal=self.principal, request_id=request_id, vote_id=vote_id
        )
        return respond_with_receipt(found.data, name=found.name)


class _FormUnreadableError(InvalidError):
    """Fields hold what is no value of their type; they say so themselves."""


_LISTS: Final = {
    "needs-you": inbox.list_needing,
    "others": inbox.list_following,
    "decided": inbox.list_decided,
}


def _address(query: Mapping[str, str]) -> str:
    kept = {key: value for key, value in query.items() if (key, value) != ("view", "needs-you")}
    address = reverse("approvals_portal:inbox")
    return f"{address}?{urlencode(kept)}" if kept else address


def _with_problems(bar: Bar, error: InvalidError) -> Bar:
    """Put what is wrong at the fields it is about."""
    others: list[Problem] = []
    found = {"/comment": "", "/confirmed": ""}
    for problem in error.problems:
        if problem.path in found:
            found[problem.path] = found[problem.path] or _sentence(problem)
        else:
            others.append(problem)
    if bar.form is not None:
        bar.form.is_valid()
        bar.form.add_problems(others, under="/form")
    fields = len(bar.form.errors) if bar.form is not None else len(others)
    return replace(
        bar,
        comment_error=found["/comment"],
        confirm_error=found["/confirmed"],
        error_count=fields + sum(1 for text in found.values() if text),
    )


def _sentence(problem: Problem) -> str:
    return problem.message[:1].upper() + problem.message[1:].rstrip(".") + "."


def _problem(
    error: PlatformError | None, *, typed: Typed | None, detail: Any
) -> dict[str, Any] | None:
    """Return the note above the bar: what happened, what has changed, what was typed."""
    if error is None or typed is None:
        return None
    changes: tuple[context.Change, ...] = ()
    if isinstance(error, StaleError | ConflictError | GoneError) and typed.seen:
        changes = context.list_changes(typed.seen, context.take_snapshot(detail))
    return {
        "title": error.title if not isinstance(error, InvalidError) else "",
        "sentence": error.message if error.message != error.title else "",
        "is_incomplete": isinstance(error, InvalidError),
        "code": error.code,
        "changes": changes,
        "comment": typed.comment,
    }
