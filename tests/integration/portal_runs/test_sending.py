"""Sending an event to one run from its page."""

import pytest

from audit import store as ledger
from core.kernel import limits
from engine.models import Run
from engine.services import events
from tests.constructs import event, group
from tests.integration.portal_runs.conftest import call, field, send, text, words

GOOD = {"type": "thing.done", "data": '{"name": "<i>disk</i>"}', "reason": " it was lost "}


@pytest.fixture
def run_id(yard):
    correlate = {"name": "'<i>disk</i>'"}
    return yard.play(event("hear", correlate=correlate), call("b", "hear"), title="Big one")


def address(run_id):
    return f"/runs/{run_id}/send/"


def kinds(run_id):
    return [entry.kind for entry in ledger.read_stream(stream=run_id, limit=100)]


def deliver(yard, run_id):
    """Do what follows the commit, which the test's own transaction never comes to."""
    events.deliver_run(run_id=run_id)
    yard.hand.drive(run_id)


def give(browser, run_id, page=None, **changes):
    page = page or browser.get(address(run_id))
    return send(browser, address(run_id), page, key=field(page, "key"), **{**GOOD, **changes})


def test_an_operator_sends_what_a_run_waits_for(yard, run_id):
    browser = yard.browse("rex")
    assert f'href="{address(run_id)}"' in text(browser.get(f"/runs/{run_id}/"))

    answer = give(browser, run_id)

    assert (answer.status_code, answer["Location"]) == (303, f"/runs/{run_id}/?tab=events")
    deliver(yard, run_id)
    assert Run.objects.get(pk=run_id).outcome == "succeeded"
    told = words(browser.get(answer["Location"]))
    assert "Somebody sent" in told
    assert "it was lost" in told


def test_the_form_begins_with_the_event_that_the_run_waits_for(yard, run_id):
    page = text(yard.browse("rex").get(address(run_id)))

    assert 'name="type" value="thing.done"' in page
    assert "&quot;name&quot;: &quot;&lt;i&gt;disk&lt;/i&gt;&quot;" in page
    assert '<option value="thing.done">' in page
    assert "the event “thing.done”, where name is &lt;i&gt;disk&lt;/i&gt;" in page


def test_of_several_events_each_type_is_suggested_once(yard):
    run_id = yard.play(event("a"), event("b"), event("c", of="thing.sent"))

    page = text(yard.browse("rex").get(address(run_id)))

    assert 'name="type" value=""' in page
    assert page.count('<option value="thing.done">') == 1
    assert page.count('<option value="thing.sent">') == 1
    assert page.count("the event “thing.done”") == 2


def test_an_event_that_does_not_match_is_kept_and_ends_no_wait(yard, run_id):
    browser = yard.browse("rex")

    answer = give(browser, run_id, data='{"name": "tape"}')

    assert answer.status_code == 303
    deliver(yard, run_id)
    assert kinds(run_id).count("event.addressed") == 1
    assert events.EVENT_RECEIVED not in kinds(run_id)
    assert Run.objects.get(pk=run_id).status == "WAITING"


@pytest.mark.parametrize(
    ("name", "typed", "says"),
    [
        ("type", "", "An event's type has 1 to"),
        ("type", "   ", "An event's type has 1 to"),
        ("type", "x" * (limits.EVENT_TYPE_CHARS_MAX + 1), "An event's type has 1 to"),
        ("data", "{name: 1}", "This is not JSON"),
        ("data", "[1]", "Write a map"),
        ("data", '{"a": NaN}', "This is not JSON"),
        ("data", "[" * 100_000, "This is not JSON"),
        ("data", '{"a": 1e999}', "data is not JSON"),
        ("data", f'{{"a": "{"x" * limits.EVENT_BYTES_MAX}"}}', "at most"),
        ("reason", " ", "Say why"),
        ("reason", "x" * (limits.REASON_CHARS_MAX + 1), "reason"),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_nothing_typed_is_lost(
    yard, run_id, name, typed, says
):
    before = kinds(run_id)
    browser = yard.browse("rex")
    page = browser.get(address(run_id))

    answer = give(browser, run_id, page, **{name: typed})

    assert answer.status_code == 422
    shown = text(answer)
    assert shown.count('class="field invalid"') == 1
    at_field = shown.partition('class="field invalid"')[2].partition("</div></div>")[0]
    assert f'for="{name}"' in at_field
    assert says in words(answer)
    assert "it was lost" in shown or name == "reason"
    assert 'value="thing.done"' in shown or name == "type"
    assert field(answer, "key") == field(page, "key")
    assert kinds(run_id) == before


def test_the_same_form_sent_twice_sends_one_event(yard, run_id):
    browser = yard.browse("rex")
    page = browser.get(address(run_id))
    give(browser, run_id, page, data="{}")

    again = give(browser, run_id, page, data="{}")
    changed = give(browser, run_id, page, data='{"other": 1}')

    assert again.status_code == 303
    assert changed.status_code == 422
    assert "This form has sent an event already" in words(changed)
    assert field(changed, "key") != field(page, "key")
    assert kinds(run_id).count("event.addressed") == 1


@pytest.mark.parametrize("name", ["vera", "mara", "ann"])
def test_who_may_not_reads_who_may(yard, run_id, name):
    allowed = yard.browse("rex").get(address(run_id))
    before = kinds(run_id)
    browser = yard.browse(name)

    page = browser.get(address(run_id))

    assert page.status_code == 403
    assert "Rex" in words(page)
    assert "disk" not in text(page)
    shown = browser.get(f"/runs/{run_id}/")
    assert "/send/" not in text(shown)
    answer = send(browser, address(run_id), shown, key=field(allowed, "key"), **GOOD)
    assert answer.status_code == 403
    assert kinds(run_id) == before


def test_a_stranger_finds_nothing(yard, run_id):
    assert yard.browse("stan").get(address(run_id)).status_code == 404


def test_a_run_that_is_over_takes_no_event(yard):
    run_id = yard.play(call("a"))
    browser = yard.browse("rex")

    page = browser.get(address(run_id))

    assert "This run is over" in words(page)
    assert "<textarea" not in text(page)
    assert "/send/" not in text(browser.get(f"/runs/{run_id}/"))
    answer = send(browser, address(run_id), browser.get("/runs/"), **GOOD)
    assert "This run is over" in words(answer)


def test_a_paused_run_keeps_what_it_is_sent(yard):
    run_id = yard.play(group("all", event("hear")))
    browser = yard.browse("rex")
    send(browser, f"/runs/{run_id}/pause/", reason="wait")

    assert give(browser, run_id).status_code == 303
    assert Run.objects.get(pk=run_id).status == "PAUSED"
    send(browser, f"/runs/{run_id}/resume/", reason="go on")
    deliver(yard, run_id)

    assert Run.objects.get(pk=run_id).outcome == "succeeded"
