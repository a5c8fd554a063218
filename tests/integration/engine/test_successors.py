"""What a run begins with that goes on for one that was moved, or was itself run again."""

from typing import Any

import pytest

from audit import store as ledger
from engine.models import Run, Version
from engine.selectors.facts import get_run_facts
from engine.services import migrating, rerunning
from engine.services.migrating import Migration
from engine.services.rerunning import Wish
from engine.services.runs import cancel_run
from tests.integration.engine.living import opened_place

pytestmark = pytest.mark.django_db(transaction=True)

PART = """
schema: flow/v1
kind: dag
name: part
steps: {wait: {wait: {timer: PT1S}}}
"""
LONG = """
schema: flow/v1
kind: states
name: long
inputs: {type: object, properties: {INPUT: {type: string, default: mild}}}
vars: {level: low}
initial: prepare
states:
  prepare: {transitions: [{after: PT1S, to: idle}]}
  idle: {transitions: [{after: PT1H, to: next, continue-as-new: true}]}
  next: {NEXT}
  done: {final: true}
"""
PLAIN = LONG.replace("INPUT", "tone").replace("NEXT", "transitions: [{after: PT1S, to: done}]")
CALLS = LONG.replace("INPUT", "mood").replace(
    "NEXT", 'call: "part@*", transitions: [{on-success: true, to: done}]'
)


@pytest.fixture
def place(monkeypatch):
    with opened_place(monkeypatch) as place:
        place.world.user("olga", "requester", "operator", "publisher")
        yield place


def first_of(run):
    return ledger.read_stream(stream=run.pk, limit=1)[0]


def newest():
    return Run.objects.filter(workflow__slug="long").latest("number")


def test_a_moved_run_goes_on_with_what_the_new_version_gave_it(place):
    place.publish_text(PART)
    place.publish_text(PLAIN)
    run = place.start("long")
    place.wait(seconds=2)
    place.publish_text(CALLS)
    report = migrating.migrate_runs(
        principal=place.world.principal("olga"),
        project_slug=place.world.slug,
        workflow_slug="long",
        migration=Migration(from_rev=1, to_rev=2, data={"level": "'high'"}),
        reason="better",
    )
    assert [item.obstacles for item in report.runs] == [()]

    place.wait(hours=1)
    for _ in range(5):
        place.wait(seconds=5)

    successor = newest()
    assert successor.predecessor_id == run.pk
    facts: Any = first_of(successor).data["run"]
    assert facts["rev"] == Version.objects.get(pk=successor.version_id).rev == 2
    inputs: Any = first_of(successor).payloads["inputs"]
    assert inputs["mood"] == "mild"
    assert successor.outcome == "succeeded"
    # Who changed what it goes on with decides nothing in it, nor in what it calls.
    mover = place.world.principal("olga").person_id
    called = Run.objects.get(parent=successor)
    for run_id in (run.pk, successor.pk, called.pk):
        assert mover in get_run_facts(run_id=run_id).rerunner_person_ids


def test_a_rerun_goes_on_without_what_it_had_taken_over(place):
    place.publish_text(PLAIN)
    origin = place.start("long")
    place.wait(seconds=2)
    cancel_run(principal=place.world.principal("mara"), run_id=origin.pk, reason="no")
    place.settle()
    again = rerunning.rerun(
        principal=place.world.principal("olga"),
        run_id=origin.pk,
        wish=Wish(step="idle"),
        reason="again",
    )
    place.settle()
    place.wait(hours=1)

    successor = newest()
    assert successor.predecessor_id == again.run_id
    assert set(first_of(successor).payloads) == {"inputs", "vars", "title"}
    place.wait(seconds=2)
    successor.refresh_from_db()
    assert successor.outcome == "succeeded"


def test_a_moved_run_is_run_again_with_what_the_new_version_gave_it(place):
    place.publish_text(PART)
    place.publish_text(PLAIN)
    run = place.start("long")
    place.wait(seconds=2)
    place.publish_text(CALLS)
    olga = place.world.principal("olga")
    migrating.migrate_runs(
        principal=olga,
        project_slug=place.world.slug,
        workflow_slug="long",
        migration=Migration(from_rev=1, to_rev=2),
        reason="better",
    )
    place.settle()
    cancel_run(principal=olga, run_id=run.pk, reason="no")
    place.settle()

    rerunning.rerun(principal=olga, run_id=run.pk, wish=Wish(step="idle"), reason="again")

    payloads: Any = first_of(newest()).payloads
    assert payloads["inputs"]["mood"] == "mild"
    assert list(payloads["calls"]) != []
