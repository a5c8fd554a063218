"""The JSON Schemas authors write: checked before use, applied within bounds.

Read `check_schema` and `BoundedValidator` first. A schema is JSON Schema 2020-12 without what
reaches outside it or makes its cost hard to bound: no remote, dynamic or circular references, and
patterns of RE2's language, which are matched in linear time. (Python's `re` takes years for
`^(a+)+$` and thirty letters; whoever applies a schema to values of other people's uses
`BoundedValidator`.)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft202012Validator, ValidationError, validators
from jsonschema.protocols import Validator
from referencing import Registry

from core.kernel import limits
from core.kernel.canonical import canonical_bytes
from core.kernel.types import Json
from engine.domain.expressions import Evaluator, ExpressionError
from engine.domain.flow.keywords import (
    REFUSED,
    SCHEMA,
    SCHEMA_LISTS,
    SCHEMA_MAPS,
    TYPES,
    VALUES,
)
from engine.domain.flow.patterns import liken_pattern, size_of_pattern
from engine.domain.flow.positions import pointer
from engine.domain.flow.problems import did_you_mean, quoted

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_WALK_DEPTH_MAX = 60  # schemas inside schemas and references to references, together
_MATCHES = "text.matches(pattern)"
_COSTS = {"pattern": 10, "format": 5}  # of one keyword, where most cost 1
_LOOP_SHARE = 5  # so many items of a keyword's own list cost 1
_TOO_MUCH = "checking all of this against its schema would take too long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something wrong with a schema. `at_key`: with the key of that path, not with its value."""

    path: str
    message: str
    at_key: bool = False
    is_warning: bool = False


def check_schema(schema: Json, *, path: str, evaluator: Evaluator) -> tuple[Fault, ...]:
    """Return what is wrong with a schema of named values; pointers start with `path`."""
    checker = _Checker(root=schema, base=path, evaluator=evaluator)
    if not isinstance(schema, dict):
        checker.fault("", "A schema must be a map.")
    elif schema.get("type") != "object":
        where = "/type" if "type" in schema else ""
        checker.fault(where, "The root of this schema must be `type: object`.")
    if isinstance(schema, dict):
        checker.check(schema, "")
        checker.check_references()
        if not any(not item.is_warning for item in checker.faults):
            checker.check_defaults()
    return tuple(checker.faults)


class BoundedValidator:
    """Applies a checked schema to values; no pattern, list or reference makes it take long.

    It fetches nothing. `asserts_format` says whether `format` is checked or only a remark. Safe to
    share between threads.
    """

    def __init__(
        self, schema: Mapping[str, Any], *, evaluator: Evaluator, asserts_format: bool = False
    ) -> None:
        self.schema: Mapping[str, Any] = dict(schema)
        checker = Draft202012Validator.FORMAT_CHECKER if asserts_format else None
        key: Any = evaluator
        made = _make_class(key)
        self._made: Validator = made(self.schema, registry=Registry(), format_checker=checker)

    def iter_errors(self, value: Json) -> Iterator[ValidationError]:
        """Yield what is wrong with a value, at most `limits.PROBLEM_COUNT_MAX` errors.

        The last one says so if checking all of it would take longer than it may.
        """
        return iter(self.list_errors(value, meter=Meter(limits.SCHEMA_CHECK_COUNT_MAX)))

    def is_valid(self, value: Json) -> bool:
        """Say whether nothing is wrong with a value."""
        return not list(self.iter_errors(value))

    def list_errors(
        self, value: Json, *, meter: "Meter", schema: Mapping[str, Any] | None = None
    ) -> list[ValidationError]:
        """Return the same, of the schema or of one inside it, as far as a meter lets it go."""
        errors: list[ValidationError] = []
        validator = self._made if schema is None else self._made.evolve(schema=schema)
        token = _METER.set(meter)
        try:
            errors += islice(validator.iter_errors(value), limits.PROBLEM_COUNT_MAX)
        except _TooMuchError:
            errors.append(ValidationError(_TOO_MUCH, validator="size"))
        finally:
            _METER.reset(token)
        return errors


class _TooMuchError(Exception):
    """A meter has run out. Never leaves here."""


class Meter:
    """Counts keywords applied to values, each item of a list of choices by itself."""

    def __init__(self, count: int) -> None:
        self._left = count

    @property
    def is_empty(self) -> bool:
        """Say whether it has run out."""
        return self._left < 0

    def count(self, many: int) -> None:
        """Take away some."""
        self._left -= many
        if self._left < 0:
            raise _TooMuchError


