"""The steps of a plan. Read `StepBuilder.step` first.

What a definition writes as modifiers around one verb becomes a nest of steps, the outermost first:
`map` or `strategy`, then `loop`, then the verb. `plan` says which fields belong where.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.kernel import limits
from core.kernel.types import Json
from engine.domain.expressions import Evaluator
from engine.domain.flow.draft import ActionDraft, Draft, JoinDraft, JsonMap, StepDraft
from engine.domain.flow.meaning import axes_of
from engine.domain.flow.reading import (
    condition_at,
    enough_at,
    list_at,
    map_at,
    seconds_at,
    text_at,
    texts_at,
    whole_at,
)
from engine.domain.flow.scopes import Scopes
from engine.domain.plan import (
    AfterError,
    AwaitEvent,
    Backoff,
    Cache,
    Call,
    Circuit,
    Compensation,
    Emit,
    Enough,
    Group,
    Join,
    Loop,
    Map,
    Matrix,
    OnError,
    Race,
    Rate,
    Retry,
    SetVars,
    Step,
    Timer,
    Uses,
    Verb,
    Wait,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBuilder:
    """Builds steps out of a draft that has no errors."""

    draft: Draft
    scopes: Scopes
    bodies: Mapping[str, Mapping[str, Json]]
    evaluator: Evaluator

    def level(self, path: str) -> dict[str, Step]:
        """Return the steps of a level, those that are needed first where there is an order."""
        level = self.draft.levels[path]
        order = self.scopes.orders[path].order if path in self.scopes.orders else level.steps
        return {name: self.step(level.steps[name]) for name in order}

    def step(self, draft: StepDraft) -> Step:
        """Return a step with the containers its modifiers make around its verb."""
        step = self._innermost(draft)
        if draft.is_loop:
            step = Step(id=draft.id, verb=_loop(draft, body=replace(step, id="turn")))
        step = replace(step, **self._of_instance(draft))
        if draft.is_map:
            step = Step(id=draft.id, verb=_map(draft, body=replace(step, id="item")))
        elif draft.is_matrix:
            step = Step(id=draft.id, verb=_matrix(draft, body=replace(step, id="cell")))
        return replace(step, **self._of_whole(draft))

    # --- which field belongs where -----------------------------------------------------------

    def _innermost(self, draft: StepDraft) -> Step:
        """Return the step of the verb itself, with what belongs to its attempts and its result."""
        step = Step(id=draft.id, verb=self._verb(draft), outputs=draft.outputs)
        if draft.action is None:
            # Defaults, retries and attempts are for actions: people take the time they take.
            return step
        value = draft.value
        return replace(
            step,
            retry=self._retry(draft.action),
            timeout_seconds=self._timeout(draft.action),
            heartbeat_seconds=seconds_at(value, "heartbeat"),
            rate=_rate(map_at(value, "rate")),
            circuit=_circuit(map_at(value, "circuit")),
            cache=_cache(map_at(value, "cache")),
            queue=text_at(value, "queue") or self.draft.queue,
            at_most_once=value.get("delivery") == "at-most-once",
            lazy=value.get("lazy") is True,
        )

    def _of_instance(self, draft: StepDraft) -> dict[str, Any]:
        """Return what belongs to each instance of a map or matrix, or else to the whole step."""
        return {
            "compensate": self._compensation(draft.compensate),
            "compensate_on_failure": draft.compensate_on_failure,
        }

    def _of_whole(self, draft: StepDraft) -> dict[str, Any]:
        """Return what belongs to the step as its siblings see it."""
        reads = self.evaluator.reads(draft.condition) if draft.condition is not None else ()
        return {
            "needs": tuple(draft.needs),
            "condition": draft.condition,
            "condition_reads": tuple(sorted(reads)),
            "join": Join(draft.join.kind),
            "join_count": draft.join.count,
            "cancel_rest": draft.join.cancel_rest,
            "total_seconds": draft.total_seconds,
            "on_error": _on_error(draft),
            "effect": draft.effect,
            "mutex": text_at(draft.value, "mutex"),
            "priority": whole_at(draft.value, "priority"),
        }

    # --- verbs -------------------------------------------------------------------------------

    def _verb(self, draft: StepDraft) -> Verb:
        makers: Mapping[str, Callable[[StepDraft], Verb]] = {
            "uses": self._uses,
            "approval": self._approval,
            "call": _call,
            "wait": _wait,
            "emit": _emit,
            "race": self._race,
            "set": lambda item: SetVars(values=texts_at(item.value, "set") or {}),
            "steps": lambda item: Group(steps=self.level(item.inner)),
        }
        return makers[draft.verb](draft)

    def _uses(self, draft: StepDraft) -> Verb:
        assert draft.action is not None, "its verb is `uses`"
        return _action(draft.action)

    def _approval(self, draft: StepDraft) -> Verb:
        return Wait(verb=draft.verb, body=self.bodies[draft.path])

    def _race(self, draft: StepDraft) -> Verb:
        return Race(branches=self.level(draft.inner))

    # --- actions -----------------------------------------------------------------------------

    def _compensation(self, draft: ActionDraft | None) -> Compensation | None:
        if draft is None:
            return None
        return Compensation(
            uses=_action(draft), retry=self._retry(draft), timeout_seconds=self._timeout(draft)
        )

    def _timeout(self, draft: ActionDraft) -> float:
        default = limits.STEP_TIMEOUT_DEFAULT.total_seconds()
        return draft.timeout_seconds or self.draft.timeout_seconds or default

    def _retry(self, draft: ActionDraft) -> Retry:
        """Return what the step says, beside it what the defaults say."""
        merged: dict[str, Any] = {**self.draft.retry, **draft.retry}
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


def _action(draft: ActionDraft) -> Uses:
    return Uses(action=draft.uses, arguments=draft.arguments)


def _call(draft: StepDraft) -> Call:
    name, _, wanted = text_at(draft.value, "call").partition("@")
    project, _, workflow = name.rpartition("/")
    return Call(
        workflow=workflow,
        project=project,
        range=wanted,
        arguments=map_at(draft.value, "with"),
        detached=draft.value.get("detached") is True,
    )


def _wait(draft: StepDraft) -> Timer | AwaitEvent:
    wait = map_at(draft.value, "wait")
    if "event" not in wait:
        return Timer(duration=text_at(wait, "timer"), until=text_at(wait, "until"))
    event = map_at(wait, "event")
    return AwaitEvent(type=text_at(event, "type"), correlate=texts_at(event, "correlate") or {})


def _emit(draft: StepDraft) -> Emit:
    emit = map_at(draft.value, "emit")
    return Emit(type=text_at(emit, "type"), data=map_at(emit, "data"))


# --- containers ----------------------------------------------------------------------------------


def _loop(draft: StepDraft, *, body: Step) -> Loop:
    value = map_at(draft.value, "loop")
    return Loop(
        body=body,
        turns_max=whole_at(value, "max-iterations"),
        until=condition_at(value, "until"),
        condition=condition_at(value, "while"),
        delay_seconds=_seconds(value, "delay", 0.0),
    )


def _map(draft: StepDraft, *, body: Step) -> Map:
    value = map_at(draft.value, "map")
    tolerated: Any = value.get("tolerate-failures", 0)
    wanted = tolerated if isinstance(tolerated, dict) else {"count": tolerated}
    return Map(
        items=text_at(value, "items"),
        name=draft.item,
        body=body,
        concurrency=whole_at(value, "max-concurrency"),
        failures_max=wanted.get("count", 0),
        failures_percent_max=float(wanted.get("percent", 0)),
        enough=_enough(enough_at(value, "join")),
    )


def _matrix(draft: StepDraft, *, body: Step) -> Matrix:
    value = map_at(draft.value, "strategy")
    fail_fast = value.get("fail-fast")
    return Matrix(
        axes=axes_of(draft),
        body=body,
        exclude=tuple(item for item in list_at(value, "exclude") if isinstance(item, dict)),
        concurrency=whole_at(value, "max-parallel"),
        # Where some are enough, one failure is no reason to end the others.
        fail_fast="join" not in value if fail_fast is None else fail_fast is True,
        enough=_enough(enough_at(value, "join")),
    )


def _enough(join: JoinDraft) -> Enough:
    return Enough(count=join.count, cancel_rest=join.cancel_rest)


# --- small parts ---------------------------------------------------------------------------------


def _rate(value: JsonMap) -> Rate | None:
    if not value:
        return None
    return Rate(
        key=text_at(value, "key"), limit=whole_at(value, "limit"), seconds=_seconds(value, "per")
    )


def _circuit(value: JsonMap) -> Circuit | None:
    if not value:
        return None
    return Circuit(
        key=text_at(value, "key"),
        failures=whole_at(value, "failures"),
        window_seconds=_seconds(value, "window"),
        cooldown_seconds=_seconds(value, "cool-down"),
    )


def _cache(value: JsonMap) -> Cache | None:
    if not value:
        return None
    return Cache(key=text_at(value, "key"), ttl_seconds=_seconds(value, "ttl"))


def _seconds(value: JsonMap, key: str, default: float = 0.0) -> float:
    seconds = seconds_at(value, key)
    return default if seconds is None else seconds


def _on_error(draft: StepDraft) -> OnError | None:
    if draft.on_error is None:
        return None
    then = draft.on_error.get("then", AfterError.FAIL)
    return OnError(compensate=tuple(draft.undoes), then=AfterError(str(then)))
