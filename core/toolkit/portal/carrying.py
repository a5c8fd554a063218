"""Typed text that survives a lost session. Read `ask_to_sign_in` first.

A form is posted to the address of the page that shows it. When the session has ended meanwhile, the
sign-in page carries what was typed, signed, and gives it back after signing in: the form is shown
again, filled, and nothing has been sent. Works without scripts. Each form says whose it is, and
what was typed is given back to nobody else.
"""

from typing import Any, Final

from django.core import signing
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.utils.http import url_has_allowed_host_and_scheme

from core.identity.models import User
from core.kernel import limits

OWNER_FIELD: Final = "owner"
# What a form calls a value that no page and no session may hold.
SECRET_FIELD: Final = "secret"  # noqa: S105  # the name of a field
_SALT: Final = "core.portal.carrying"
_SESSION_KEY: Final = "carried"
_CSRF_FIELD: Final = "csrfmiddlewaretoken"
_LEFT_OUT: Final = frozenset({_CSRF_FIELD, SECRET_FIELD})
_AGE_SECONDS_MAX: Final = 12 * 60 * 60


def ask_to_sign_in(request: HttpRequest) -> HttpResponse:
    """Return the sign-in page in place of a page that needs one: 401, holding what was posted."""
    is_post = request.method == "POST"
    return show_sign_in(
        request,
        target=request.path if is_post else request.get_full_path(),
        carried=pack(request) if is_post else "",
        status=401,
    )


def show_sign_in(
    request: HttpRequest, *, target: str, carried: str, status: int, **more: Any
) -> HttpResponse:
    """Return the sign-in page.

    Args:
        request: what is answered.
        target: where to go on afterwards, an address of ours.
        carried: what `pack` returned, or "".
        status: of the answer.
        more: what else the page shows.
    """
    context = {"next": target, "carried": carried, **more}
    response = render(request, "identity/sign_in.html", context, status=status)
    add_never_cache_headers(response)
    return response


def read_target(request: HttpRequest, wanted: str) -> str:
    """Return where to go on: an address of ours, or the front page."""
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_ours and wanted.startswith("/") else "/"


def pack(request: HttpRequest) -> str:
    """Return what was posted, where to and by whom, signed; "" if it is too large to carry."""
    fields = {name: values for name, values in request.POST.lists() if name not in _LEFT_OUT}
    owner = request.POST.get(OWNER_FIELD, "")
    value = {"path": request.path, "owner": owner, "fields": fields}
    packed = signing.dumps(value, salt=_SALT, compress=True)
    return packed if len(packed) <= limits.CARRIED_CHARS_MAX else ""


def keep(request: HttpRequest, packed: str) -> None:
    """Put what a sign-in page carried into the session of whom it belongs to; drop all else."""
    if not packed or not isinstance(request.user, User):
        return
    try:
        value = signing.loads(packed, salt=_SALT, max_age=_AGE_SECONDS_MAX)
    except signing.BadSignature:
        return
    if value["owner"] == str(request.user.pk):
        request.session[_SESSION_KEY] = value


def take(request: HttpRequest) -> QueryDict | None:
    """Return, once, what was typed into the form at this address before the session was lost.

    As Django gives a posted form; `None` if nothing was.
    """
    kept = request.session.get(_SESSION_KEY)
    if kept is None or kept.get("path") != request.path:
        return None
    del request.session[_SESSION_KEY]
    typed = QueryDict(mutable=True)
    for name, values in kept["fields"].items():
        typed.setlist(name, values)
    return typed
