"""The page of a run as it was."""

import pytest

from audit.models import Entry
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.roles import assign_role
from engine.models import Run
from tests.integration.portal_runs.conftest import ask, call, queries_of, text, words


def test_the_page_says_that_it_is_the_past_and_what_was_then(yard):
    run_id = yard.play(call("a"), ask("gate", "a"), call("b", "gate"))
    last = Run.objects.get(pk=run_id).seq
    browser = yard.browse("vera")

    first = browser.get(f"/runs/{run_id}/?at=1")
    newest = browser.get(f"/runs/{run_id}/?at={last}")

    assert f"This is the past: after entry 1 of {last}" in words(first)
    assert "0 of 3 done" in words(first)
    assert "Waiting for 1 approval" not in words(first)
    assert "1 of 3 done" in words(newest)
    assert "Waiting for 1 approval" in words(newest)
    assert 'data-topics=""' in text(first)
    assert "at=2" in text(first)
    assert 'id="past-before"' not in text(first)
    assert 'id="past-after"' not in text(newest)


def test_the_page_of_now_leads_to_the_past_and_back(yard):
    run_id = yard.play(call("a"))
    last = Run.objects.get(pk=run_id).seq
    browser = yard.browse("vera")

    assert f'href="?at={last}"' in text(browser.get(f"/runs/{run_id}/"))
    assert "Back to now" in words(browser.get(f"/runs/{run_id}/?at=1"))


def test_nothing_can_be_done_to_the_past(yard):
    run_id = yard.play(call("a"), ask("gate", "a"))

    now = text(yard.browse("rex").get(f"/runs/{run_id}/"))
    then = text(yard.browse("rex").get(f"/runs/{run_id}/?at=2"))

    for address in ("cancel/", "pause/", "send/"):
        assert f"/runs/{run_id}/{address}" in now
        assert f"/runs/{run_id}/{address}" not in then


@pytest.mark.parametrize("at", ["0", "9999", "nonsense", "-1", "1" * 40, "2001-01-01", "%00x"[3:]])
def test_a_past_that_is_none_shows_the_page_of_now(yard, at):
    run_id = yard.play(call("a"))

    page = yard.browse("vera").get(f"/runs/{run_id}/?at={at}")

    assert page.status_code == 200
    assert "This is the past" not in words(page)


def test_a_stranger_finds_no_past(yard):
    run_id = yard.play(call("a"), title="secret")

    page = yard.browse("stan").get(f"/runs/{run_id}/?at=1")

    assert page.status_code == 404
    assert "secret" not in text(page)


@pytest.mark.parametrize("tab", ["timeline", "events", "data"])
def test_every_view_is_of_then(yard, tab):
    run_id = yard.play(call("a"), call("b", "a"))

    page = yard.browse("vera").get(f"/runs/{run_id}/?at=2&tab={tab}&step=a%231")

    assert page.status_code == 200
    assert "B succeeded" not in words(page)
    assert ("Variables" in words(page)) is (tab == "data")


def test_a_look_takes_as_many_queries_whatever_the_entry(yard):
    run_id = yard.play(call("a"), call("b", "a"), call("c", "b"))
    browser = yard.browse("vera")

    counts = {queries_of(browser, f"/runs/{run_id}/?at={at}") for at in (1, 2, 4)}

    assert len(counts) == 1


def test_an_entry_of_a_run_leads_to_the_run_as_it_was_then(yard):
    run_id = yard.play(call("a"))
    aud = yard.user("aud").user_id
    assign_role(principal=yard.system, role="auditor", scope_id=GLOBAL_SCOPE_ID, user_id=aud)
    entry = Entry.objects.get(stream=run_id, seq=2)

    page = yard.browse("aud").get(f"/ledger/entries/{entry.pk}/")

    assert f'href="/runs/{run_id}/?at=2"' in text(page)
