"""The JSON Schemas authors write, checked and applied within bounds."""

import time
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from core.kernel import limits
from engine.domain.flow.input_schema import DIALECT, BoundedValidator, check_schema
from tests.fakes.flow import EVALUATOR

RELEASE = {
    "$schema": DIALECT,
    "type": "object",
    "title": "Inputs",
    "required": ["ref"],
    "properties": {
        "ref": {"type": "string", "pattern": "^v[0-9]+$", "minLength": 2, "examples": ["v1"]},
        "env": {"enum": ["staging", "production"], "default": "staging"},
        "share": {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 1.5},
        "count": {"type": "integer", "multipleOf": 5, "const": 5, "deprecated": True},
        "hosts": {
            "type": "array",
            "uniqueItems": True,
            "prefixItems": [True],
            "items": {"$ref": "#/$defs/a~1b%20"},
            "x-ui": "wide",
        },
    },
    "dependentRequired": {"env": ["ref"]},
    "dependentSchemas": {"env": {"not": {"required": ["x"]}}},
    "additionalProperties": False,
    "allOf": [{"if": {"required": ["env"]}, "then": True, "else": {}}],
    "$defs": {"a/b ": {"type": "string", "default": "h"}},
}


def faults_of(schema):
    faults = check_schema(schema, path="/inputs", evaluator=EVALUATOR)
    return [(item.path.removeprefix("/inputs"), item.message) for item in faults]


def test_a_schema_of_the_usual_keywords_is_accepted():
    assert faults_of(RELEASE) == []
    Draft202012Validator.check_schema(RELEASE)


@pytest.mark.parametrize(
    ("inner", "path", "words"),
    [
        (5, "", "A schema must be a map, `true` or `false`."),
        ({"type": "int"}, "/type", "There is no type `int`. Did you mean `integer`?"),
        ({"type": ["string", "int"]}, "/type", "or a list of different ones"),
        ({"type": 5}, "/type", "`type` must be"),
        ({"type": ["null", "null"]}, "/type", "`type` must be"),
        ({"required": ["a", "a"]}, "/required", "a list of different names"),
        ({"required": "a"}, "/required", "a list of different names"),
        ({"dependentRequired": {"a": "b"}}, "/dependentRequired", "a map of lists"),
        ({"dependentRequired": []}, "/dependentRequired", "a map of lists"),
        ({"enum": "a"}, "/enum", "`enum` must be a list."),
        ({"title": 5}, "/title", "`title` must be a text."),
        ({"uniqueItems": 1}, "/uniqueItems", "`true` or `false`"),
        ({"minLength": -1}, "/minLength", "a whole number, 0 or more"),
        ({"maxItems": 1.5}, "/maxItems", "a whole number, 0 or more"),
        ({"maxItems": True}, "/maxItems", "a whole number, 0 or more"),
        ({"minimum": "1"}, "/minimum", "`minimum` must be a number."),
        ({"maximum": True}, "/maximum", "`maximum` must be a number."),
        ({"multipleOf": 0}, "/multipleOf", "a number over 0"),
        ({"properties": []}, "/properties", "A map of names to schemas"),
        ({"properties": {"b": 1}}, "/properties/b", "A schema must be a map"),
        ({"$defs": {"b": {"type": "x"}}}, "/$defs/b/type", "There is no type"),
        ({"anyOf": []}, "/anyOf", "A list of schemas"),
        ({"anyOf": [True, 1]}, "/anyOf/1", "A schema must be a map"),
        ({"items": []}, "/items", "A schema must be a map"),
        ({"pattern": "("}, "/pattern", "The pattern cannot be used: invalid regular expression"),
        ({"pattern": "(?=a)b"}, "/pattern", "The pattern cannot be used"),
        ({"pattern": "(a)\\1"}, "/pattern", "The pattern cannot be used"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "/$schema", "The only dialect"),
        ({"$ref": "https://example.com/x"}, "/$ref", "must stay in this schema"),
        ({"$ref": "other.json#/x"}, "/$ref", "must stay in this schema"),
        ({"$ref": "#/$defs/none"}, "/$ref", "leads nowhere"),
        ({"$ref": "#/required"}, "/$ref", "leads nowhere"),
        ({"$ref": "#"}, "/$ref", "leads back"),
        ({"$ref": "#/properties/a"}, "/$ref", "leads back"),
        ({"items": {"$ref": "#/properties/a"}}, "/items/$ref", "leads back"),
        ({"$id": "x"}, "/$id", "`$id` is not accepted"),
        ({"$dynamicRef": "#x"}, "/$dynamicRef", "is not accepted"),
        ({"patternProperties": {}}, "/patternProperties", "list the names in `properties`"),
        ({"requird": ["a"]}, "/requird", "so it is ignored. Did you mean `required`?"),
        ({"type": "integer", "default": "x"}, "/default", "The default does not fit"),
        ({"pattern": "^a$", "default": "b"}, "/default", "'b' does not match '^a$'"),
        ({"uniqueItems": True, "default": [1, 1.0]}, "/default", "equal items"),
        ({"$ref": "#/$defs/n", "default": "x"}, "/default", "The default does not fit"),
    ],
)
def test_what_is_wrong_inside_a_schema_is_named(inner, path, words):
    schema = {
        "type": "object",
        "required": ["a"],
        "properties": {"a": inner},
        "$defs": {"n": {"type": "integer"}},
    }

    ((found, message),) = faults_of(schema)

    assert found == f"/properties/a{path}"
    assert words in message


