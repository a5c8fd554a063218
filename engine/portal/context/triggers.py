"""What starts the runs of a version, in words. Read `list_triggers`."""

from engine.domain.plan import Plan
from engine.domain.triggers import AutomaticTrigger, ScheduleTrigger, Trigger

_BY_HAND = {Trigger.MANUAL: "people", Trigger.API: "the API"}


def list_triggers(plan: Plan) -> tuple[str, ...]:
    """Return what may start a run, people and programs first; each completes "Started by …"."""
    by_hand = [text for kind, text in _BY_HAND.items() if kind in plan.triggers]
    return (*by_hand, *(_say(trigger) for trigger in plan.automatic))


def can_people_start(plan: Plan) -> bool:
    """Say whether somebody may start a run in the portal, if they have the permission."""
    return Trigger.MANUAL in plan.triggers


def _say(trigger: AutomaticTrigger) -> str:
    if isinstance(trigger, ScheduleTrigger):
        return f"the clock, {trigger.cron} ({trigger.timezone})"
    return f"the event “{trigger.type}”"
