"""The compiled form of a definition. Read `Plan` first.

A plan is a value: built once when a version is saved, stored as canonical JSON (its digest names
the version), and read back by every worker. Durations are seconds. Expressions are CEL texts; a
*template* is JSON whose texts may hold `${{ … }}`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from core.kernel.canonical import digest
from core.kernel.types import Json


class Join(StrEnum):
    """How the ends of a step's needs count."""

    ALL = "all"
    ALL_SETTLED = "all-settled"


class Backoff(StrEnum):
    """How the delay grows from one retry to the next."""

    FIXED = "fixed"
    EXPONENTIAL = "exponential"


class AfterError(StrEnum):
    """What happens to the run once a failed step's `on-error` has compensated."""

    FAIL = "fail"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When a failed attempt is tried again.

    `retries_max` counts attempts after the first. `errors` are the error kinds that are retried.
    With `jitter`, a delay is shortened by up to a half, by a share derived from the attempt's key.
    """

    retries_max: int = 0
    backoff: Backoff = Backoff.EXPONENTIAL
    initial_seconds: float = 1.0
    delay_seconds_max: float = 300.0
    jitter: bool = True
    errors: tuple[str, ...] = ("transient", "timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """The verb that executes an action. `arguments` is a template."""

    action: str  # "python/call@1"
    arguments: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A verb of a package above, such as `approval`. `body` is what that package's check made."""

    verb: str
    body: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """What undoes a completed step."""

    uses: Uses
    retry: Retry = field(default_factory=Retry)
    timeout_seconds: float = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OnError:
    """What a step's final failure leads to. `compensate` names steps, undone newest first."""

    compensate: tuple[str, ...] = ()
    then: AfterError = AfterError.FAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One node of a plan."""

    id: str
    verb: Uses | Wait
    needs: tuple[str, ...] = ()
    condition: str | None = None  # the `if`, CEL
    condition_reads: tuple[str, ...] = ()  # ids of steps the `if` mentions
    join: Join = Join.ALL
    retry: Retry = field(default_factory=Retry)
    timeout_seconds: float = 1800.0
    compensate: Compensation | None = None
    compensate_on_failure: bool = False
    on_error: OnError | None = None
    outputs: Mapping[str, str] | None = None  # name → CEL over `result`; None: outputs.result
    effect: str = ""  # template


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A compiled definition of `kind: dag`. `steps` is in an order in which needs come first."""

    name: str
    title: str  # template
    inputs_schema: Mapping[str, Json]
    variables: Mapping[str, Json]  # template
    steps: Mapping[str, Step]
    outputs: Mapping[str, str]  # name → CEL
    triggers: tuple[str, ...] = ("manual", "api")
    kind: str = "dag"
    schema: str = "flow/v1"

    def digest(self) -> bytes:
        """Return the SHA-256 of the plan's canonical JSON, 32 bytes: the version's identity."""
        return digest(plan_to_json(self))


def plan_to_json(plan: Plan) -> dict[str, Json]:
    """Return the plan as JSON, the inverse of `plan_from_json`."""
    return _tidy(asdict(plan))


def plan_from_json(value: Mapping[str, Any]) -> Plan:
    """Read back what `plan_to_json` wrote. The value is trusted: it comes from the database."""
    steps = {key: _step(item) for key, item in value["steps"].items()}
    ordered = {key: steps[key] for key in value["order"]}
    fields = {key: value[key] for key in value if key not in {"steps", "order", "triggers"}}
    return Plan(**fields, steps=ordered, triggers=tuple(value["triggers"]))


def _tidy(value: dict[str, Any]) -> dict[str, Json]:
    """Keep the order of steps through canonical JSON, which sorts keys."""
    for step in value["steps"].values():
        step["verb"] = {"wait" if "body" in step["verb"] else "uses": step["verb"]}
    return {**_listed(value), "order": list(value["steps"])}


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_listed(item) for item in value]
    return value


def _retry(value: Mapping[str, Any]) -> Retry:
    return Retry(
        **{
            **value,
            "backoff": Backoff(value["backoff"]),
            "errors": tuple(value["errors"]),
        }
    )


def _verb(value: Mapping[str, Any]) -> Uses | Wait:
    if "wait" in value:
        return Wait(**value["wait"])
    return Uses(**value["uses"])


def _compensation(value: Mapping[str, Any] | None) -> Compensation | None:
    if value is None:
        return None
    return Compensation(
        uses=Uses(**value["uses"]),
        retry=_retry(value["retry"]),
        timeout_seconds=value["timeout_seconds"],
    )


def _on_error(value: Mapping[str, Any] | None) -> OnError | None:
    if value is None:
        return None
    return OnError(compensate=tuple(value["compensate"]), then=AfterError(value["then"]))


def _step(value: Mapping[str, Any]) -> Step:
    return Step(
        **{
            **value,
            "verb": _verb(value["verb"]),
            "needs": tuple(value["needs"]),
            "condition_reads": tuple(value["condition_reads"]),
            "join": Join(value["join"]),
            "retry": _retry(value["retry"]),
            "compensate": _compensation(value["compensate"]),
            "on_error": _on_error(value["on_error"]),
        }
    )
