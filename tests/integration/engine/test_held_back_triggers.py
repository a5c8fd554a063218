"""Triggers of what is paused or full: nothing is dropped, and the clock makes up as it says."""

import pytest

from engine.flow_control import admission
from engine.models import Firing, Run
from engine.services import flow_control
from tests.integration.engine.living import opened_place
from tests.integration.engine.test_schedule_triggers import days, recorded, ticks

pytestmark = pytest.mark.django_db(transaction=True)

HEARS = """
schema: flow/v1
kind: dag
name: hears
triggers: [{event: {type: alert.fired}}]
steps: {note: {wait: {event: {type: go, correlate: {}}}}}
"""


@pytest.fixture
def place(monkeypatch):
    admission.forget_measures()
    with opened_place(monkeypatch) as place:
        place.world.user("opal", "operator")
        place.world.user("ada", "project_admin")
        yield place


def act(place, verb, slug):
    do = getattr(flow_control, f"{verb}_workflow")
    do(
        principal=place.world.principal("opal"),
        project_slug=place.world.slug,
        workflow_slug=slug,
        reason="a freeze",
    )


def test_what_an_event_starts_waits_for_the_end_of_the_pause(place):
    place.publish_text(HEARS)
    act(place, "pause", "hears")
    place.send("alert.fired")
    place.wait(hours=2)
    assert not Run.objects.exists()
    assert Firing.objects.count() == 1

    act(place, "resume", "hears")
    place.settle()

    assert Run.objects.count() == 1
    assert not Firing.objects.exists()
    assert recorded("hears", "trigger.refused") == []


def test_what_an_event_starts_waits_for_room(place, settings):
    settings.PROJECT_STARTS_PER_HOUR_MAX = 1
    place.publish_text(HEARS)
    place.send("alert.fired", n=1)
    place.send("alert.fired", n=2)
    place.wait(minutes=10)
    assert Run.objects.count() == 1
    assert Firing.objects.get().attempt_count == 0

    place.wait(hours=1)

    assert Run.objects.count() == 2


@pytest.mark.parametrize(
    ("policy", "count", "skipped"), [("none", 0, 7), ("last", 1, 6), ("all", 7, 0)]
)
def test_a_schedule_makes_up_for_a_pause_as_its_policy_says(place, policy, count, skipped):
    ticks(place, policy)
    act(place, "pause", "ticks")
    place.wait(days=7)
    assert days() == []
    assert not Firing.objects.exists()

    act(place, "resume", "ticks")
    place.settle()

    assert len(days()) == count
    told = [data["skipped_count"] for data, _ in recorded("ticks", "trigger.skipped")]
    assert told == ([skipped] if skipped else [])
