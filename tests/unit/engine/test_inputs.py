"""A run's inputs against its version's schema."""

import time

import pytest

from core.kernel import limits
from core.kernel.canonical import UncanonicalError
from engine.domain.errors import InputsInvalidError, InputsTooLargeError
from engine.domain.flow.input_schema import bounded_validator
from engine.domain.inputs import check_inputs
from tests.fakes.flow import EVALUATOR

SCHEMA = {
    "type": "object",
    "required": ["ref"],
    "properties": {
        "ref": {"type": "string", "pattern": "^v[0-9]+$"},
        "env": {"enum": ["staging", "production"], "default": "staging"},
        "window": {"type": "object", "properties": {"hours": {"default": 2}}},
        "any": True,
        "a/b": {"type": "integer"},
    },
}


def checked(inputs, schema=SCHEMA):
    return check_inputs(bounded_validator(schema, evaluator=EVALUATOR), inputs)


def test_defaults_are_filled_in_at_every_depth():
    assert checked({"ref": "v1", "window": {}}) == {
        "ref": "v1",
        "env": "staging",
        "window": {"hours": 2},
    }
    assert checked({"ref": "v1", "env": "production", "any": 1})["env"] == "production"


def test_every_error_is_listed_with_its_path():
    with pytest.raises(InputsInvalidError) as caught:
        checked({"ref": "1", "env": "test", "a/b": "x"})

    assert [(item.path, item.code) for item in caught.value.problems] == [
        ("/env", "engine.input.enum"),
        ("/ref", "engine.input.pattern"),
        ("/a~1b", "engine.input.type"),
    ]


@pytest.mark.parametrize("inputs", [[], None, "x", 5])
def test_inputs_are_a_map(inputs):
    with pytest.raises(InputsInvalidError):
        checked(inputs)


def test_inputs_over_the_bound_and_inputs_that_are_no_json_are_refused():
    with pytest.raises(InputsTooLargeError):
        checked({"ref": "v" + "1" * limits.INPUT_BYTES_MAX})
    with pytest.raises(UncanonicalError):
        checked({"ref": float("nan")})


def test_a_pattern_that_would_take_years_takes_no_time():
    schema = {"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}}
    start = time.process_time()

    with pytest.raises(InputsInvalidError):
        checked({"a": "a" * 1000 + "!"}, schema)

    assert time.process_time() - start < 2
