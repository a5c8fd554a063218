"""Runs of which something was tried again: the pages and the API show them for all their life."""

import json
import re
import time

import pytest

from approvals.models import Request
from approvals.services.decide import decide
from engine.domain.plan import AfterError, Compensation, OnError, Uses
from engine.driver import DriveEnd
from engine.models import Run
from tests.constructs import each, group
from tests.integration.portal_runs.conftest import call, text, words
from tests.integration.portal_runs.test_constructs import show

MAPPED = """\
schema: flow/v1
kind: dag
name: mapped
inputs: {type: object, properties: {hosts: {type: array}}}
steps:
  m:
    map: {items: inputs.hosts, as: host}
    on-error: {then: ask}
    steps:
      done:
        uses: python/call@1
        with: {function: p.ok, host: "${{ host }}"}
        compensate: {uses: python/call@1, with: {function: p.ok, host: "${{ host }}"}}
      bad: {needs: [done], uses: python/call@1, with: {function: p.boom}}
"""

GROUPED = """\
schema: flow/v1
kind: dag
name: grouped
steps:
  g:
    on-error: {then: ask}
    steps:
      done:
        uses: python/call@1
        with: {function: p.ok}
        compensate: {uses: python/call@1, with: {function: p.ok}}
      rest: {wait: {timer: PT0.01S}}
      bad: {needs: [done, rest], uses: python/call@1, with: {function: p.boom}}
"""

MACHINE = """\
schema: flow/v1
kind: states
name: machine
initial: work
states:
  work:
    steps:
      g:
        on-error: {then: ask}
        steps:
          done:
            uses: python/call@1
            with: {function: p.ok}
            compensate: {uses: python/call@1, with: {function: p.ok}}
          bad: {needs: [done], uses: python/call@1, with: {function: p.boom}}
    transitions: [{on-success: true, to: end}]
  end: {final: true}
"""


ASKS = OnError(then=AfterError.ASK)


def go_on(yard, run_id):
    """Drive a run until it waits for people or has ended."""
    while True:
        end = yard.hand.drive(run_id)
        wake_at = Run.objects.get(pk=run_id).wake_at
        if end is not DriveEnd.RELEASED and wake_at is None:
            return
        time.sleep(0.01)


def choose(yard, run_id, key, choice):
    """Say what becomes of a step that failed, and let the run go on."""
    request = Request.objects.get(run_id=run_id, step_key=key, status="open")
    decide(
        principal=yard.principal("rex"),
        request_id=request.pk,
        decision=choice,
        comment="because",
        digest_hex=bytes(request.shown_digest).hex(),
    )
    go_on(yard, run_id)


def look(yard, run_id):
    """Look at a run in every way: each tab, each step, and all pages of its steps over HTTP."""
    _, answer = show(yard, run_id)
    browser = yard.browse("vera")
    for tab in ("timeline", "events", "data"):
        page = browser.get(f"/runs/{run_id}/?tab={tab}&fold=none")
        assert page.status_code == 200
        marks = re.findall(r' id="([^"]+)"', text(page))
        assert len(marks) == len(set(marks)), tab
    found, link = [], f"/api/v1/runs/{run_id}/steps/?limit=2"
    while link:
        part = json.loads(browser.get(link).content)
        found += [step["key"] for step in part["items"]]
        link = part["next"]
    assert found == [step["key"] for step in answer["steps"]]
    for key in found:
        short = re.sub(r"#1(?=/|$)", "", key)
        shown = browser.get(f"/runs/{run_id}/", {"step": short})
        assert shown.status_code == 200
        again = re.search(r"@(\d+)$", key)
        assert again is None or f", try {again[1]}" in words(shown)
    return found


def check(yard, run_id, key):
    """Try twice again what failed, then give it up, and look at the run each time."""
    choose(yard, run_id, key, "retry")
    once = look(yard, run_id)
    choose(yard, run_id, key, "retry")
    twice = look(yard, run_id)
    while request := Request.objects.filter(run_id=run_id, status="open").first():
        choose(yard, run_id, request.step_key, "fail")
    ended = look(yard, run_id)

    assert Run.objects.get(pk=run_id).outcome == "failed"
    assert f"{key}@1" in once
    assert {f"{key}@1", f"{key}@2"} <= set(twice)
    assert f"{key}@3" not in ended
    assert len([item for item in ended if item.startswith(f"compensate/{key}")]) >= 3


@pytest.mark.parametrize(
    ("source", "inputs", "key"),
    [
        (MAPPED, {"hosts": ["red", "blue"]}, "m#1"),
        (GROUPED, None, "g#1"),
        (MACHINE, None, "work#1/g#1"),
    ],
    ids=["map", "group", "machine"],
)
def test_a_run_with_earlier_tries_can_be_looked_at_until_it_has_ended(yard, source, inputs, key):
    yard.save(source)
    slug = re.findall(r"name: (\w+)", source)[0]
    run_id = yard.start(slug, by="mara", inputs=inputs).run_id
    go_on(yard, run_id)

    check(yard, run_id, key)


def test_earlier_tries_of_an_item_are_no_items(yard):
    undo = Compensation(uses=Uses(action="python/call@1", arguments={"function": "p.ok"}))
    done = call("done", compensate=undo)
    body = group("x", done, call("bad", "done", does="p.boom"), on_error=ASKS)
    run_id = yard.play(each("m", body), inputs={"items": ["red", "blue"]})
    choose(yard, run_id, "m#1/item#1", "retry")

    listed = words(yard.browse("vera").get(f"/runs/{run_id}/", {"step": "m"}))

    assert "2 instances" in listed
    check(yard, run_id, "m#1/item#2")
