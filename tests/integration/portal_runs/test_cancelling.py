"""Cancelling a run from its page."""

import pytest

from core.kernel import limits
from engine.models import Run
from tests.integration.portal_runs.conftest import ask, call, send, text, words


@pytest.fixture
def run_id(yard):
    return yard.play(ask("gate"), call("b", "gate"), title="Big one")


def _address(run_id):
    return f"/runs/{run_id}/cancel/"


def test_an_operator_cancels_a_run_and_goes_back_to_it(yard, run_id):
    browser = yard.browse("rex")

    answer = send(browser, _address(run_id), reason="  the wrong version  ")

    assert answer.status_code == 303
    assert answer["Location"] == f"/runs/{run_id}/"
    yard.hand.drive(run_id)
    assert Run.objects.get(pk=run_id).outcome == "cancelled"
    events = words(browser.get(f"/runs/{run_id}/?tab=events"))
    assert "Somebody asked to cancel the run" in events
    assert "the wrong version" in events
    assert "Cancel run" not in words(browser.get(f"/runs/{run_id}/"))


@pytest.mark.parametrize("reason", ["", "   ", "x" * (limits.REASON_CHARS_MAX + 1)])
def test_a_reason_that_will_not_do_comes_back_with_what_was_typed(yard, run_id, reason):
    answer = send(yard.browse("rex"), _address(run_id), reason=reason)

    assert answer.status_code == 422
    assert f">{reason}</textarea>" in text(answer)
    assert Run.objects.get(pk=run_id).status == "WAITING"


@pytest.mark.parametrize("name", ["mara", "vera", "ann"])
def test_who_may_not_cancel_reads_who_may(yard, run_id, name):
    browser = yard.browse(name)

    page = browser.get(_address(run_id))

    assert page.status_code == 403
    assert "Rex" in words(page)
    assert "Operator in this project" in words(page)
    assert "Cancel run" not in words(browser.get(f"/runs/{run_id}/"))


def test_a_form_sent_without_the_permission_changes_nothing(yard, run_id):
    page = yard.browse("rex").get(_address(run_id))
    viewer = yard.browse("vera")
    viewer.get(_address(run_id))

    token = viewer.cookies.get("__Host-csrf")
    answer = viewer.post(
        _address(run_id), {"reason": "x", "csrfmiddlewaretoken": token.value if token else ""}
    )

    assert page.status_code == 200
    assert answer.status_code == 403
    assert Run.objects.get(pk=run_id).status == "WAITING"


def test_a_run_that_is_over_offers_no_cancelling(yard):
    run_id = yard.play(call("a"))

    page = yard.browse("rex").get(_address(run_id))

    assert "This run is over" in words(page)
    assert "<textarea" not in text(page)


def test_a_run_that_ended_meanwhile_says_so(yard, run_id):
    browser = yard.browse("rex")
    page = browser.get(_address(run_id))
    send(yard.browse("rex"), _address(run_id), reason="first")
    yard.hand.drive(run_id)

    answer = send(browser, _address(run_id), page, reason="second")

    assert answer.status_code == 422
    assert "This run is over" in words(answer)
