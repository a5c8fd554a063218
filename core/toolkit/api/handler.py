"""From any exception of a view to a problem+json answer. Read `handle_exception` first."""

from collections.abc import Mapping
from typing import Any

import structlog
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from core.kernel.errors import PlatformError
from core.toolkit.api import origin
from core.toolkit.api.errors import (
    PROBLEM_MEDIA_TYPE,
    BodyTooLargeError,
    CredentialsRefusedError,
    DependencyDownError,
    InputRefusedError,
    InternalError,
    MalformedError,
    MediaTypeRefusedError,
    MethodRefusedError,
    NotAcceptableError,
    NotAuthenticatedError,
    PermissionRefusedError,
    RouteMissingError,
    TooManyRequestsError,
    describe_error,
)
from core.toolkit.api.serializers import list_validation_problems

_log = structlog.get_logger(__name__)

_FRAMEWORK: tuple[tuple[tuple[type[Exception], ...], type[PlatformError]], ...] = (
    ((exceptions.NotAuthenticated,), NotAuthenticatedError),
    ((exceptions.AuthenticationFailed,), CredentialsRefusedError),
    ((exceptions.PermissionDenied, PermissionDenied), PermissionRefusedError),
    ((exceptions.NotFound, Http404), RouteMissingError),
    ((exceptions.MethodNotAllowed,), MethodRefusedError),
    ((exceptions.NotAcceptable,), NotAcceptableError),
    ((exceptions.UnsupportedMediaType,), MediaTypeRefusedError),
    ((RequestDataTooBig,), BodyTooLargeError),
    (
        (exceptions.ParseError, BadRequest, SuspiciousOperation, UnreadablePostError),
        MalformedError,
    ),
)


def handle_exception(error: Exception, context: Mapping[str, Any]) -> Response:
    """Return the answer to whatever a view raised; DRF's `EXCEPTION_HANDLER`.

    Anticipated errors say what they are. Anything else is a bug: the log gets the traceback, the
    caller a reference. This is the process edge where every exception is caught.
    """
    request: HttpRequest = context["request"]
    # A problem is JSON, also where the answer would have been something else.
    context["request"].accepted_renderer = JSONRenderer()
    context["request"].accepted_media_type = JSONRenderer.media_type
    answer = describe_error(
        _translate(error), instance=request.path, request_id=origin.read_request_id(request)
    )
    return Response(
        answer.body,
        status=answer.status,
        headers=answer.headers,
        content_type=PROBLEM_MEDIA_TYPE,
    )


def respond_to_error(request: HttpRequest, error: PlatformError) -> HttpResponse:
    """Return the problem+json answer to an error found outside any view of DRF."""
    answer = describe_error(
        error, instance=request.path, request_id=origin.read_request_id(request)
    )
    return JsonResponse(
        answer.body,
        status=answer.status,
        headers=answer.headers,
        content_type=PROBLEM_MEDIA_TYPE,
    )


def _translate(error: Exception) -> PlatformError:
    if isinstance(error, PlatformError):
        return error
    if isinstance(error, exceptions.ValidationError):
        return InputRefusedError(problems=tuple(list_validation_problems(error.detail)))
    if isinstance(error, exceptions.Throttled):
        return TooManyRequestsError(retry_after_seconds=getattr(error, "wait", None) or 1)
    for sources, target in _FRAMEWORK:
        if isinstance(error, sources):
            return target(_sentence(error))
    if isinstance(error, OperationalError | InterfaceError):
        # Also deadlocks and lock timeouts: PostgreSQL undid the transaction, trying again is right.
        _log.exception("api.dependency_down")
        return DependencyDownError(retry_after_seconds=1)
    _log.error("api.unhandled_exception", exc_info=error)
    return InternalError()


def _sentence(error: Exception) -> str:
    """Return what DRF says of its own errors; Django's may name internals and are left out."""
    return str(error.detail) if isinstance(error, exceptions.APIException) else ""
