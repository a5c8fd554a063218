"""Pages for what went wrong. Read `answer_error` first.

The page of a bug renders without database, session or static manifest. API addresses never come
here: `core.toolkit.api.fallbacks` sends them to problem documents.
"""

import math
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.cache import add_never_cache_headers

from core.identity.domain.errors import AccessForbiddenError
from core.identity.models import User
from core.kernel.errors import (
    ForbiddenError,
    MissingError,
    PlatformError,
    ThrottledError,
    UnavailableError,
)
from core.toolkit.api.errors import status_of
from core.toolkit.api.origin import read_request_id
from core.toolkit.portal import carrying
from core.toolkit.portal.visitor import find_visitor


@dataclass(frozen=True, slots=True, kw_only=True)
class Oops:
    """An error page."""

    status: int
    title: str
    sentence: str
    code: str = ""
    permission: str = ""
    reference: str = ""
    icon: str = "circle-help"


def answer_error(request: HttpRequest, error: PlatformError) -> HttpResponse:
    """Return the page for an anticipated error a view did not show in place."""
    oops = _describe(error)
    response = _respond(request, oops)
    if isinstance(error, ThrottledError | UnavailableError):
        seconds = error.details.get("retry_after_seconds", 5)
        response["Retry-After"] = str(math.ceil(float(seconds)))
    return response


def answer_missing(request: HttpRequest) -> HttpResponse:
    """Return the page for an address that leads nowhere."""
    return _respond(request, _describe(MissingError("")))


def answer_forbidden(request: HttpRequest) -> HttpResponse:
    """Return the page for what a middleware refused."""
    return _respond(request, _describe(ForbiddenError("")))


def answer_bad_request(request: HttpRequest) -> HttpResponse:
    """Return the page for a request that makes no sense; asks nobody anything."""
    text = render_to_string(
        "errors/plain.html",
        {
            "title": "This address or form makes no sense",
            "sentence": "Go back and try again from the page before.",
            "reference": read_request_id(request),
        },
    )
    return HttpResponse(text, status=400)


def answer_bug(request: HttpRequest) -> HttpResponse:
    """Return the page for a bug; asks nobody anything, because anything may be broken."""
    text = render_to_string(
        "errors/plain.html",
        {
            "title": "This went wrong on our side",
            "sentence": "It has been noted. What you sent may or may not have been recorded: look "
            "again before you send it a second time.",
            "reference": read_request_id(request),
            "again": request.path if request.method == "GET" else "/",
        },
    )
    return HttpResponse(text, status=500)


def refuse_csrf(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Return what to do about a form whose token is wrong; `CSRF_FAILURE_VIEW`.

    It happens to people who signed in again in another tab. A browser says whether our own page
    sent the form: then what was typed comes back in the form, unsent. Otherwise it is refused.
    """
    if request.headers.get("Sec-Fetch-Site") == "same-origin":
        answer = _answer_own_form(request)
        if answer is not None:
            return answer
    oops = Oops(
        status=403,
        title="This form did not come from here",
        sentence="Open the page again and send the form from there. Nothing was changed.",
        code="api.csrf_refused",
        icon="shield",
    )
    return _respond(request, oops)


def _answer_own_form(request: HttpRequest) -> HttpResponse | None:
    is_signed_in = isinstance(request.user, User)
    if request.path.startswith("/sign-in/"):
        packed, target = request.POST.get("carried", ""), request.POST.get("next", "")
        target = carrying.read_target(request, target)
        if not is_signed_in:
            return carrying.show_sign_in(request, target=target, carried=packed, status=403)
        carrying.keep(request, packed)
        return HttpResponseRedirect(target, status=303)
    if request.path.startswith(("/admin/", "/sign-out/")):
        return None
    if not is_signed_in:
        return carrying.ask_to_sign_in(request)
    carrying.keep(request, carrying.pack(request))
    return HttpResponseRedirect(request.path, status=303)


def _describe(error: PlatformError) -> Oops:
    status = status_of(type(error))
    if isinstance(error, MissingError):
        return Oops(
            status=status,
            title="Not here",
            sentence="There is nothing at this address, or nothing that you may see.",
            code=error.code,
        )
    if isinstance(error, AccessForbiddenError | ForbiddenError):
        return Oops(
            status=status,
            title="You may not do this",
            sentence=error.message or "Your roles do not allow it.",
            code=error.code,
            permission=str(error.details.get("permission", "")),
            icon="lock",
        )
    if isinstance(error, ThrottledError):
        seconds = math.ceil(float(error.details.get("retry_after_seconds", 1)))
        return Oops(
            status=status,
            title="Too many requests",
            sentence=f"Come back in {seconds} s. Nothing was lost.",
            code=error.code,
            icon="timer",
        )
    return Oops(
        status=status, title=error.title, sentence=error.message, code=error.code, icon="info"
    )


def _respond(request: HttpRequest, oops: Oops) -> HttpResponse:
    visitor = find_visitor(request)
    request.principal = visitor  # type: ignore[attr-defined]  # read by the frame
    context = {"oops": oops, "layout": "layouts/frame.html" if visitor else "base.html"}
    response = render(request, "errors/oops.html", context, status=oops.status)
    add_never_cache_headers(response)
    return response
