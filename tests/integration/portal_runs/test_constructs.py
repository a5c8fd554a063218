"""The pages and the API of definitions with every construct: nothing breaks or is hidden."""

import json
import re
from pathlib import Path

import pytest

import examples.patterns.functions  # noqa: F401 - the patterns call them
from core.settings.env import BASE_DIR
from engine.domain.events import EventKind
from engine.domain.plan import Call, walk
from engine.domain.plan_json import plan_from_json
from engine.driver import DriveEnd
from engine.models import Run, Version
from engine.services.definitions import publish_version, save_version
from engine.services.runs import cancel_run
from tests.integration.portal_runs.conftest import text, words

PATTERNS = sorted((BASE_DIR / "examples" / "patterns").glob("*.yaml"))

MACHINE = """\
schema: flow/v1
kind: states
name: review
vars: {round: 0}
initial: draft
states:
  draft:
    uses: python/call@1
    with: {function: p.ok}
    transitions:
      - {on-success: true, to: check, set: {round: vars.round + 1}}
  check:
    uses: python/call@1
    with: {function: p.ok}
    transitions:
      - {on-success: true, if: vars.round < 2, to: draft}
      - {on-success: true, to: rest}
  rest:
    wait: {event: {type: go.on, correlate: {run: run.id}}}
    transitions: [{event: go.on, to: done}]
    events: [{event: call.off, correlate: {run: run.id}, to: done}]
  done: {final: true}
"""

NESTED = """\
schema: flow/v1
kind: dag
name: nested
inputs: {type: object, properties: {hosts: {type: array}}}
steps:
  look:
    map: {items: inputs.hosts, as: host}
    uses: python/call@1
    with: {function: p.ok, host: "${{ host }}"}
    compensate: {uses: python/call@1, with: {function: p.ok}}
  region:
    needs: [look]
    steps:
      build: {uses: python/call@1, with: {function: p.ok}}
      test: {needs: [build], uses: python/call@1, with: {function: p.boom}}
"""


CALLED = """\
schema: flow/v1
kind: dag
name: {name}
steps:
  work: {{uses: python/call@1, with: {{function: p.ok}}}}
"""


def drive(yard, run_id):
    while yard.hand.drive(run_id) is DriveEnd.RELEASED:
        pass


def show(yard, run_id):
    """Read everything there is to read about a run, and return its page and its API answer."""
    browser = yard.browse("vera")
    page = browser.get(f"/runs/{run_id}/")
    assert page.status_code == 200
    answer = browser.get(f"/api/v1/runs/{run_id}/")
    assert answer.status_code == 200
    for step in re.findall(r'href="\?([^"]*step=[^"]*)"', text(page))[:12]:
        assert browser.get(f"/runs/{run_id}/?{step.replace('&amp;', '&')}").status_code == 200
    told = browser.get(f"/runs/{run_id}/?tab=events")
    assert told.status_code == 200
    codes = [kind.value for kind in EventKind if f"{kind.value} " in words(told)]
    assert not codes, "events are told in words"
    found = re.findall(r' id="([^"]+)"', text(page))
    assert len(found) == len(set(found))
    answer = json.loads(answer.content)
    if answer["status"] == "WAITING":
        assert any(step["waits_for"] for step in answer["steps"]), "somebody knows what for"
    assert browser.get("/runs/").status_code == 200
    return words(page), answer


@pytest.mark.parametrize("path", PATTERNS, ids=lambda path: path.stem)
def test_every_pattern_can_be_looked_at(yard, path: Path):
    source = path.read_text()
    saved = save_version(
        principal=yard.principal("mara"), project_slug=yard.slug, source=source, message="why"
    )
    slug, plan = saved.workflow_slug, plan_from_json(Version.objects.get(rev=saved.rev).plan)
    publish_version(
        principal=yard.principal("pia"),
        project_slug=yard.slug,
        workflow_slug=slug,
        rev=saved.rev,
    )
    browser = yard.browse("vera")
    assert browser.get(f"/workflows/acme/{slug}/").status_code == 200
    assert browser.get(f"/workflows/acme/{slug}/versions/1/").status_code == 200
    for _, step in walk(plan):
        if isinstance(step.verb, Call) and step.verb.workflow != slug:
            yard.save(CALLED.format(name=step.verb.workflow))
    run_id = yard.start(slug, by="mara", inputs=inputs_of(plan)).run_id
    drive(yard, run_id)

    show(yard, run_id)
    if Run.objects.get(pk=run_id).status != "CLOSED":
        cancel_run(principal=yard.principal("rex"), run_id=run_id, reason="seen enough")
        drive(yard, run_id)
        show(yard, run_id)


def inputs_of(plan):
    """Return inputs of the types a definition asks for."""
    samples = {"array": ["a", "b"], "integer": 1, "string": "x", "boolean": True, "number": 1}
    properties = plan.inputs_schema.get("properties", {})
    return {
        name: schema["enum"][0] if "enum" in schema else samples.get(schema.get("type"), {})
        for name, schema in properties.items()
        if "default" not in schema
    }


def test_a_machine_shows_its_visits(yard):
    yard.save(MACHINE)
    run_id = yard.start("review", by="mara").run_id
    drive(yard, run_id)

    said, answer = show(yard, run_id)

    keys = [step["key"] for step in answer["steps"]]
    assert keys == ["draft#1", "draft#2", "check#1", "check#2", "rest#1"]
    assert "Draft, visit 2" in said
    version = words(yard.browse("vera").get("/workflows/acme/review/versions/1/"))
    assert all(name in version for name in ("Draft", "Check", "Rest", "Done"))


def test_what_is_inside_is_listed_and_named(yard):
    yard.save(NESTED)
    run_id = yard.start("nested", by="mara", inputs={"hosts": ["a", "b"]}).run_id
    drive(yard, run_id)

    said, answer = show(yard, run_id)

    keys = [step["key"] for step in answer["steps"]]
    assert keys == [
        *("look#1", "look#1/item#1", "look#1/item#2"),
        *("region#1", "region#1/build#1", "region#1/test#1"),
        *("compensate/look#1/item#1", "compensate/look#1/item#2"),
    ]
    assert "Look, item 2" in said
    assert {step["outcome"] for step in answer["steps"][:3]} == {"succeeded"}
