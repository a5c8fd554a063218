"""Runs that the clock starts, on a real database. Time is moved by hand."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from audit import store as ledger
from audit.domain.entry import read_entry
from core.kernel import limits
from engine import starting
from engine.models import Run, Trigger, Workflow
from engine.services.definitions import publish_version, save_version
from engine.triggers.scheduling import pull_due
from tests.integration.engine.living import opened_place
from tests.integration.engine.threads import at_once
from tests.simulation.clockwork import SEARCH_PATH

pytestmark = pytest.mark.django_db(transaction=True)

TICKS = """
schema: flow/v1
kind: dag
name: ticks
title: "at ${{ event.data.local }}"
inputs: {type: object, properties: {day: {type: string}}}
triggers:
- schedule:
    cron: "0 9 * * *"
    timezone: Europe/Berlin
    catch-up: CATCH
    inputs: {day: event.data.due_at}
steps: {note: {emit: {type: day.noted}}}
"""


@pytest.fixture
def place(monkeypatch):
    with opened_place(monkeypatch) as place:
        yield place


def runs():
    return list(Run.objects.order_by("number"))


def recorded(slug, kind):
    """Return data and payloads of a workflow's entries of a kind."""
    workflow = Workflow.objects.get(slug=slug)
    entries = ledger.read_verified(stream=workflow.pk, limit=1_000)
    assert entries[-1].leaf == bytes(workflow.head)
    return [(item.data, item.payloads) for item in entries if item.kind == kind]


def ticks(place, catch_up="last"):
    place.publish_text(TICKS.replace("CATCH", catch_up))


def days():
    return [run.title for run in runs()]


def test_a_schedule_starts_a_run_when_it_is_due(place):
    ticks(place)  # it is midnight in London, 2030-01-01
    place.settle()
    assert days() == []

    place.wait(hours=8, seconds=1)
    place.wait(hours=1)
    place.wait(hours=23)

    assert days() == ["at 2030-01-01T09:00:00+01:00", "at 2030-01-02T09:00:00+01:00"]
    run = runs()[0]
    assert run.initiator.username == "otto", "whoever published the trigger"
    first = ledger.read_stream(stream=run.pk, limit=1)[0]
    due = "2030-01-01T08:00:00Z"
    asked_by = read_entry(first.body).on_behalf_of
    assert asked_by is not None
    assert asked_by.id == str(run.initiator_id)
    assert first.data["trigger"] == {"kind": "schedule", "position": 0, "due_at": due}
    assert first.payloads["inputs"] == {"day": due}
    assert Trigger.objects.get().next_at == datetime(2030, 1, 3, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("policy", "count", "skipped"), [("none", 0, 7), ("last", 1, 6), ("all", 7, 0)]
)
def test_a_week_without_a_sweep_is_made_up_for_as_the_policy_says(place, policy, count, skipped):
    ticks(place, policy)

    place.wait(days=7)

    assert len(days()) == count
    assert days() == sorted(days())
    told = [data["skipped_count"] for data, _ in recorded("ticks", "trigger.skipped")]
    assert told == ([skipped] if skipped else [])


def test_a_schedule_that_cannot_be_looked_at_keeps_no_other_from_its_turn(place, monkeypatch):
    place.publish_text(TICKS.replace("CATCH", "last"))
    place.publish_text(TICKS.replace("CATCH", "last").replace("name: ticks", "name: tocks"))
    find = starting.find_chosen

    def breaks(*, version_id):
        chosen = find(version_id=version_id)
        assert chosen is not None
        if chosen.workflow_slug == "ticks":
            raise RuntimeError("its plan cannot be read")
        return chosen

    monkeypatch.setattr(starting, "find_chosen", breaks)
    place.wait(hours=9)
    assert [run.workflow.slug for run in runs()] == ["tocks"]

    monkeypatch.setattr(starting, "find_chosen", find)
    place.wait(days=1)
    assert [run.workflow.slug for run in runs()].count("ticks") == 1


def test_publishing_while_a_schedule_is_pulled_fires_it_once(place):
    ticks(place)
    place.clock.advance(timedelta(hours=9).total_seconds())

    def publish():
        with connection.cursor() as cursor:
            cursor.execute(SEARCH_PATH)
        place.publish_text(TICKS.replace("CATCH", "last").replace('title: "at', 'title: "now at'))

    def pull():
        with connection.cursor() as cursor:
            cursor.execute(SEARCH_PATH)
        pull_due()

    at_once(publish, pull)
    place.settle()

    assert len(runs()) == 1


def test_publishing_again_keeps_what_a_schedule_missed(place):
    ticks(place)
    place.clock.advance(timedelta(days=2).total_seconds())

    place.publish_text(TICKS.replace("CATCH", "all").replace('title: "at', 'title: "now at'))
    place.settle()

    assert [run.version.rev for run in runs()] == [2, 2]


def test_a_schedule_that_changes_begins_anew(place):
    ticks(place)
    place.clock.advance(timedelta(days=2).total_seconds())

    place.publish_text(TICKS.replace("CATCH", "all").replace("0 9", "0 10"))
    place.settle()

    assert days() == []
    assert Trigger.objects.get(ended_at=None).next_at == datetime(2030, 1, 3, 9, tzinfo=UTC)


def test_many_schedules_due_at_once_all_start(place, monkeypatch):
    monkeypatch.setattr(limits, "SWEEP_ROW_COUNT_MAX", 4)
    for number in range(10):
        place.publish_text(
            TICKS.replace("CATCH", "last").replace("name: ticks", f"name: t{number}")
        )

    place.wait(hours=9)

    assert sorted(run.workflow.slug for run in runs()) == [f"t{number}" for number in range(10)]


def test_publishing_an_older_version_changes_no_trigger(place):
    otto, slug = place.world.principal("otto"), place.world.slug
    older = save_version(principal=otto, project_slug=slug, source=TICKS.replace("CATCH", "none"))
    newest = place.publish_text(TICKS.replace("CATCH", "all"))

    publish_version(principal=otto, project_slug=slug, workflow_slug="ticks", rev=older.rev)

    assert [trigger.version.rev for trigger in Trigger.objects.filter(ended_at=None)] == [newest]
