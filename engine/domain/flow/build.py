"""The plan of a definition that was found right. Read `build_plan`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.kernel import limits
from core.kernel.types import Json
from engine.domain.expressions import Evaluator
from engine.domain.flow.draft import CallDraft, Draft, JsonMap, StepDraft, seconds_at
from engine.domain.flow.graph import Order
from engine.domain.plan import (
    AfterError,
    Backoff,
    Compensation,
    Join,
    OnError,
    Plan,
    Retry,
    Step,
    Uses,
    Wait,
)

# A workflow that declares no inputs takes none, so that a misspelt one is not lost.
_NO_INPUTS: Mapping[str, Json] = {"type": "object", "additionalProperties": False}


def build_plan(
    draft: Draft, *, order: Order, bodies: Mapping[str, Mapping[str, Json]], evaluator: Evaluator
) -> Plan:
    """Return the plan. `bodies` are the checked blocks of the waiting steps, by step."""
    builder = _Builder(draft=draft, bodies=bodies, evaluator=evaluator)
    return Plan(
        name=draft.name,
        title=draft.title,
        inputs_schema=draft.inputs if isinstance(draft.inputs, dict) else _NO_INPUTS,
        variables=draft.variables,
        steps={step: builder.step(draft.steps[step]) for step in order.order},
        outputs=draft.outputs,
        triggers=draft.triggers,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Builder:
    draft: Draft
    bodies: Mapping[str, Mapping[str, Json]]
    evaluator: Evaluator

    def step(self, step: StepDraft) -> Step:
        reads = self.evaluator.reads(step.condition) if step.condition is not None else ()
        common: dict[str, Any] = {
            "id": step.id,
            "needs": tuple(step.needs),
            "condition": step.condition,
            "condition_reads": tuple(sorted(reads)),
            "join": Join(step.join),
        }
        if step.call is None:
            # Defaults, retries and timeouts are for actions: people take the time they take.
            return Step(**common, verb=Wait(verb=step.verb, body=self.bodies[step.id]))
        return Step(
            **common,
            verb=_uses(step.call),
            retry=self._retry(step.call),
            timeout_seconds=self._timeout(step.call),
            compensate=self._compensation(step.compensate),
            compensate_on_failure=step.compensate_on_failure,
            on_error=_on_error(step),
            outputs=step.outputs,
            effect=step.effect,
        )

    def _compensation(self, call: CallDraft | None) -> Compensation | None:
        if call is None:
            return None
        return Compensation(
            uses=_uses(call), retry=self._retry(call), timeout_seconds=self._timeout(call)
        )

    def _timeout(self, call: CallDraft) -> float:
        default = limits.STEP_TIMEOUT_DEFAULT.total_seconds()
        return call.timeout_seconds or self.draft.timeout_seconds or default

    def _retry(self, call: CallDraft) -> Retry:
        """Return what the step says, beside it what the defaults say."""
        merged: dict[str, Any] = {**self.draft.retry, **call.retry}
        standard = Retry()
        initial = _seconds(merged, "initial", standard.initial_seconds)
        # A first delay over the usual longest one is what the author wants.
        delay_max = _seconds(merged, "max-delay", max(standard.delay_seconds_max, initial))
        return Retry(
            retries_max=merged.get("max", standard.retries_max),
            backoff=Backoff(merged.get("backoff", standard.backoff)),
            initial_seconds=initial,
            delay_seconds_max=delay_max,
            jitter=merged.get("jitter", standard.jitter),
            errors=tuple(merged.get("errors", standard.errors)),
        )


def _uses(call: CallDraft) -> Uses:
    return Uses(action=call.uses, arguments=call.arguments)


def _seconds(value: JsonMap, key: str, default: float) -> float:
    seconds = seconds_at(value, key)
    return default if seconds is None else seconds


def _on_error(step: StepDraft) -> OnError | None:
    if step.on_error is None:
        return None
    then = step.on_error.get("then", AfterError.FAIL)
    return OnError(compensate=tuple(step.undoes), then=AfterError(str(then)))
