"""The port to the expression language, CEL. Read `Evaluator` first.

An error never opens a gate: callers that guard something catch `ExpressionError` and keep it shut.
The implementation is `engine.expressions.CelEvaluator`.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

from core.kernel.errors import InvalidError
from core.kernel.types import Json

# The names an expression may use, beside those a construct adds (`result`, `user`, `subject`).
RUN_NAMES = ("inputs", "vars", "steps", "run", "event")

Variables = Mapping[str, Json]

# The kinds a step's error gets from an expression; what is too large has evaluated.
EXPRESSION = "expression"
TOO_LARGE = "too-large"


class ExpressionError(InvalidError):
    """An expression does not compile or does not evaluate."""

    code = "engine.expression_failed"
    title = "The expression could not be evaluated."

    def __init__(self, *, expression: str, reason: str, kind: str = EXPRESSION) -> None:
        super().__init__(f"{expression!r}: {reason}", expression=expression, reason=reason)
        self.expression = expression
        self.reason = reason
        self.kind = kind


class Evaluator(Protocol):
    """Evaluates CEL and templates. Every method raises `ExpressionError` and nothing else."""

    def check(self, expression: str, *, names: Collection[str]) -> None:
        """Compile an expression that may use these top-level names; raises if it does not."""
        ...

    def check_condition(self, expression: str, *, names: Collection[str]) -> None:
        """Compile an expression whose value must be able to be a boolean; raises otherwise."""
        ...

    def evaluate(self, expression: str, variables: Variables) -> Json:
        """Return the expression's value as JSON."""
        ...

    def condition(self, expression: str, variables: Variables) -> bool:
        """Return the value of an expression that must be a real boolean."""
        ...

    def check_template(self, template: Json, *, names: Collection[str]) -> None:
        """Compile every `${{ … }}` inside the texts of a JSON value."""
        ...

    def render(self, template: Json, variables: Variables) -> Json:
        """Return the template with each `${{ … }}` replaced.

        A text that is exactly one `${{ … }}` becomes the expression's value and keeps its type;
        inside a longer text the value is written as text (JSON for lists and maps). What all the
        values together come to is bounded by `limits.ARGUMENT_BYTES_MAX`.
        """
        ...

    def reads(self, expression: str) -> frozenset[str]:
        """Return the ids of the steps an expression mentions as `steps.<id>` or `steps["<id>"]`."""
        ...
