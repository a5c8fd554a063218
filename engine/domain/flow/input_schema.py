"""The JSON Schemas authors write: checked before use, applied within bounds.

Read `check_schema` and `bounded_validator` first. A schema is JSON Schema 2020-12 without what
reaches outside it or makes its cost hard to bound: no remote, dynamic or circular references, and
patterns of RE2's language, which are matched in linear time. (Python's `re` takes years for
`^(a+)+$` and thirty letters; whoever applies a schema to values of other people's uses
`bounded_validator`.)
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
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
from engine.domain.flow.positions import pointer
from engine.domain.flow.problems import did_you_mean, quoted

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_WALK_DEPTH_MAX = 60  # schemas inside schemas and references to references, together
_MATCHES = "text.matches(pattern)"


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


def bounded_validator(
    schema: Mapping[str, Any], *, evaluator: Evaluator, asserts_format: bool = False
) -> Validator:
    """Return a validator of a checked schema whose cost no pattern and no list can blow up.

    It fetches nothing. `asserts_format` says whether `format` is checked or only a remark.
    """

    def match(
        _: Validator, pattern: str, instance: Any, __: Mapping[str, Any]
    ) -> Iterator[ValidationError]:
        if isinstance(instance, str) and not _is_match(instance, pattern, evaluator):
            yield ValidationError(f"{instance[:200]!r} does not match {pattern!r}")

    def unique(
        _: Validator,
        wanted: bool,  # noqa: FBT001 - the library's signature
        instance: Any,
        __: Mapping[str, Any],
    ) -> Iterator[ValidationError]:
        if wanted and isinstance(instance, list) and _has_doubles(instance):
            yield ValidationError("the list has equal items")

    rules = {"pattern": match, "uniqueItems": unique}
    extended = validators.extend(Draft202012Validator, rules)  # type: ignore[no-untyped-call]  # stubs are incomplete
    made: Validator = extended(
        dict(schema),
        registry=Registry(),
        format_checker=Draft202012Validator.FORMAT_CHECKER if asserts_format else None,
    )
    return made


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
        validator = bounded_validator(self.root, evaluator=self.evaluator)
        for where, (schema, value) in self._defaults.items():
            for error in validator.evolve(schema=schema).iter_errors(value):
                self.fault(where, f"The default does not fit: {error.message[:300]}.")
                break

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
            try:
                self.evaluator.condition(_MATCHES, {"text": "", "pattern": value})
            except ExpressionError as error:
                self.fault(place, f"The pattern cannot be used: {error.reason}.")

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
