"""The graphs on the pages of runs and versions, measured: nothing overlaps, every edge ends."""

import gzip
import re
from pathlib import Path

import pytest

from countersign import function
from engine.domain.plan import Call, Kind, inner_steps, walk
from engine.domain.plan_json import plan_from_json
from engine.models import Run, Version
from engine.portal.context.drawing import node_id
from engine.services.runs import cancel_run
from tests.drawings import check, read_page
from tests.integration.portal_runs.conftest import queries_of, text
from tests.integration.portal_runs.test_constructs import (
    MACHINE,
    NESTED,
    PATTERNS,
    drive,
    inputs_of,
)

HOSTS = """\
schema: flow/v1
kind: dag
name: hosts
inputs: {type: object, properties: {hosts: {type: array}}}
steps:
  look:
    map: {items: inputs.hosts, as: host, tolerate-failures: 1000}
    uses: python/call@1
    with: {function: graphs.odd, host: "${{ host }}"}
  ask:
    needs: [look]
    map: {items: inputs.hosts, as: host, max-concurrency: 3}
    approval:
      title: "${{ host }}"
      stages: [{id: one, approvers: {groups: [board]}}]
      expires: {after: PT1H, then: reject}
"""
DOCUMENT_BYTES_MAX = 10_000  # of a page, compressed


@function("graphs.odd")
def _odd(host, **_):
    if host % 17 == 5:
        raise ValueError("not this one")


def graph_of(browser, address):
    """Return a page's graph after looking at what holds for every graph."""
    answer = browser.get(address)
    assert answer.status_code == 200
    picture = read_page(text(answer))
    check(picture)
    keys = [box.key for box in picture.boxes]
    assert len(set(keys)) == len(keys)
    assert all(box.href and box.label for box in picture.boxes)
    assert "style=" not in picture.source
    return picture


def version_of(yard, path):
    yard.save(path.read_text())
    version = Version.objects.select_related("workflow").latest("id")
    return version.workflow.slug, plan_from_json(version.plan)


@pytest.mark.parametrize("path", PATTERNS, ids=lambda path: path.stem)
def test_a_version_of_every_pattern_shows_all_its_steps_and_ways(yard, path: Path):
    slug, plan = version_of(yard, path)
    browser = yard.browse("vera")
    address = f"/workflows/acme/{slug}/versions/1/"
    picture = graph_of(browser, address)

    steps = dict(walk(plan))
    shown = {box.key for box in picture.boxes}
    assert shown == {node_id(key) for key in {*steps, *plan.states}}
    for key, step in steps.items():
        own = node_id(key).removeprefix("node-")
        inside = {node_id(f"{key}/{name}") for name in inner_steps(step)}
        assert inside <= set(picture.inside(own))
        assert picture.find(own).holds == bool(inside)
    if plan.kind == Kind.STATES:
        ways = {
            (state.id, item.to)
            for state in plan.states.values()
            for item in (*state.transitions, *state.events)
        }
        assert len(picture.labels) >= len(ways)
        assert sum(line.is_back for line in picture.lines) < len(picture.lines)
    page = text(browser.get(address))
    for box in picture.boxes:
        assert f'id="{box.href.removeprefix("#")}"' in page, box


@pytest.mark.parametrize("path", PATTERNS, ids=lambda path: path.stem)
def test_a_run_of_every_pattern_shows_where_it_is(yard, path: Path):
    slug, plan = version_of(yard, path)
    for called in called_by(plan) - {slug}:
        yard.save(CALLED.replace("NAME", called))
    run_id = yard.start(slug, by="mara", inputs=inputs_of(plan)).run_id
    drive(yard, run_id)
    browser = yard.browse("vera")

    picture = graph_of(browser, f"/runs/{run_id}/")

    outermost = {*plan.steps, *plan.states}
    shown = {re.sub(r"\.\d+$", "", box.key) for box in picture.boxes}
    assert {node_id(key) for key in outermost} <= shown
    run = Run.objects.get(pk=run_id)
    if plan.kind == Kind.STATES:
        here = [box for box in picture.boxes if box.label.startswith("Here now")]
        assert len(here) == (0 if run.status == "CLOSED" else 1)
    for box in picture.boxes:
        page = f"/runs/{run_id}/{box.href}" if box.href.startswith("?") else box.href
        assert browser.get(page).status_code == 200
    if run.status != "CLOSED":
        cancel_run(principal=yard.principal("rex"), run_id=run_id, reason="seen enough")
        drive(yard, run_id)
        graph_of(browser, f"/runs/{run_id}/")


