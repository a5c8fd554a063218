"""The one table from error kind to HTTP status, and the problem+json body. Read `STATUSES` first.

Services and rules raise kinds of `core.kernel.errors`; nothing but this module and the exception
handler beside it knows what those are over HTTP. What exists only in HTTP (a body that is no
JSON, a method a route does not have) has its classes here. Source: RFC 9457.
"""

import json
import math
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

from core.kernel.errors import (
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    MissingError,
    PlatformError,
    PreconditionError,
    Problem,
    StaleError,
    ThrottledError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from core.kernel.types import Json

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:countersign:error:"
CHALLENGE: Final = 'Token realm="countersign", Bearer realm="countersign"'
RESERVED_KEYS: Final = frozenset(
    {"type", "title", "status", "detail", "code", "instance", "request_id", "errors"}
)


class MalformedError(PlatformError):
    """The body cannot be read at all, so nothing in it can be pointed at."""

    code = "api.malformed"
    title = "The request cannot be read."


class NotAuthenticatedError(UnauthenticatedError):
    """The request names nobody."""

    code = "api.not_authenticated"
    title = "Sign in, or send a token."


class CredentialsRefusedError(UnauthenticatedError):
    """The token is unknown, expired or revoked, or its owner is disabled."""

    code = "api.credentials_refused"
    title = "The credentials do not hold."


class PermissionRefusedError(ForbiddenError):
    """The route itself refuses the caller."""

    code = "api.permission_refused"
    title = "You may not do this."


class CsrfRefusedError(ForbiddenError):
    """A request with a session cookie changes something without the CSRF token."""

    code = "api.csrf_refused"
    title = "The CSRF token is missing or wrong."


class RouteMissingError(MissingError):
    """The address leads nowhere, or to nothing the caller may see."""

    code = "api.not_found"
    title = "There is nothing at this address."


class MethodRefusedError(PlatformError):
    """The address exists, but not for this method; the `Allow` header names those it has."""

    code = "api.method_not_allowed"
    title = "This address does not take this method."


class NotAcceptableError(PlatformError):
    """The `Accept` header leaves out what the API speaks, `application/json`."""

    code = "api.not_acceptable"
    title = "The API answers in application/json."


class MediaTypeRefusedError(PlatformError):
    """The body is of a type the API does not read."""

    code = "api.unsupported_media_type"
    title = "The API reads application/json."


class RangeRefusedError(PlatformError):
    """The part of a file that was asked for is outside it; `details` has the file's size."""

    code = "api.range_not_satisfiable"
    title = "The file has no such part."


class InputRefusedError(InvalidError):
    """Fields of the body or of the query break their contract; `errors` lists every one."""

    code = "api.invalid_input"
    title = "The input is not valid."


class BodyTooLargeError(TooLargeError):
    """The body is over the bound."""

    code = "api.body_too_large"
    title = "The body is too large."


class TooManyRequestsError(ThrottledError):
    """The caller is over its rate; `Retry-After` says when to come back."""

    code = "api.throttled"
    title = "Too many requests."


class DependencyDownError(UnavailableError):
    """The database or another part the platform needs does not answer, or gave up waiting."""

    code = "api.unavailable"
    title = "A part of the platform does not answer; try again."


class InternalError(PlatformError):
    """A bug. The log has it under the `request_id`."""

    code = "api.internal"
    title = "Something went wrong on our side."


STATUSES: Final[Mapping[type[PlatformError], int]] = {
    MalformedError: 400,
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    MissingError: 404,
    MethodRefusedError: 405,
    NotAcceptableError: 406,
    ConflictError: 409,
    GoneError: 410,
    StaleError: 412,
    TooLargeError: 413,
    MediaTypeRefusedError: 415,
    RangeRefusedError: 416,
    InvalidError: 422,
    PreconditionError: 428,
    ThrottledError: 429,
    InternalError: 500,
    UnavailableError: 503,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemAnswer:
    """An HTTP answer to an error: status, headers and the problem document."""

    status: int
    body: dict[str, Json]
    headers: dict[str, str] = field(default_factory=dict)


def status_of(error: type[PlatformError]) -> int:
    """Return the HTTP status of an error class: that of its nearest kind in `STATUSES`.

    Raises:
        LookupError: for a class of no kind, which is a bug in that class.
    """
    for kind in error.__mro__:
        if kind in STATUSES:
            return STATUSES[kind]
    msg = f"{error.__name__} is of no kind that has an HTTP status"
    raise LookupError(msg)


def describe_error(error: PlatformError, *, instance: str, request_id: str) -> ProblemAnswer:
    """Return the answer to an anticipated error.

    Args:
        error: what was raised.
        instance: path of the request, without its query (which may hold what is private).
        request_id: what the log lines of this request carry.
    """
    code = error.code or InternalError.code
    body: dict[str, Json] = {
        "type": f"{TYPE_PREFIX}{code}",
        "title": error.title or InternalError.title,
        "status": status_of(type(error)),
        "detail": error.message,
        "code": code,
        "instance": instance,
        "request_id": request_id,
    }
    if error.problems:
        body["errors"] = [describe_problem(problem) for problem in error.problems]
    body.update(
        {key: _plain(value) for key, value in error.details.items() if key not in RESERVED_KEYS}
    )
    return ProblemAnswer(status=status_of(type(error)), body=body, headers=_headers(error))


def describe_problem(problem: Problem) -> Json:
    """Return the JSON form of one problem; `line` and `column` are null where there is no text."""
    return {
        "path": problem.path,
        "message": problem.message,
        "code": problem.code,
        "severity": problem.severity,
        "line": problem.line,
        "column": problem.column,
    }


@contextmanager
def problems_under(prefix: str, *, of: type[InvalidError]) -> Iterator[None]:
    """Put a JSON pointer before the paths of problems found in one part of a body.

    Args:
        prefix: where that part is in the body, such as "/inputs".
        of: the errors that speak of that part; others pass unchanged.
    """
    try:
        yield
    except of as error:
        error.problems = tuple(
            replace(problem, path=prefix + problem.path) for problem in error.problems
        )
        raise


def _headers(error: PlatformError) -> dict[str, str]:
    headers: dict[str, str] = {}
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = CHALLENGE
    if isinstance(error, RangeRefusedError):
        headers["Content-Range"] = f"bytes */{error.details['size']}"
    seconds = error.details.get("retry_after_seconds")
    if isinstance(error, ThrottledError) or seconds is not None:
        headers["Retry-After"] = str(max(1, math.ceil(float(seconds or 1))))
    return headers


def _plain(value: Any) -> Any:
    """Return a detail as JSON; digests become hex, sets become sorted lists."""
    return json.loads(json.dumps(value, default=_encode))


def _encode(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, date):  # and datetime, which is one
        return value.isoformat()
    if isinstance(value, AbstractSet):
        return sorted(value, key=str)
    return str(value)
