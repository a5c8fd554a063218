"""Runs with very many steps: what is listed, what is counted, and where all of it is."""

import json
import re

import pytest

from core.kernel import limits
from countersign import function
from engine.driver import DriveEnd
from tests.integration.portal_runs.conftest import queries_of, text, words

PAGE = limits.INSTANCE_PAGE_COUNT
COUNT = 130
MAPPED = """\
schema: flow/v1
kind: dag
name: mapped
inputs: {type: object, properties: {hosts: {type: array}}}
steps:
  look:
    map: {items: inputs.hosts, as: host, tolerate-failures: {count: 5}}
    steps:
      call:
        uses: python/call@1
        with: {function: many.look, host: "${{ host }}"}
"""
CHILD = """\
schema: flow/v1
kind: dag
name: child
steps:
  hear: {wait: {event: {type: go, correlate: {run: run.id}}}}
"""
CALLS = """\
schema: flow/v1
kind: dag
name: calls
inputs: {type: object, properties: {hosts: {type: array}}}
steps:
  each: {map: {items: inputs.hosts, as: host}, call: child@*}
  hear:
    map: {items: inputs.hosts, as: host}
    wait: {event: {type: go, correlate: {host: host}}}
  lock:
    map: {items: inputs.hosts, as: host}
    steps:
      own: {mutex: one, wait: {timer: PT1H}}
"""


@function("many.look")
def _look(*, host):
    if host == "bad":
        raise ValueError("nobody is there")


def drive(yard, run_id):
    while yard.hand.drive(run_id) is DriveEnd.RELEASED:
        pass
    return run_id


@pytest.fixture
def mapped(yard):
    """Return a run of a map over many hosts, of which two far behind are bad."""
    yard.save(MAPPED)
    hosts = [f"host-{number}" for number in range(COUNT)]
    hosts[109] = hosts[119] = "bad"
    return drive(yard, yard.start("mapped", by="mara", inputs={"hosts": hosts}).run_id)


def ask(yard, path):
    answer = yard.browse("vera").get(f"/api/v1/runs/{path}")
    assert answer.status_code == 200, answer.content
    return json.loads(answer.content)


def test_the_api_lists_some_counts_the_rest_and_pages_through_all(yard, mapped):
    shown = ask(yard, f"{mapped}/")
    found, link = [], f"/api/v1/runs/{mapped}/steps/?limit=100"
    while link:
        page = json.loads(yard.browse("vera").get(link).content)
        found += [step["key"] for step in page["items"]]
        link = page["next"]

    total = 1 + 2 * COUNT
    listed = [step["key"] for step in shown["steps"]]
    assert len(found) == len(set(found)) == total
    assert len(listed) == 1 + 2 * (PAGE + 2)
    assert shown["hidden_step_count"] == total - len(listed)
    assert [key for key in found if key in set(listed)] == listed
    assert {"look#1/item#110/call#1", "look#1/item#120/call#1"} < set(listed)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("inside=look%231&outcome=failed", 2),
        ("outcome=failed", 4),
        ("inside=look%231", COUNT),
        ("status=running", 0),
    ],
)
def test_the_list_of_steps_is_narrowed(yard, mapped, query, count):
    page = ask(yard, f"{mapped}/steps/?limit=200&{query}")

    assert len(page["items"]) == count


def test_a_list_of_steps_refuses_what_it_does_not_know(yard, mapped):
    browser = yard.browse("vera")

    for query in ("status=asleep", "outcome=good", "colour=red", "cursor=nonsense"):
        assert browser.get(f"/api/v1/runs/{mapped}/steps/?{query}").status_code == 422
    assert yard.browse("stan").get(f"/api/v1/runs/{mapped}/steps/").status_code == 404


def test_the_page_counts_all_and_says_how_many_it_does_not_list(yard, mapped):
    page = yard.browse("vera").get(f"/runs/{mapped}/")
    hidden = 2 * (COUNT - PAGE - 2)

    assert f"{2 * COUNT - 3} of {2 * COUNT + 1} done" in words(page)
    assert f"{hidden} more steps are not listed here" in words(page)


def rows(page):
    table = text(page).partition('id="instances"')[2].partition("</section>")[0]
    return re.findall(r"<bdi>(Item [^<]*)</bdi></a>", table)


def test_a_panel_has_a_table_of_all_instances(yard, mapped):
    browser = yard.browse("vera")

    first = browser.get(f"/runs/{mapped}/?step=look")
    last = browser.get(f"/runs/{mapped}/?step=look&page=3")

    assert rows(first)[0] == f"Item 1 of {COUNT}: host-0"
    assert (len(rows(first)), len(rows(last))) == (PAGE, COUNT - 2 * PAGE)
    assert f"{COUNT} instances, page 1 of 3" in words(first)
    assert 'href="?step=look&amp;page=2"' in text(first)
    assert f"{COUNT - 2} of {COUNT} done, 2 failed" in words(first)


def test_instances_are_narrowed_by_how_they_stand(yard, mapped):
    browser = yard.browse("vera")

    page = browser.get(f"/runs/{mapped}/?step=look&state=failed")

    assert rows(page) == [f"Item 110 of {COUNT}: bad", f"Item 120 of {COUNT}: bad"]
    assert "2 failed" in words(page)
    assert 'href="?step=look&amp;state=failed"' in text(browser.get(f"/runs/{mapped}/?step=look"))
    none = browser.get(f"/runs/{mapped}/?step=look&state=running")
    assert "None stand so now." in words(none)


@pytest.mark.parametrize("query", ["page=0", "page=-1", "page=x", "page=99999", "state=x&page=٣"])
def test_nonsense_about_instances_shows_the_table_without_it(yard, mapped, query):
    assert rows(yard.browse("vera").get(f"/runs/{mapped}/?step=look&{query}"))


def test_an_instance_that_is_not_listed_has_its_panel_and_leads_back(yard, mapped):
    page = yard.browse("vera").get(f"/runs/{mapped}/?step=look/item%2390/call")

    assert 'aria-label="Step Call (Look, item 90 of 130: host-89)"' in text(page)
    assert "There is no step" not in words(page)
    assert 'href="?step=look%2Fitem%2390"' in text(page)


def test_events_name_also_what_is_not_listed(yard, mapped):
    said = words(yard.browse("vera").get(f"/runs/{mapped}/?tab=events"))

    assert f"Call (Look, item {COUNT} of {COUNT}: host-{COUNT - 1}) succeeded" in said


def test_what_many_instances_wait_for_takes_as_many_queries_as_for_two(yard):
    yard.save(CHILD)
    yard.save(CALLS)
    two, many = (
        drive(yard, yard.start("calls", by="mara", inputs={"hosts": hosts}).run_id)
        for hosts in (["a", "b"], [f"h{number}" for number in range(40)])
    )
    browser = yard.browse("vera")

    for path in (
        "/runs/{}/?tab=timeline",
        "/runs/{}/?tab=events",
        "/runs/{}/?step=each",
        "/api/v1/runs/{}/",
        "/api/v1/runs/{}/steps/?limit=200",
    ):
        assert queries_of(browser, path.format(two)) == queries_of(browser, path.format(many)), path
