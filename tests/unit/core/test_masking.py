"""What a mask knows does not come through, in the forms in which programs write texts."""

import base64
import html
import json
import shlex
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kernel.masking import MASKED, NO_MASK, Mask
from core.kernel.types import Json

_VALUE = "p@ss/w+rd \"x\" 'y' <é>&\\z"
_MASK = Mask([_VALUE])


@pytest.mark.parametrize(
    "written",
    [
        _VALUE,
        json.dumps(_VALUE),
        json.dumps(_VALUE, ensure_ascii=False),
        json.dumps(json.dumps({"said": _VALUE})),
        repr(_VALUE),
        repr(_VALUE.encode()),
        quote(_VALUE),
        quote(_VALUE, safe=""),
        quote(_VALUE, safe="").lower().replace("%c3%a9", "%c3%a9"),
        quote_plus(_VALUE),
        urlencode({"token": _VALUE}),
        html.escape(_VALUE),
        shlex.quote(_VALUE),
        _VALUE.encode().hex(),
        _VALUE.encode().hex().upper(),
        base64.b64encode(_VALUE.encode()).decode(),
        base64.urlsafe_b64encode(_VALUE.encode()).decode(),
        base64.b64encode(f"user:{_VALUE}".encode()).decode(),
        base64.b64encode(f"a:{_VALUE}:b".encode()).decode(),
        base64.b64encode(f"ab:{_VALUE}:".encode()).decode(),
    ],
)
def test_every_common_form_is_masked(written):
    masked = _MASK.text(f"before {written} after")

    assert MASKED in masked
    assert "p@ss" not in masked
    assert "w+rd" not in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


def test_what_is_around_a_value_stays():
    assert Mask(["hunter2"]).text("Bearer hunter2, sir") == "Bearer ***, sir"


def test_of_two_values_the_longer_is_masked_first():
    assert Mask(["hunter2", "hunter2-longer"]).text("hunter2-longer hunter2") == "*** ***"


def test_a_value_of_several_lines_is_masked_as_a_whole_by_line_and_on_one_line():
    mask = Mask(["-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEFAASC\n"])

    assert mask.text("x kqhkiG9w0BAQEFAASC y") == "x *** y"
    said = mask.text("-----BEGIN KEY----- MIIEvQIBADANBg kqhkiG9w0BAQEFAASC")
    assert "MII" not in said
    assert "kqh" not in said


def test_json_is_masked_in_texts_keys_and_numbers():
    mask = Mask(["hunter2", "123456"])

    value: Json = {"hunter2": ["xhunter2x", 123456, 12345, True, None], "b": {"c": "ok"}}

    masked = mask.json(value)

    assert masked == {"***": ["x***x", MASKED, 12345, True, None], "b": {"c": "ok"}}


def test_keys_that_differ_by_a_value_alone_stay_apart():
    mask = Mask(["hunter2", "hunter3"])

    masked = mask.json({"hunter2": 1, "hunter3": 2, "*** 2": 3})

    assert isinstance(masked, dict)
    assert sorted(str(item) for item in masked.values()) == ["1", "2", "3"]
    assert not any("hunter" in key for key in masked)


def test_a_text_that_was_cut_inside_a_value_shows_no_part_of_it():
    value = "correct-horse-battery-staple"
    mask = Mask([value])

    for kept in range(4, len(value)):
        cut_off = "." * 200 + value[:kept]
        assert mask.text(cut_off) == "." * 200 + MASKED
        assert mask.text(cut_off + "…").endswith(MASKED)
        assert mask.text(value[-kept:] + "." * 200) == MASKED + "." * 200


def test_a_short_text_is_not_taken_for_a_cut_one():
    assert Mask(["https://example.org/x"]).text("https") == "https"


@pytest.mark.parametrize("value", ["", "a", "abc"])
def test_a_value_too_short_to_be_told_apart_is_not_masked(value):
    assert not Mask([value])
    assert Mask([value]).text("abc") == "abc"


def test_a_mask_of_nothing_changes_nothing():
    value: Json = {"a": [1, "b"]}

    assert NO_MASK.json(value) is value
    assert NO_MASK.text("a") == "a"


@given(
    value=st.text(min_size=4, max_size=40).filter(lambda text: len(text.strip()) >= 4),
    before=st.text(max_size=20),
    after=st.text(max_size=20),
)
def test_whatever_the_value_its_text_is_gone(value, before, after):
    try:
        value.encode()
    except UnicodeEncodeError:
        return
    masked = Mask([value]).text(before + value + after)

    assert value not in masked or value in f"{before}{MASKED}{after}"
