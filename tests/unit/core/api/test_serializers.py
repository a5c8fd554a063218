"""Inputs take what they say and nothing that looks like it."""

from typing import Any

import pytest
from rest_framework import serializers

from core.toolkit.api.serializers import FlagField, InputSerializer, TextField, WholeNumberField


class _Inner(InputSerializer):
    count = WholeNumberField(max_value=9)


class _SampleInput(InputSerializer):
    text = TextField(required=False, max_length=5)
    flag = FlagField(required=False)
    number = WholeNumberField(required=False)
    inner = _Inner(required=False)
    parts = _Inner(many=True, required=False)


def _errors(data):
    serializer = _SampleInput(data=data)
    assert not serializer.is_valid()
    return serializer.errors


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"text": " a "},
        {"flag": True},
        {"flag": False},
        {"number": 0},
        {"number": -(10**20)},
        {"inner": {"count": 9}, "parts": [{"count": 1}, {"count": 2}]},
    ],
)
def test_values_of_their_own_type_are_taken(data):
    serializer = _SampleInput(data=data)

    assert serializer.is_valid(), serializer.errors


def test_texts_are_trimmed_unless_told_otherwise():
    assert TextField().run_validation(" a ") == "a"
    assert TextField(trim_whitespace=False).run_validation(" a ") == " a "


WRONG: dict[str, list[Any]] = {
    "text": [7, 1.5, True, [], {}, None, "123456", "", "a\x00b"],
    "flag": ["true", "yes", 1, 0, None, [], {}],
    "number": ["7", 7.0, 7.5, True, None, [], "x"],
    "inner": [7, "x", [], None, {}, {"count": 10}],
    "parts": [7, {}, "x", [7], [{"count": "1"}]],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in WRONG.items() for value in values]
)
def test_values_of_another_type_are_refused(field, value):
    assert list(_errors({field: value})) == [field]


def test_unknown_names_are_refused_at_every_depth_and_with_all_other_problems():
    found = _errors({"text": 7, "surprise": 1, "inner": {"count": 1, "more": 2}})

    assert set(found) == {"text", "surprise", "inner"}
    assert found["surprise"][0].code == "unknown_field"
    assert found["inner"]["more"][0].code == "unknown_field"


@pytest.mark.parametrize("data", [[], "x", 7, None])
def test_what_is_no_object_is_refused_as_a_whole(data):
    with pytest.raises(serializers.ValidationError):
        _SampleInput(data=data).is_valid(raise_exception=True)
