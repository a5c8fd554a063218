"""The page of one run."""

import re
import time

import pytest

from audit.models import Payload
from core.kernel import ids
from engine.models import Run
from tests.integration.portal_runs.conftest import (
    AT_ONCE,
    ask,
    call,
    find,
    queries_of,
    text,
    words,
)


def _fan(count):
    lanes = [call(f"scan_{number}", "start") for number in range(count)]
    return [call("start"), *lanes, call("end", *(step.id for step in lanes))]


def test_a_run_that_succeeded_shows_its_steps_and_times(yard):
    run_id = yard.play(call("fetch"), call("build", "fetch"), title="Build it")

    page = yard.browse("vera").get(f"/runs/{run_id}/")

    said = words(page)
    assert "Build it" in said
    assert "2 of 2 done" in said
    assert "<title>Succeeded: Build p.ok" in text(page)
    assert 'class="taken"' in text(page)


@pytest.mark.parametrize("address", ["", "cancel/"])
def test_a_stranger_finds_no_run(yard, address):
    run_id = yard.play(call("a"), title="secret")

    page = yard.browse("stan").get(f"/runs/{run_id}/{address}")

    assert page.status_code == 404
    assert "secret" not in text(page)


def test_a_run_that_is_not_there_is_not_found(yard):
    browser = yard.browse("vera")

    assert browser.get(f"/runs/{ids.uuid7()}/").status_code == 404
    assert browser.get("/runs/nonsense/").status_code == 404


def test_the_step_that_waits_is_looked_at_first(yard):
    run_id = yard.play(call("a"), ask("gate", "a"), call("b", "gate"))

    page = yard.browse("vera").get(f"/runs/{run_id}/")

    assert "Waiting for 1 approval" in words(page)
    assert 'aria-label="Step Gate"' in text(page)
    assert 'data-focus-node="node-gate"' in text(page)
    assert f'data-topics="run:{run_id}"' in text(page)


def test_a_failed_step_is_looked_at_with_its_error(yard):
    run_id = yard.play(call("a"), call("b", "a", does="p.boom"), call("c", "b"))

    page = yard.browse("vera").get(f"/runs/{run_id}/")

    assert 'aria-label="Step B"' in text(page)
    assert "the disk <b>is</b> full" in words(page).replace("& ", "&")
    assert "<b>is</b>" not in text(page)
    assert "B failed" in words(page)


def test_a_retry_is_a_row_of_its_own(yard):
    run_id = yard.play(call("a", does="p.flaky", retry=AT_ONCE))

    page = yard.browse("vera").get(f"/runs/{run_id}/")

    assert "attempt 1" in words(page)
    assert "attempt 2" in words(page)
    assert "Failed attempts 1. transient: not yet" in words(page)


def test_choosing_a_status_marks_its_steps_and_moves_to_the_first(yard):
    run_id = yard.play(call("a"), call("b"), call("c", does="p.boom"), ask("d"))

    page = yard.browse("vera").get(f"/runs/{run_id}/?show=approved")

    assert 'aria-label="Step A"' in text(page)
    assert len(re.findall(r'class="node[^"]* dimmed', text(page))) == 2


@pytest.mark.parametrize(
    "query",
    [
        "step=nonsense",
        "step=%ff",
        "show=nonsense",
        "tab=nonsense",
        "tab=events&before=nonsense",
        "tab=events&before=-1",
        "tab=events&before=99999999999999999999",
        "tab=events&event=0",
        "tab=events&event=99999",
        "tab=events&event=9999999999999999999",
        "tab=events&event=٣",
        "tab=events&kind=nonsense&of=%F0%9F%9A%80&who=nobody",
        "tab=data&open=group:nonsense&fold=nonsense",
        "step=a&step=b",
    ],
)
def test_nonsense_in_the_address_shows_the_page_without_it(yard, query):
    run_id = yard.play(call("a"))

    assert yard.browse("vera").get(f"/runs/{run_id}/?{query}").status_code == 200


def test_a_step_that_is_not_there_is_said(yard):
    run_id = yard.play(call("a"))

    page = yard.browse("vera").get(f"/runs/{run_id}/?step=nonsense")

    assert "There is no step “nonsense” in this run" in words(page)


def test_events_are_told_newest_first_and_none_is_left_out(yard):
    run_id = yard.play(call("a"), call("b", "a", does="p.boom"))

    page = yard.browse("vera").get(f"/runs/{run_id}/?tab=events")

    seqs = [int(seq) for seq in re.findall(r'id="event-(\d+)"', text(page))]
    assert seqs == list(range(Run.objects.get(pk=run_id).seq, 0, -1))
    said = words(page)
    assert "The run ended: failed" in said
    assert "B failed: permanent" in said
    assert "A succeeded ; then began B" in said
    assert "The run was started" in said


