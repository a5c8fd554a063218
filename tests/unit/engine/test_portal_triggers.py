"""What starts the runs of a version, in words."""

from dataclasses import replace

from engine.domain.plan import Plan
from engine.domain.triggers import EventTrigger, ScheduleTrigger
from engine.portal.context.triggers import can_people_start, list_triggers

PLAN = Plan(name="x", title="x", inputs_schema={}, variables={}, steps={}, outputs={})


def test_a_definition_that_says_nothing_is_started_by_people_and_programs():
    assert list_triggers(PLAN) == ("people", "the API")
    assert can_people_start(PLAN) is True


def test_every_trigger_is_told():
    plan = replace(
        PLAN,
        triggers=("schedule", "event", "api"),
        automatic=(
            ScheduleTrigger(cron="0 9 * * *", timezone="Europe/Berlin"),
            EventTrigger(type="alert.fired"),
        ),
    )

    assert list_triggers(plan) == (
        "the API",
        "the clock, 0 9 * * * (Europe/Berlin)",
        "the event “alert.fired”",
    )
    assert can_people_start(plan) is False
