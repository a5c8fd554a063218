"""Deciding on a page: done, incomplete, too late, changed, not allowed."""

import pytest

from approvals.models import Request, RequestStatus, Vote
from tests.integration.approvals.conftest import stage
from tests.integration.portal.conftest import bar, text

FORM = {
    "type": "object",
    "required": ["risk"],
    "additionalProperties": False,
    "properties": {
        "risk": {"enum": ["low", "high"]},
        "ticket": {"type": "string", "pattern": "^CHG-[0-9]+$", "title": "Change ticket"},
    },
}


@pytest.fixture
def open_page(office, browse):
    """Return a function that opens a request as somebody: address, browser, page."""

    def show(request, name="ann"):
        browser = browse(name)
        address = f"/inbox/{request.pk}/"
        return address, browser, browser.get(address)

    return show


def test_approving_and_rejecting_go_on_to_the_outcome(office, open_page):
    for decision, word in (("approve", "Approved"), ("reject", "Rejected")):
        request = office.open()
        address, browser, page = open_page(request)

        sent = {**bar(page), "decision": decision, "comment": "because"}
        answer = browser.post(address, sent)

        assert (answer.status_code, answer["Location"]) == (303, address)
        after = text(browser.get(address))
        assert f"{word} by Ann" in after
        assert "<blockquote><bdi>because</bdi>" in after
        assert "data-decision" not in after
        assert Request.objects.get(pk=request.pk).outcome == word.lower()


def test_sending_the_same_form_twice_is_one_vote(office, open_page):
    request = office.open(stage("peer", groups=["board"], count=2))
    address, browser, page = open_page(request)
    sent = {**bar(page), "decision": "approve", "comment": "once"}

    answers = [browser.post(address, sent).status_code for _ in range(2)]

    assert answers == [303, 303]
    assert Vote.objects.filter(request=request).count() == 1


def test_what_is_missing_is_said_at_its_field_and_nothing_typed_is_lost(office, open_page):
    request = office.open(form=FORM, confirm="I looked")
    address, browser, page = open_page(request)
    sent = {**bar(page), "decision": "approve", "comment": "kept <b>", "value-ticket": "nope"}

    answer = browser.post(address, sent)

    shown = text(answer)
    assert answer.status_code == 422
    assert "3 things are missing or wrong" in shown
    assert "This is needed." in shown
    assert "This does not have the form that is asked for, ^CHG-[0-9]+$" in shown
    assert "Confirm this first" in shown
    assert 'value="nope"' in shown
    assert "kept &lt;b&gt;</textarea>" in shown
    assert not Vote.objects.exists()
    fixed = {
        **bar(answer),
        "decision": "approve",
        "comment": "kept",
        "confirmed": "1",
        "value-ticket": "CHG-1",
        "value-risk": '"low"',
    }
    assert browser.post(address, fixed).status_code == 303
    assert Request.objects.get(pk=request.pk).form_values == {"risk": "low", "ticket": "CHG-1"}


def test_rejecting_needs_a_reason_and_no_form(office, open_page):
    request = office.open(form=FORM, confirm="I looked")
    address, browser, page = open_page(request)

    answer = browser.post(address, {**bar(page), "decision": "reject", "value-ticket": "nope"})

    assert answer.status_code == 422
    assert "Say why: a rejection needs a comment." in text(answer)
    assert 'value="nope"' in text(answer)
    done = {**bar(answer), "decision": "reject", "comment": "no", "value-ticket": "nope"}
    assert browser.post(address, done).status_code == 303


def test_a_value_of_the_wrong_type_is_refused_before_anything_is_asked(office, open_page):
    request = office.open(form={"type": "object", "properties": {"n": {"type": "integer"}}})
    address, browser, page = open_page(request)

    answer = browser.post(address, {**bar(page), "decision": "approve", "value-n": "many"})

    assert answer.status_code == 422
    assert "Write a number" in text(answer)
    assert 'value="many"' in text(answer)


