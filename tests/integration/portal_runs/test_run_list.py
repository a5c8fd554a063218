"""The list of runs."""

import re

import pytest

from tests.integration.portal_runs.conftest import ask, call, find, queries_of, text, words

TITLES = (
    "承認待ちのデプロイメント",
    "النشر إلى الإنتاج",
    "🚀👩‍👩‍👧‍👦",
    "x" * 300,
    "<script>alert(1)</script>",
    "a & b",
)


def _titles(answer):
    return re.findall(r"</span> <bdi>(.*?)</bdi></a>", text(answer))


def test_an_empty_installation_says_what_will_appear(yard):
    page = yard.browse("mara").get("/runs/")

    assert page.status_code == 200
    assert "No runs yet" in words(page)


def test_runs_are_listed_newest_first_with_how_they_stand(yard):
    yard.play(call("a"), title="good", name="one")
    yard.play(call("a", does="p.boom"), title="bad", name="two")
    yard.play(ask("gate"), title="slow", name="three")

    page = yard.browse("vera").get("/runs/")

    assert _titles(page) == ["slow", "bad", "good"]
    assert all(word in words(page) for word in ("Succeeded", "Failed", "Waiting", "Mara"))


def test_a_stranger_sees_no_runs(yard):
    yard.play(call("a"), title="secret plan")

    page = yard.browse("stan").get("/runs/")

    assert "secret plan" not in text(page)
    assert "No runs yet" in words(page)


def test_nobody_is_asked_to_sign_in(yard, client):
    assert client.get("/runs/").status_code == 401


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=succeeded", ["good"]),
        ("state=failed", ["bad"]),
        ("state=open", ["slow"]),
        ("state=waiting", ["slow"]),
        ("state=halted", []),
        ("project=acme", ["slow", "bad", "good"]),
        ("project=other", []),
        ("workflow=two", ["bad"]),
        ("workflow=one&state=failed", []),
        ("initiator=mara", ["slow", "bad", "good"]),
        ("initiator=vera", []),
        ("mine=1", []),
        ("state=nonsense", ["slow", "bad", "good"]),
        ("after=nonsense", ["slow", "bad", "good"]),
        ("after=01900000-0000-7000-8000-000000000000", []),
        ("state=&project=&workflow=&initiator=", ["slow", "bad", "good"]),
        ("project=%ff&workflow=%F0%9F%9A%80", []),
    ],
)
def test_the_address_narrows_the_list(yard, query, expected):
    yard.play(call("a"), title="good", name="one")
    yard.play(call("a", does="p.boom"), title="bad", name="two")
    yard.play(ask("gate"), title="slow", name="three")

    page = yard.browse("vera").get(f"/runs/?{query}")

    assert page.status_code == 200
    assert _titles(page) == expected


def test_what_makes_no_sense_is_said_and_left_out(yard):
    page = yard.browse("vera").get("/runs/?state=nonsense")

    assert "There is no state “nonsense”." in words(page)


def test_nothing_that_matches_offers_to_clear_the_filters(yard):
    yard.play(call("a"))

    page = yard.browse("vera").get("/runs/?state=failed")

    assert "No runs match" in words(page)
    assert "Clear filters" in words(page)


def test_mine_are_those_one_started(yard):
    yard.play(call("a"), title="of mara")

    assert _titles(yard.browse("mara").get("/runs/?mine=1")) == ["of mara"]


def test_older_pages_neither_repeat_nor_leave_out(yard):
    yard.play(call("a"), title="first")
    for number in range(54):
        yard.start("test", by="mara", inputs={"n": number})
    browser = yard.browse("vera")

    newest = browser.get("/runs/")
    older = browser.get("/runs/" + find(r'href="(\?after=[^"]+)"', text(newest)))

    numbers = [
        int(n) for page in (newest, older) for n in re.findall(r'num">(\d+)</span>', text(page))
    ]
    assert len(numbers) == len(set(numbers)) == 55
    assert numbers == sorted(numbers, reverse=True)
    assert "Older" not in words(older)
    assert "Newest" in words(older)


def test_fifty_rows_take_as_many_queries_as_one(yard):
    yard.play(call("a"))
    yard.start("test", by="mara")
    browser = yard.browse("vera")
    one = queries_of(browser, "/runs/")
    for number in range(48):
        yard.start("test", by="mara", inputs={"n": number})

    assert queries_of(browser, "/runs/") == one


@pytest.mark.parametrize("title", TITLES)
def test_a_title_in_any_script_is_shown_as_it_is(yard, title):
    run_id = yard.play(call("a"), title=title)
    browser = yard.browse("vera")

    assert title in words(browser.get("/runs/")) or "<script>" in title
    assert "<script>alert" not in text(browser.get("/runs/"))
    assert browser.get(f"/runs/{run_id}/").status_code == 200
