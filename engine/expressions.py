"""CEL, the expression language, behind the port `engine.domain.expressions.Evaluator`.

Read `CelEvaluator` first. It lives outside the domain because it keeps compiled objects of a C++
library; what it answers depends on its arguments alone. What the library does that a reader would
not expect, each with a test in `tests/unit/engine/test_expressions.py`:

* An evaluation error comes back as a *value*, whose Python form is a true text.
* Maps iterate in an order that differs from process to process, so lists made of them are refused.
* Texts from Python end at the first NUL, so that two different ones would compare equal.
* Every variable that is read is converted as a whole, so only what an expression reaches is given.
* Making lists is quadratic in their length, so lists it reads are bounded.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from math import isfinite
from typing import Any

from cel_expr_python import cel

from core.kernel import limits
from core.kernel.canonical import canonical_bytes
from core.kernel.types import Json, format_duration
from engine.domain.expressions import TOO_LARGE, ExpressionError, Variables
from engine.domain.flow.admission import AdmissionError, Reach, admit, reach_of
from engine.domain.flow.references import References, list_only, read_references
from engine.domain.flow.templates import Part, TemplateError, list_texts, split_template
from engine.domain.flow.tokens import TokenError

_INTEGER_MAX = 2**53 - 1
_ENVIRONMENT_COUNT_MAX = 64  # sets of names; the platform has about ten
_COMPILE_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): ([^\n]*)")
_UNKNOWN_NAME = re.compile(r"undeclared reference to '(.*)' \(in container ''\)")
_EXPECTATIONS = re.compile(r" expecting (?:\{.*\}|\S+)$")
_UNFINISHED = "Syntax error: mismatched input '<EOF>'"
_STATUS = re.compile(r"^(?:[A-Z_]+: )?(.*?)(?: \[[A-Z_]+\])?$", re.DOTALL)
_NO_KEY = re.compile(r"Key not found in map : \"(.*)\"", re.DOTALL)
_NO_OVERLOAD = "No matching overloads found : "
_LIST_WANTED = (
    "map() and filter() need a list, because the keys of a map have no order; "
    "nor can a map be added to a list"
)
_MAP_LITERAL = "found no matching overload for '_+_' applied to '(map("  # … + [], see `list_only`


@dataclass(frozen=True, slots=True, kw_only=True)
class _Program:
    """A compiled expression, and what it reads."""

    text: str
    compiled: cel.Expression
    references: References
    reach: Mapping[str, Reach]


class CelEvaluator:
    """Evaluates CEL with bounded caches. Safe to share between threads."""

    def __init__(self, *, program_count_max: int = limits.EXPRESSION_CACHE_COUNT_MAX) -> None:
        self._environment = lru_cache(maxsize=_ENVIRONMENT_COUNT_MAX)(_new_environment)
        self._program = lru_cache(maxsize=program_count_max)(self._compile)
        self._parts = lru_cache(maxsize=program_count_max)(_split)

    def check(self, expression: str, *, names: Collection[str]) -> None:
        """Compile an expression that may use these top-level names; raises if it does not."""
        self._program(expression, frozenset(names))

    def check_condition(self, expression: str, *, names: Collection[str]) -> None:
        """Compile an expression whose value must be able to be a boolean."""
        found = self._program(expression, frozenset(names)).compiled.return_type()
        if found not in (cel.Type.BOOL, cel.Type.DYN):
            kind = found.name().lower().replace("dyn", "any")
            raise ExpressionError(
                expression=expression, reason=f"this is never true or false, but {kind}"
            )

    def evaluate(self, expression: str, variables: Variables) -> Json:
        """Return the expression's value as JSON.

        Timestamps become RFC 3339 texts and durations ISO 8601 ones. What JSON cannot hold (bytes,
        types, NaN, integers over 2^53-1, keys that are not texts) is an error.

        An expression that is only a path, such as `steps.scan.outputs.files`, is looked up whatever
        its size. Any other may read lists of `limits.LIST_ITEM_COUNT_MAX` items and texts of
        `limits.EXPRESSION_TEXT_CHARS_MAX` characters, counting only what it reaches: a long list
        beside the one it names does no harm. Over that is an error, never a shorter list.
        """
        program = self._program(expression, frozenset(variables))
        try:
            if program.references.is_path:
                found = _look_up(program, variables)
            else:
                found = self._run(program, variables).plain_value()
            return _to_json(found, expression=expression)
        except RecursionError as error:
            raise ExpressionError(expression=expression, reason="it nests too deeply") from error

    def condition(self, expression: str, variables: Variables) -> bool:
        """Return the value of an expression that must be a real boolean."""
        found = self.evaluate(expression, variables)
        if found is True or found is False:
            return found
        raise ExpressionError(
            expression=expression, reason=f"true or false is needed, and this is {_kind_of(found)}"
        )

    def check_template(self, template: Json, *, names: Collection[str]) -> None:
        """Compile every `${{ … }}` inside the texts of a JSON value."""
        for text in list_texts(template):
            for part in self._parts(text):
                if not isinstance(part, str):
                    self.check(part.expression, names=names)

    def render(self, template: Json, variables: Variables) -> Json:
        """Return the template with each `${{ … }}` replaced, and `$${{` by `${{`.

        A text that is exactly one `${{ … }}` becomes the expression's value and keeps its type;
        inside a longer text a text is written as it is and any other value as canonical JSON.
        The same large value named a thousand times is refused before it is copied a thousand times.
        """
        return self._rendered(template, variables, _Meter())

    def reads(self, expression: str) -> frozenset[str]:
        """Return the ids of the steps an expression mentions as `steps.<id>` or `steps["<id>"]`."""
        return _references(expression).steps()

    def _rendered(self, template: Json, variables: Variables, meter: "_Meter") -> Json:
        if isinstance(template, str):
            return self._render_text(template, variables, meter) if "${{" in template else template
        if isinstance(template, Mapping):
            return {key: self._rendered(item, variables, meter) for key, item in template.items()}
        if isinstance(template, Sequence):
            return [self._rendered(item, variables, meter) for item in template]
        return template

    def _render_text(self, text: str, variables: Variables, meter: "_Meter") -> Json:
        parts = self._parts(text)
        values: list[Json] = []
        for part in parts:
            if isinstance(part, str):
                values.append(part)
                continue
            value = self.evaluate(part.expression, variables)
            meter.count(value, expression=part.expression)
            values.append(value)
        if len(parts) == 1:
            return values[0]
        return "".join(
            item if isinstance(item, str) else canonical_bytes(item).decode() for item in values
        )

    def _compile(self, expression: str, names: frozenset[str]) -> _Program:
        size = len(expression)
        if size > limits.EXPRESSION_CHARS_MAX:
            reason = f"it has {size} characters; at most {limits.EXPRESSION_CHARS_MAX} are allowed"
            raise ExpressionError(expression=expression[:80] + "…", reason=reason)
        environment = self._environment(names)
        # First as written, so that a message's position is one in the author's text.
        compiled = _compile_text(environment, expression, source=expression, names=names)
        references = _references(expression)
        rewritten = list_only(expression)
        if rewritten != expression:
            compiled = _compile_text(environment, rewritten, source=expression, names=names)
        return _Program(
            text=expression,
            compiled=compiled,
            references=references,
            reach=reach_of(references, names=names),
        )

    def _run(self, program: _Program, variables: Variables) -> cel.Value:
        try:
            data = {
                name: admit(variables[name], reach=reach, name=name)
                for name, reach in program.reach.items()
            }
        except AdmissionError as error:
            raise ExpressionError(expression=program.text, reason=error.reason) from error
        try:
            value = program.compiled.eval(data=data)
        except RuntimeError as error:
            reason = _run_reason(str(error))
            raise ExpressionError(expression=program.text, reason=reason) from error
        if value.type() in (cel.Type.ERROR, cel.Type.UNKNOWN):
            reason = _run_reason(str(value.value()))
            raise ExpressionError(expression=program.text, reason=reason)
        return value


class _Meter:
    """Adds up values while a template is rendered, and stops it when they are too much.

    It counts characters, so never more than there will be bytes of JSON.
    """

    def __init__(self) -> None:
        self._left = limits.ARGUMENT_BYTES_MAX

    def count(self, value: Json, *, expression: str) -> None:
        """Add a value. Raises: ExpressionError."""
        pending = [value]
        while pending:
            item = pending.pop()
            self._left -= len(item) if isinstance(item, str) else 1
            if self._left < 0:
                reason = f"with it, the values come to over {limits.ARGUMENT_BYTES_MAX} bytes"
                raise ExpressionError(expression=expression, reason=reason, kind=TOO_LARGE)
            if isinstance(item, dict):
                pending += item
                pending += item.values()
            elif isinstance(item, list):
                pending += item


def _new_environment(names: frozenset[str]) -> cel.Env:
    return cel.NewEnv(variables=dict.fromkeys(sorted(names), cel.Type.DYN))


def _compile_text(
    environment: cel.Env, text: str, *, source: str, names: frozenset[str]
) -> cel.Expression:
    try:
        return environment.compile(text)
    except RuntimeError as error:
        reason = _compile_reason(str(error), names=names)
        raise ExpressionError(expression=source, reason=reason) from error


def _split(text: str) -> tuple[Part, ...]:
    try:
        return split_template(text)
    except TemplateError as error:
        raise ExpressionError(expression=error.text[:80], reason=error.reason) from error


def _references(expression: str) -> References:
    try:
        return read_references(expression)
    except TokenError as error:
        reason = f"character {error.at + 1}: {error.reason}"
        raise ExpressionError(expression=expression, reason=reason) from error


def _look_up(program: _Program, variables: Variables) -> Any:
    """Return the value at a path, as the library would find it."""
    reference = program.references.found[0]
    value: Any = variables[reference.name]
    for field in reference.fields:
        known = isinstance(value, Mapping) and isinstance(field, str) and field in value
        is_item = isinstance(value, list | tuple) and isinstance(field, int) and field < len(value)
        if not (known or is_item):
            reason = f"there is no {'key' if isinstance(field, str) else 'item'} {field!r}"
            raise ExpressionError(expression=program.text, reason=reason)
        value = value[field]
    return value


# --- what comes out --------------------------------------------------------------------------


def _to_json(value: Any, *, expression: str) -> Json:
    """Return a result as JSON, maps in the order of their keys."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        if "\x00" in value:
            raise ExpressionError(expression=expression, reason="the text holds the character NUL")
        return value
    if isinstance(value, int | float):
        return _number_to_json(value, expression=expression)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ExpressionError(expression=expression, reason="a map has a key that is no text")
        return {key: _to_json(value[key], expression=expression) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_to_json(item, expression=expression) for item in value]
    return _time_to_json(value, expression=expression)


