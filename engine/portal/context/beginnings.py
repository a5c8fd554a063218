"""What a run's first event says, in plain words. Read `say_beginning`."""

from collections.abc import Mapping

from engine.domain.events import Event
from engine.domain.triggers import Trigger
from engine.portal.naming import Titles
from engine.portal.statuses import say_step


def say_beginning(started: Event) -> str:
    """Return how a run began."""
    parent, rerun = started.data.get("parent"), started.data.get("rerun")
    if isinstance(rerun, Mapping):
        how = "a fork of another one" if rerun.get("fork") else "another one run again"
        step = str(rerun.get("step", ""))
        place = f"the step {Titles().of(step)}" if step else "its beginning"
        return f"The run began as {how}, from {place}"
    if "predecessor" in started.data:
        state = say_step(str(started.data.get("state", "")))
        return f"The run began in the state {state}, where another one ended as continued"
    if isinstance(parent, Mapping):
        return f"The run was called by another one, in its step {Titles().of(str(parent['key']))}"
    cause = say_cause(started)
    return f"The run was started by {cause}" if cause else "The run was started"


def say_cause(started: Event) -> str:
    """Return what started a run in the name of somebody, "" if somebody did."""
    trigger = started.data.get("trigger")
    if not isinstance(trigger, Mapping):
        return ""
    if trigger.get("kind") == Trigger.SCHEDULE:
        return "the schedule"
    if trigger.get("kind") == Trigger.WEBHOOK:
        return f"the webhook “{trigger.get('name', '')}”"
    if trigger.get("kind") == Trigger.RUN_FINISHED:
        return "the end of another run"
    return f"the event “{trigger.get('type', '')}”"
