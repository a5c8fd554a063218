"""What may start a run of a workflow. Read `check_trigger`. Source: FLOW, "Shape"."""

from collections.abc import Collection
from enum import StrEnum

from core.kernel.record import Via
from engine.domain.errors import TriggerRefusedError


class Trigger(StrEnum):
    """How a start comes in. Kinds of later versions are refused when a definition is saved."""

    MANUAL = "manual"  # somebody at the portal, or in another place for people
    API = "api"  # a program, or whoever speaks to the API as one


_ELSEWHERE = {
    Trigger.MANUAL: "Start it in the portal",
    Trigger.API: "Start it over the API",
}


def trigger_of(via: Via) -> Trigger:
    """Return which trigger a start over a channel pulls."""
    return Trigger.API if via is Via.API else Trigger.MANUAL


def check_trigger(*, triggers: Collection[str], via: Via) -> None:
    """Check that a definition's `triggers` let a start over a channel through.

    Raises:
        TriggerRefusedError: they do not name it.
    """
    trigger = trigger_of(via)
    if trigger in triggers:
        return
    ways = [text for kind, text in _ELSEWHERE.items() if kind in triggers]
    advice = " or ".join([*ways, f"publish a version whose `triggers` name `{trigger}`"])
    raise TriggerRefusedError(
        f"`triggers` of this workflow does not name `{trigger}`. {advice[0].upper()}{advice[1:]}.",
        trigger=trigger.value,
        triggers=sorted(triggers),
    )
