"""Reading a block somebody wrote, and collecting what is wrong with it. Read `BlockReader` first.

Every method returns a usable value or `None` after it noted a problem, so that one pass finds all.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches

from approvals.domain.form import pointer_of
from core.kernel.errors import Problem
from core.kernel.types import Json
from engine.domain.expressions import Evaluator, ExpressionError

CODE = "approvals.block"


@dataclass(slots=True, kw_only=True)
class BlockReader:
    """Notes problems at the place being read. `path` is a JSON pointer."""

    evaluator: Evaluator
    path: str
    problems: list[Problem] = field(default_factory=list)

    @contextmanager
    def at(self, *parts: str | int) -> Iterator[None]:
        """Read one or more levels deeper inside the `with` block."""
        before = self.path
        self.path = before + pointer_of(parts)
        try:
            yield
        finally:
            self.path = before

    def note(self, code: str, message: str, *, severity: str = "error") -> None:
        """Note a problem at the current place; `code` is its last word."""
        self.problems.append(
            Problem(message=message, path=self.path, code=f"{CODE}.{code}", severity=severity)
        )

    def mapping(
        self, value: Json, *, known: Collection[str], later: Collection[str] = ()
    ) -> dict[str, Json] | None:
        """Return a mapping's known keys; notes those of a later version and unknown ones."""
        if not isinstance(value, dict):
            self.note("wrong_type", f"write a mapping here, with the keys {_listed(known)}")
            return None
        for key in value:
            with self.at(key):
                if key in later:
                    self.note("not_available", f"{key!r} is not available in this version")
                elif key not in known:
                    self.note("unknown_key", f"there is no key {key!r}{_meant(key, known)}")
        return {key: item for key, item in value.items() if key in known}

    def sequence(self, value: Json, *, count_max: int, what: str) -> list[Json] | None:
        """Return a non-empty list of at most `count_max` items."""
        if not isinstance(value, list):
            self.note("wrong_type", f"write a list of {what} here")
            return None
        if not 1 <= len(value) <= count_max:
            self.note("wrong_value", f"write 1 to {count_max} {what} here")
            return None
        return value

    def text(self, value: Json, *, what: str) -> str | None:
        """Return a text that is not blank."""
        if not isinstance(value, str) or not value.strip():
            self.note("wrong_type", f"write {what} here, as a text")
            return None
        return value

    def integer(self, value: Json, *, bounds: tuple[int, int], what: str) -> int | None:
        """Return a whole number within the bounds, both included."""
        if not isinstance(value, int) or isinstance(value, bool):
            self.note("wrong_type", f"write {what} here, as a whole number")
            return None
        if not bounds[0] <= value <= bounds[1]:
            self.note("wrong_value", f"{what} is {bounds[0]} to {bounds[1]}")
            return None
        return value

    def choice(
        self, value: Json, *, choices: Sequence[str], later: Collection[str] = ()
    ) -> str | None:
        """Return one of the choices; those in `later` are of a later version."""
        if isinstance(value, str) and value in choices:
            return value
        if isinstance(value, str) and value in later:
            self.note("not_available", f"{value!r} is not available in this version")
        else:
            self.note(
                "wrong_value", f"write one of {_listed(choices)} here{_meant(value, choices)}"
            )
        return None

    def expression(self, value: Json, *, names: Collection[str]) -> str | None:
        """Return a CEL expression that compiles."""
        if not isinstance(value, str):
            self.note("wrong_type", "write a CEL expression here, as a text")
            return None
        try:
            self.evaluator.check(value, names=names)
        except ExpressionError as error:
            self.note("expression", error.reason)
            return None
        return value

    def template(self, value: Json, *, names: Collection[str], what: str) -> str | None:
        """Return a text whose `${{ … }}` compile."""
        text = self.text(value, what=what)
        if text is None:
            return None
        try:
            self.evaluator.check_template(text, names=names)
        except ExpressionError as error:
            self.note("expression", error.reason)
            return None
        return text


def _listed(names: Collection[str]) -> str:
    return ", ".join(names)


def _meant(word: Json, known: Collection[str]) -> str:
    """Return a suggestion to add to a message, or nothing."""
    close = get_close_matches(word, known, n=1) if isinstance(word, str) else []
    return f"; did you mean {close[0]!r}?" if close else ""
