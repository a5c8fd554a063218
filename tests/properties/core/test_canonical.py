"""The fast encoder writes what the reference encoder of RFC 8785 writes."""

import json
import math
from enum import IntEnum, StrEnum
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from core.kernel.canonical import UncanonicalError, canonical_bytes, entry_bytes

_SAFE = st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
_TEXT = st.text()
_ASCII_KEY = st.text(
    alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=8
)


def _json(*, scalars, keys):
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5),
        max_leaves=20,
    )


_PROFILE = _json(scalars=st.none() | st.booleans() | _SAFE | _TEXT, keys=_ASCII_KEY)
_ANY = _json(
    scalars=st.none()
    | st.booleans()
    | st.integers()
    | _TEXT
    | st.floats()
    | st.floats(min_value=1e-5, max_value=1e17)
    | st.decimals(min_value=-1000, max_value=1000, places=3).map(float),
    keys=_TEXT | _ASCII_KEY,
)


class Color(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


def _reference(value):
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):
        return None


@given(_PROFILE)
def test_an_entry_of_the_restricted_profile_has_the_reference_bytes(value):
    assert entry_bytes(value) == rfc8785.dumps(value)
    assert json.loads(entry_bytes(value)) == value


@given(_ANY)
@example(value={"\ue000": 1, "\U00010000": 2})
@example(value=[1e-4, 1e16, -0.0, 1.0, 0.5, 123456789012345.6, 5e-324])
@example(value={"": 1, "\x7f": 2})
@example(value="\ud800")
def test_any_json_has_the_reference_bytes_or_is_refused_as_the_reference_refuses_it(value):
    expected = _reference(value)

    if expected is None:
        with pytest.raises(UncanonicalError):
            canonical_bytes(value)
    else:
        assert canonical_bytes(value) == expected


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_has_the_reference_bytes(value):
    assert canonical_bytes([value]) == rfc8785.dumps([value])


@pytest.mark.parametrize(
    "value", [1.5, {"a": [0.0]}, {"ä": 1}, {"": 1}, {"a": 2**53}, {1: 2}, object()]
)
def test_a_value_outside_the_profile_is_refused(value):
    with pytest.raises(UncanonicalError):
        entry_bytes(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**53, {1: 2}, {None: 1}, b"x", {"a"}])
def test_a_value_that_is_not_json_is_refused(value):
    with pytest.raises(UncanonicalError):
        canonical_bytes(value)


def test_enumerations_are_written_as_their_values():
    value: Any = {"color": Color.RED, "level": Level.HIGH, "pair": (1, "a")}

    assert entry_bytes(value) == b'{"color":"red","level":3,"pair":[1,"a"]}'
    assert canonical_bytes(value) == entry_bytes(value)


def test_nesting_without_end_is_refused():
    loop: list[Any] = []
    loop.append(loop)

    for write in (canonical_bytes, entry_bytes):
        with pytest.raises(UncanonicalError):
            write(loop)
