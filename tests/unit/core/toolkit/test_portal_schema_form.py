"""A JSON Schema as a form, and what is typed as JSON values."""

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from core.kernel.errors import Problem
from core.kernel.types import Json
from core.toolkit.portal.schema_form import build_form

SCHEMA = {
    "type": "object",
    "required": ["version", "env", "count", "urgent"],
    "properties": {
        "version": {"type": "string", "title": "Version", "description": "Three numbers."},
        "env": {"enum": ["staging", "production", 3, None]},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "share": {"type": ["number", "null"]},
        "urgent": {"type": "boolean"},
        "dry": {"type": "boolean"},
        "on": {"type": "boolean", "default": True},
        "notes": {"type": "string", "maxLength": 5000},
        "day": {"type": "string", "format": "date"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "sizes": {"type": "array", "items": {"type": "integer"}},
        "regions": {"type": "array", "items": {"enum": ["eu", "us"]}},
        "extra": {"type": "object"},
        "shape": {"$ref": "#/$defs/shape"},
    },
    "$defs": {"shape": {"enum": ["round", "square"], "title": "Shape of it"}},
}


def post(**values):
    data = QueryDict(mutable=True)
    for name, value in values.items():
        data.setlist(f"value-{name}", value if isinstance(value, list) else [value])
    return data


def values_of(**values):
    form = build_form(SCHEMA, data=post(**values))
    assert form.is_valid(), form.errors
    return form.to_values()


def test_what_is_typed_becomes_values_of_the_schemas_types():
    typed = values_of(
        version="1.2.3",
        env='"production"',
        count="3",
        share="0.5",
        urgent="on",
        tags="a\n\n b \n",
        sizes="1\n2",
        regions=['"eu"', '"us"'],
        extra='{"a": [1, null]}',
        shape='"round"',
        day="2026-11-21",
    )

    assert typed == {
        "version": "1.2.3",
        "env": "production",
        "count": 3,
        "share": 0.5,
        "urgent": True,
        "on": False,
        "tags": ["a", "b"],
        "sizes": [1, 2],
        "regions": ["eu", "us"],
        "extra": {"a": [1, None]},
        "shape": "round",
        "day": "2026-11-21",
    }


def test_a_field_left_empty_is_left_out_and_a_needed_box_is_false():
    assert values_of() == {"urgent": False, "on": False}


def test_a_choice_keeps_the_type_of_its_value():
    assert values_of(env="3")["env"] == 3
    assert "env" not in values_of(env="null") or values_of(env="null")["env"] is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("count", "three"),
        ("count", "1.5"),
        ("share", "nan"),
        ("share", "1e999"),
        ("sizes", "1\ntwo"),
        ("extra", "{"),
        ("extra", "NaN"),
        ("env", '"mars"'),
        ("env", "mars"),
        ("regions", '"mars"'),
    ],
)
def test_what_is_no_value_is_said_at_its_field(name, text):
    form = build_form(SCHEMA, data=post(**{name: text}))

    assert not form.is_valid()
    assert list(form.errors) == [name]
    assert name not in form.to_values()


def test_values_to_begin_with_are_shown_as_they_would_be_typed():
    first: dict[str, Json] = {
        "env": "staging",
        "tags": ["a", "b"],
        "extra": {"a": 1},
        "dry": True,
        "count": 4,
    }

    form = build_form(SCHEMA, initial=first)

    shown = {name: form[name].value() for name in first}
    assert shown == {
        "env": '"staging"',
        "tags": "a\nb",
        "extra": '{\n  "a": 1\n}',
        "dry": True,
        "count": "4",
    }
    assert form["on"].value() is True


def test_a_reference_is_followed_and_titles_come_from_the_schema():
    form = build_form(SCHEMA)

    assert form["shape"].label == "Shape of it"
    assert form["env"].label == "Env"
    assert "round" in str(form["shape"])


@pytest.mark.parametrize(
    "reference", ["#/$defs/none", "#/$defs/loop", "https://example.org/x", "#"]
)
def test_a_reference_that_leads_nowhere_is_typed_as_json(reference):
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": reference}},
        "$defs": {"loop": {"$ref": "#/$defs/loop"}},
    }

    form = build_form(schema, data=post(a="[1]"))

    assert form.is_valid()
    assert form.to_values() == {"a": [1]}


def test_problems_of_a_service_stand_at_the_fields_they_lead_into():
    form = build_form(SCHEMA, data=post(version="x"))
    assert form.is_valid()

    form.add_problems(
        [
            Problem(message="'env' is a required property", path="/inputs/env", code="a.required"),
            Problem(message="too long", path="/inputs/tags/3", code="a.maxLength"),
            Problem(message="must be true", path="/other", code="a.b"),
            Problem(message="must be true", path="/other", code="a.b"),
        ],
        under="/inputs",
    )

    assert form.errors == {
        "env": ["This is needed."],
        "tags": ["Too long."],
        "__all__": ["Must be true (/other)."],
    }


@pytest.mark.parametrize("name", ["kinds", "needed", "prefix", "fields", "clean", "data", "_x"])
def test_a_property_may_have_the_name_of_a_part_of_the_form(name):
    schema = {"type": "object", "properties": {name: {"type": "integer"}}, "required": [name]}

    form = build_form(schema, data=post(**{name: "3"}), initial={name: 1})

    assert form.is_valid()
    assert form.to_values() == {name: 3}
    assert f'name="value-{name}"' in str(form[name])


def test_a_problem_does_not_repeat_what_was_typed_at_length():
    form = build_form(SCHEMA, data=post(version="9" * 10_000))
    assert form.is_valid()

    message = f"{'9' * 10_000!r} is too long"
    form.add_problems([Problem(message=message, path="/version", code="x.maxLength")], under="")

    said = str(form.errors["version"][0])
    assert len(said) < 250
    assert said.endswith("is too long.")


def test_names_of_fields_may_be_anything():
    odd = 'a "b" <i>/~0 é 🎉'
    schema = {"type": "object", "properties": {odd: {"type": "string"}}}

    form = build_form(schema, data=post(**{odd: "x"}))

    assert form.is_valid()
    assert form.to_values() == {odd: "x"}
    assert "<i>" not in str(form[odd])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "properties", "required", "enum", "items", "$ref", "default", "title"]
                )
                | st.text(max_size=4),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    )
)
def test_no_part_of_a_schema_breaks_the_form(part):
    schema = {"type": "object", "properties": {"a": part}}

    form = build_form(schema, data=post(a="1"))

    form.is_valid()
    form.to_values()
    str(form)
