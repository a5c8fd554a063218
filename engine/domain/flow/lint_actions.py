"""What is wrong with the actions a definition names. Read `ActionLinter`."""

from dataclasses import dataclass, replace

from core.kernel import limits
from core.kernel.types import format_duration
from engine.domain import external
from engine.domain.flow.arguments import find_argument_faults
from engine.domain.flow.draft import ActionDraft, JsonMap, StepDraft
from engine.domain.flow.positions import pointer
from engine.domain.flow.problems import Code, did_you_mean, quoted
from engine.domain.flow.reading import seconds_at
from engine.domain.flow.scopes import Where
from engine.domain.flow.tools import Tools

FUNCTION_ACTION = "python/call@1"

SHELL_ACTION = "shell/run@1"
# What it is given leaves by the web process, which opens no secret.
_WITHOUT_SECRETS = frozenset({"external/task@1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionLinter:
    """Checks actions with their arguments, retries and times, and compensations."""

    tools: Tools

    def check_step(self, step: StepDraft) -> None:
        """Check the action of a step that executes one."""
        assert step.action is not None, "the caller looked"
        where = self.tools.inside(step)
        self._check_action(step.action, where=where)
        action = self.tools.installed.actions.get(step.action.uses)
        if step.action.uses == external.ACTION and step.value.get("queue"):
            message = "Who executes it is said by its `topic`, so it has no `queue`."
            self.tools.reporter.error(
                Code.MISPLACED_KEY, f"{step.path}/queue", message, at_key=True
            )
        if step.value.get("lazy") is True and action is not None:
            self._check_lazy(step, may_repeat=action.idempotent or action.pure)

    def check_compensation(self, step: StepDraft) -> None:
        """Check what undoes a step, and which steps its failure undoes."""
        if step.compensate is not None:
            inside = self.tools.inside(step)
            where = Where(names=inside.names, level=inside.level, step=step, reads_itself=True)
            self._check_action(step.compensate, where=where)
            path = f"{step.compensate.path}/timeout"
            self.check_timeout(step.compensate.timeout_seconds, path=path)
            self._check_repeatable(step.compensate)
        for name, path in step.undoes.items():
            self._check_undone(name, step=step, path=path)

    def check_retry(self, retry: JsonMap, *, path: str) -> None:
        """Check the delays of a `retry`; the path is that of what it belongs to."""
        reporter = self.tools.reporter
        initial, delay_max = seconds_at(retry, "initial"), seconds_at(retry, "max-delay")
        for key, seconds in (("initial", initial), ("max-delay", delay_max)):
            if seconds is not None and seconds > limits.RETRY_DELAY_MAX.total_seconds():
                message = f"A delay is at most {format_duration(limits.RETRY_DELAY_MAX)}."
                reporter.error(Code.BAD_DURATION, f"{path}/retry/{key}", message)
        if initial is not None and delay_max is not None and delay_max < initial:
            message = "`max-delay` is shorter than `initial`."
            reporter.error(Code.BAD_DURATION, f"{path}/retry/max-delay", message)

    def check_timeout(self, seconds: float | None, *, path: str) -> None:
        """Check how long an attempt may take."""
        self.tools.check_seconds(seconds, path=path, what="A timeout", most=limits.STEP_TIMEOUT_MAX)

    # --- an action ---------------------------------------------------------------------------

    def _check_action(self, draft: ActionDraft, *, where: Where) -> None:
        tools = self.tools
        self.check_retry(draft.retry, path=draft.path)
        where = replace(where, opens=draft.uses not in _WITHOUT_SECRETS)
        tools.checker.check_template(draft.arguments, path=f"{draft.path}/with", where=where)
        action = tools.installed.actions.get(draft.uses)
        if action is None:
            self._unknown_action(draft)
            return
        base = f"{draft.path}/with"
        if tools.reporter.has_error_at(base):
            return
        for fault in find_argument_faults(draft.arguments, action.input_schema):
            path = pointer(fault.parts, base=base)
            tools.reporter.error(Code.BAD_ARGUMENTS, path, fault.message, at_key=fault.at_key)
        if action.find_faults is not None and not tools.reporter.has_error_at(base):
            for parts, message in action.find_faults(draft.arguments):
                tools.reporter.error(Code.BAD_ARGUMENTS, pointer(parts, base=base), message)
        if draft.uses == FUNCTION_ACTION:
            self._check_function(draft)

    def _unknown_action(self, draft: ActionDraft) -> None:
        reporter, path = self.tools.reporter, f"{draft.path}/uses"
        if draft.uses == SHELL_ACTION:
            message = f"`{SHELL_ACTION}` is switched off in this deployment (`SHELL_RUN`)."
            reporter.error(Code.UNKNOWN_ACTION, path, message)
        elif draft.uses and not reporter.has_error_at(path):
            hint = did_you_mean(draft.uses, self.tools.installed.actions)
            message = f"There is no action {quoted(draft.uses)}.{hint}"
            reporter.error(Code.UNKNOWN_ACTION, path, message)

    def _check_function(self, draft: ActionDraft) -> None:
        name, known = draft.arguments.get("function"), self.tools.installed.functions
        if known is None or not isinstance(name, str) or name in known:
            return
        message = f"There is no function {quoted(name)}.{did_you_mean(name, known)}"
        if "${{" in name:
            message = "The function must be named here, so that it can be known before a run."
        path = f"{draft.path}/with/function"
        self.tools.reporter.error(Code.UNKNOWN_FUNCTION, path, message)

    # --- doing it again, undoing it ----------------------------------------------------------

    def _check_lazy(self, step: StepDraft, *, may_repeat: bool) -> None:
        path, reporter = f"{step.path}/lazy", self.tools.reporter
        if not may_repeat:
            assert step.action is not None, "the caller looked"
            message = (
                f"After a crash a lazy step is executed again, and `{step.action.uses}` is neither "
                "idempotent nor pure."
            )
            reporter.error(Code.NOT_REPEATABLE, path, message)
        if step.value.get("delivery") == "at-most-once":
            message = "`lazy` executes again after a crash, which `at-most-once` rules out."
            reporter.error(Code.MISPLACED_KEY, path, message, at_key=True)
        if step.value.get("queue") or self.tools.draft.queue:
            message = "A lazy step is executed by the run's own worker, so it has no `queue`."
            reporter.error(Code.MISPLACED_KEY, path, message, at_key=True)

    def _check_repeatable(self, draft: ActionDraft) -> None:
        action = self.tools.installed.actions.get(draft.uses)
        if action is not None and not action.idempotent:
            message = (
                f"`{draft.uses}` is not idempotent, and a compensation whose worker dies is "
                "executed again. See that doing it twice does no harm."
            )
            self.tools.reporter.warning(Code.NOT_IDEMPOTENT, f"{draft.path}/uses", message)

    def _check_undone(self, name: str, *, step: StepDraft, path: str) -> None:
        draft, reporter = self.tools.draft, self.tools.reporter
        named = draft.ids.get(name)
        if named is None:
            message = f"There is no step {quoted(name)}.{did_you_mean(name, draft.ids)}"
            reporter.error(Code.UNKNOWN_STEP, path, message)
            return
        levels = {step.level, *(owner.level for owner in draft.owners_of(step))}
        is_inside = any(owner is step for owner in draft.owners_of(named))
        if named.level not in levels and not is_inside:
            owner = draft.owner_of(named)
            around = f" inside `{owner.id}`" if owner is not None else ""
            message = f"`{name}` is{around} and not seen from here; `{step.id}` cannot undo it."
            reporter.error(Code.UNKNOWN_STEP, path, message)
        elif named.compensate is None:
            message = f"`{name}` has no `compensate`, so there is nothing to undo it with."
            reporter.error(Code.BAD_COMPENSATION, path, message)
