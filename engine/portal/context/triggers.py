"""What starts the runs of a version, in words. Read `list_triggers`."""

from engine.domain.plan import Plan
from engine.domain.triggers import (
    AutomaticTrigger,
    FinishTrigger,
    Provider,
    ScheduleTrigger,
    Trigger,
    WebhookTrigger,
)

_PROVIDERS = {
    Provider.GITHUB: "GitHub",
    Provider.STANDARD: "Standard Webhooks",
    Provider.HMAC: "HMAC",
}
_BY_HAND = {Trigger.MANUAL: "people", Trigger.API: "the API"}


def list_triggers(plan: Plan) -> tuple[str, ...]:
    """Return what may start a run, people and programs first; each completes "Started by …"."""
    by_hand = [text for kind, text in _BY_HAND.items() if kind in plan.triggers]
    return (*by_hand, *(say_trigger(trigger) for trigger in plan.automatic))


def can_people_start(plan: Plan) -> bool:
    """Say whether somebody may start a run in the portal, if they have the permission."""
    return Trigger.MANUAL in plan.triggers


def say_trigger(trigger: AutomaticTrigger) -> str:
    """Return a trigger in words, as "Started by …" is completed."""
    if isinstance(trigger, ScheduleTrigger):
        return f"the clock, {trigger.cron} ({trigger.timezone})"
    if isinstance(trigger, WebhookTrigger):
        what = f"webhooks “{trigger.event}”" if trigger.event else "webhooks"
        return f"{what} ({_PROVIDERS[trigger.provider]})"
    if isinstance(trigger, FinishTrigger):
        how = f" as {' or '.join(trigger.outcomes)}" if trigger.outcomes else ""
        return f"the end of a run of “{trigger.workflow}”{how}"
    return f"the event “{trigger.type}”"
