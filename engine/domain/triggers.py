"""What may start a run of a workflow. Read `check_trigger`. Source: FLOW, "Shape"."""

from collections.abc import Collection, Mapping, Sequence
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
    WEBHOOK = "webhook"  # a system elsewhere, by a signed request
    RUN_FINISHED = "run-finished"  # the end of a run of another workflow


AUTOMATIC_KINDS = frozenset(
    {Trigger.SCHEDULE, Trigger.EVENT, Trigger.WEBHOOK, Trigger.RUN_FINISHED}
)


class Provider(StrEnum):
    """How the requests of a webhook are signed."""

    GITHUB = "github"  # as GitHub signs
    STANDARD = "standard"  # as Standard Webhooks says
    HMAC = "hmac"  # HMAC-SHA256 over an instant and the body


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleTrigger:
    """Starts a run whenever a schedule is due. `inputs`: name → CEL over `event`."""

    kind: ClassVar[Trigger] = Trigger.SCHEDULE

    cron: str
    timezone: str = "UTC"
    catch_up: CatchUp = CatchUp.LAST
    inputs: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

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
    name: str = ""

    @property
    def window_parts(self) -> tuple[str, ...]:
        """Return what tells its `dedupe` values from those of other triggers."""
        return self.type, self.dedupe


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTrigger:
    """Starts a run for each signed request that `event` and `filter` let through.

    `event` is the type of the deliveries, "" for all. The rest is as in `EventTrigger`.
    """

    kind: ClassVar[Trigger] = Trigger.WEBHOOK

    provider: Provider
    event: str = ""
    filter: str = ""
    dedupe: str = ""
    window_seconds: float = 0.0
    inputs: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    @property
    def window_parts(self) -> tuple[str, ...]:
        """Return what tells its `dedupe` values from those of other triggers."""
        return self.kind.value, self.provider.value, self.dedupe


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishTrigger:
    """Starts a run when one of another workflow of the project ends. `outcomes`: (): any."""

    kind: ClassVar[Trigger] = Trigger.RUN_FINISHED

    workflow: str
    outcomes: tuple[str, ...] = ()
    filter: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    name: str = ""


AutomaticTrigger: TypeAlias = ScheduleTrigger | EventTrigger | WebhookTrigger | FinishTrigger

_ELSEWHERE = {
    Trigger.MANUAL: "Start it in the portal",
    Trigger.API: "Start it over the API",
}


def name_triggers(triggers: Sequence[AutomaticTrigger]) -> tuple[str, ...]:
    """Return the name of each trigger, by which addresses and people know it.

    One that has none of its own is called after its kind, a webhook after its provider; the second
    of a kind has a number behind that.
    """
    return number_names([(trigger.name, base_name(trigger)) for trigger in triggers])


def base_name(trigger: AutomaticTrigger) -> str:
    """Return what a trigger without a name is called after."""
    return (trigger.provider if isinstance(trigger, WebhookTrigger) else trigger.kind).value


def number_names(pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return a name for each pair of a name, perhaps "", and what to call it after."""
    counts: dict[str, int] = {}
    names: list[str] = []
    for name, base in pairs:
        counts[base] = counts.get(base, 0) + (not name)
        numbered = base if counts[base] == 1 else f"{base}-{counts[base]}"
        names.append(name or numbered)
    return tuple(names)


def trigger_to_json(trigger: AutomaticTrigger) -> dict[str, Json]:
    """Return an automatic trigger as JSON, the inverse of `trigger_from_json`."""
    written: dict[str, Json] = {"kind": trigger.kind.value}
    values = asdict(trigger)
    name = values.pop("name")
    written |= {**values, "inputs": dict(trigger.inputs), **({"name": name} if name else {})}
    if isinstance(trigger, FinishTrigger):
        written["outcomes"] = list(trigger.outcomes)
    return written


def trigger_from_json(value: Mapping[str, Any]) -> AutomaticTrigger:
    """Read back what `trigger_to_json` wrote. The value is trusted."""
    rest = {key: item for key, item in value.items() if key != "kind"}
    match Trigger(value["kind"]):
        case Trigger.SCHEDULE:
            return ScheduleTrigger(**{**rest, "catch_up": CatchUp(rest["catch_up"])})
        case Trigger.WEBHOOK:
            return WebhookTrigger(**{**rest, "provider": Provider(rest["provider"])})
        case Trigger.RUN_FINISHED:
            return FinishTrigger(**{**rest, "outcomes": tuple(rest["outcomes"])})
        case _:
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
