"""Forms: their schemas and their values."""

import pytest

from approvals.domain.form import check_schema, check_storable, check_values, has_nul, pointer_of
from core.kernel import limits
from engine.expressions import CelEvaluator

SCHEMA = {
    "type": "object",
    "required": ["risk", "why"],
    "additionalProperties": False,
    "properties": {
        "risk": {"enum": ["low", "high"]},
        "why": {"type": "string", "minLength": 3},
        "due": {"type": "string", "format": "date"},
        "list": {"type": "array", "items": {"$ref": "#/$defs/item"}},
    },
    "$defs": {"item": {"type": "integer"}},
}

EVALUATOR = CelEvaluator()


def schema_problems(schema):
    return [(problem.path, problem.code) for problem in check_schema(schema, path="/f")]


def value_problems(values, schema=SCHEMA):
    return [
        (problem.path, problem.code)
        for problem in check_values(schema, values, evaluator=EVALUATOR)
    ]


def test_a_pattern_that_backtracks_for_ever_elsewhere_is_matched_in_linear_time():
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}

    found = value_problems({"a": "a" * 5_000 + "!"}, schema)

    assert [path for path, _ in found] == ["/form/a"]


def test_a_good_schema_has_no_problems():
    assert schema_problems(SCHEMA) == []
    dialect = "https://json-schema.org/draft/2020-12/schema"
    assert schema_problems({"type": "object", "$schema": dialect}) == []


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ([], "/f"),
        ({"type": "array"}, "/f/type"),
        ({}, "/f/type"),
        ({"type": "object", "title": 2**60}, "/f"),
        ({"type": "object", "title": "x" * limits.FORM_BYTES_MAX}, "/f"),
        ({"type": "object", "$schema": "http://json-schema.org/draft-07/schema#"}, "/f/$schema"),
        ({"type": "object", "properties": {"a": {"type": "strin"}}}, "/f/properties/a/type"),
        ({"type": "object", "properties": {"a": {"pattern": "("}}}, "/f/properties/a/pattern"),
        ({"type": "object", "allOf": [{"$ref": "http://x.test/y"}]}, "/f/allOf/0/$ref"),
        ({"type": "object", "$dynamicRef": "other"}, "/f/$dynamicRef"),
    ],
)
def test_a_bad_schema_is_refused_where_it_is_bad(schema, path):
    assert schema_problems(schema) == [(path, "approvals.block.form")]


def test_a_field_may_be_called_like_a_keyword():
    schema = {"type": "object", "properties": {"$ref": {"type": "string"}}}

    assert schema_problems(schema) == []


def test_good_values_have_no_problems():
    assert value_problems({"risk": "low", "why": "because", "due": "2026-01-31"}) == []


def test_every_problem_is_listed_where_it_is():
    values = {"risk": "middle", "due": "31.1.", "list": [1, "x"], "more": 1}

    assert value_problems(values) == [
        ("/form", "approvals.form.additionalProperties"),
        ("/form/why", "approvals.form.required"),
        ("/form/due", "approvals.form.format"),
        ("/form/list/1", "approvals.form.type"),
        ("/form/risk", "approvals.form.enum"),
    ]


def test_a_missing_field_is_pointed_at_by_its_own_name():
    assert value_problems({}) == [
        ("/form/risk", "approvals.form.required"),
        ("/form/why", "approvals.form.required"),
    ]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("a\x00b", "nul"),
        ({"a\x00": 1}, "nul"),
        ([{"a": ["\x00"]}], "nul"),
        ("x" * limits.FORM_BYTES_MAX, "too_large"),
        (2**60, "uncanonical"),
        (1e22, "uncanonical"),
        ([{"a": -1e17}], "uncanonical"),
        ("\ud800", "uncanonical"),
    ],
)
def test_what_cannot_be_kept_is_refused(value, code):
    assert value_problems({"why": value}) == [("/form", f"approvals.form.{code}")]
    assert [problem.path for problem in check_storable(value, path="/x")] == ["/x"]


def test_ordinary_values_can_be_kept():
    assert check_storable({"a": [1, 0.5, -1e15, None, True, "text"]}, path="/x") == []
    assert not has_nul({"a": [1, None, True, "text"]})


def test_a_schema_that_cannot_be_applied_refuses_instead_of_passing():
    dangling = {"type": "object", "properties": {"a": {"$ref": "#/$defs/nope"}}}
    endless = {"$ref": "#"}

    assert value_problems({"a": 1}, dangling) == [("/form", "approvals.form.schema")]
    assert value_problems({}, endless) == [("/form", "approvals.form.schema")]


def test_a_pointer_escapes_slashes_and_tildes():
    assert pointer_of(["a/b", 0, "c~d"]) == "/a~1b/0/c~0d"
