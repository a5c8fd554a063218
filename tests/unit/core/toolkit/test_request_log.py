"""Every request has an id and one line."""

import pytest
import structlog
from django.http import HttpResponse
from django.test import RequestFactory
from structlog.testing import capture_logs

from core.toolkit.request_log import RequestLogMiddleware


@pytest.fixture
def ask():
    """Ask for a path; return the answer, the log lines, and the id the view saw."""

    def ask_for(path="/api/v1/me/?name=secret", **headers):
        seen = []

        def view(request):
            seen.append(structlog.contextvars.get_contextvars().get("request_id"))
            return HttpResponse(status=204)

        with capture_logs() as lines:
            response = RequestLogMiddleware(view)(RequestFactory().get(path, headers=headers))
        return response, lines, seen[0]

    return ask_for


def test_a_well_formed_id_of_the_client_is_kept(ask):
    response, _, seen = ask(**{"X-Request-ID": "client-id_1234"})

    assert response["X-Request-ID"] == seen == "client-id_1234"


@pytest.mark.parametrize("given", ["", "short", "x" * 65, "with space in it", "line\nbreak99"])
def test_any_other_id_is_replaced(ask, given):
    response, _, seen = ask(**{"X-Request-ID": given})

    assert response["X-Request-ID"] == seen != given


def test_the_line_says_what_was_asked_without_its_query(ask):
    _, (line,), _ = ask()

    assert (line["method"], line["path"], line["status"]) == ("GET", "/api/v1/me/", 204)
    assert "secret" not in str(line)
    assert line["ms"] >= 0


def test_probes_are_not_logged(ask):
    assert ask("/healthz")[1] == []


def test_nothing_of_a_request_stays_for_the_next(ask):
    ask()

    assert structlog.contextvars.get_contextvars() == {}


def test_nothing_of_a_request_stays_when_it_fails():
    def view(request):
        raise KeyError(request.path)

    with pytest.raises(KeyError, match="/lost"):
        RequestLogMiddleware(view)(RequestFactory().get("/lost"))

    assert structlog.contextvars.get_contextvars() == {}
