"""Whether an expression means something where it stands. Read `ExpressionChecker` first.

It compiles, names only what has a value there, reads only steps that have ended by then, and only
fields those steps have. What a block of a waiting verb holds is checked by the verb, with an
evaluator (`BlockEvaluator`) that checks the same.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from core.kernel.types import Json
from engine.domain.expressions import Evaluator, ExpressionError, Variables
from engine.domain.flow.draft import Draft, StepDraft, map_at
from engine.domain.flow.graph import Order
from engine.domain.flow.positions import pointer
from engine.domain.flow.problems import Code, Reporter, did_you_mean, listed, quoted
from engine.domain.flow.references import Reference, read_references
from engine.domain.flow.templates import TemplateError, list_holes

STEP_FIELDS = ("outcome", "outputs", "error")
ERROR_FIELDS = ("kind", "message")
WAIT_OUTPUTS = ("outcome", "form", "votes")
ACTION_OUTPUTS = ("result",)

_NAMES_LATER = frozenset({"secrets", "matrix", "event"})  # of the language, in a later version
_COMPOSED = frozenset({"$ref", "allOf", "anyOf", "oneOf", "if", "dependentSchemas"})
_UNKNOWN_NAME = re.compile(r"there is nothing called '([^']*)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What an expression may use at its place.

    `step` is the step it belongs to, whose needs say which steps have ended; `None` means that all
    have. `reads_itself`: also that step.
    """

    names: Collection[str]
    step: str | None = None
    reads_itself: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with an expression, as a sentence."""

    code: Code
    message: str
    is_warning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpressionChecker:
    """Checks the expressions of one definition and reports what is wrong with them."""

    draft: Draft
    order: Order
    evaluator: Evaluator
    reporter: Reporter

    def check_expression(
        self, text: str, *, path: str, where: Where, is_condition: bool = False
    ) -> None:
        """Check a CEL text; a condition must be able to be a boolean."""
        if not self.reporter.is_full and not self.reporter.has_error_at(path):
            self._report(self.find_faults(text, where=where, is_condition=is_condition), path=path)

    def check_template(self, template: Json, *, path: str, where: Where) -> None:
        """Check the expressions inside a JSON value, each where its text is."""
        if isinstance(template, str):
            self._check_text(template, path=path, where=where)
        elif isinstance(template, dict):
            for key, item in template.items():
                self.check_template(item, path=pointer([key], base=path), where=where)
        elif isinstance(template, list):
            for index, item in enumerate(template):
                self.check_template(item, path=pointer([index], base=path), where=where)

    def find_faults(
        self, text: str, *, where: Where, is_condition: bool = False
    ) -> Iterator[Fault]:
        """Yield what is wrong with a CEL text: why it does not compile, or all else."""
        check = self.evaluator.check_condition if is_condition else self.evaluator.check
        try:
            check(text, names=where.names)
        except ExpressionError as error:
            yield _explain(text, error, names=where.names)
            return
        for reference in read_references(text).found:
            if reference.name in where.names:
                yield from self._check_reference(reference, where=where)

    def _check_text(self, text: str, *, path: str, where: Where) -> None:
        if "${{" not in text:
            return
        try:
            holes = list(list_holes(text))
        except TemplateError as error:
            message = f"{quoted(error.text)}: {error.reason}."
            self.reporter.error(Code.BAD_EXPRESSION, path, message)
            return
        for hole in holes:
            if not self.reporter.is_full:
                self._report(self.find_faults(hole.expression, where=where), path=path)

    def _report(self, faults: Iterable[Fault], *, path: str) -> None:
        for fault in faults:
            note = self.reporter.warning if fault.is_warning else self.reporter.error
            note(fault.code, path, fault.message)

    # --- what is read ------------------------------------------------------------------------

    def _check_reference(self, reference: Reference, *, where: Where) -> Iterator[Fault]:
        if reference.name == "steps":
            yield from self._check_step(reference, where=where)
        elif reference.fields and isinstance(reference.fields[0], str):
            if reference.name == "vars":
                yield from self._check_variable(reference.fields[0])
            elif reference.name == "inputs":
                yield from self._check_input(reference.fields[0])

    def _check_step(self, reference: Reference, *, where: Where) -> Iterator[Fault]:
        step = reference.fields[0] if reference.fields else None
        if not isinstance(step, str):
            message = "Name the step that is read, as `steps.<id>`."
            yield Fault(code=Code.BAD_EXPRESSION, message=message)
        elif step not in self.draft.steps:
            hint = did_you_mean(step, self.draft.steps)
            message = f"There is no step {quoted(step)}.{hint}"
            yield Fault(code=Code.UNKNOWN_STEP, message=message)
        elif step == where.step and not where.reads_itself:
            message = f"`{step}` cannot read itself; its result is `result`, in its `outputs`."
            yield Fault(code=Code.NOT_UPSTREAM, message=message)
        elif not self._has_ended(step, where=where):
            message = f"`{step}` need not have ended when `{where.step}` starts; add it to `needs`."
            yield Fault(code=Code.NOT_UPSTREAM, message=message)
        else:
            yield from self._check_fields(self.draft.steps[step], reference.fields[1:])

    def _has_ended(self, step: str, *, where: Where) -> bool:
        if where.step in (None, step):
            return True
        assert where.step is not None, "the line above"
        if step not in self.order or where.step not in self.order:
            return True  # in or behind a circle, which is reported as such
        return self.order.comes_before(step, where.step)

    def _check_fields(self, step: StepDraft, fields: tuple[str | int, ...]) -> Iterator[Fault]:
        known: Collection[str] = STEP_FIELDS
        path = f"steps.{step.id}"
        for field in fields[:2]:
            if field not in known:
                hint = did_you_mean(str(field), known)
                message = f"There is no {quoted(f'{path}.{field}')}, only {listed(known)}.{hint}"
                yield Fault(code=Code.UNKNOWN_FIELD, message=message)
                return
            path = f"{path}.{field}"
            known = _inner_fields(step, str(field))
            if not known:
                return

    def _check_variable(self, name: str) -> Iterator[Fault]:
        if name not in self.draft.variables:
            hint = did_you_mean(name, self.draft.variables)
            message = f"There is no {quoted(f'vars.{name}')}.{hint}"
            yield Fault(code=Code.UNKNOWN_FIELD, message=message)

    def _check_input(self, name: str) -> Iterator[Fault]:
        schema = self.draft.inputs
        if schema is None:
            message = f"There is no {quoted(f'inputs.{name}')}: the workflow declares no `inputs`."
            yield Fault(code=Code.UNKNOWN_FIELD, message=message)
        if not isinstance(schema, dict) or _COMPOSED.intersection(schema):
            return
        known = map_at(schema, "properties")
        if name not in known:
            is_closed = schema.get("additionalProperties") is False
            hint = did_you_mean(name, known)
            message = f"`inputs` does not declare {quoted(name)}.{hint}"
            code = Code.UNKNOWN_FIELD if is_closed else Code.UNKNOWN_INPUT
            yield Fault(code=code, message=message, is_warning=not is_closed)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEvaluator:
    """The evaluator a waiting verb checks its block with: it also checks what is read."""

    checker: ExpressionChecker
    where: Where

    def check(self, expression: str, *, names: Collection[str]) -> None:
        """Compile an expression and check what it reads."""
        self._check(expression, names=names, is_condition=False)

    def check_condition(self, expression: str, *, names: Collection[str]) -> None:
        """Compile a condition and check what it reads."""
        self._check(expression, names=names, is_condition=True)

    def check_template(self, template: Json, *, names: Collection[str]) -> None:
        """Compile every `${{ … }}` of a JSON value and check what it reads."""
        try:
            holes = list(list_holes(template))
        except TemplateError as error:
            raise ExpressionError(expression=error.text, reason=error.reason) from error
        for hole in holes:
            self.check(hole.expression, names=names)

    def evaluate(self, expression: str, variables: Variables) -> Json:
        """Return the expression's value as JSON."""
        return self.checker.evaluator.evaluate(expression, variables)

    def condition(self, expression: str, variables: Variables) -> bool:
        """Return the value of an expression that must be a real boolean."""
        return self.checker.evaluator.condition(expression, variables)

    def render(self, template: Json, variables: Variables) -> Json:
        """Return the template with each `${{ … }}` replaced."""
        return self.checker.evaluator.render(template, variables)

    def reads(self, expression: str) -> frozenset[str]:
        """Return the ids of the steps an expression mentions."""
        return self.checker.evaluator.reads(expression)

    def _check(self, expression: str, *, names: Collection[str], is_condition: bool) -> None:
        where = replace(self.where, names=names)
        for fault in self.checker.find_faults(expression, where=where, is_condition=is_condition):
            if not fault.is_warning:
                raise ExpressionError(expression=expression, reason=fault.message)


def _inner_fields(step: StepDraft, field: str) -> Collection[str]:
    """Return the fields of a field of a step, none when they are not known."""
    if field == "error":
        return ERROR_FIELDS
    if field != "outputs" or step.later_keys:
        return ()
    if step.call is None:
        return WAIT_OUTPUTS if step.verb else ()
    return ACTION_OUTPUTS if step.outputs is None else step.outputs


def _explain(text: str, error: ExpressionError, *, names: Collection[str]) -> Fault:
    """Return why an expression does not compile, with what to do about it where that is known."""
    if text.strip().startswith("${{"):
        message = "Here stands CEL as it is; remove the `${{` and `}}` around it."
        return Fault(code=Code.BAD_EXPRESSION, message=message)
    unknown = _UNKNOWN_NAME.search(error.reason)
    name = unknown.group(1).partition(".")[0] if unknown else ""
    if name in _NAMES_LATER:
        message = f"`{name}` is part of flow/v1, but is not available in this version."
        return Fault(code=Code.NOT_IMPLEMENTED, message=message)
    hint = did_you_mean(name, names) if name else ""
    message = f"{quoted(error.expression)} does not compile: {error.reason}.{hint}"
    return Fault(code=Code.BAD_EXPRESSION, message=message)
