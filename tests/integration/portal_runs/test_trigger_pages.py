"""The page of a trigger: how it goes, and what may be done to it."""

import re

import pytest

from audit import store as ledger
from engine.models import Trigger, Workflow
from engine.triggers import backfilling
from engine.triggers.firing import fire_due
from engine.triggers.models import Endpoint
from tests.integration.portal_runs.conftest import find, send, text, words

SOURCE = """
schema: flow/v1
kind: dag
name: self
triggers:
- schedule: {cron: "0 9 * * *", timezone: Europe/Berlin}
- webhook: {provider: github, event: push}
- run-finished: {workflow: build, outcomes: [failed]}
steps: {note: {emit: {type: self.noted}}}
"""
PAGE = "/workflows/acme/self/"


@pytest.fixture
def browser(yard):
    """Return the browser of somebody who administers the project, where triggers are live."""
    yard.save(SOURCE)
    yard.user("petra", "project_admin")
    return yard.browse("petra")


def kinds():
    workflow = Workflow.objects.get(slug="self")
    return [entry.kind for entry in ledger.read_verified(stream=workflow.pk, limit=100)][2:]


def test_a_workflow_lists_what_starts_its_runs(yard, browser):
    said = words(yard.browse("vera").get(PAGE))

    assert "the clock, 0 9 * * * (Europe/Berlin)" in said
    assert "webhooks “push” (GitHub)" in said
    assert "the end of a run of “build” as failed" in said
    assert "Without a secret" in said


def test_a_trigger_is_paused_and_resumed_with_a_reason(browser):
    page = f"{PAGE}triggers/schedule/"

    refused = send(browser, page, act="pause", reason=" ")
    assert refused.status_code == 422
    assert "Say why" in words(refused)
    assert send(browser, page, act="pause", reason="a storm").status_code == 303
    assert "Paused" in words(browser.get(page))
    assert Trigger.objects.get(name="schedule").next_at is None
    assert send(browser, page, act="resume", reason="over").status_code == 303
    assert Trigger.objects.get(name="schedule").next_at is not None
    assert kinds() == ["trigger.paused", "trigger.resumed"]


def test_a_secret_is_shown_on_the_page_that_made_it_and_never_again(browser):
    page = f"{PAGE}triggers/github/"
    assert "takes nothing" in words(browser.get(page))

    made = send(browser, page, act="secret")

    secret = find(r"<code>(whsec_[^<]+)</code>", text(made))
    assert made.headers["Cache-Control"].startswith("max-age=0, no-cache, no-store")
    again = text(browser.get(page))
    assert secret not in again
    assert "http://testserver/api/v1/hooks/acme/self/github/" in again
    assert Endpoint.objects.get().made_by.username == "petra"


def test_a_period_is_tried_made_up_for_and_shown(yard, browser):
    page = f"{PAGE}triggers/schedule/"
    days = {"act": "backfill", "since": "2026-01-01", "until": "2026-01-04"}

    assert "3 instants would be made up for" in words(send(browser, page, **days, dry="1"))
    assert kinds() == []
    assert send(browser, page, **days).status_code == 303
    backfilling.advance_backfills()
    fire_due()

    assert "3 instants: 3 going on" in words(browser.get(page))
    assert kinds() == ["backfill.started"]
    backfill = re.search(r'name="backfill" value="([^"]+)"', text(browser.get(page)))
    assert backfill is not None
    assert send(browser, page, act="cancel", backfill=backfill[1]).status_code == 303
    assert "Cancelled" in words(browser.get(page))


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"act": "backfill", "since": "soon", "until": "2026-01-04"}, "Name the first day"),
        ({"act": "backfill", "since": "2026-01-04", "until": "2026-01-04"}, "empty"),
        ({"act": "backfill", "since": "2026-01-04", "until": "2999-01-04"}, "not over yet"),
    ],
)
def test_what_cannot_be_done_is_said_in_place(browser, sent, told):
    answer = send(browser, f"{PAGE}triggers/schedule/", **sent)

    assert answer.status_code == 422
    assert told in words(answer)


def test_who_may_only_look_is_offered_nothing(yard, browser):
    vera = yard.browse("vera")
    for name in ("schedule", "github", "run-finished"):
        page = text(vera.get(f"{PAGE}triggers/{name}/"))
        assert 'name="act"' not in page
    assert vera.get(f"{PAGE}triggers/nothing/").status_code == 404
