"""Comparing what is with what should be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kernel import limits
from engine.actions.check_compare import SPEC, find_differences
from engine.actions.contract import ActionCall, ActionError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture
def compare(attempt):
    return lambda **arguments: SPEC.execute(ActionCall(arguments=arguments, attempt=attempt))


def test_every_place_that_differs_is_told_with_both_sides(compare):
    found = compare(
        expected={"a": 1, "b": [1, 2], "c~/d": "x", "gone": None},
        actual={"a": 2, "b": [1, 2, 3], "c~/d": "y", "new": {"n": 1}},
    )

    assert found == {
        "equal": False,
        "difference_count": 5,
        "differences": [
            {"pointer": "/a", "kind": "changed", "expected": 1, "actual": 2},
            {"pointer": "/b/2", "kind": "unexpected", "actual": 3},
            {"pointer": "/c~0~1d", "kind": "changed", "expected": "x", "actual": "y"},
            {"pointer": "/gone", "kind": "missing", "expected": None},
            {"pointer": "/new", "kind": "unexpected", "actual": {"n": 1}},
        ],
    }


@pytest.mark.parametrize(
    ("expected", "actual", "is_equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (None, False, False),
        ("", None, False),
        ([], {}, False),
        ([1, 2], [2, 1], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
    ],
)
def test_equal_is_what_canonical_json_writes_alike(compare, expected, actual, is_equal):
    assert compare(expected=expected, actual=actual)["equal"] is is_equal


def test_places_may_be_left_out_with_what_is_inside_them(compare):
    arguments = {
        "expected": {"at": 1, "items": [{"id": 1, "n": 1}, {"id": 2, "n": 2}], "~/": 1},
        "actual": {"at": {"x": 2}, "items": [{"id": 8, "n": 1}, {"id": 9, "n": 2}], "~/": 2},
    }

    assert compare(**arguments, ignore=["/at", "/items/*/id", "/~0~1"])["equal"] is True
    assert compare(**arguments, ignore=["/at", "/items/0/id", "/~0~1"])["difference_count"] == 1
    assert compare(**arguments, ignore=["/at/x", "/items", "/~0~1"])["difference_count"] == 1


def test_a_step_may_insist_on_a_match(compare):
    expected = {"port": 80, "tags": ["a"]}

    assert compare(expected=expected, actual=expected, **{"must-match": True})["equal"] is True
    with pytest.raises(ActionError) as caught:
        compare(expected=expected, actual={"port": 81, "tags": []}, **{"must-match": True})
    assert caught.value.kind == "different"
    assert caught.value.message == "/port is 81 and should be 80 and 1 more."


def test_a_report_is_bounded_and_the_count_is_true(compare):
    found = compare(expected=[0] * 500, actual=["y" * 5000] * 500)

    assert found["difference_count"] == 500
    assert len(found["differences"]) == limits.COMPARE_REPORT_COUNT_MAX
    assert len(found["differences"][0]["actual"]) == limits.COMPARE_EXCERPT_CHARS_MAX


@pytest.mark.parametrize(
    "arguments", [{"actual": 1}, {"expected": 1}, {"expected": 1, "actual": 1, "ignore": ["a"]}]
)
def test_wrong_arguments_are_refused(compare, arguments):
    with pytest.raises(ActionError) as caught:
        compare(**arguments)

    assert caught.value.kind == "invalid"


@given(left=VALUES, right=VALUES)
def test_values_are_equal_just_when_nothing_differs_either_way(left, right):
    forward = list(find_differences(left, right))
    backward = list(find_differences(right, left))

    assert [item.parts for item in forward] == [item.parts for item in backward]
    assert list(find_differences(left, left)) == []
    assert bool(forward) is (_typed(left) != _typed(right))


def _typed(value):
    """Return a value in which a boolean equals no number."""
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return (isinstance(value, bool), value)
