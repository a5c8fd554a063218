"""What names may look like."""

import pytest

from core.identity.domain import names


@pytest.mark.parametrize("text", ["a", "ada", "ada.lovelace", "ci-bot_2", "0x", "a" * 64])
def test_names_people_can_type_are_usernames(text):
    assert names.is_username(text)


@pytest.mark.parametrize(
    "text", ["", "Ada", "-ada", ".ada", "a b", "a@b", "a\n", "ä", "a" * 65, "a/b", "a\x00"]
)
def test_other_names_are_not_usernames(text):
    assert not names.is_username(text)


@pytest.mark.parametrize("text", ["a", "pay", "pay-in-2", "0", "a" * 64])
def test_short_lower_case_words_with_single_hyphens_are_slugs(text):
    assert names.is_slug(text)


@pytest.mark.parametrize("text", ["", "-a", "a-", "a--b", "A", "a_b", "a.b", "a\n", "a" * 65])
def test_other_texts_are_not_slugs(text):
    assert not names.is_slug(text)


@pytest.mark.parametrize("text", ["Ada Lovelace", "Ödön", "王", "x" * 200])
def test_one_printable_line_is_a_title(text):
    assert names.is_title(text)


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "a\x00", "x" * 201, "a\u202eb"])
def test_blank_long_or_unprintable_texts_are_no_titles(text):
    assert not names.is_title(text)


@pytest.mark.parametrize("text", ["ada@example.com", "a+b@x.y", "a@localhost"])
def test_something_at_something_is_an_address(text):
    assert names.is_email(text)


@pytest.mark.parametrize(
    "text", ["", "ada", "a@", "@b", "a@b@c", "a@b\nBcc: x@y", "a b@c", "x" * 65 + "@b", "a,b@c"]
)
def test_what_could_smuggle_a_header_or_a_second_address_is_none(text):
    assert not names.is_email(text)