CALLED = """\
schema: flow/v1
kind: dag
name: NAME
steps:
  a: {uses: python/call@1, with: {function: p.ok}}
"""


def called_by(plan):
    """Return the workflows that a plan calls."""
    return {step.verb.workflow for _, step in walk(plan) if isinstance(step.verb, Call)}


def test_what_is_inside_a_container_is_drawn_inside_it(yard):
    yard.save(NESTED)
    run_id = yard.start("nested", by="mara", inputs={"hosts": ["a", "b"]}).run_id
    drive(yard, run_id)

    picture = graph_of(yard.browse("vera"), f"/runs/{run_id}/")

    assert picture.inside("look") == ["node-look.item", "node-look.item.2"]
    assert picture.inside("region") == ["node-region.build", "node-region.test"]
    assert picture.find("look").label.startswith("Succeeded: Look map: 2 of 2 done")
    assert "1 of 2 done, 1 failed" in picture.find("region").label
    assert "was undone" in picture.find("look.item").label


def test_a_machine_shows_where_it_is_what_it_did_and_what_may_come(yard):
    yard.save(MACHINE)
    run_id = yard.start("review", by="mara").run_id
    drive(yard, run_id)
    browser = yard.browse("vera")

    picture = graph_of(browser, f"/runs/{run_id}/")

    assert [box.key for box in picture.boxes if "Here now" in box.label] == ["node-rest"]
    assert "2 visits" in picture.find("draft.2").label
    assert picture.find("done").label.startswith("Not visited: Done final: succeeded")
    assert [line.is_back for line in picture.lines].count(True) == 1
    assert set(picture.labels) == {
        "done",
        "done if vars.round < 2",
        "event go.on; event call.off",
    }
    assert ">Here now<" in picture.source
    assert picture.find("rest").is_chosen
    earlier = graph_of(browser, f"/runs/{run_id}/?step=draft")
    assert earlier.find("draft.2").is_chosen, "an earlier visit is shown as its state"


def hosts_run(yard, count):
    run_id = yard.start("hosts", by="mara", inputs={"hosts": list(range(count))}).run_id
    drive(yard, run_id)
    return run_id


def test_a_map_of_many_shows_what_presses_and_counts_the_rest(yard):
    yard.save(HOSTS)
    run_id = hosts_run(yard, 50)

    picture = graph_of(yard.browse("vera"), f"/runs/{run_id}/")

    failed = [box.label for box in picture.boxes if box.label.startswith("Failed")]
    assert [re.findall(r"Item (\d+)", label)[0] for label in failed] == ["6", "23", "40"]
    assert "map: 47 of 50 done, 3 failed" in picture.find("look").label
    rest = picture.find("more.look")
    assert rest.label == "45 more 45 done"
    assert rest.href == "?step=look"
    assert len([key for key in picture.inside("ask") if "item" in key]) == 3


def test_a_page_takes_as_many_statements_for_many_instances_as_for_few(yard):
    yard.save(HOSTS)
    few, many = hosts_run(yard, 2), hosts_run(yard, 40)
    browser = yard.browse("vera")

    assert queries_of(browser, f"/runs/{many}/") == queries_of(browser, f"/runs/{few}/")


def test_a_folded_page_is_small(yard):
    yard.save(HOSTS)
    run_id = hosts_run(yard, 60)

    page = yard.browse("vera").get(f"/runs/{run_id}/?tab=events")

    assert len(gzip.compress(page.content)) < DOCUMENT_BYTES_MAX
    assert len(read_page(text(page)).boxes) < 15
