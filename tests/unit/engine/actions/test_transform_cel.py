"""Making values of other values."""

import pytest

from core.kernel import limits
from engine.actions.contract import ActionCall, ActionError
from engine.actions.transform_cel import SPEC
from tests.fakes.flow import compile_with


@pytest.fixture
def transform(attempt):
    return lambda **arguments: SPEC.execute(ActionCall(arguments=arguments, attempt=attempt))


def test_an_expression_sees_the_values(transform):
    orders = [{"id": "a", "cents": 900}, {"id": "b", "cents": 100}]

    made = transform(
        expression="orders.filter(o, o.cents > least).map(o, o.id)",
        values={"orders": orders, "least": 500},
    )

    assert made == ["a"]


def test_fields_make_a_map(transform):
    made = transform(
        fields={"sum": "left + right", "same": "left == right"}, values={"left": 1, "right": 2}
    )

    assert made == {"sum": 3, "same": False}


def test_an_expression_may_need_no_values(transform):
    assert transform(expression="[1, 2].map(i, i * 2)") == [2, 4]


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({}, "invalid", "with:"),
        ({"expression": "1", "fields": {"a": "1"}}, "invalid", "with:"),
        ({"expression": "1 +"}, "invalid", "with/expression: The expression does not compile"),
        ({"fields": {"a": "nobody"}}, "invalid", "with/fields/a: The expression does not compile"),
        ({"expression": "nobody", "values": {"somebody": 1}}, "invalid", "nothing called 'nobody'"),
        ({"expression": "1", "values": {"Upper": 1}}, "invalid", "with/values"),
        ({"expression": "1", "values": "text"}, "invalid", "with/values"),
        ({"expression": "1 / 0"}, "permanent", "1 / 0: "),
        (
            {"expression": "v.missing", "values": {"v": {}}},
            "permanent",
            "there is no key 'missing'",
        ),
        ({"expression": "'a' + 1"}, "invalid", "does not compile"),
        ({"expression": "x" * (limits.EXPRESSION_CHARS_MAX + 1)}, "invalid", "with/expression"),
    ],
)
def test_what_cannot_be_evaluated_says_where_and_why(transform, arguments, kind, words):
    with pytest.raises(ActionError) as caught:
        transform(**arguments)

    assert (caught.value.kind, words in caught.value.message) == (kind, True), caught.value


@pytest.mark.parametrize(
    ("arguments", "pointer", "words"),
    [
        ('{expression: "1 +"}', "/expression", "does not compile"),
        ('{fields: {a: "b"}, values: {c: 1}}', "/fields/a", "nothing called 'b'"),
        ('{expression: "${{ inputs.code }}"}', "/expression", "holds no `${{ … }}`"),
        ('{expression: "v", values: "${{ inputs.code }}"}', "/values", "Name the values here"),
    ],
)
def test_publishing_finds_an_expression_that_does_not_compile(arguments, pointer, words):
    found = compile_with(SPEC, arguments).problems

    assert [(item.path, words in item.message) for item in found] == [
        (f"/steps/s/with{pointer}", True)
    ]


def test_publishing_takes_values_that_are_not_known_yet():
    made = compile_with(SPEC, '{expression: "v.a", values: {v: "${{ inputs.code }}"}}')

    assert [item.message for item in made.problems] == []
