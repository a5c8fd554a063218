"""Headers with a meaning of ours."""

import pytest
from django.test import RequestFactory
from rest_framework.request import Request

from core.kernel import limits
from core.toolkit.api.headers import HeaderRefusedError, read_idempotency_key, read_if_match

_DIGEST = "ab" * 32


def _request(**headers: str) -> Request:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(RequestFactory().post("/", headers=names))


def test_without_a_key_there_is_none():
    assert read_idempotency_key(_request()) == ""


@pytest.mark.parametrize("key", ["a", "a" * limits.IDEMPOTENCY_KEY_CHARS_MAX, '"', "a-b/c:d"])
def test_a_key_is_read(key):
    assert read_idempotency_key(_request(Idempotency_Key=key)) == key


def test_the_quotes_of_the_draft_standard_are_taken_off():
    assert read_idempotency_key(_request(Idempotency_Key='"order-7"')) == "order-7"


@pytest.mark.parametrize(
    "key", ["", '""', "a b", "a" * (limits.IDEMPOTENCY_KEY_CHARS_MAX + 1), "é", "a\x7f"]
)
def test_a_malformed_key_is_refused_rather_than_ignored(key):
    with pytest.raises(HeaderRefusedError) as caught:
        read_idempotency_key(_request(Idempotency_Key=key))

    assert caught.value.problems[0].path == "header:Idempotency-Key"


def test_without_if_match_there_is_no_digest():
    assert read_if_match(_request()) is None


def test_a_strong_tag_is_the_digest():
    assert read_if_match(_request(If_Match=f'"{_DIGEST}"')) == _DIGEST


@pytest.mark.parametrize(
    "tag",
    [
        "*",
        "",
        _DIGEST,
        f'W/"{_DIGEST}"',
        f'"{_DIGEST}", "{_DIGEST}"',
        '"ab"',
        '"' + "AB" * 32 + '"',
    ],
)
def test_any_other_tag_is_refused(tag):
    with pytest.raises(HeaderRefusedError):
        read_if_match(_request(If_Match=tag))
