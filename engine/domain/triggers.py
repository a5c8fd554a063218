"""What may start a run of a workflow. Read `check_trigger`. Source: FLOW, "Shape"."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias

from core.kernel.record import Via
from core.kernel.types import Json
from engine.domain.errors import TriggerRefusedError
from engine.domain.schedules import CatchUp, Schedule


class Trigger(StrEnum):
    """How a start comes in. Kinds of later versions are refused when a definition is saved."""

    MANUAL = "manual"  # somebody at the portal, or in another place for people
    API = "api"  # a program, or whoever speaks to the API as one
    SCHEDULE = "schedule"  # the clock
    EVENT = "event"  # an event of the project


AUTOMATIC_KINDS = frozenset({Trigger.SCHEDULE, Trigger.EVENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleTrigger:
    """Starts a run whenever a schedule is due. `inputs`: name → CEL over `event`."""

    kind: ClassVar[Trigger] = Trigger.SCHEDULE

    cron: str
    timezone: str = "UTC"
    catch_up: CatchUp = CatchUp.LAST
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def schedule(self) -> Schedule:
        """Return when it is due."""
        return Schedule(cron=self.cron, timezone=self.timezone, catch_up=self.catch_up)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTrigger:
    """Starts a run for each event of a type that `filter` lets through.

    Of events for which `dedupe` has the same value, only the first in `window_seconds` starts one.
    All expressions are CEL over `event`.
    """

    kind: ClassVar[Trigger] = Trigger.EVENT

    type: str
    filter: str = ""
    dedupe: str = ""
    window_seconds: float = 0.0
    inputs: Mapping[str, str] = field(default_factory=dict)


AutomaticTrigger: TypeAlias = ScheduleTrigger | EventTrigger

_ELSEWHERE = {
    Trigger.MANUAL: "Start it in the portal",
    Trigger.API: "Start it over the API",
}


def trigger_to_json(trigger: AutomaticTrigger) -> dict[str, Json]:
    """Return an automatic trigger as JSON, the inverse of `trigger_from_json`."""
    written: dict[str, Json] = {"kind": trigger.kind.value}
    return {**written, **asdict(trigger), "inputs": dict(trigger.inputs)}


def trigger_from_json(value: Mapping[str, Any]) -> AutomaticTrigger:
    """Read back what `trigger_to_json` wrote. The value is trusted."""
    rest = {key: item for key, item in value.items() if key != "kind"}
    if value["kind"] == Trigger.SCHEDULE:
        return ScheduleTrigger(**{**rest, "catch_up": CatchUp(rest["catch_up"])})
    return EventTrigger(**rest)


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