_METER: ContextVar[Meter] = ContextVar("meter")
_Rule = Callable[[Any, Any, Any, Any], Iterable[ValidationError] | None]


@lru_cache(maxsize=4)
def _make_class(evaluator: Any) -> Any:
    """Return the class of the standard's validators, with every keyword counted."""

    def match(_: Any, pattern: Any, instance: Any, __: Any) -> Iterator[ValidationError]:
        if isinstance(instance, str) and not _is_match(instance, pattern, evaluator):
            yield ValidationError(f"{instance[:200]!r} does not match {pattern!r}")

    def unique(_: Any, wanted: Any, instance: Any, __: Any) -> Iterator[ValidationError]:
        if wanted and isinstance(instance, list) and _has_doubles(instance):
            yield ValidationError("the list has equal items")

    rules: dict[str, _Rule] = {
        **Draft202012Validator.VALIDATORS,
        "pattern": match,
        "uniqueItems": unique,
    }
    counted = {keyword: _counted(keyword, rule) for keyword, rule in rules.items()}
    return validators.extend(Draft202012Validator, counted)  # type: ignore[no-untyped-call]  # stubs are incomplete


def _counted(keyword: str, rule: _Rule) -> _Rule:
    base = _COSTS.get(keyword, 1)

    def apply(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        many = len(value) // _LOOP_SHARE if isinstance(value, list | dict) else 0
        _METER.get().count(base + many)
        yield from rule(validator, value, instance, schema) or ()

    return apply


@lru_cache(maxsize=1_000)
def _fault_of(pattern: str, evaluator: Any) -> str:
    """Return why a pattern cannot be used, "" if it can."""
    try:
        evaluator.condition(_MATCHES, {"text": "", "pattern": pattern})
    except ExpressionError as error:
        return error.reason
    return ""


def _is_match(text: str, pattern: str, evaluator: Evaluator) -> bool:
    try:
        return evaluator.condition(_MATCHES, {"text": text, "pattern": pattern})
    except ExpressionError:
        return False  # too long to be matched, or not to be read: it did not match


def _has_doubles(items: list[Any]) -> bool:
    return len({canonical_bytes(item) for item in items}) < len(items)


@dataclass(slots=True, kw_only=True)
class _Checker:
    """Walks a schema once, then follows its references."""

    root: Json
    base: str
    evaluator: Evaluator
    faults: list[Fault] = field(default_factory=list)
    _inner: dict[str, list[str]] = field(default_factory=dict)  # pointer → schemas inside it
    _references: dict[str, str] = field(default_factory=dict)  # pointer → pointer it refers to
    _defaults: dict[str, tuple[Mapping[str, Any], Json]] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)  # what `_size` is in the middle of
    _sizes: dict[str, int] = field(default_factory=dict)
    _pattern_size: int = 0

    def fault(self, where: str, message: str, *, at_key: bool = False) -> None:
        self.faults.append(Fault(path=self.base + where, message=message, at_key=at_key))

    def check(self, schema: Json, where: str) -> None:
        """Check one schema and those inside it; `where` is its pointer from the root."""
        self._inner[where] = []
        if isinstance(schema, bool):
            return
        if not isinstance(schema, dict):
            self.fault(where, "A schema must be a map, `true` or `false`.")
            return
        for key, value in schema.items():
            self._check_keyword(key, value, pointer([key], base=where), where=where)
        if "default" in schema:
            self._defaults[pointer(["default"], base=where)] = (schema, schema["default"])

    def check_references(self) -> None:
        """Check that references lead somewhere, end, and do not multiply what is checked."""
        for place, target in self._references.items():
            if target not in self._inner:
                self.fault(f"{place}/$ref", "The reference leads nowhere in this schema.")
        if self._size("", via="", depth=0) > limits.INPUT_SCHEMA_COUNT_MAX:
            message = (
                f"The schema has over {limits.INPUT_SCHEMA_COUNT_MAX} parts, counting each part as "
                "often as it is referred to."
            )
            self.fault("", message)

    def check_defaults(self) -> None:
        """Check that every default is a value its own schema accepts."""
        assert isinstance(self.root, dict), "checked before"
        validator = BoundedValidator(self.root, evaluator=self.evaluator)
        meter = Meter(limits.DEFAULT_CHECK_COUNT_MAX)  # for all of them together
        for where, (schema, value) in self._defaults.items():
            errors = validator.list_errors(value, meter=meter, schema=schema)
            if errors:
                self.fault(where, f"The default does not fit: {errors[0].message[:300]}.")
            if len(self.faults) >= limits.PROBLEM_COUNT_MAX or meter.is_empty:
                return

    # --- keywords ----------------------------------------------------------------------------

    def _check_keyword(self, key: str, value: Json, place: str, *, where: str) -> None:
        if key in SCHEMA:
            self._check_inner([(place, value)], where=where)
        elif key in SCHEMA_LISTS:
            self._check_list(value, place, where=where)
        elif key in SCHEMA_MAPS:
            self._check_map(value, place, where=where)
        elif key in REFUSED:
            message = f"{quoted(key)} is not accepted; {REFUSED[key]}."
            self.fault(place, message, at_key=True)
        elif key not in VALUES:
            self._unknown(key, place)
        else:
            is_right, words = VALUES[key]
            if not is_right(value):
                self.fault(place, f"{quoted(key)} must be {words}.")
            elif isinstance(value, str):
                self._check_text(key, value, place, where=where)

    def _unknown(self, key: str, place: str) -> None:
        """Warn of a keyword that JSON Schema ignores: it is most often a misspelt one."""
        if key.startswith("x-"):
            return
        hint = did_you_mean(key, [*VALUES, *SCHEMA, *SCHEMA_LISTS, *SCHEMA_MAPS])
        message = f"JSON Schema has no {quoted(key)}, so it is ignored.{hint}"
        self.faults.append(
            Fault(path=self.base + place, message=message, at_key=True, is_warning=True)
        )

    def _check_inner(self, schemas: Iterable[tuple[str, Json]], *, where: str) -> None:
        for place, schema in schemas:
            self._inner[where].append(place)
            self.check(schema, place)

    def _check_list(self, value: Json, place: str, *, where: str) -> None:
        if not isinstance(value, list) or not value:
            self.fault(place, "A list of schemas is needed here.")
            return
        items = [(f"{place}/{index}", item) for index, item in enumerate(value)]
        self._check_inner(items, where=where)

    def _check_map(self, value: Json, place: str, *, where: str) -> None:
        if not isinstance(value, dict):
            self.fault(place, "A map of names to schemas is needed here.")
            return
        items = [(pointer([name], base=place), item) for name, item in value.items()]
        if place.endswith("/$defs"):
            for inner, item in items:
                self.check(item, inner)  # counted where it is referred to
        else:
            self._check_inner(items, where=where)

    def _check_text(self, key: str, value: str, place: str, *, where: str) -> None:
        if key == "$ref":
            if value.startswith("#"):
                self._references[where] = unquote(value[1:])
            else:
                self.fault(place, "A reference must stay in this schema: `#/$defs/…`.")
        elif key == "$schema" and value != DIALECT:
            self.fault(place, f"The only dialect here is `{DIALECT}`.")
        elif key == "type" and value not in TYPES:
            self.fault(place, f"There is no type {quoted(value)}.{did_you_mean(value, TYPES)}")
        elif key == "pattern":
            self._check_pattern(value, place)

    def _check_pattern(self, pattern: str, place: str) -> None:
        size = size_of_pattern(pattern)
        self._pattern_size += size
        reason = ""
        if size > limits.PATTERN_SIZE_MAX:
            reason = "it is too large with its repetitions written out"
        elif self._pattern_size > limits.INPUT_PATTERN_SIZE_MAX:
            reason = "together, the patterns of this schema are too large"
        else:
            likeness, classes = liken_pattern(pattern)
            key: Any = self.evaluator
            faults = (_fault_of(part, key) for part in (*sorted(classes), likeness))
            reason = next(filter(None, faults), "")
        if reason:
            self.fault(place, f"The pattern cannot be used: {reason}.")

    # --- references --------------------------------------------------------------------------

    def _size(self, place: str, *, via: str, depth: int) -> int:
        """Return how many schemas are applied at a place, references followed."""
        if place in self._open:
            self.fault(f"{via}/$ref", "The reference leads back to what it is a part of.")
            return 0
        if depth > _WALK_DEPTH_MAX:
            self.fault(place, f"References nest over {_WALK_DEPTH_MAX} deep.")
            return 0
        if place not in self._sizes:
            self._open.add(place)
            size = 1
            for inner in self._inner[place]:
                size += self._size(inner, via=inner, depth=depth + 1)
            target = self._references.get(place)
            if target in self._inner:
                size += self._size(target, via=place, depth=depth + 1)
            self._open.discard(place)
            self._sizes[place] = size
        return self._sizes[place]
