"""The plan of a definition that was found right. Read `build_plan`."""

from collections.abc import Mapping

from core.kernel import limits
from core.kernel.types import Json
from engine.domain.expressions import Evaluator
from engine.domain.flow.build_states import build_state
from engine.domain.flow.build_steps import StepBuilder
from engine.domain.flow.draft import Draft, JsonMap, TriggerDraft
from engine.domain.flow.reading import condition_at, list_at, seconds_at, text_at, whole_at
from engine.domain.flow.scopes import Scopes
from engine.domain.plan import Concurrency, Kind, OnConflict, Plan
from engine.domain.schedules import CatchUp
from engine.domain.triggers import (
    AutomaticTrigger,
    EventTrigger,
    FinishTrigger,
    Provider,
    ScheduleTrigger,
    Trigger,
    WebhookTrigger,
)

# A workflow that declares no inputs takes none, so that a misspelt one is not lost.
_NO_INPUTS: Mapping[str, Json] = {"type": "object", "additionalProperties": False}


def build_plan(
    draft: Draft, *, scopes: Scopes, bodies: Mapping[str, Mapping[str, Json]], evaluator: Evaluator
) -> Plan:
    """Return the plan. `bodies` are the checked blocks of approvals, by the path of the step."""
    builder = StepBuilder(draft=draft, scopes=scopes, bodies=bodies, evaluator=evaluator)
    is_machine = draft.kind == Kind.STATES
    states = {state.id: build_state(state, builder=builder) for state in draft.states.values()}
    return Plan(
        name=draft.name,
        title=draft.title,
        inputs_schema=draft.inputs if isinstance(draft.inputs, dict) else _NO_INPUTS,
        variables=draft.variables,
        steps={} if is_machine else builder.level(draft.top),
        outputs=draft.outputs,
        triggers=draft.triggers,
        kind=draft.kind,
        states=states,
        initial=draft.initial,
        automatic=tuple(_build_trigger(item) for item in draft.automatic),
        concurrency=_build_concurrency(draft.concurrency),
        secrets=tuple(sorted(draft.secrets)),
    )


def _build_concurrency(value: JsonMap | None) -> Concurrency | None:
    if value is None:
        return None
    return Concurrency(
        group=text_at(value, "group"),
        run_count_max=whole_at(value, "max", 1),
        on_conflict=OnConflict(text_at(value, "on-conflict") or OnConflict.QUEUE),
    )


def _build_trigger(draft: TriggerDraft) -> AutomaticTrigger:
    value, name = draft.value, text_at(draft.value, "name")
    condition = condition_at(value, "filter") or ""
    window = seconds_at(value, "window") or limits.DEDUPE_WINDOW_DEFAULT.total_seconds()
    window = window if "dedupe" in value else 0.0
    match Trigger(draft.kind):
        case Trigger.SCHEDULE:
            return ScheduleTrigger(
                cron=" ".join(text_at(value, "cron").split()),
                timezone=text_at(value, "timezone") or "UTC",
                catch_up=CatchUp(text_at(value, "catch-up") or CatchUp.LAST),
                inputs=draft.inputs,
                name=name,
            )
        case Trigger.WEBHOOK:
            return WebhookTrigger(
                provider=Provider(text_at(value, "provider")),
                event=text_at(value, "event"),
                filter=condition,
                dedupe=text_at(value, "dedupe"),
                window_seconds=window,
                inputs=draft.inputs,
                name=name,
            )
        case Trigger.RUN_FINISHED:
            return FinishTrigger(
                workflow=text_at(value, "workflow"),
                outcomes=tuple(str(item) for item in list_at(value, "outcomes")),
                filter=condition,
                inputs=draft.inputs,
                name=name,
            )
        case _:
            return EventTrigger(
                type=text_at(value, "type"),
                filter=condition,
                dedupe=text_at(value, "dedupe"),
                window_seconds=window,
                inputs=draft.inputs,
                name=name,
            )
