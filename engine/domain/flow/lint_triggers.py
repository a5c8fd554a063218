"""What is wrong with the triggers that start runs by themselves. Read `TriggerLinter`."""

from dataclasses import dataclass

from core.kernel import limits
from core.kernel.types import Json
from engine.domain.flow.draft import JsonMap, TriggerDraft
from engine.domain.flow.positions import pointer
from engine.domain.flow.problems import Code, did_you_mean, listed, quoted
from engine.domain.flow.reading import condition_at, list_at, map_at, seconds_at, text_at
from engine.domain.flow.scopes import Where
from engine.domain.flow.tools import Tools
from engine.domain.schedules import Schedule, find_schedule_fault
from engine.domain.triggers import Trigger, number_names

TRIGGER_NAMES = ("event",)
_COMPOSED = frozenset({"$ref", "allOf", "anyOf", "oneOf", "if", "dependentSchemas"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerLinter:
    """Checks when a trigger fires, what it reads, and that a run can start with what it gives."""

    tools: Tools

    def check(self) -> None:
        """Check every trigger."""
        for trigger in self.tools.draft.automatic:
            if trigger.kind == Trigger.SCHEDULE:
                self._check_schedule(trigger)
            else:
                self._check_event(trigger)
            self._check_inputs(trigger)
            self._check_circle(trigger)
        self._check_names()

    def _check_names(self) -> None:
        """Two triggers of one name would have one address; a webhook's name is its address."""
        triggers = self.tools.draft.automatic
        pairs = [(text_at(trigger.value, "name"), _base_name(trigger)) for trigger in triggers]
        plain = [
            name or (base if trigger.kind == Trigger.WEBHOOK else "")
            for trigger, (name, base) in zip(triggers, pairs, strict=True)
        ]
        seen: set[str] = set()
        for trigger, text, name in zip(triggers, plain, number_names(pairs), strict=True):
            called = text or name
            if called in seen:
                message = f"Another trigger is called {quoted(called)}; give this one a `name`."
                self.tools.reporter.error(Code.BAD_TRIGGER, trigger.path, message, at_key=True)
            seen.add(called)

    def _check_circle(self, trigger: TriggerDraft) -> None:
        """Warn of a workflow that starts itself: its runs end only at the platform's bound."""
        draft, note = self.tools.draft, self.tools.reporter.warning
        if trigger.kind == Trigger.RUN_FINISHED:
            if text_at(trigger.value, "workflow") == draft.name:
                message = "The end of a run of this workflow starts another one of it."
                note(Code.TRIGGER_CIRCLE, f"{trigger.path}/workflow", message)
            return
        heard = text_at(trigger.value, "type")
        for step in draft.all_steps() if trigger.kind == Trigger.EVENT else ():
            block = step.block
            if step.verb == "emit" and isinstance(block, dict) and text_at(block, "type") == heard:
                message = f"Runs of this workflow send {quoted(heard)}, which starts another one."
                note(Code.TRIGGER_CIRCLE, f"{trigger.path}/type", message)
                return

    def _check_schedule(self, trigger: TriggerDraft) -> None:
        if "cron" not in trigger.value:
            return  # reported as such
        zone = text_at(trigger.value, "timezone") or "UTC"
        fault = find_schedule_fault(Schedule(cron=text_at(trigger.value, "cron"), timezone=zone))
        path = f"{trigger.path}/{fault[0]}" if fault else trigger.path
        if fault is not None and not self.tools.reporter.has_error_at(path):
            self.tools.reporter.error(Code.BAD_SCHEDULE, path, fault[1])

    def _check_event(self, trigger: TriggerDraft) -> None:
        where, checker = Where(names=TRIGGER_NAMES, hears=True), self.tools.checker
        condition = condition_at(trigger.value, "filter")
        if condition is not None:
            path = f"{trigger.path}/filter"
            checker.check_expression(condition, path=path, where=where, is_condition=True)
        if "dedupe" in trigger.value:
            text = text_at(trigger.value, "dedupe")
            checker.check_expression(text, path=f"{trigger.path}/dedupe", where=where)
        self.tools.check_seconds(
            seconds_at(trigger.value, "window"),
            path=f"{trigger.path}/window",
            what="`window`",
            most=limits.DEDUPE_WINDOW_MAX,
        )

    def _check_inputs(self, trigger: TriggerDraft) -> None:
        where, base = Where(names=TRIGGER_NAMES, hears=True), f"{trigger.path}/inputs"
        for name, text in trigger.inputs.items():
            path = pointer([name], base=base)
            self.tools.checker.check_expression(text, path=path, where=where)
        schema = self.tools.draft.inputs
        known = map_at(schema, "properties") if isinstance(schema, dict) else {}
        if isinstance(schema, dict) and _COMPOSED.intersection(schema):
            return
        is_open = isinstance(schema, dict) and schema.get("additionalProperties") is not False
        self._check_unknown(trigger, known, is_open=is_open, base=base)
        if isinstance(schema, dict):
            self._check_missing(trigger, known, required=list_at(schema, "required"))

    def _check_unknown(
        self, trigger: TriggerDraft, known: JsonMap, *, is_open: bool, base: str
    ) -> None:
        for name in trigger.inputs:
            if name in known:
                continue
            message = f"`inputs` does not declare {quoted(name)}.{did_you_mean(name, known)}"
            note = self.tools.reporter.warning if is_open else self.tools.reporter.error
            code = Code.UNKNOWN_INPUT if is_open else Code.UNKNOWN_FIELD
            note(code, pointer([name], base=base), message, at_key=True)

    def _check_missing(
        self, trigger: TriggerDraft, known: JsonMap, *, required: list[Json]
    ) -> None:
        missing = [
            name
            for name in required
            if isinstance(name, str)
            and name not in trigger.inputs
            and "default" not in map_at(known, name)
        ]
        if missing:
            message = f"A run needs the inputs {listed(missing)}, which this trigger does not give."
            self.tools.reporter.error(Code.BAD_TRIGGER, trigger.path, message, at_key=True)


def _base_name(trigger: TriggerDraft) -> str:
    is_hook = trigger.kind == Trigger.WEBHOOK
    return text_at(trigger.value, "provider") if is_hook else trigger.kind