@pytest.mark.parametrize(
    ("schema", "path"),
    [(5, ""), ([], ""), ({}, ""), ({"type": "array"}, "/type"), ({"type": ["object"]}, "/type")],
)
def test_the_root_is_an_object(schema, path):
    assert [item[0] for item in faults_of(schema)] == [path]


def test_references_that_multiply_are_bounded():
    count = 60
    doubling = {
        f"d{number}": {"allOf": [{"$ref": f"#/$defs/d{number + 1}"}] * 2} for number in range(count)
    }
    few = {"type": "object", "$ref": "#/$defs/d55", "$defs": {**doubling, f"d{count}": {}}}
    many = {**few, "$ref": "#/$defs/d50"}

    assert faults_of(few) == []
    assert "over 2000 parts" in faults_of(many)[0][1]


def test_references_that_nest_too_deeply_are_refused():
    chain = {f"d{number}": {"$ref": f"#/$defs/d{number + 1}"} for number in range(100)}
    schema = {"type": "object", "$ref": "#/$defs/d0", "$defs": {**chain, "d100": {}}}

    assert "nest over 60 deep" in faults_of(schema)[0][1]


def test_a_wide_schema_is_checked_quickly():
    schema = {
        "type": "object",
        "properties": {
            f"p{number}": {"type": "string", "default": "x"}
            for number in range(limits.INPUT_SCHEMA_COUNT_MAX - 1)
        },
    }
    start = time.process_time()

    assert faults_of(schema) == []
    assert time.process_time() - start < 5


def test_values_are_validated_as_by_the_standard():
    validator = BoundedValidator(RELEASE, evaluator=EVALUATOR)

    found = sorted(
        error.message for error in validator.iter_errors({"ref": "12", "hosts": [1, "a", "a", 3]})
    )

    assert validator.is_valid({"ref": "v12", "hosts": [1, "a"]})
    assert found == [
        "'12' does not match '^v[0-9]+$'",
        "3 is not of type 'string'",
        "the list has equal items",
    ]


def test_what_a_pattern_cannot_be_matched_with_does_not_match():
    validator = BoundedValidator({"pattern": "a"}, evaluator=EVALUATOR)

    assert validator.is_valid("a")
    assert validator.is_valid(5)
    assert not validator.is_valid("a\x00")
    assert not validator.is_valid("a" * (limits.EXPRESSION_TEXT_CHARS_MAX + 1))


def test_hostile_values_take_no_time():
    validator = BoundedValidator(
        {"properties": {"a": {"pattern": "^(a+)+$"}, "b": {"uniqueItems": True}}},
        evaluator=EVALUATOR,
    )
    value: Any = {"a": "a" * 50_000 + "!", "b": [{"x": number} for number in range(20_000)]}
    start = time.process_time()

    assert len(list(validator.iter_errors(value))) == 1
    assert time.process_time() - start < 5


def test_equal_items_are_those_with_equal_canonical_bytes():
    validator = BoundedValidator({"uniqueItems": True}, evaluator=EVALUATOR)

    assert validator.is_valid([1, True, "1", [1], None])
    assert validator.is_valid("aa")
    assert not validator.is_valid([{"a": 1, "b": 2}, {"b": 2, "a": 1.0}])
    assert BoundedValidator({"uniqueItems": False}, evaluator=EVALUATOR).is_valid([1, 1])
