"""Running a run again in the portal."""

from uuid import uuid4

import pytest

from engine.models import Run
from engine.services.runs import cancel_run
from tests.integration.portal.conftest import csrf_of, field, text


@pytest.fixture
def over(office):
    """Return a run that was cancelled while it waited for people."""
    run_id = office.run()
    cancel_run(principal=office.principal("mara"), run_id=run_id, reason="")
    office.hand.drive(run_id)
    return run_id


def sent(page, **values):
    return {
        "csrfmiddlewaretoken": csrf_of(page),
        "key": field(page, "key"),
        "step": field(page, "step"),
        **values,
    }


def test_a_closed_run_is_run_again_and_both_name_each_other(office, browse, over):
    browser = browse("mara")
    assert f"/runs/{over}/again/" in text(browser.get(f"/runs/{over}/"))
    page = browser.get(f"/runs/{over}/again/?step=approve%231")
    shown = text(page)
    assert "Asked again" in shown
    assert '<option value="approve#1" selected>' in shown

    refused = browser.post(f"/runs/{over}/again/", sent(page, reason=" "))
    assert refused.status_code == 422
    assert "Say why" in text(refused)
    answer = browser.post(f"/runs/{over}/again/", sent(page, reason="once more"))

    new = Run.objects.get(rerunner__isnull=False)
    old = Run.objects.get(pk=over)
    assert (answer.status_code, answer["Location"]) == (303, f"/runs/{new.pk}/")
    assert f"run {old.number}</a>" in text(browser.get(f"/runs/{new.pk}/"))
    assert "Run again from" in text(browser.get(f"/runs/{new.pk}/"))
    assert f"run {new.number}</a>" in text(browser.get(f"/runs/{over}/"))
    told = text(browser.get(f"/runs/{new.pk}/?tab=events"))
    assert "The run began as another one run again, from the step Approve" in told


def test_who_may_not_reads_who_may(office, browse, over):
    office.user("vera", "viewer")
    browser = browse("vera")

    assert f"/runs/{over}/again/" not in text(browser.get(f"/runs/{over}/"))
    assert browser.get(f"/runs/{over}/again/").status_code == 403
    assert browse("mara").get(f"/runs/{uuid4()}/again/").status_code == 404


def test_an_open_run_says_why_not(office, browse):
    run_id = office.run()
    browser = browse("mara")

    assert "/again/" not in text(browser.get(f"/runs/{run_id}/"))
    assert "still open" in text(browser.get(f"/runs/{run_id}/again/"))


def test_a_step_that_is_not_there_shows_everything(office, browse, over):
    shown = text(browse("mara").get(f"/runs/{over}/again/?step=moon"))

    assert 'value="moon"' not in shown
    assert "What it does" in shown
    named = text(browse("mara").get(f"/runs/{over}/again/?step=approve"))
    assert '<option value="approve#1" selected>' in named
