"""Whether a definition means something that can run. Read `lint` first.

Each check reports what it finds and goes on, so that an author sees everything at once.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.kernel import limits
from core.kernel.types import Json, format_duration
from engine.domain.expressions import RUN_NAMES
from engine.domain.flow.arguments import find_argument_faults
from engine.domain.flow.draft import CallDraft, Draft, JsonMap, StepDraft, seconds_at
from engine.domain.flow.graph import Order
from engine.domain.flow.input_schema import check_schema
from engine.domain.flow.meaning import BlockEvaluator, ExpressionChecker, Where
from engine.domain.flow.positions import pointer
from engine.domain.flow.problems import Code, Reporter, did_you_mean, quoted
from engine.domain.flow.references import read_references
from engine.domain.flow.tokens import TokenError
from engine.domain.verbs import CheckScope, WaitVerb

CONSTANT_NAMES = ("inputs", "run")  # what `vars` may use
START_NAMES = ("inputs", "vars", "run")  # what is known when a run starts
RESULT_NAMES = (*RUN_NAMES, "result")
FUNCTION_ACTION = "python/call@1"

_ACTIONS_LATER = frozenset(
    {"shell/run@1", "sql/query@1", "transform/cel@1", "email/send@1", "slack/post@1"}
    | {"external/task@1", "ai/generate@1", "check/compare@1"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionInfo:
    """What the language must know of an installed action, such as `python/call@1`."""

    name: str
    input_schema: Mapping[str, Any] = field(default_factory=dict)
    idempotent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What definitions may name. `functions` is `None` when they are not known."""

    verbs: Mapping[str, WaitVerb]
    actions: Mapping[str, ActionInfo]
    functions: Collection[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Linter:
    """Checks the meaning of one definition."""

    draft: Draft
    order: Order
    installed: Installed
    checker: ExpressionChecker
    reporter: Reporter

    def lint(self) -> dict[str, Mapping[str, Json]]:
        """Check everything; returns the checked blocks of waiting steps, by step."""
        self._check_top()
        self._check_circles()
        bodies: dict[str, Mapping[str, Json]] = {}
        for step in self.draft.steps.values():
            if self.reporter.is_full:
                break
            self._check_needs(step)
            self._check_flow(step)
            if step.call is not None:
                self._check_action(step)
            elif step.verb and isinstance(step.block, dict):
                bodies[step.id] = self._check_block(step)
        return bodies

    # --- the whole ---------------------------------------------------------------------------

    def _check_top(self) -> None:
        draft, checker = self.draft, self.checker
        if isinstance(draft.inputs, dict):
            for fault in check_schema(draft.inputs, path="/inputs", evaluator=checker.evaluator):
                note = self.reporter.warning if fault.is_warning else self.reporter.error
                note(Code.BAD_INPUTS, fault.path, fault.message, at_key=fault.at_key)
        checker.check_template(draft.title, path="/title", where=Where(names=START_NAMES))
        checker.check_template(draft.variables, path="/vars", where=Where(names=CONSTANT_NAMES))
        for name, text in draft.outputs.items():
            path = pointer(["outputs", name])
            checker.check_expression(text, path=path, where=Where(names=RUN_NAMES))
        self._check_times(draft.retry, draft.timeout_seconds, path="/defaults")

    def _check_circles(self) -> None:
        for circle in self.order.circles:
            first, second = circle[0], circle[1 % len(circle)]
            way = " → ".join(f"`{step}`" for step in (*circle[:20], first))
            message = f"The steps need each other in a circle: {way}."
            if len(circle) == 1:
                message = f"`{first}` needs itself."
            path = self.draft.steps[first].needs[second]
            self.reporter.error(Code.CYCLIC_NEEDS, path, message)

    def _check_needs(self, step: StepDraft) -> None:
        for need, path in step.needs.items():
            if need not in self.draft.steps:
                hint = did_you_mean(need, self.draft.steps)
                message = f"There is no step {quoted(need)}.{hint}"
                self.reporter.error(Code.UNKNOWN_NEED, path, message)

    def _check_flow(self, step: StepDraft) -> None:
        """Check when a step starts."""
        if step.condition is not None and not step.later_keys:
            self.checker.check_expression(
                step.condition,
                path=f"{step.path}/if",
                where=Where(names=RUN_NAMES, step=step.id),
                is_condition=True,
            )
        if step.join != "all-settled":
            return
        if step.verb:
            message = "An approval always waits for all its needs to end well; remove `join`."
            self.reporter.error(Code.MISPLACED_KEY, f"{step.path}/join", message)
        read = _outcomes_read(step.condition or "")
        for need in step.needs:
            above = self.draft.steps.get(need)
            if above is not None and above.verb and need not in read:
                message = (
                    f"It would start whatever `{need}` decides. Directly after an approval "
                    f"`all-settled` needs an `if` that reads `steps.{need}.outcome`."
                )
                self.reporter.error(Code.UNREAD_OUTCOME, f"{step.path}/join", message)

    # --- a step that executes an action ------------------------------------------------------

    def _check_action(self, step: StepDraft) -> None:
        assert step.call is not None, "the caller looked"
        where = Where(names=RUN_NAMES, step=step.id)
        self._check_call(step.call, step=step, where=where)
        if step.compensate is not None:
            undo = Where(names=RUN_NAMES, step=step.id, reads_itself=True)
            self._check_call(step.compensate, step=step, where=undo)
            self._check_repeatable(step.compensate)
        for name, path in step.undoes.items():
            self._check_undone(name, path=path)
        if step.later_keys:
            return
        outputs = Where(names=RESULT_NAMES, step=step.id)
        for name, text in (step.outputs or {}).items():
            path = pointer(["outputs", name], base=step.path)
            self.checker.check_expression(text, path=path, where=outputs)
        effect = Where(names=START_NAMES, step=step.id)
        self.checker.check_template(step.effect, path=f"{step.path}/effect", where=effect)

    def _check_call(self, call: CallDraft, *, step: StepDraft, where: Where) -> None:
        self._check_times(call.retry, call.timeout_seconds, path=call.path)
        if not step.later_keys:
            self.checker.check_template(call.arguments, path=f"{call.path}/with", where=where)
        action = self.installed.actions.get(call.uses)
        if action is None:
            self._unknown_action(call)
            return
        base = f"{call.path}/with"
        if self.reporter.has_error_at(base):
            return
        for fault in find_argument_faults(call.arguments, action.input_schema):
            path = pointer(fault.parts, base=base)
            self.reporter.error(Code.BAD_ARGUMENTS, path, fault.message, at_key=fault.at_key)
        if call.uses == FUNCTION_ACTION:
            self._check_function(call)

    def _unknown_action(self, call: CallDraft) -> None:
        path = f"{call.path}/uses"
        if call.uses in _ACTIONS_LATER:
            message = f"`{call.uses}` is part of flow/v1, but is not available in this version."
            self.reporter.error(Code.NOT_IMPLEMENTED, path, message)
        elif call.uses and not self.reporter.has_error_at(path):
            hint = did_you_mean(call.uses, self.installed.actions)
            message = f"There is no action {quoted(call.uses)}.{hint}"
            self.reporter.error(Code.UNKNOWN_ACTION, path, message)

    def _check_function(self, call: CallDraft) -> None:
        name, known = call.arguments.get("function"), self.installed.functions
        if known is None or not isinstance(name, str) or name in known:
            return
        message = f"There is no function {quoted(name)}.{did_you_mean(name, known)}"
        if "${{" in name:
            message = "The function must be named here, so that it can be known before a run."
        self.reporter.error(Code.UNKNOWN_FUNCTION, f"{call.path}/with/function", message)

    def _check_repeatable(self, call: CallDraft) -> None:
        action = self.installed.actions.get(call.uses)
        if action is not None and not action.idempotent:
            message = (
                f"`{call.uses}` is not idempotent, and a compensation whose worker dies is "
                "executed again. See that doing it twice does no harm."
            )
            self.reporter.warning(Code.NOT_IDEMPOTENT, f"{call.path}/uses", message)

    def _check_undone(self, name: str, *, path: str) -> None:
        step = self.draft.steps.get(name)
        if step is None:
            message = f"There is no step {quoted(name)}.{did_you_mean(name, self.draft.steps)}"
            self.reporter.error(Code.UNKNOWN_STEP, path, message)
        elif step.compensate is None:
            message = f"`{name}` has no `compensate`, so there is nothing to undo it with."
            self.reporter.error(Code.BAD_COMPENSATION, path, message)

    def _check_times(self, retry: JsonMap, timeout_seconds: float | None, *, path: str) -> None:
        longest = limits.STEP_TIMEOUT_MAX
        if timeout_seconds is not None and not 0 < timeout_seconds <= longest.total_seconds():
            message = f"A timeout is over zero and at most {format_duration(longest)}."
            self.reporter.error(Code.BAD_DURATION, f"{path}/timeout", message)
        initial, delay_max = seconds_at(retry, "initial"), seconds_at(retry, "max-delay")
        for key, seconds in (("initial", initial), ("max-delay", delay_max)):
            if seconds is not None and seconds > limits.RETRY_DELAY_MAX.total_seconds():
                message = f"A delay is at most {format_duration(limits.RETRY_DELAY_MAX)}."
                self.reporter.error(Code.BAD_DURATION, f"{path}/retry/{key}", message)
        if initial is not None and delay_max is not None and delay_max < initial:
            message = "`max-delay` is shorter than `initial`."
            self.reporter.error(Code.BAD_DURATION, f"{path}/retry/max-delay", message)

    # --- a step that waits -------------------------------------------------------------------

    def _check_block(self, step: StepDraft) -> Mapping[str, Json]:
        path = pointer([step.verb], base=step.path)
        verb = self.installed.verbs.get(step.verb)
        if verb is None:
            message = f"`{step.verb}` is not installed here."
            self.reporter.error(Code.NOT_IMPLEMENTED, path, message, at_key=True)
            return {}
        where = Where(names=RUN_NAMES, step=step.id)
        scope = CheckScope(
            step=step.id,
            path=path,
            names=RUN_NAMES,
            evaluator=BlockEvaluator(checker=self.checker, where=where),
            effects=self._effects_after(step),
        )
        checked = verb.check(step.block, scope=scope)
        for problem in checked.problems:
            self.reporter.add(problem, base=path)
        return checked.body

    def _effects_after(self, step: StepDraft) -> tuple[str, ...]:
        """Return the effects of the steps after one, as many as an approver's line can show."""
        effects: list[str] = []
        size = 0
        for later in self.order.list_after(step.id):
            effect = self.draft.steps[later].effect
            if effect and size <= limits.REQUEST_LINE_CHARS_MAX:
                effects.append(effect)
                size += len(effect)
        return tuple(effects)


def _outcomes_read(expression: str) -> frozenset[str]:
    """Return the steps whose outcome a condition reads."""
    try:
        found = read_references(expression).found
    except TokenError:
        return frozenset()
    return frozenset(
        str(item.fields[0])
        for item in found
        if item.name == "steps" and item.fields[1:3] in (("outcome",), ("outputs", "outcome"))
    )
