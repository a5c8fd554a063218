"""The inbox: what is in it, in which order, for whom."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals.models import Request
from core.kernel import ids, limits
from core.toolkit.db import read_database_clock
from tests.integration.approvals.conftest import stage
from tests.integration.portal.conftest import text


def due(request, **delta):
    """Let a request be due some time from now."""
    at = read_database_clock() + timedelta(**delta)
    Request.objects.filter(pk=request.pk).update(expires_at=at)


def order(page):
    """Return the headings and titles of the list, in order."""
    found = re.findall(
        r'<h2 class="group \w+">([^<]+?) <|<span class="row-title"><bdi>([^<]*)</bdi>', text(page)
    )
    return [heading or title for heading, title in found]


def test_the_most_pressing_comes_first_under_its_heading(office, browse):
    made = {name: office.open(title=name) for name in ("later", "hour", "first", "never")}
    due(made["later"], days=3)
    due(made["hour"], minutes=50)
    due(made["first"], minutes=10)
    Request.objects.filter(pk=made["never"].pk).update(expires_at=None)

    page = browse("ann").get("/inbox/")

    assert order(page) == [
        "Due within the hour",
        "first",
        "hour",
        "Later",
        "later",
        "No deadline",
        "never",
    ]


def test_who_is_asked_too_much_sees_the_most_pressing(office, browse, monkeypatch):
    made = {name: office.open(title=name) for name in ("late", "first", "middle")}
    due(made["first"], minutes=5)
    due(made["middle"], minutes=20)
    monkeypatch.setattr(limits, "INBOX_CANDIDATE_COUNT_MAX", 2)
    monkeypatch.setattr(limits, "INBOX_COUNT_MAX", 2)

    page = browse("ann").get("/inbox/")

    assert [item for item in order(page) if item in made] == ["first", "middle"]
    assert "these are the most pressing" in text(page)


def test_rules_that_keep_one_out_of_many_do_not_hide_what_is_left(office, browse, monkeypatch):
    monkeypatch.setattr(limits, "INBOX_COUNT_MAX", 2)
    for number in range(4):
        request = office.open(title=f"not hers {number}", exclude=["user.username == 'ann'"])
        due(request, minutes=number + 1)
    office.open(title="hers")

    page = browse("ann").get("/inbox/")

    assert order(page)[-1] == "hers"


def test_an_empty_inbox_says_so(browse):
    page = text(browse("ann").get("/inbox/"))

    assert "Nothing waits for you" in page
    assert 'class="count' not in page


def test_each_sees_what_is_theirs(office, browse):
    request = office.open(title="one")
    address = f"/inbox/{request.pk}/"

    assert order(browse("ann").get("/inbox/"))[-1] == "one"
    assert order(browse("mara").get("/inbox/")) == []
    assert order(browse("mara").get("/inbox/?view=others"))[-1] == "one"
    office.user("eve")
    stranger = browse("eve")
    assert order(stranger.get("/inbox/?view=others")) == []
    assert order(stranger.get("/inbox/?view=decided")) == []
    assert stranger.get(address).status_code == 404
    assert stranger.get(f"/inbox/{ids.uuid7()}/").status_code == 404
    assert stranger.get("/inbox/not-a-uuid/").status_code == 404


def test_what_was_signed_waits_for_others_and_what_is_closed_is_decided(office, browse):
    request = office.open(stage("peer", groups=["board"], count=2), title="two of them")
    office.decide(request, "ann")

    assert order(browse("ann").get("/inbox/")) == []
    assert order(browse("ann").get("/inbox/?view=others"))[-1] == "two of them"
    office.decide(request, "bob")
    assert order(browse("ann").get("/inbox/?view=others")) == []
    assert order(browse("ann").get("/inbox/?view=decided")) == ["two of them"]


@pytest.mark.parametrize("view", ["needs-you", "others", "decided"])
def test_a_filter_is_part_of_the_address(office, browse, view):
    request = office.open(title="risky", risk="high")
    other = office.open(title="safe", risk="low")
    if view == "decided":
        for item in (request, other):
            office.decide(item, "ann")
    browser = browse("mara" if view == "others" else "ann")

    assert order(browser.get(f"/inbox/?view={view}&risk=high"))[-1:] == ["risky"]
    empty = browser.get(f"/inbox/?view={view}&risk=high&workflow=none")
    assert "No approvals match" in text(empty)
    assert "Clear filters" in text(empty)


@pytest.mark.parametrize(
    "query",
    ["view=%00", "view=mine&risk=%F0%9F%8E%89", "workflow=%00", "project=%27%3B--", "kind="],
)
def test_nonsense_in_the_address_finds_nothing_and_breaks_nothing(office, browse, query):
    office.open()

    answer = browse("ann").get(f"/inbox/?{query}")

    assert answer.status_code == (400 if "%00" in query else 200)


def test_the_list_costs_the_same_for_one_and_for_many(office, browse):
    browser = browse("ann")
    office.open()
    browser.get("/inbox/")

    def count(address):
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert browser.get(address).status_code == 200
        return len(captured)

    addresses = ["/inbox/", "/inbox/?view=others", "/inbox/?view=decided"]
    few = [count(address) for address in addresses]
    for _ in range(12):
        office.open()

    assert [count(address) for address in addresses] == few
    assert max(few) <= 32


def test_one_approval_costs_the_same_with_many_votes(office, browse):
    browser = browse("ann")
    request = office.open(stage("peer", groups=["board"], count=3))
    address = f"/inbox/{request.pk}/"
    office.decide(request, "bob")
    browser.get(address)
    with CaptureQueriesContext(connection) as before:
        browser.get(address)
    office.decide(request, "cid")

    with CaptureQueriesContext(connection) as after:
        browser.get(address)

    assert len(after) <= len(before)
    assert len(before) <= 60


def test_names_and_titles_of_every_script_are_shown_as_they_are(office, browse):
    title = "<script>alert(1)</script> مرحبا 你好 🎉" + "x" * 200
    office.open(title=title.replace("${{", ""))

    page = text(browse("ann").get("/inbox/"))

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; مرحبا 你好 🎉" in page
