"""Whether a definition means something that can run. Read `Linter` first.

Each check reports what it finds and goes on, so that an author sees everything at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from core.kernel import limits
from core.kernel.types import Json
from engine.domain.expressions import RUN_NAMES
from engine.domain.flow.draft import Level, StepDraft
from engine.domain.flow.graph import Order
from engine.domain.flow.input_schema import check_schema
from engine.domain.flow.lint_actions import ActionLinter
from engine.domain.flow.lint_modifiers import ModifierLinter
from engine.domain.flow.lint_states import StateLinter
from engine.domain.flow.lint_triggers import TriggerLinter
from engine.domain.flow.lint_verbs import VerbLinter
from engine.domain.flow.positions import pointer
from engine.domain.flow.problems import Code, did_you_mean, quoted
from engine.domain.flow.reading import text_at
from engine.domain.flow.scopes import Where
from engine.domain.flow.tools import Tools
from engine.domain.secrets import list_secrets

CONSTANT_NAMES = ("inputs", "run", "event")  # what `vars` and a concurrency group may use
START_NAMES = ("inputs", "vars", "run", "event")  # what is known when a run starts


@dataclass(frozen=True, slots=True, kw_only=True)
class Linter:
    """Checks the meaning of one definition."""

    tools: Tools
    actions: ActionLinter
    verbs: VerbLinter
    modifiers: ModifierLinter
    states: StateLinter
    triggers: TriggerLinter

    def lint(self) -> dict[str, Mapping[str, Json]]:
        """Check everything; returns the checked blocks of approvals by the path of the step."""
        draft = self.tools.draft
        self._check_top()
        self._check_count()
        for path, order in self.tools.scopes.orders.items():
            self._check_circles(order, level=draft.levels[path])
        bodies: dict[str, Mapping[str, Json]] = {}
        for step in draft.all_steps():
            if self.tools.reporter.is_full:
                break
            self._check_step(step)
            if step.action is not None:
                self.actions.check_step(step)
            elif step.verb == "approval" and isinstance(step.block, dict):
                bodies[step.path] = self.verbs.check_approval(step)
            else:
                self.verbs.check(step)
        self.states.check()
        self.triggers.check()
        self._check_secrets()
        return bodies

    # --- the whole ---------------------------------------------------------------------------

    def _check_top(self) -> None:
        tools = self.tools
        draft, checker = tools.draft, tools.checker
        if isinstance(draft.inputs, dict):
            for fault in check_schema(draft.inputs, path="/inputs", evaluator=checker.evaluator):
                note = tools.reporter.warning if fault.is_warning else tools.reporter.error
                note(Code.BAD_INPUTS, fault.path, fault.message, at_key=fault.at_key)
        checker.check_template(draft.title, path="/title", where=Where(names=START_NAMES))
        checker.check_template(draft.variables, path="/vars", where=Where(names=CONSTANT_NAMES))
        group = text_at(draft.concurrency or {}, "group")
        where = Where(names=CONSTANT_NAMES)
        checker.check_template(group, path="/concurrency/group", where=where)
        for name, text in draft.outputs.items():
            path = pointer(["outputs", name])
            checker.check_expression(text, path=path, where=Where(names=RUN_NAMES))
        self.actions.check_timeout(draft.timeout_seconds, path="/defaults/timeout")
        self.actions.check_retry(draft.retry, path="/defaults")

    def _check_secrets(self) -> None:
        """Warn of secrets that are declared and not used."""
        draft = self.tools.draft
        if not draft.secrets or self.tools.reporter.has_errors:
            return
        drafts = [item for step in draft.all_steps() for item in (step.action, step.compensate)]
        used = {name for item in drafts if item for name in list_secrets(item.arguments)}
        for name, path in draft.secrets.items():
            if name not in used:
                message = f"The secret `{name}` is declared and not used."
                self.tools.reporter.warning(Code.UNUSED_SECRET, path, message)

    def _check_count(self) -> None:
        draft = self.tools.draft
        count = sum(len(level.steps) for level in draft.levels.values())
        if count > limits.STEP_COUNT_MAX:
            message = f"These are {count} steps; a definition has at most {limits.STEP_COUNT_MAX}."
            self.tools.reporter.error(Code.TOO_LARGE, draft.top, message, at_key=True)

    def _check_circles(self, order: Order, *, level: Level) -> None:
        for circle in order.circles:
            first, second = circle[0], circle[1 % len(circle)]
            way = " → ".join(f"`{step}`" for step in (*circle[:20], first))
            message = f"The steps need each other in a circle: {way}."
            if len(circle) == 1:
                message = f"`{first}` needs itself."
            path = level.steps[first].needs[second]
            self.tools.reporter.error(Code.CYCLIC_NEEDS, path, message)

    # --- what every step has -----------------------------------------------------------------

    def _check_step(self, step: StepDraft) -> None:
        tools = self.tools
        self._check_id(step)
        self._check_needs(step)
        if step.condition is not None:
            tools.checker.check_expression(
                step.condition,
                path=f"{step.path}/if",
                where=tools.outside(step),
                is_condition=True,
            )
        self.modifiers.check(step)
        self.actions.check_compensation(step)
        after = tools.after(step)
        for name, text in (step.outputs or {}).items():
            path = pointer(["outputs", name], base=step.path)
            tools.checker.check_expression(text, path=path, where=after)
        effect = Where(names=START_NAMES)
        tools.checker.check_template(step.effect, path=f"{step.path}/effect", where=effect)

    def _check_id(self, step: StepDraft) -> None:
        """Check that no other step or state has the same id, wherever it is."""
        draft = self.tools.draft
        first = draft.ids[step.id]
        state = draft.states.get(step.id)
        if first is step and (state is None or state.step is step):
            return
        other = state.path if first is step and state is not None else first.path
        line, _ = self.tools.reporter.places.find(other, key=True)
        message = f"There is a `{step.id}` in line {line} already; an id is there once."
        path = f"{step.path}/id" if "id" in step.value else step.path
        self.tools.reporter.error(Code.DUPLICATE_ID, path, message, at_key="id" not in step.value)

    def _check_needs(self, step: StepDraft) -> None:
        draft = self.tools.draft
        beside = draft.levels[step.level].steps
        for need, path in step.needs.items():
            if need in beside:
                continue
            message = f"There is no step {quoted(need)}.{did_you_mean(need, beside)}"
            if need in draft.ids:
                message = f"`{need}` is not on the level of `{step.id}`, so it cannot be needed."
            self.tools.reporter.error(Code.UNKNOWN_NEED, path, message)


def make_linter(tools: Tools) -> Linter:
    """Return the linter of a definition."""
    return Linter(
        tools=tools,
        actions=ActionLinter(tools=tools),
        verbs=VerbLinter(tools=tools),
        modifiers=ModifierLinter(tools=tools),
        states=StateLinter(tools=tools),
        triggers=TriggerLinter(tools=tools),
    )
