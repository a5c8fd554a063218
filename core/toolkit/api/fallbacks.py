"""Errors that Django finds before, after or beside the API's views. Read `answer_not_found` first.

They are the `handler400` to `handler500` of the URL configuration: under /api/ they answer with a
problem document, elsewhere with a page.
"""

from typing import Final

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from core.toolkit.api.errors import (
    InternalError,
    MalformedError,
    PermissionRefusedError,
    RouteMissingError,
)
from core.toolkit.api.handler import respond_to_error
from core.toolkit.portal import pages

_PREFIX: Final = "/api/"


@csrf_exempt
def refuse_unknown_address(request: HttpRequest) -> HttpResponse:
    """Return 404 as problem+json for whatever no route of the API matches, by any method."""
    return respond_to_error(request, RouteMissingError())


def answer_bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return 400 for a request Django cannot make sense of, such as one for a strange host."""
    if not request.path.startswith(_PREFIX):
        return pages.answer_bad_request(request)
    is_strange_host = isinstance(exception, DisallowedHost)
    message = "This is not the host you asked for." if is_strange_host else ""
    return respond_to_error(request, MalformedError(message))


def answer_forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return 403 for what a middleware refused."""
    if not request.path.startswith(_PREFIX):
        return pages.answer_forbidden(request)
    return respond_to_error(request, PermissionRefusedError())


def answer_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return 404 for an address that leads nowhere."""
    if not request.path.startswith(_PREFIX):
        return pages.answer_missing(request)
    return refuse_unknown_address(request)


def answer_bug(request: HttpRequest) -> HttpResponse:
    """Return 500 for an error that no view caught; Django has logged it."""
    if not request.path.startswith(_PREFIX):
        return pages.answer_bug(request)
    return respond_to_error(request, InternalError())
