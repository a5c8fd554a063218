"""A JSON Schema of named values as an HTML form. Read `build_form` first.

The form only reads what a browser sends into JSON values; whether they are right is said by the
service they go to, whose problems `add_problems` puts at the fields. So a schema with rules no form
can show is still obeyed, and what has no widget of its own is typed as JSON.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast
from urllib.parse import unquote

from django import forms

from core.kernel.errors import Problem
from core.kernel.types import Json

PREFIX: Final = "value"
_SENTENCE_CHARS_MAX: Final = 160
_LONG_CHARS: Final = 120  # a text that may be longer than this is typed into several lines
_REFERENCE_COUNT_MAX: Final = 20
_INPUT_TYPES: Final = {"date": "date", "email": "email", "uri": "url", "time": "time"}


class NotAValueError(ValueError):
    """What was typed is no value of the field's type; the message says what to type."""


class SchemaForm(forms.Form):
    """A form over one schema; made by `build_form`."""

    kinds: Mapping[str, str]
    needed: frozenset[str]
    patterns: Mapping[str, str]

    def to_values(self) -> dict[str, Json]:
        """Return what was typed as JSON values; a field left empty is left out.

        Call `is_valid` first: fields with errors are left out too.
        """
        values: dict[str, Json] = {}
        for name, kind in self.kinds.items():
            if name not in self.cleaned_data:
                continue
            value = self.cleaned_data[name]
            if kind == "boolean":
                keeps_false = name in self.needed or self.fields[name].initial is not None
                if value or keeps_false:
                    values[name] = bool(value)
            elif value not in (None, "", []):
                values[name] = value
        return values

    def add_problems(self, problems: Iterable[Problem], *, under: str) -> None:
        """Show problems at the fields their JSON pointers lead into; others above the form.

        Args:
            problems: what a service found.
            under: the pointer of the form itself, such as "/inputs".
        """
        for problem in problems:
            name = _field_of(problem.path, under=under)
            field = name if name in self.fields else None
            text = _sentence(
                problem, pattern=self.patterns.get(field or ""), is_at_field=bool(field)
            )
            if text not in self.errors.get(field or "__all__", ()):
                self.add_error(field, text)


def build_form(
    schema: Mapping[str, Any],
    *,
    data: Mapping[str, Any] | None = None,
    initial: Mapping[str, Json] | None = None,
    prefix: str = PREFIX,
) -> SchemaForm:
    """Return a form with one field for each property of a schema, in its order.

    Args:
        schema: JSON Schema 2020-12 of type object; references lead into itself.
        data: what was posted (a `QueryDict`), or `None` for a form not sent yet.
        initial: values to begin with; those win over the schema's defaults.
        prefix: what the fields' HTML names begin with.
    """
    properties = cast("Mapping[str, Any]", schema.get("properties") or {})
    needed = frozenset(schema.get("required") or ())
    fields: dict[str, forms.Field] = {}
    kinds: dict[str, str] = {}
    patterns: dict[str, str] = {}
    for name, raw in properties.items():
        part = _resolve(raw, root=schema)
        kinds[name], fields[name] = _make_field(name, part, is_needed=name in needed)
        if isinstance(part.get("pattern"), str):
            patterns[name] = part["pattern"]
    shown = {
        name: _to_text(value, kinds[name])
        for name, value in (initial or {}).items()
        if name in kinds
    }
    form = SchemaForm(data=data, initial=shown, prefix=prefix, use_required_attribute=False)
    # Not declared on a class: there a property named `prefix` or `kinds` would be lost.
    form.fields.update(fields)
    form.kinds, form.needed, form.patterns = kinds, needed, patterns
    return form


def read_json(text: str) -> Json:
    """Return the value of a JSON text that somebody typed. Raises: NotAValueError."""
    try:
        return cast("Json", json.loads(text, parse_constant=_refuse_constant))
    except (ValueError, RecursionError) as error:
        raise NotAValueError(f"This is not JSON: {error}.") from error


def read_json_map(text: str) -> dict[str, Json]:
    """Return the map of a JSON text that somebody typed, empty for none. Raises: NotAValueError."""
    value = read_json(text) if text.strip() else {}
    if not isinstance(value, dict):
        raise NotAValueError('Write a map, such as {"name": "value"}.')
    return value


