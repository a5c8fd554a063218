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
from engine.domain.flow.draft import Draft, StepDraft
from engine.domain.flow.positions import pointer
from engine.domain.flow.problems import Code, Reporter, did_you_mean, listed, quoted
from engine.domain.flow.reading import map_at
from engine.domain.flow.references import Reference, read_references
from engine.domain.flow.scopes import Scopes, Seen, Sight, Where
from engine.domain.flow.templates import TemplateError, list_holes
from engine.domain.secrets import secret_in

STEP_FIELDS = ("outcome", "outputs", "error")
ERROR_FIELDS = ("kind", "message")
APPROVAL_OUTPUTS = ("outcome", "form", "votes")
RACE_OUTPUTS = ("winner", "event", "outputs")
INSTANCE_OUTPUTS = ("items", "failed")
RESULT_OUTPUTS = ("result",)

_NAMES_ELSEWHERE = {
    "matrix": "`matrix` is there only in a step with `strategy`, and in what it holds.",
    "secrets": "Secrets stand only in `with` of `uses` and of `compensate`, as "
    "`${{ secrets.NAME }}` with nothing else between the braces.",
    "result": "`result` is there only in `outputs`, `until` and `while`.",
}
_COMPOSED = frozenset({"$ref", "allOf", "anyOf", "oneOf", "if", "dependentSchemas"})
_UNKNOWN_NAME = re.compile(r"there is nothing called '([^']*)'")


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
    scopes: Scopes
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
            secret = secret_in(hole.expression) if where.opens else None
            if secret is not None:
                self._report(self._check_secret(secret), path=path)
            elif not self.reporter.is_full:
                self._report(self.find_faults(hole.expression, where=where), path=path)

    def _check_secret(self, name: str) -> Iterator[Fault]:
        if name not in self.draft.secrets:
            hint = did_you_mean(name, self.draft.secrets)
            message = f"The definition does not declare the secret {quoted(name)}; list it in "
            message += f"`secrets` at the top.{hint}"
            yield Fault(code=Code.UNDECLARED_SECRET, message=message)

    def _report(self, faults: Iterable[Fault], *, path: str) -> None:
        for fault in faults:
            note = self.reporter.warning if fault.is_warning else self.reporter.error
            note(fault.code, path, fault.message)

    # --- what is read ------------------------------------------------------------------------

    def _check_reference(self, reference: Reference, *, where: Where) -> Iterator[Fault]:
        if reference.name == "steps":
            yield from self._check_step(reference, where=where)
        elif reference.name == "event" and reference.fields:
            yield from self._check_event(where=where)
        elif reference.fields and isinstance(reference.fields[0], str):
            if reference.name == "vars":
                yield from self._check_variable(reference.fields[0])
            elif reference.name == "inputs":
                yield from self._check_input(reference.fields[0])
            elif reference.name == "matrix":
                yield from self._check_axis(reference.fields[0], where=where)

    def _check_step(self, reference: Reference, *, where: Where) -> Iterator[Fault]:
        name = reference.fields[0] if reference.fields else None
        if not isinstance(name, str):
            message = "Name the step that is read, as `steps.<id>`."
            yield Fault(code=Code.BAD_EXPRESSION, message=message)
            return
        seen = self.scopes.look(name, where=where)
        if seen.sight is Sight.UNKNOWN:
            message = f"There is no step {quoted(name)}.{did_you_mean(name, self.draft.ids)}"
            yield Fault(code=Code.UNKNOWN_STEP, message=message)
        elif seen.step is None:
            message = f"The state `{name}` does nothing, so there is nothing of it to read."
            yield Fault(code=Code.UNKNOWN_STEP, message=message)
        elif seen.sight is not Sight.SEEN:
            message = self._why_unseen(seen, seen.step)
            yield Fault(code=Code.NOT_UPSTREAM, message=message)
        else:
            is_instance = where.reads_itself and where.step is seen.step
            yield from _check_fields(seen.step, reference.fields[1:], is_instance=is_instance)

    def _why_unseen(self, seen: Seen, step: StepDraft) -> str:
        owner = self.draft.owner_of(step)
        holder = owner.id if owner is not None else ""
        return {
            Sight.ITSELF: f"`{step.id}` cannot read itself; its result is `result`, in its "
            "`outputs`.",
            Sight.AROUND: f"`{step.id}` holds this, so it has not ended here.",
            Sight.HIDDEN: f"`{step.id}` is inside `{holder}` and is not seen from here; let "
            f"`{holder}` put it out.",
            Sight.BESIDE: f"The branches of a race do not see each other, so `{step.id}` is not "
            "seen from here.",
            Sight.NO_WAY: f"No way leads from `{step.id}` to `{seen.here}`, so it has not ended "
            "there.",
            Sight.NOT_BEFORE: f"`{step.id}` need not have ended when `{seen.here}` starts; add it "
            "to `needs`.",
        }[seen.sight]

    def _check_event(self, *, where: Where) -> Iterator[Fault]:
        if not where.hears and not self.draft.automatic:
            message = "No trigger of this definition brings an `event`, so there is none to read."
            yield Fault(code=Code.UNKNOWN_FIELD, message=message)

    def _check_axis(self, name: str, *, where: Where) -> Iterator[Fault]:
        around = [] if where.step is None else [where.step, *self.draft.owners_of(where.step)]
        owner = self.draft.places.get(self.draft.levels[where.level or self.draft.top].owner)
        if where.step is None and owner is not None:
            around = [owner, *self.draft.owners_of(owner)]
        axes = next((axes_of(step) for step in around if step.is_matrix), {})
        if axes and name not in axes:
            message = f"There is no {quoted(f'matrix.{name}')}.{did_you_mean(name, axes)}"
            yield Fault(code=Code.UNKNOWN_FIELD, message=message)

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


