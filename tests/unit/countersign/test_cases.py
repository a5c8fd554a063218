"""Test files: what they may say, and where they are wrong."""

import json

import pytest
from jsonschema import Draft202012Validator

from countersign.testing.cases import START, read_cases, schema_text

HEAD = "definition: flow.yaml\n"


def test_a_file_without_cases_is_one_case():
    (case,) = read_cases(HEAD + "inputs: {a: 1}\nexpect: {outcome: succeeded}\n").cases

    assert (case.inputs, case.at, case.line) == ({"a": 1}, START, 1)


def test_what_stands_beside_the_cases_holds_for_each_of_them():
    file = read_cases(
        HEAD
        + """
inputs: {a: 1}
results:
  one: {result: 1}
  two: {result: 2}
expect: {outcome: succeeded}
cases:
  as it stands: {}
  another input:
    inputs: {a: 2}
    results: {two: [{result: 3}, {error: transient}]}
    expect: {outcome: failed}
"""
    )

    first, second = file.cases
    assert [case.name for case in file.cases] == ["as it stands", "another input"]
    assert [case.line for case in file.cases] == [9, 10]
    assert first.results["two"].at(5).value == 2
    assert second.inputs == {"a": 2}
    assert second.results["one"].at(0).value == 1
    assert second.results["two"].at(1).error == "transient"
    assert second.results["two"].at(2) is None
    assert (first.expect, second.expect) == ({"outcome": "succeeded"}, {"outcome": "failed"})


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("expect: [", "", 2),
        ("expects: {}\n", "expects", 1),
        ("inputs: {}\n", "expects nothing", 1),
        ("expect: {outcome: perfect}\n", "perfect", 2),
        ("results: {a: {result: 1, error: x}}\nexpect: {outcome: failed}\n", "", 2),
        ("results: {a: {value: 1}}\nexpect: {outcome: failed}\n", "", 2),
        ("decisions: {a: maybe}\nexpect: {outcome: failed}\n", "maybe", 2),
        ("events: [{type: x, after: soon}]\nexpect: {outcome: failed}\n", "soon", 2),
        ("events: [{type: x, after: PX}]\nexpect: {outcome: failed}\n", "ISO 8601", 1),
        ("at: '2026-01-01T12:00:00'\nexpect: {outcome: failed}\n", "no offset", 1),
        ("at: noon\nexpect: {outcome: failed}\n", "noon", 1),
        ("inputs: &a {}\nexpect: {outcome: failed}\n", "", 2),
        ("inputs: {}\ninputs: {}\nexpect: {outcome: failed}\n", "", 3),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text, said, line):
    file = read_cases(HEAD + text)

    assert file.cases == ()
    assert said in file.problems[0].message
    assert file.problems[0].line == line


@pytest.mark.parametrize("text", ["", "[]", "a", "\x00", "expect: {outcome: failed}"])
def test_what_is_no_test_file_is_told(text):
    assert read_cases(text).problems


def test_the_schema_is_one():
    Draft202012Validator.check_schema(json.loads(schema_text()))
