"""Typed text that survives a lost session. Read `ask_to_sign_in` first.

A form is posted to the address of the page that shows it. When the session has ended meanwhile, the
sign-in page carries what was typed, signed, and gives it back after signing in: the form is shown
again, filled, and nothing has been sent. Works without scripts.
"""

from collections.abc import Mapping
from typing import Final

from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from core.kernel import limits

_SALT: Final = "core.portal.carrying"
_SESSION_KEY: Final = "carried"
_CSRF_FIELD: Final = "csrfmiddlewaretoken"
_AGE_SECONDS_MAX: Final = 12 * 60 * 60

Fields = Mapping[str, list[str]]


def ask_to_sign_in(request: HttpRequest) -> HttpResponse:
    """Return the sign-in page in place of a page that needs one: 401, holding what was posted."""
    context = {"next": request.get_full_path(), "carried": "", "is_refused": False}
    if request.method == "POST":
        context |= {"next": request.path, "carried": pack(request)}
    return render(request, "identity/sign_in.html", context, status=401)


def pack(request: HttpRequest) -> str:
    """Return what was posted and where to, signed; "" if it is too large to carry."""
    fields = {name: values for name, values in request.POST.lists() if name != _CSRF_FIELD}
    packed = signing.dumps({"path": request.path, "fields": fields}, salt=_SALT, compress=True)
    return packed if len(packed) <= limits.CARRIED_CHARS_MAX else ""


def keep(request: HttpRequest, packed: str) -> None:
    """Put what a sign-in page carried into the new session; what does not hold is dropped."""
    if not packed:
        return
    try:
        request.session[_SESSION_KEY] = signing.loads(packed, salt=_SALT, max_age=_AGE_SECONDS_MAX)
    except signing.BadSignature:
        return


def take(request: HttpRequest) -> Fields | None:
    """Return, once, what was typed into the form at this address before the session was lost."""
    kept = request.session.get(_SESSION_KEY)
    if kept is None or kept.get("path") != request.path:
        return None
    del request.session[_SESSION_KEY]
    fields: Fields = kept["fields"]
    return fields