def axes_of(step: StepDraft) -> dict[str, Json]:
    """Return the lists of a step's matrix by name."""
    return map_at(map_at(step.value, "strategy"), "matrix")


def outputs_of(step: StepDraft, *, is_instance: bool = False) -> Collection[str] | None:
    """Return the names a step puts out, `None` when they are not known.

    `is_instance`: of one instance of its `map` or `strategy`.
    """
    if (step.is_map or step.is_matrix) and not is_instance:
        return INSTANCE_OUTPUTS
    if step.outputs is not None:
        return step.outputs
    named = {"approval": APPROVAL_OUTPUTS, "race": RACE_OUTPUTS, "steps": (), "": None}
    return named.get(step.verb, RESULT_OUTPUTS)


def _check_fields(
    step: StepDraft, fields: tuple[str | int, ...], *, is_instance: bool
) -> Iterator[Fault]:
    known: Collection[str] | None = STEP_FIELDS
    path = f"steps.{step.id}"
    for field in fields[:2]:
        if known is not None and field not in known:
            only = f"only {listed(known)}" if known else "because it has no `outputs`"
            message = f"There is no {quoted(f'{path}.{field}')}, {only}."
            message += did_you_mean(str(field), known)
            yield Fault(code=Code.UNKNOWN_FIELD, message=message)
            return
        path = f"{path}.{field}"
        if field == "outputs":
            known = outputs_of(step, is_instance=is_instance)
        else:
            known = ERROR_FIELDS if field == "error" else None


def _explain(text: str, error: ExpressionError, *, names: Collection[str]) -> Fault:
    """Return why an expression does not compile, with what to do about it where that is known."""
    if text.strip().startswith("${{"):
        message = "Here stands CEL as it is; remove the `${{` and `}}` around it."
        return Fault(code=Code.BAD_EXPRESSION, message=message)
    unknown = _UNKNOWN_NAME.search(error.reason)
    name = unknown.group(1).partition(".")[0] if unknown else ""
    if name == "secrets":
        return Fault(code=Code.MISPLACED_SECRET, message=_NAMES_ELSEWHERE[name])
    if name in _NAMES_ELSEWHERE:
        return Fault(code=Code.BAD_EXPRESSION, message=_NAMES_ELSEWHERE[name])
    hint = did_you_mean(name, names) if name else ""
    message = f"{quoted(error.expression)} does not compile: {error.reason}.{hint}"
    return Fault(code=Code.BAD_EXPRESSION, message=message)
