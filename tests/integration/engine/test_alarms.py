"""A run that is in a state for too long: who is told, and since when it is there."""

import time

import pytest

from engine import registry
from engine.ports import Alarm
from tests.integration.engine.field import Field
from tests.world import World

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_alarm_says_since_when_the_run_is_in_the_state(monkeypatch):
    raised: list[Alarm] = []
    monkeypatch.setattr(registry, "raise_alarm", raised.append)
    world = World()
    world.user("mara", "requester", "editor", "publisher", "operator")
    field = Field(world)
    field.publish(
        """
        schema: flow/v1
        kind: states
        name: stays
        initial: first
        states:
          first:
            wait: {event: {type: go.on, correlate: {}}}
            transitions: [{event: go.on, to: second}]
          second:
            wait: {event: {type: go.away, correlate: {}}}
            transitions: [{event: go.away, to: done}]
            stuck: {after: PT1S, notify: {groups: [leads]}}
          done: {final: true}
        """
    )
    run = field.start("stays")
    time.sleep(0.2)
    field.send("go.on")
    time.sleep(1.2)
    field.settle()

    (alarm,) = raised
    assert alarm.since is not None, "the visit has begun"
    assert (alarm.key, dict(alarm.notify)) == ("second#1", {"groups": ["leads"]})
    assert (alarm.since - run.created_at).total_seconds() > 0.2
    assert 1.0 <= (alarm.at - alarm.since).total_seconds() < 30.0
