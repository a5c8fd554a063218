"""Runs that the ends of other runs start, on a real database. Time is moved by hand."""

from typing import Any

import pytest
from django.db import connection

from audit import store as ledger
from audit.domain.entry import read_entry
from core.kernel import limits
from engine.models import Firing, Run, Workflow
from engine.services.runs import cancel_run
from engine.triggers import finishing
from engine.triggers.firing import fire_due
from tests.integration.engine.living import opened_place
from tests.integration.engine.threads import at_once
from tests.simulation.clockwork import SEARCH_PATH

pytestmark = pytest.mark.django_db(transaction=True)

AFTER = """
schema: flow/v1
kind: dag
name: after
title: "${{ event.data.workflow }} ${{ event.data.outcome }} ${{ event.data.outputs }}"
inputs: {type: object, properties: {image: {type: string}}}
triggers: [{run-finished: {workflow: build, OUTCOMES inputs: {image: IMAGE}}}]
steps: {note: {emit: {type: build.noted}}}
"""
WAITS = """
schema: flow/v1
kind: dag
name: build
steps: {wait: {wait: {timer: PT1H}}}
"""


@pytest.fixture
def place(monkeypatch):
    with opened_place(monkeypatch) as place:
        yield place


def after(place, *, outcomes="", image):
    place.publish_text(AFTER.replace("OUTCOMES", outcomes).replace("IMAGE", image))


def followers():
    return list(Run.objects.filter(workflow__slug="after").order_by("number"))


def test_the_end_of_a_run_starts_another_that_reads_it(place):
    place.publish_text(WAITS.replace("PT1H", "PT1S") + "outputs: {image: \"'shop:1'\"}\n")
    after(place, image="event.data.outputs.image")

    run = place.start("build")
    assert followers() == []
    place.wait(seconds=2)
    place.wait(seconds=limits.READY_OLD_SECONDS + 1)

    (follower,) = followers()
    assert follower.title == 'build succeeded {"image":"shop:1"}'
    assert follower.initiator_id == run.initiator_id
    (first,) = ledger.read_stream(stream=follower.pk, limit=1)
    asked_by = read_entry(first.body).on_behalf_of
    assert asked_by is not None
    assert asked_by.id == str(follower.initiator_id)
    assert first.data["trigger"] == {
        "kind": "run-finished",
        "position": 0,
        "depth": 1,
        "type": "run.finished",
        "event": str(run.pk),
    }
    heard: Any = first.payloads["event"]
    assert heard["data"] == {
        "run": str(run.pk),
        "number": run.number,
        "workflow": "build",
        "outcome": "succeeded",
        "outputs": {"image": "shop:1"},
    }
    assert first.payloads["inputs"] == {"image": "shop:1"}
    assert not Firing.objects.exists()


@pytest.mark.parametrize(
    ("outcomes", "count"), [("", 1), ("outcomes: [cancelled],", 1), ("outcomes: [failed],", 0)]
)
def test_only_the_outcomes_that_are_named_count(place, outcomes, count):
    place.publish_text(WAITS)
    after(place, outcomes=outcomes, image="event.data.outcome")
    run = place.start("build")

    cancel_run(principal=place.principals["mara"], run_id=run.pk, reason="no")
    place.settle()
    place.wait(seconds=limits.READY_OLD_SECONDS + 1)

    assert [item.title for item in followers()] == ["build cancelled {}"] * count
    assert not Firing.objects.exists()


def test_the_end_of_another_workflow_or_before_publishing_starts_nothing(place):
    place.publish_text(WAITS.replace("PT1H", "PT1S"))
    place.publish_text(WAITS.replace("PT1H", "PT1S").replace("name: build", "name: other"))
    place.start("build")
    place.wait(seconds=5)
    after(place, image="event.data.outcome")

    place.start("other")
    place.wait(seconds=10)

    assert followers() == []


def test_a_run_that_goes_on_as_another_has_not_ended(place):
    place.publish_text(
        """
schema: flow/v1
kind: states
name: build
initial: one
states:
  one: {transitions: [{after: PT1S, to: two, continue-as-new: true}]}
  two: {transitions: [{after: PT1S, to: done}]}
  done: {final: true}
"""
    )
    after(place, image="event.data.outcome")
    place.start("build")

    for _ in range(4):
        place.wait(seconds=5)

    ended = list(Run.objects.filter(workflow__slug="build").order_by("number"))
    assert [run.outcome for run in ended] == ["continued", "succeeded"]
    (follower,) = followers()
    (first,) = ledger.read_stream(stream=follower.pk, limit=1)
    cause: Any = first.data["trigger"]
    assert cause["event"] == str(ended[1].pk)


def test_runs_whose_ends_start_each_other_come_to_an_end(place, monkeypatch):
    monkeypatch.setattr(limits, "TRIGGER_DEPTH_MAX", 3)
    text = WAITS.replace("PT1H", "PT1S")
    place.publish_text(text + "triggers: [{manual: {}}, {run-finished: {workflow: build}}]\n")
    place.start("build")

    for _ in range(8):
        place.wait(seconds=5)

    assert Run.objects.count() == 4
    workflow = Workflow.objects.get()
    entries = ledger.read_verified(stream=workflow.pk, limit=100)
    (refused,) = [entry for entry in entries if entry.kind == "trigger.refused"]
    assert refused.data["code"] == "engine.trigger_loop"


def test_many_workers_start_one_run_for_one_end(place):
    place.publish_text(WAITS.replace("PT1H", "PT1S"))
    after(place, image="event.data.outcome")
    place.start("build")
    place.clock.advance(2)
    place.driver.drive(run_id=Run.objects.get().pk)
    assert Firing.objects.count() == 1, "pulled by the commit that closed it, whoever died since"

    def fire():
        with connection.cursor() as cursor:
            cursor.execute(SEARCH_PATH)
        return fire_due()

    assert sum(at_once(fire, fire, fire)) == 1
    assert len(followers()) == 1


def test_an_end_that_can_never_be_read_is_on_record_and_keeps_nobody_else_back(place, monkeypatch):
    place.publish_text(WAITS.replace("PT1H", "PT1S"))
    after(place, image="event.data.outcome")
    run = place.start("build")

    def breaks(*_, **__):
        raise ValueError("a bug")

    monkeypatch.setattr(finishing, "heard_of", breaks)
    for _ in range(limits.FIRING_ATTEMPT_COUNT_MAX + 1):
        place.wait(hours=1)

    assert not Firing.objects.exists()
    entries = ledger.read_verified(stream=Workflow.objects.get(slug="after").pk, limit=100)
    (failed,) = [entry for entry in entries if entry.kind == "trigger.failed"]
    assert failed.data["event"] == str(run.pk)
    assert failed.payloads["message"] == "ValueError: a bug"
