"""What counts as a body."""

import io
import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kernel import limits
from core.toolkit.api.errors import BodyTooLargeError, MalformedError
from core.toolkit.api.parsers import StrictJsonParser, parse_json

_TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_TEXT, inner, max_size=5),
    max_leaves=30,
)


@given(value=_JSON, is_ascii=st.booleans())
def test_what_json_writes_is_read_back(value, is_ascii):
    assert parse_json(json.dumps(value, ensure_ascii=is_ascii).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1} x',
        b"NaN",
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": 1, "a": 2}',
        b'{"b": {"a": 1, "a": 1}}',
        b'"\xff"',
        '{"a": 1}'.encode("utf-16"),
        rb'"\u0000"',
        rb'{"\u0000": 1}',
        rb'["\ud800"]',
        rb'{"\udfff": 1}',
        b'"\x01"',
        b"1" * 5000,
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_is_almost_json_is_refused(body):
    with pytest.raises(MalformedError):
        parse_json(body)


def test_where_a_text_stops_being_json_is_told():
    with pytest.raises(MalformedError) as caught:
        parse_json(b'{"a": 1,\n "b" 2}')

    assert (caught.value.details["line"], caught.value.details["column"]) == (2, 6)


def test_a_pair_of_surrogates_is_one_character():
    assert parse_json(rb'"\ud83d\ude00"') == "\N{GRINNING FACE}"


def test_a_byte_order_mark_is_skipped():
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_nesting_is_read_up_to_its_limit_and_no_further():
    depth = limits.JSON_DEPTH_MAX
    deepest = b"[" * depth + b"]" * depth

    assert parse_json(deepest) is not None
    with pytest.raises(MalformedError):
        parse_json(b"[" + deepest + b"]")


def _parse(data: bytes, *, declared: str):
    request = SimpleNamespace(META={"CONTENT_LENGTH": declared})
    return StrictJsonParser().parse(io.BytesIO(data), None, {"request": request})


def test_a_body_of_exactly_the_limit_is_read():
    body = b'"' + b"x" * (limits.BODY_BYTES_MAX - 2) + b'"'

    assert len(_parse(body, declared=str(len(body)))) == limits.BODY_BYTES_MAX - 2


@pytest.mark.parametrize("declared", ["10", "", "nonsense"])
def test_a_body_longer_than_it_says_is_refused_at_the_limit(declared):
    with pytest.raises(BodyTooLargeError):
        _parse(b'"' + b"x" * limits.BODY_BYTES_MAX + b'"', declared=declared)


def test_a_body_that_says_it_is_too_long_is_refused_unread():
    with pytest.raises(BodyTooLargeError):
        _parse(b"1", declared=str(limits.BODY_BYTES_MAX + 1))
