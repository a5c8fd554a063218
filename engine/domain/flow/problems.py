"""What may be wrong with a definition, and where. Read `Reporter` first."""

from collections.abc import Collection
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum

from core.kernel import limits
from core.kernel.errors import Problem
from engine.domain.flow.positions import Places

_CANDIDATE_COUNT_MAX = 500  # comparing a word with more names takes longer than it helps
_ABOUT_KEYS = frozenset({"unknown_key", "not_available"})  # last words of a block's codes
_WORD_CHARS_MAX = 80  # of a word that is compared, and of a text that is quoted


class Code(StrEnum):
    """The stable codes of problems with a definition's text and structure."""

    # --- the text ---
    NOT_TEXT = "flow.not_text"
    TOO_LARGE = "flow.too_large"
    SYNTAX = "flow.syntax"
    UNSUPPORTED_YAML = "flow.unsupported_yaml"
    DUPLICATE_KEY = "flow.duplicate_key"
    BAD_KEY = "flow.bad_key"
    BAD_SCALAR = "flow.bad_scalar"
    # --- the structure ---
    NOT_IMPLEMENTED = "flow.not_implemented"
    UNKNOWN_KEY = "flow.unknown_key"
    MISSING_KEY = "flow.missing_key"
    WRONG_TYPE = "flow.wrong_type"
    WRONG_VALUE = "flow.wrong_value"
    BAD_DURATION = "flow.bad_duration"
    ONE_VERB = "flow.one_verb"
    MISPLACED_KEY = "flow.misplaced_key"
    # --- the meaning ---
    UNKNOWN_NEED = "flow.unknown_need"
    CYCLIC_NEEDS = "flow.cyclic_needs"
    UNKNOWN_ACTION = "flow.unknown_action"
    UNKNOWN_FUNCTION = "flow.unknown_function"
    BAD_ARGUMENTS = "flow.bad_arguments"
    BAD_EXPRESSION = "flow.bad_expression"
    UNKNOWN_STEP = "flow.unknown_step"
    NOT_UPSTREAM = "flow.not_upstream"
    UNKNOWN_FIELD = "flow.unknown_field"
    UNDECLARED_SECRET = "flow.undeclared_secret"  # noqa: S105  # a code
    MISPLACED_SECRET = "flow.misplaced_secret"  # noqa: S105  # a code
    UNREAD_OUTCOME = "flow.unread_outcome"
    BAD_COMPENSATION = "flow.bad_compensation"
    BAD_INPUTS = "flow.bad_inputs"
    BAD_BLOCK = "flow.bad_block"
    DUPLICATE_ID = "flow.duplicate_id"
    BAD_JOIN = "flow.bad_join"
    BAD_NAME = "flow.bad_name"
    BAD_MATRIX = "flow.bad_matrix"
    NOT_REPEATABLE = "flow.not_repeatable"
    ENDLESS_CALL = "flow.endless_call"
    UNKNOWN_STATE = "flow.unknown_state"
    UNREACHABLE_STATE = "flow.unreachable_state"
    DEAD_END = "flow.dead_end"
    NO_FINAL = "flow.no_final"
    DEAD_TRANSITION = "flow.dead_transition"
    MODEL_DECIDES = "flow.model_decides"
    # --- warnings ---
    RECURSION = "flow.recursion"
    NO_WAY_TO_FINAL = "flow.no_way_to_final"
    BAD_SCHEDULE = "flow.bad_schedule"
    BAD_TRIGGER = "flow.bad_trigger"
    UNKNOWN_INPUT = "flow.unknown_input"
    NOT_IDEMPOTENT = "flow.not_idempotent"
    TRIGGER_CIRCLE = "flow.trigger_circle"
    UNUSED_SECRET = "flow.unused_secret"  # noqa: S105  # a code
    UNKNOWN_SECRET = "flow.unknown_secret"  # noqa: S105  # a code


@dataclass(slots=True, kw_only=True)
class Reporter:
    """Collects problems, up to a bound, and knows where they stand in the text.

    Once there are `limits.PROBLEM_COUNT_MAX` errors it takes no more; a caller that would still
    have long work to do asks `is_full`.
    """

    places: Places
    _errors: list[Problem] = field(default_factory=list)
    _warnings: list[Problem] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Say whether further errors would be dropped."""
        return len(self._errors) >= limits.PROBLEM_COUNT_MAX

    @property
    def has_errors(self) -> bool:
        """Say whether there is anything but warnings."""
        return bool(self._errors)

    def error(self, code: Code | str, path: str, message: str, *, at_key: bool = False) -> None:
        """Note an error about the value at a path, or about the key that leads to it."""
        self._note(self._errors, code, path, message, severity="error", at_key=at_key)

    def warning(self, code: Code | str, path: str, message: str, *, at_key: bool = False) -> None:
        """Note something that does not stand in the way of publishing."""
        self._note(self._warnings, code, path, message, severity="warning", at_key=at_key)

    def add(self, problem: Problem, *, base: str) -> None:
        """Note a problem that was found in a block; its path is from the root or from the block."""
        path = problem.path
        if path != base and not path.startswith(f"{base}/"):
            path = base + path
        note = self.warning if problem.severity == "warning" else self.error
        at_key = problem.code.rpartition(".")[2] in _ABOUT_KEYS
        note(problem.code or Code.BAD_BLOCK, path, problem.message, at_key=at_key)

    def has_error_at(self, path: str) -> bool:
        """Say whether an error was noted about the value at just this path."""
        return any(item.path == path for item in self._errors)

    def problems(self) -> tuple[Problem, ...]:
        """Return at most `limits.PROBLEM_COUNT_MAX` problems by position, errors before warnings.

        Errors come first only in what is kept; the order is that of the text.
        """
        kept = (*self._errors, *self._warnings)[: limits.PROBLEM_COUNT_MAX]
        return tuple(
            sorted(kept, key=lambda item: (item.line or 0, item.column or 0, item.path, item.code))
        )

    def _note(
        self,
        notes: list[Problem],
        code: Code | str,
        path: str,
        message: str,
        *,
        severity: str,
        at_key: bool,
    ) -> None:
        line, column = self.places.find(path, key=at_key)
        problem = Problem(
            message=message,
            path=path,
            line=line,
            column=column,
            code=str(code),
            severity=severity,
        )
        if len(notes) < limits.PROBLEM_COUNT_MAX and problem not in notes:
            notes.append(problem)


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Return ` Did you mean …?` to add to a sentence, or nothing when no name is close."""
    if len(word) > _WORD_CHARS_MAX or len(known) > _CANDIDATE_COUNT_MAX:
        return ""
    close = get_close_matches(word, sorted(known), n=1)
    return f" Did you mean `{close[0]}`?" if close else ""


def quoted(word: str) -> str:
    """Return a word of the author between back quotes, shortened when it is long."""
    shown = word if len(word) <= _WORD_CHARS_MAX else f"{word[:_WORD_CHARS_MAX]}…"
    return f"`{' '.join(shown.split())}`"


def listed(words: Collection[str], *, last: str = "or") -> str:
    """Return words between back quotes, with commas and an `or`, or another word, at the end."""
    marked = [f"`{word}`" for word in words]
    return marked[0] if len(marked) == 1 else f"{', '.join(marked[:-1])} {last} {marked[-1]}"