def _make_field(name: str, part: Mapping[str, Any], *, is_needed: bool) -> tuple[str, forms.Field]:
    default = part.get("default")
    common: dict[str, Any] = {
        "label": str(part.get("title") or _say_name(name)),
        "help_text": str(part.get("description") or ""),
        "required": False,  # the service says what is missing, in its words
    }
    choices = _choices(part)
    kind = _kind(part)
    if default is not None:
        common["initial"] = _to_text(default, kind)
    field = _field_for(kind, part, choices=choices, is_needed=is_needed, common=common)
    field.widget.attrs["data-needed"] = "1" if is_needed else ""
    return kind, field


def _field_for(
    kind: str,
    part: Mapping[str, Any],
    *,
    choices: list[tuple[str, str]],
    is_needed: bool,
    common: dict[str, Any],
) -> forms.Field:
    make = _MAKERS.get(kind)
    if make is not None:
        return make(part, common)
    if kind == "choice":
        has_value = common.get("initial") is not None
        blank = [] if is_needed and has_value else [("", "Choose" if is_needed else "—")]
        return _ChoiceField(choices=[*blank, *choices], **common)
    if kind == "choices":
        widget = forms.CheckboxSelectMultiple
        return _ChoicesField(choices=choices, widget=widget, **common)
    return forms.CharField(widget=_text_widget(part), strip=False, **common)


class _ChoiceField(forms.ChoiceField):
    """One of the schema's values, sent as JSON."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        return json.loads(text) if text else None


class _ChoicesField(forms.MultipleChoiceField):
    """Several of the schema's values, sent as JSON."""

    def clean(self, value: Any) -> Any:
        return [json.loads(text) for text in super().clean(value)]


