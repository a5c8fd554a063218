"""What is wrong with the verbs that execute no action. Read `VerbLinter`."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from core.kernel import limits
from core.kernel.types import Json, parse_duration
from engine.domain.flow.draft import StepDraft
from engine.domain.flow.lint_models import check_model_decides
from engine.domain.flow.meaning import BlockEvaluator
from engine.domain.flow.positions import pointer
from engine.domain.flow.problems import Code, quoted
from engine.domain.flow.reading import map_at, text_at, texts_at
from engine.domain.flow.schema import language_schema
from engine.domain.flow.tools import Tools
from engine.domain.verbs import CheckScope


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbLinter:
    """Checks waits, events, calls, variables and approvals."""

    tools: Tools

    def check(self, step: StepDraft) -> None:
        """Check what stands at a step's verb, but for actions and approvals."""
        checks: Mapping[str, Callable[[StepDraft], None]] = {
            "wait": self._check_wait,
            "emit": self._check_emit,
            "call": self._check_call,
            "set": self._check_set,
        }
        if step.verb in checks:
            checks[step.verb](step)

    def check_approval(self, step: StepDraft) -> Mapping[str, Json]:
        """Check the block of a verb of a package above, and return it as that made it."""
        tools, path = self.tools, pointer([step.verb], base=step.path)
        verb = tools.installed.verbs.get(step.verb)
        if verb is None:
            message = f"`{step.verb}` is not installed here."
            tools.reporter.error(Code.NOT_IMPLEMENTED, path, message, at_key=True)
            return {}
        where = tools.inside(step)
        scope = CheckScope(
            step=step.id,
            path=path,
            names=where.names,
            evaluator=BlockEvaluator(checker=tools.checker, where=where),
            effects=self._effects_after(step),
        )
        check_model_decides(tools, step)
        checked = verb.check(step.block, scope=scope)
        for problem in checked.problems:
            tools.reporter.add(problem, base=path)
        return checked.body

    # --- waits and events --------------------------------------------------------------------

    def _check_wait(self, step: StepDraft) -> None:
        path, where, checker = f"{step.path}/wait", self.tools.inside(step), self.tools.checker
        wait = map_at(step.value, "wait")
        timer, until = text_at(wait, "timer"), text_at(wait, "until")
        if "${{" in timer:
            checker.check_template(timer, path=f"{path}/timer", where=where)
        elif timer.strip():
            self._check_timer(timer, path=f"{path}/timer")
        if until:
            checker.check_expression(until, path=f"{path}/until", where=where)
        self.check_texts(map_at(wait, "event"), "correlate", path=f"{path}/event", step=step)

    def check_texts(self, value: dict[str, Json], key: str, *, path: str, step: StepDraft) -> None:
        """Check the CEL texts of a map that belongs to a step's instances."""
        where = self.tools.inside(step)
        for name, text in (texts_at(value, key) or {}).items():
            place = pointer([key, name], base=path)
            self.tools.checker.check_expression(text, path=place, where=where)

    def _check_timer(self, text: str, *, path: str) -> None:
        duration = parse_duration(text)
        if duration is None:
            message = f"`timer` must be an ISO 8601 duration such as `PT15M`, not {quoted(text)}."
            self.tools.reporter.error(Code.BAD_DURATION, path, message)
            return
        self.tools.check_seconds(
            duration.total_seconds(), path=path, what="A wait", most=limits.TIMER_MAX
        )

    def _check_emit(self, step: StepDraft) -> None:
        path, where, checker = f"{step.path}/emit", self.tools.inside(step), self.tools.checker
        emit = map_at(step.value, "emit")
        kind = text_at(emit, "type")
        if "${{" in kind:
            checker.check_template(kind, path=f"{path}/type", where=where)
        elif kind and not self.tools.reporter.has_error_at(f"{path}/type"):
            schema = language_schema()["$defs"]["eventType"]
            if not re.fullmatch(schema["pattern"].removesuffix("$"), kind):
                message = f"`type` must be {schema['x-says']}, not {quoted(kind)}."
                self.tools.reporter.error(Code.WRONG_VALUE, f"{path}/type", message)
        checker.check_template(map_at(emit, "data"), path=f"{path}/data", where=where)

    # --- calls and variables -----------------------------------------------------------------

    def _check_call(self, step: StepDraft) -> None:
        where = self.tools.inside(step)
        arguments = map_at(step.value, "with")
        self.tools.checker.check_template(arguments, path=f"{step.path}/with", where=where)
        workflow = text_at(step.value, "call").partition("@")[0]
        if workflow != self.tools.draft.name or self.tools.reporter.has_error_at(step.path):
            return
        path = f"{step.path}/call"
        if step.path in self.tools.certain:
            message = (
                "The workflow would call itself without end; give the step an `if` that is false "
                "at some time."
            )
            self.tools.reporter.error(Code.ENDLESS_CALL, path, message)
        else:
            message = (
                "The workflow calls itself; see that this ends, at the latest after "
                f"{limits.CALL_DEPTH_MAX} runs inside each other."
            )
            self.tools.reporter.warning(Code.RECURSION, path, message)

    def _check_set(self, step: StepDraft) -> None:
        for name in texts_at(step.value, "set") or {}:
            self.tools.check_variable(name, path=pointer(["set", name], base=step.path))
        self.check_texts(step.value, "set", path=step.path, step=step)

    # --- approvals ---------------------------------------------------------------------------

    def _effects_after(self, step: StepDraft) -> tuple[str, ...]:
        """Return the effects of the steps after one, as many as an approver's line can show."""
        effects: list[str] = []
        size = 0
        for later in self._steps_after(step) if self.tools.has_effects else ():
            if later.effect:
                effects.append(later.effect)
                size += len(later.effect)
            if size > limits.REQUEST_LINE_CHARS_MAX:
                break
        return tuple(effects)

    def _steps_after(self, step: StepDraft) -> Iterator[StepDraft]:
        """Yield what comes after a step; of a state, what it leads to when people approve."""
        yield from self.tools.scopes.list_after(step)
        state = self.tools.draft.states.get(step.id)
        for transition in state.transitions if state is not None else ():
            target = self.tools.draft.states.get(transition.to)
            if transition.name == "approved" and target is not None and target.step is not None:
                yield target.step