def test_events_are_narrowed_by_kind_step_and_actor(yard):
    run_id = yard.play(call("a"), call("b", "a"))
    browser = yard.browse("vera")

    def seqs(query):
        page = browser.get(f"/runs/{run_id}/?tab=events&{query}")
        return [int(seq) for seq in re.findall(r'id="event-(\d+)"', text(page))]

    assert seqs("kind=run.started") == [1]
    assert seqs(f"who={yard.users['mara'].pk}") == [1]
    assert seqs("of=b") == [4, 3]
    assert seqs("of=b&kind=run.closed") == []


def test_an_event_has_an_address_that_shows_all_of_it(yard):
    run_id = yard.play(call("a"), inputs={"colour": "ultramarine"})
    browser = yard.browse("vera")

    page = browser.get(f"/runs/{run_id}/?tab=events&event=1")

    assert "ultramarine" in words(page)
    assert re.search(r"<code>[0-9a-f]{64}</code>", text(page))
    assert "127.0.0.1" not in words(page)
    assert "ultramarine" not in words(browser.get(f"/runs/{run_id}/?tab=events"))


def test_events_of_a_long_run_have_pages(yard):
    run_id = yard.play(*_fan(80))
    browser = yard.browse("vera")
    newest = text(browser.get(f"/runs/{run_id}/?tab=events"))

    older = find(r'href="(\?[^"]*before=\d+)"', newest).replace("&amp;", "&")
    first = re.findall(r'id="event-(\d+)"', newest)
    second = re.findall(r'id="event-(\d+)"', text(browser.get(f"/runs/{run_id}/{older}")))
    asked = re.findall(
        r'id="event-(\d+)"', text(browser.get(f"/runs/{run_id}/?tab=events&event=20"))
    )

    assert (len(first), len(second)) == (50, 35)
    assert int(first[-1]) == int(second[0]) + 1
    assert "20" in asked


def test_input_and_output_are_shown_as_tree_and_text(yard):
    run_id = yard.play(
        call("a"), inputs={"place": {"city": "Izmir"}}, outputs={"where": "inputs.place.city"}
    )

    said = words(yard.browse("vera").get(f"/runs/{run_id}/?tab=data"))

    assert said.count("Izmir") == 4
    assert '"city": "Izmir"' in said


def test_two_hundred_steps_are_folded_and_fast(yard):
    run_id = yard.play(*_fan(198))
    browser = yard.browse("vera")
    browser.get(f"/runs/{run_id}/")

    began = time.perf_counter()
    page = browser.get(f"/runs/{run_id}/")
    took = time.perf_counter() - began

    assert took < 2.0  # about 0.15 s on an idle machine
    assert "Scan, 198 steps" in words(page)
    assert text(page).count(" data-step>") == 3
    whole = text(browser.get(f"/runs/{run_id}/?fold=none"))
    assert whole.count(" data-step>") == 200
    opened = text(browser.get(f"/runs/{run_id}/?open=group:scan_0"))
    assert opened.count(" data-step>") == 200


def test_a_hundred_steps_take_as_many_queries_as_one(yard):
    small = yard.play(call("a"), name="small")
    large = yard.play(*_fan(98), name="large")
    browser = yard.browse("vera")

    for tab in ("timeline", "events", "data"):
        address = "/runs/{}/?tab=" + tab
        assert queries_of(browser, address.format(small)) == queries_of(
            browser, address.format(large)
        )


def test_a_page_holds_nothing_the_content_policy_refuses(yard):
    run_id = yard.play(call("a"), ask("gate", "a"))
    browser = yard.browse("rex")

    for address in ("/runs/", f"/runs/{run_id}/", f"/runs/{run_id}/?tab=events&event=1"):
        page = text(browser.get(address))
        assert not re.search(r'<[^>]* (?:style|on\w+)="', page), address
        assert not re.search(r"<script(?![^>]* src=)", page), address
        assert page.count("<h1") == 1, address
        found = re.findall(r' id="([^"]+)"', page)
        assert len(found) == len(set(found)), address


def test_an_event_that_erased_a_value_says_so_without_it(yard):
    run_id = yard.play(call("a"), inputs={"name": "Ada"})
    Payload.objects.filter(entry__stream=run_id, name="title").update(value=None, salt=None)

    page = yard.browse("vera").get(f"/runs/{run_id}/?tab=events&event=1")

    assert page.status_code == 200
    assert "Erased title" in words(page)