class _TypedField(forms.CharField):
    """A text read into another type."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return self.read(text)
        except NotAValueError as error:
            raise forms.ValidationError(str(error)) from error

    def read(self, text: str) -> Json:
        """Return the value of a text, or raise NotAValueError."""
        raise NotImplementedError


class _NumberField(_TypedField):
    def __init__(self, *, is_integer: bool, part: Mapping[str, Any], **kwargs: Any) -> None:
        self.is_integer = is_integer
        attrs = {"inputmode": "numeric" if is_integer else "decimal", "autocomplete": "off"}
        super().__init__(widget=forms.TextInput(attrs=attrs), **kwargs)
        limits = [
            f"{word} {part[key]}"
            for key, word in (("minimum", "At least"), ("maximum", "At most"))
            if key in part
        ]
        self.help_text = " ".join([str(self.help_text), ", ".join(limits)]).strip()

    def read(self, text: str) -> Json:
        """Return the number; refuses what JSON cannot hold."""
        try:
            number = int(text) if self.is_integer else float(text)
        except ValueError as error:
            example = "3" if self.is_integer else "3.5"
            raise NotAValueError(f"Write a number, such as {example}.") from error
        if isinstance(number, float) and not math.isfinite(number):
            raise NotAValueError("Write a number that has an end.")
        return int(number) if number == int(number) and "." not in text else number


class _LinesField(_TypedField):
    def __init__(self, *, part: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.item_kind = _kind(part.get("items") or {})

    def read(self, text: str) -> Json:
        """Return one item for each line that is not empty."""
        lines = [line.strip() for line in text.splitlines()]
        return [self._read_item(line) for line in lines if line]

    def _read_item(self, line: str) -> Json:
        if self.item_kind == "text":
            return line
        try:
            return cast("Json", json.loads(line))
        except ValueError as error:
            raise NotAValueError(f"{line[:40]!r} is no {self.item_kind}.") from error


class _JsonField(_TypedField):
    def read(self, text: str) -> Json:
        """Return the JSON value."""
        return read_json(text)


def _make_lines(part: Mapping[str, Any], common: dict[str, Any]) -> forms.Field:
    common["help_text"] = f"{common['help_text']} One per line.".strip()
    return _LinesField(part=part, widget=forms.Textarea(attrs={"rows": 3}), **common)


def _make_json(_: Mapping[str, Any], common: dict[str, Any]) -> forms.Field:
    common["help_text"] = f"{common['help_text']} Written as JSON.".strip()
    return _JsonField(widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}), **common)


_MAKERS: Final[dict[str, Callable[[Mapping[str, Any], dict[str, Any]], forms.Field]]] = {
    "boolean": lambda _, common: forms.BooleanField(**common),
    "integer": lambda part, common: _NumberField(is_integer=True, part=part, **common),
    "number": lambda part, common: _NumberField(is_integer=False, part=part, **common),
    "lines": _make_lines,
    "json": _make_json,
}


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON")


def _kind(part: Mapping[str, Any]) -> str:
    """Return what a field of this schema is typed into."""
    if isinstance(part.get("enum"), list) or "const" in part:
        return "choice"
    types = part.get("type")
    listed = types if isinstance(types, list) else [types]
    named = [item for item in listed if isinstance(item, str) and item != "null"]
    kind = named[0] if len(named) == 1 else ""
    if kind == "array":
        items = part.get("items")
        if isinstance(items, dict) and isinstance(items.get("enum"), list):
            return "choices"
        is_plain = isinstance(items, dict) and _kind(items) in {"text", "integer", "number"}
        return "lines" if is_plain else "json"
    return {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean"}.get(
        kind, "json"
    )


def _choices(part: Mapping[str, Any]) -> list[tuple[str, str]]:
    items = part.get("items")
    source = items if isinstance(items, dict) and "enum" in items else part
    listed = source.get("enum")
    values = listed if isinstance(listed, list) else [source.get("const")]
    return [(json.dumps(value), _say_value(value)) for value in values]


def _text_widget(part: Mapping[str, Any]) -> forms.Widget:
    form = str(part.get("format") or "")
    if form in _INPUT_TYPES:
        return forms.TextInput(attrs={"type": _INPUT_TYPES[form]})
    longest = part.get("maxLength")
    if form == "textarea" or (isinstance(longest, int) and longest > _LONG_CHARS):
        return forms.Textarea(attrs={"rows": 2})
    return forms.TextInput(attrs={"autocomplete": "off"})


def _to_text(value: Json, kind: str) -> Any:
    """Return what a widget of that kind shows for a value."""
    if kind == "choice":
        return json.dumps(value)
    if kind == "choices":
        return [json.dumps(item) for item in value] if isinstance(value, list) else []
    if kind == "boolean":
        return bool(value)
    if kind == "lines" and isinstance(value, list):
        return "\n".join(item if isinstance(item, str) else json.dumps(item) for item in value)
    if kind == "json":
        return json.dumps(value, ensure_ascii=False, indent=2)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _resolve(part: Any, *, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema with its local references followed; the nearer words win."""
    seen: dict[str, Any] = {}
    for _ in range(_REFERENCE_COUNT_MAX):
        if not isinstance(part, dict):
            break
        seen = {**part, **seen}
        reference = seen.pop("$ref", None)
        if not isinstance(reference, str) or not reference.startswith("#"):
            break
        part = root
        for step in reference[1:].split("/")[1:]:
            key = unquote(step).replace("~1", "/").replace("~0", "~")
            part = part.get(key) if isinstance(part, dict) else None
    return seen


def _field_of(path: str, *, under: str) -> str | None:
    if not path.startswith(f"{under}/"):
        return None
    return path.removeprefix(f"{under}/").split("/")[0].replace("~1", "/").replace("~0", "~")


def _sentence(problem: Problem, *, pattern: str | None, is_at_field: bool) -> str:
    if problem.code.endswith(".required") and is_at_field:
        return "This is needed."
    if problem.code.endswith(".pattern") and pattern is not None:
        return f"This does not have the form that is asked for, {pattern}"
    text = problem.message[:1].upper() + problem.message[1:]
    if len(text) > _SENTENCE_CHARS_MAX:  # it repeats what was typed, which stands in the field
        text = f"{text[:_SENTENCE_CHARS_MAX]}…{text[-60:]}"
    where = "" if is_at_field or not problem.path else f" ({problem.path})"
    return f"{text.rstrip('.')}{where}."


def _say_name(name: str) -> str:
    words = name.replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:] if words else name


def _say_value(value: Json) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return "None" if value is None else json.dumps(value, ensure_ascii=False)
