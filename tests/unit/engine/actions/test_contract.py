"""What an action may return, and how its errors read."""

import pytest

from core.kernel.limits import ERROR_CHARS_MAX, PAYLOAD_BYTES_MAX
from engine.actions.contract import ActionError, ActionSpec, check_arguments, one_line, recordable


def test_a_result_is_what_the_ledger_will_give_back():
    value = {"b": (1, 2.0), "a": [None, True, 1.5, "ü"]}

    kept = recordable(value)

    assert kept == {"a": [None, True, 1.5, "ü"], "b": [1, 2]}
    assert "2.0" not in repr(kept)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": [{"b": object()}]}, "result/a/0/b: object is not JSON."),
        ({"a": {1: "x"}}, "result/a: the key 1 is int, not text."),
        ({"a": float("nan")}, "result/a: nan is not JSON."),
        ([2**53], "result/0: the integer 9007199254740992 is over 2^53-1; return it as text."),
        ([1e20], "result/0: 1e+20 is over 2^53-1 and would come back as an integer."),
        ({"a": "\ud800"}, "result/a: the text holds a lone surrogate."),
        ({"\ud800": 1}, "result: the text holds a lone surrogate."),
        (b"bytes", "result: bytes is not JSON."),
        ({1, 2}, "result: set is not JSON."),
    ],
)
def test_a_result_that_is_not_json_is_named_with_its_path(value, said):
    with pytest.raises(ActionError) as caught:
        recordable(value)

    assert (caught.value.kind, caught.value.message) == ("permanent", said)


@pytest.mark.parametrize("value", [2**53 - 1, -(2**53) + 1, 1e21, 1e300, 0.1, -0.0])
def test_numbers_within_bounds_are_kept(value):
    assert recordable([value]) == [value]


def test_a_result_that_contains_itself_is_refused():
    value: list[object] = []
    value.append(value)

    with pytest.raises(ActionError, match="nested too deeply"):
        recordable(value)


def test_a_result_is_bounded():
    assert recordable("x" * (PAYLOAD_BYTES_MAX - 2))

    with pytest.raises(ActionError, match="at most 1048576 are kept") as caught:
        recordable("x" * (PAYLOAD_BYTES_MAX - 1))
    assert caught.value.kind == "permanent"


def test_an_error_message_is_one_bounded_line():
    assert one_line("a\r\n\tb\x00c \x1b[31m") == "a b c [31m"
    assert one_line("\ud800") == "?"
    assert len(one_line("x" * 100_000)) == ERROR_CHARS_MAX


def test_the_first_wrong_argument_is_named():
    spec = ActionSpec(
        name="x/y",
        version=2,
        input_schema={
            "type": "object",
            "required": ["a"],
            "properties": {"b": {"items": {"type": "integer"}}},
        },
        output_schema={},
        idempotent=False,
        pure=True,
        execute=lambda _: None,
    )

    assert spec.reference == "x/y@2"
    check_arguments(spec.input_validator, {"a": 1, "b": [1]})
    with pytest.raises(ActionError) as caught:
        check_arguments(spec.input_validator, {"a": 1, "b": [1, "two"]})
    assert (caught.value.kind, caught.value.message) == (
        "invalid",
        "with/b/1: 'two' is not of type 'integer'",
    )
    with pytest.raises(ActionError, match=r"^with: 'a' is a required property$"):
        check_arguments(spec.input_validator, {})