def test_losing_a_race_says_who_and_what_and_keeps_the_text(office, open_page):
    request = office.open()
    address, browser, page = open_page(request)
    office.decide(request, "bob", decision="reject", comment="mine was first")

    answer = browser.post(address, {**bar(page), "decision": "approve", "comment": "too late"})

    shown = text(answer)
    assert answer.status_code == 409
    assert "Your decision was not recorded" in shown
    assert "Rejected by Bob" in shown
    assert "mine was first" in shown
    assert "<bdi>too late</bdi>" in shown
    assert "data-keep data-said" in shown  # a live update leaves the answer where it stands
    assert Vote.objects.filter(request=request).count() == 1


def test_a_stale_page_says_what_has_changed_and_keeps_the_text(office, open_page):
    request = office.open(stage("peer", groups=["board"], count=2), form=FORM)
    address, browser, page = open_page(request)
    office.decide(request, "bob", form={"risk": "high", "ticket": "CHG-77"})

    sent = {**bar(page), "decision": "approve", "comment": "mine", "value-risk": '"low"'}
    answer = browser.post(address, sent)

    shown = text(answer)
    assert answer.status_code == 412
    assert "Form · Ticket" in shown
    assert "CHG-77" in shown
    assert "mine</textarea>" in shown
    assert Vote.objects.filter(request=request).count() == 1
    again = {**bar(answer), "decision": "approve", "comment": "mine"}
    again |= {"value-risk": '"high"', "value-ticket": "CHG-77"}
    assert browser.post(address, again).status_code == 303


def test_a_tick_is_for_what_stood_above_it(office, open_page):
    request = office.open(stage("peer", groups=["board"], count=2), form=FORM, confirm="I looked")
    address, browser, page = open_page(request)
    office.decide(request, "bob", form={"risk": "high"}, confirmed=True)

    sent = {**bar(page), "decision": "approve", "confirmed": "1", "value-risk": '"high"'}
    answer = browser.post(address, sent)

    assert answer.status_code == 412
    assert 'name="confirmed"' in text(answer)
    assert "checked" not in text(answer).split('name="confirmed"')[1].split(">")[0]
    incomplete = browser.post(address, {**bar(answer), "decision": "approve", "confirmed": "1"})
    assert incomplete.status_code == 303


def test_enter_in_a_field_decides_nothing(office, open_page):
    request = office.open(form=FORM)
    _, _, page = open_page(request)

    form = text(page).split("data-decision")[1]

    # The first submit button is the one that Enter presses; a disabled one presses nothing.
    assert form.index('<input type="submit" disabled hidden>') < form.index("<button")


def test_time_that_ran_out_is_said(office, open_page):
    request = office.open()
    address, browser, page = open_page(request)
    office.overdue(request)

    answer = browser.post(address, {**bar(page), "decision": "approve", "comment": "kept"})

    assert answer.status_code == 410
    assert "time to decide" in text(answer).lower()
    assert "kept" in text(answer)


def test_who_asked_sees_why_not_and_who_may(office, open_page):
    request = office.open()
    address, browser, page = open_page(request, "mara")

    shown = text(page)
    assert "You may not decide this" in shown
    assert "who asks may not decide" in shown
    assert "Ann" in shown
    assert "data-decision" not in shown
    forged = {"decision": "approve", "digest": bytes(request.shown_digest).hex()}
    theme = text(page).split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    answer = browser.post(address, {**forged, "csrfmiddlewaretoken": theme})
    assert answer.status_code == 403
    assert "You may not decide" in text(answer)
    assert Request.objects.get(pk=request.pk).status == RequestStatus.OPEN


@pytest.mark.parametrize(
    "change",
    [
        {"digest": ""},
        {"digest": "zz"},
        {"decision": "maybe"},
        {"decision": ""},
        {"stage": "none"},
        {"seen": "forged"},
        {"key": "x" * 500},
        {"comment": "a\x00b"},
        {"comment": "x" * 100_000},
    ],
)
def test_nonsense_is_refused_in_place_and_changes_nothing(office, open_page, change):
    request = office.open()
    address, browser, page = open_page(request)

    answer = browser.post(address, {**bar(page), "decision": "approve", **change})

    if change == {"seen": "forged"}:
        assert answer.status_code == 303
        return
    assert 400 <= answer.status_code < 500
    assert "data-decision" in text(answer)
    assert not Vote.objects.exists()