def _number_to_json(value: Any, *, expression: str) -> Json:
    if isinstance(value, float) and not isfinite(value):
        raise ExpressionError(expression=expression, reason="the number is not finite")
    if isinstance(value, int) and abs(value) > _INTEGER_MAX:
        raise ExpressionError(expression=expression, reason="the integer is over 2^53-1")
    number: Json = value
    return number


def _time_to_json(value: Any, *, expression: str) -> Json:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta) and value >= timedelta(0):
        return format_duration(value)
    raise ExpressionError(expression=expression, reason=f"JSON cannot hold {_kind_of(value)}")


def _kind_of(value: Any) -> str:
    kinds = {
        type(None): "null",
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "a map",
        bytearray: "bytes",
        timedelta: "a negative duration",
    }
    return kinds.get(type(value), "a type")


def _compile_reason(text: str, *, names: frozenset[str]) -> str:
    """Return the first error of a compilation as one line."""
    match = _COMPILE_ERROR.search(text)
    if match is None:
        return _run_reason(text)
    line, column, message = match.groups()
    if message.startswith(_MAP_LITERAL):
        return _LIST_WANTED
    unknown = _UNKNOWN_NAME.fullmatch(message)
    if unknown is not None:
        known = ", ".join(sorted(names)) or "none"
        message = f"there is nothing called {unknown.group(1)!r}; the names here are: {known}"
    message = _EXPECTATIONS.sub("", message).replace(_UNFINISHED, "the expression is not finished")
    if int(column) < 1:
        return message
    place = f"character {column}" if line == "1" else f"line {line}, character {column}"
    return f"{place}: {message}"


def _run_reason(text: str) -> str:
    """Return an evaluation error as one line without the library's status words."""
    match = _STATUS.match(text)
    assert match is not None, "the pattern matches every text"
    message = match.group(1)
    missing = _NO_KEY.fullmatch(message)
    if missing is not None:
        return f"there is no key {missing.group(1)!r}"
    if message.startswith(_NO_OVERLOAD + "_+_(map, list)"):
        return _LIST_WANTED
    if message.startswith(_NO_OVERLOAD):
        return f"the types do not fit: {message.removeprefix(_NO_OVERLOAD)}"
    return " ".join(message.split())
