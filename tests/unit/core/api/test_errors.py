"""From errors to problem documents."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from django.http import Http404
from django.test import RequestFactory
from rest_framework import exceptions
from rest_framework.request import Request

from core.kernel import errors as kinds
from core.kernel.errors import PlatformError, Problem
from core.toolkit.api import fallbacks
from core.toolkit.api.errors import (
    PROBLEM_MEDIA_TYPE,
    RESERVED_KEYS,
    STATUSES,
    describe_error,
    status_of,
)
from core.toolkit.api.handler import handle_exception
from core.toolkit.api.serializers import list_validation_problems


class _SampleError(kinds.ConflictError):
    code = "api.test_sample"
    title = "A sample."


def _answer(error: Exception):
    request = Request(RequestFactory().get("/api/v1/things/?secret=1"))
    return handle_exception(error, {"request": request})


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (kinds.UnauthenticatedError, 401),
        (kinds.ForbiddenError, 403),
        (kinds.MissingError, 404),
        (kinds.ConflictError, 409),
        (kinds.GoneError, 410),
        (kinds.StaleError, 412),
        (kinds.TooLargeError, 413),
        (kinds.InvalidError, 422),
        (kinds.PreconditionError, 428),
        (kinds.ThrottledError, 429),
        (kinds.UnavailableError, 503),
    ],
)
def test_each_kind_has_its_status(kind, status):
    assert status_of(kind) == status


def test_every_kind_of_the_kernel_is_in_the_table():
    assert set(PlatformError.__subclasses__()) - set(STATUSES) == set()


def test_every_loaded_error_class_has_a_status_and_a_title():
    for error in kinds.list_errors():
        assert 400 <= status_of(error) < 600
        assert error.title.endswith("."), error


def test_a_class_of_no_kind_is_a_bug():
    with pytest.raises(LookupError):
        status_of(PlatformError)


def test_an_error_becomes_a_problem_document():
    error = _SampleError(
        "Run 7 is closed.",
        problems=[Problem(message="No.", path="/a", code="x", line=3, column=4)],
        at=datetime(2026, 1, 2, tzinfo=UTC),
        digest=b"\x01\xff",
        names={"b", "a"},
        run=UUID(int=7),
        status="mine",
    )

    answer = describe_error(error, instance="/x", request_id="r1")

    assert answer.status == 409
    assert answer.body == {
        "type": "urn:countersign:error:api.test_sample",
        "title": "A sample.",
        "status": 409,
        "detail": "Run 7 is closed.",
        "code": "api.test_sample",
        "instance": "/x",
        "request_id": "r1",
        "errors": [
            {
                "path": "/a",
                "message": "No.",
                "code": "x",
                "severity": "error",
                "line": 3,
                "column": 4,
            }
        ],
        "at": "2026-01-02T00:00:00+00:00",
        "digest": "01ff",
        "names": ["a", "b"],
        "run": "00000000-0000-0000-0000-000000000007",
    }
    json.dumps(answer.body)


def test_details_never_overwrite_what_every_problem_has():
    details: Any = dict.fromkeys(RESERVED_KEYS - {"errors"}, "forged")

    body = describe_error(_SampleError(**details), instance="/x", request_id="r1").body

    assert "forged" not in body.values()


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (exceptions.ParseError(), 400, "api.malformed"),
        (SuspiciousOperation("internals"), 400, "api.malformed"),
        (exceptions.NotAuthenticated(), 401, "api.not_authenticated"),
        (exceptions.AuthenticationFailed(), 401, "api.credentials_refused"),
        (exceptions.PermissionDenied(), 403, "api.permission_refused"),
        (PermissionDenied("internals"), 403, "api.permission_refused"),
        (exceptions.NotFound(), 404, "api.not_found"),
        (Http404("internals"), 404, "api.not_found"),
        (exceptions.MethodNotAllowed("PUT"), 405, "api.method_not_allowed"),
        (exceptions.NotAcceptable(), 406, "api.not_acceptable"),
        (RequestDataTooBig("internals"), 413, "api.body_too_large"),
        (exceptions.UnsupportedMediaType("text/plain"), 415, "api.unsupported_media_type"),
        (exceptions.ValidationError({"a": ["b"]}), 422, "api.invalid_input"),
        (exceptions.Throttled(wait=12.2), 429, "api.throttled"),
        (OperationalError("internals"), 503, "api.unavailable"),
        (ZeroDivisionError("internals"), 500, "api.internal"),
        (AssertionError("internals"), 500, "api.internal"),
    ],
)
def test_whatever_a_view_raises_is_answered_as_a_problem(error, status, code):
    response = _answer(error)

    assert response.status_code == status
    assert response.content_type == PROBLEM_MEDIA_TYPE
    assert response.data["code"] == code
    assert response.data["status"] == status
    assert response.data["instance"] == "/api/v1/things/"
    assert response.data["request_id"]
    assert "internals" not in json.dumps(response.data)


def test_a_refused_rate_says_when_to_come_back():
    response = _answer(exceptions.Throttled(wait=12.2))

    assert response.headers["Retry-After"] == "13"
    assert response.data["retry_after_seconds"] >= 12


def test_missing_credentials_are_challenged():
    assert "Bearer" in _answer(exceptions.NotAuthenticated()).headers["WWW-Authenticate"]
    assert "WWW-Authenticate" not in _answer(exceptions.PermissionDenied()).headers


def test_every_field_of_a_refused_input_is_pointed_at():
    detail = exceptions.ValidationError(
        {
            "name": ["Too long.", "Too odd."],
            "stages": [{}, {"quorum": {"count": ["Too many."]}}],
            "a/b~c": ["Escaped."],
            "non_field_errors": ["All of it."],
        }
    ).detail

    found = {(problem.path, problem.message) for problem in list_validation_problems(detail)}

    assert found == {
        ("/name", "Too long."),
        ("/name", "Too odd."),
        ("/stages/1/quorum/count", "Too many."),
        ("/a~1b~0c", "Escaped."),
        ("", "All of it."),
    }


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (lambda request: fallbacks.answer_bad_request(request, Exception()), 400, "api.malformed"),
        (
            lambda request: fallbacks.answer_forbidden(request, Exception()),
            403,
            "api.permission_refused",
        ),
        (lambda request: fallbacks.answer_not_found(request, Exception()), 404, "api.not_found"),
        (fallbacks.answer_bug, 500, "api.internal"),
    ],
)
def test_what_no_view_of_the_api_caught_is_a_problem_too(answer, status, code):
    inside = answer(RequestFactory().get("/api/v1/x/"))
    outside = answer(RequestFactory().get("/elsewhere/"))

    assert (inside.status_code, json.loads(inside.content)["code"]) == (status, code)
    assert inside["Content-Type"] == PROBLEM_MEDIA_TYPE
    assert outside.status_code == status
    assert outside["Content-Type"].startswith("text/html")
