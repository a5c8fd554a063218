"""Whether a definition has the shape of the language. Read `check_shape`.

It interprets `schema.json`, as far as that goes, instead of handing it to a general validator: a
general one is thirty times slower and cannot say what an author should do. A test holds that the
two always agree.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from core.kernel.types import Json, parse_duration
from engine.domain.flow.positions import pointer, split_pointer
from engine.domain.flow.problems import Code, Reporter, did_you_mean, listed, quoted
from engine.domain.flow.schema import Schema, language_schema, resolve

_KINDS = {
    "object": "a map",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "`true` or `false`",
    "null": "nothing",
}


def check_shape(value: Json, *, reporter: Reporter) -> None:
    """Report every key and value of a definition that the language does not have there."""
    _Checker(reporter=reporter).check(value, language_schema(), path="")


def kind_of(value: Json) -> str:
    """Return what a value is, in words."""
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    return _KINDS[_type_of(value)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checker:
    reporter: Reporter

    def check(self, value: Json, schema: Schema, *, path: str) -> None:
        """Report what is wrong with a value; stops when enough has been found."""
        if self.reporter.is_full:
            return
        schema = _choose(value, resolve(schema))
        types = schema.get("type", ())
        types = (types,) if isinstance(types, str) else types
        if types and not _is_one_of(value, types):
            self._wrong_type(value, types, path=path)
        elif not self._check_choice(value, schema, path=path) or "x-checked-by" in schema:
            return
        elif isinstance(value, dict):
            self._check_map(value, schema, path=path)
        elif isinstance(value, list):
            self._check_list(value, schema, path=path)
        elif isinstance(value, str):
            self._check_text(value, schema, path=path)
        else:
            self._check_number(value, schema, path=path)

    def _wrong_type(self, value: Json, types: tuple[str, ...], *, path: str) -> None:
        wanted = " or ".join(_KINDS[name] for name in types if name != "null")
        message = f"{_subject(path)} must be {wanted}, and this is {kind_of(value)}."
        if types == ("string",) and isinstance(value, bool | int | float):
            message += " Put it between quotes."
        self.reporter.error(Code.WRONG_TYPE, path, message)

    def _check_choice(self, value: Json, schema: Schema, *, path: str) -> bool:
        """Report a value that is none of those allowed, and return whether it is one."""
        choices = [schema["const"]] if "const" in schema else schema.get("enum")
        if choices is None or value in choices:
            return True
        word, words = _written(value), [_written(choice) for choice in choices]
        if word in schema.get("x-later", ()):
            self._later(word, path)
        else:
            hint = did_you_mean(word, words)
            message = f"{_subject(path)} must be {listed(words)}, not {quoted(word)}.{hint}"
            self.reporter.error(Code.WRONG_VALUE, path, message)
        return False

    # --- maps --------------------------------------------------------------------------------

    def _check_map(self, value: dict[str, Json], schema: Schema, *, path: str) -> None:
        later = self._check_keys(value, schema, path=path)
        for key, item in value.items():
            inner = self._schema_of(key, schema)
            if inner is not None:
                self.check(item, inner, path=pointer([key], base=path))
        if not later:
            # What belongs to a later version may be complete there.
            self._check_presence(value, schema, path=path)

    def _schema_of(self, key: str, schema: Schema) -> Schema | None:
        known: Schema | None = schema.get("properties", {}).get(key)
        if known is not None:
            return known
        others = schema.get("additionalProperties")
        return others if isinstance(others, Mapping) else None

    def _check_keys(self, value: dict[str, Json], schema: Schema, *, path: str) -> bool:
        """Report keys that cannot be there; returns whether any is one of a later version."""
        is_later = False
        known = schema.get("properties", {})
        for key in value:
            place = pointer([key], base=path)
            if key in schema.get("x-later", ()):
                is_later = True
                self._later(key, place, at_key=True)
            elif "propertyNames" in schema:
                self._check_name(key, resolve(schema["propertyNames"]), path=place)
            elif key not in known and schema.get("additionalProperties") is False:
                hint = did_you_mean(key, [*known, *schema.get("x-later", ())])
                message = f"There is no key {quoted(key)} {_place(path)}.{hint}"
                self.reporter.error(Code.UNKNOWN_KEY, place, message, at_key=True)
        return is_later

    def _check_name(self, key: str, schema: Schema, *, path: str) -> None:
        reason = _text_fault(key, schema)
        if reason:
            message = f"The name {quoted(key)} must be {reason}."
            self.reporter.error(Code.WRONG_VALUE, path, message, at_key=True)

    def _check_presence(self, value: dict[str, Json], schema: Schema, *, path: str) -> None:
        for key in schema.get("required", ()):
            if key not in value:
                why = schema.get("x-missing", {}).get(key, "")
                message = f"The key `{key}` is missing {_place(path)}{why and f', {why}'}."
                self.reporter.error(Code.MISSING_KEY, path, message, at_key=True)
        if not self._check_verb(value, schema, path=path):
            return
        for key, needed in schema.get("dependentRequired", {}).items():
            missing = [name for name in needed if name not in value]
            if key in value and missing:
                self._misplaced(key, f"goes only with `{missing[0]}`", path=path)
        for key, rule in schema.get("dependentSchemas", {}).items():
            fault = _dependency_fault(value, rule, schema) if key in value else ""
            if fault:
                self._misplaced(key, fault, path=path)
        self._check_size(len(value), schema, path=path, what="Properties", unit="key")

    def _misplaced(self, key: str, fault: str, *, path: str) -> None:
        place = pointer([key], base=path)
        self.reporter.error(Code.MISPLACED_KEY, place, f"`{key}` {fault}.", at_key=True)

    def _check_verb(self, value: dict[str, Json], schema: Schema, *, path: str) -> bool:
        """Check `oneOf`, which the language uses for keys of which exactly one is there.

        With an option that requires none of them, there may also be none.
        """
        options = schema.get("oneOf", ())
        choices = [option["required"][0] for option in options if "required" in option]
        found = [key for key in choices if key in value]
        may_have_none = len(choices) < len(options)
        if not options or len(found) == 1 or (may_have_none and not found):
            return True
        if found:
            message = f"{_subject(path)} has {listed(found, last='and')}, and only one can be."
        else:
            message = f"{_subject(path)} needs one of {listed(choices)}."
        self.reporter.error(Code.ONE_VERB, path, message, at_key=True)
        return False

    # --- everything else ---------------------------------------------------------------------

    def _check_list(self, value: list[Json], schema: Schema, *, path: str) -> None:
        self._check_size(len(value), schema, path=path, what="Items", unit="item")
        if schema.get("uniqueItems"):
            for index, item in _doubles(value):
                message = f"{quoted(str(item))} is here twice."
                place = pointer([index], base=path)
                self.reporter.error(Code.WRONG_VALUE, place, message)
        for index, item in enumerate(value):
            self.check(item, schema.get("items", {}), path=pointer([index], base=path))

    def _check_text(self, value: str, schema: Schema, *, path: str) -> None:
        if schema.get("format") == "duration":
            if parse_duration(value) is None:
                message = (
                    f"{_subject(path)} must be an ISO 8601 duration such as `PT30M` or `P1D`, not "
                    f"{quoted(value)}."
                )
                self.reporter.error(Code.BAD_DURATION, path, message)
            return
        fault = _text_fault(value, schema)
        if fault:
            message = f"{_subject(path)} must be {fault}, not {quoted(value)}."
            self.reporter.error(Code.WRONG_VALUE, path, message)

    def _check_number(self, value: Any, schema: Schema, *, path: str) -> None:
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is not None and high is not None and not low <= value <= high:
            message = f"{_subject(path)} must be {low} to {high}, not {value}."
            self.reporter.error(Code.WRONG_VALUE, path, message)

    def _check_size(self, count: int, schema: Schema, *, path: str, what: str, unit: str) -> None:
        low, high = schema.get(f"min{what}", 0), schema.get(f"max{what}")
        if count < low or (high is not None and count > high):
            bounds = f"at least {low}" if high is None else f"{low} to {high}"
            bounds = f"exactly {low}" if low == high else bounds
            units = unit if bounds.endswith(" 1") else f"{unit}s"
            message = f"{_subject(path)} must have {bounds} {units}, and has {count}."
            self.reporter.error(Code.WRONG_VALUE, path, message)

    def _later(self, key: str, path: str, *, at_key: bool = False) -> None:
        message = f"`{key}` is part of flow/v1, but is not available in this version."
        self.reporter.error(Code.NOT_IMPLEMENTED, path, message, at_key=at_key)


def _choose(value: Json, schema: Schema) -> Schema:
    """Return the option of an `anyOf` that is for a value's type.

    The options of the language are for different types. Without one the types of all are wanted.
    """
    options = [resolve(option) for option in schema.get("anyOf", ())]
    if not options:
        return schema
    for option in options:
        if _is_one_of(value, (option["type"],)):
            return option
    return {"type": tuple(option["type"] for option in options)}


def _dependency_fault(value: dict[str, Json], rule: Schema, schema: Schema) -> str:
    """Return what a key's `dependentSchemas` say against the others, to complete "`key` …"."""
    if "not" in rule:
        (other,) = rule["not"]["required"]
        return f"does not go with `{other}`" if other in value else ""
    wanted = [option["required"][0] for option in rule.get("anyOf", ())]
    if wanted and not any(other in value for other in wanted):
        return f"goes only with {listed(wanted)}"
    for other, part in rule.get("properties", {}).items():
        # A value that is none at all is a fault of its own.
        choices = resolve(schema["properties"][other])["enum"]
        if other in value and value[other] in choices and value[other] != part["const"]:
            return f"goes only with `{other}: {part['const']}`"
    return ""


