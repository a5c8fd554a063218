"""A table that answers as an expression language would. Read `TableEvaluator` first."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from core.kernel.types import Json
from engine.domain.expressions import ExpressionError, Variables

_HOLE = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_STEP = re.compile(r"\bsteps\.(\w+)")

Answer: TypeAlias = "Json | Callable[[Variables], Json]"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableEvaluator:
    """Knows the expressions in `answers`; every other one does not compile.

    A name of a variable is an expression too. An answer that is a function gets the variables; an
    answer in `broken` compiles and fails when evaluated.
    """

    answers: Mapping[str, Answer] = field(default_factory=dict)
    broken: Collection[str] = ()

    def check(self, expression: str, *, names: Collection[str]) -> None:
        """Accept a known expression or an allowed name."""
        if expression.split(".", maxsplit=1)[0].isidentifier() and (
            expression.split(".", maxsplit=1)[0] in names
        ):
            return
        if expression not in self.answers and expression not in self.broken:
            raise ExpressionError(expression=expression, reason="it does not compile")

    def check_condition(self, expression: str, *, names: Collection[str]) -> None:
        """Accept what `check` accepts: a table has no types."""
        self.check(expression, names=names)

    def evaluate(self, expression: str, variables: Variables) -> Json:
        """Return the answer from the table, or the variable of that name."""
        if expression in self.broken:
            raise ExpressionError(expression=expression, reason="it does not evaluate")
        if expression in self.answers:
            answer = self.answers[expression]
            return answer(variables) if callable(answer) else answer
        value: Json = dict(variables)
        for part in expression.split("."):
            if not isinstance(value, dict) or part not in value:
                raise ExpressionError(expression=expression, reason=f"no such key: {part}")
            value = value[part]
        return value

    def condition(self, expression: str, variables: Variables) -> bool:
        """Return the answer if it is a real boolean."""
        value = self.evaluate(expression, variables)
        if not isinstance(value, bool):
            raise ExpressionError(expression=expression, reason="it is no boolean")
        return value

    def check_template(self, template: Json, *, names: Collection[str]) -> None:
        """Check every hole of a text."""
        for hole in _HOLE.findall(str(template)):
            self.check(hole, names=names)

    def render(self, template: Json, variables: Variables) -> Json:
        """Fill the holes of a text; one that is nothing else keeps its type."""
        text = str(template)
        whole = _HOLE.fullmatch(text)
        if whole:
            return self.evaluate(whole[1], variables)
        return _HOLE.sub(lambda hole: str(self.evaluate(hole[1], variables)), text)

    def reads(self, expression: str) -> frozenset[str]:
        """Return what stands after `steps.`."""
        return frozenset(_STEP.findall(expression))