def _text_fault(text: str, schema: Schema) -> str:
    """Return what a text must be and is not, or nothing."""
    high = schema.get("maxLength")
    if high is not None and len(text) > high:
        return f"at most {high} characters"
    refused = schema.get("not", {}).get("enum", ())
    if text in refused or not _matches(schema.get("pattern", ""), text):
        return str(schema.get("x-says", "spelled differently"))
    return ""


def _matches(pattern: str, text: str) -> bool:
    return _compiled(pattern).search(text) is not None


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    # In Python `$` also matches before a last line end; in JSON Schema it does not.
    return re.compile(pattern.removesuffix("$") + (r"\Z" if pattern.endswith("$") else ""))


def _doubles(value: list[Json]) -> Iterator[tuple[int, Json]]:
    seen: set[str] = set()
    for index, item in enumerate(value):
        if isinstance(item, str):
            if item in seen:
                yield index, item
            seen.add(item)


def _type_of(value: Json) -> str:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return "null" if value is None else kinds.get(type(value), "object")


def _written(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_one_of(value: Json, types: tuple[str, ...]) -> bool:
    kind = _type_of(value)
    return kind in types or (kind == "integer" and "number" in types)


def _subject(path: str) -> str:
    parts = split_pointer(path)
    if not parts:
        return "The definition"
    return f"Item {parts[-1]} of `{parts[-2]}`" if parts[-1].isdigit() else f"`{parts[-1]}`"


def _place(path: str) -> str:
    parts = split_pointer(path)
    return f"in {_subject(path)}" if parts else "at the top level"
