"""A sealed value opens with its key, for what it is about, and in no other way."""

import base64

import pytest

from core.toolkit.sealing import UnsealError, derive_key, is_newest, read_key, seal, unseal

_FIRST = derive_key(secret_key="first" * 20)
_SECOND = derive_key(secret_key="second" * 20)
_VALUE = b"correct horse battery staple \x00\xff"


@pytest.fixture(autouse=True)
def _ring(settings):
    settings.SECRETS_KEYS = [_FIRST]


def _reason(sealed, about="secret:1"):
    with pytest.raises(UnsealError) as caught:
        unseal(sealed, about=about)
    assert "horse" not in str(caught.value)
    return caught.value.details["reason"]


def test_what_was_sealed_opens():
    sealed = seal(_VALUE, about="secret:1")

    assert unseal(sealed, about="secret:1") == _VALUE
    assert sealed.startswith("v1.")
    assert base64.b64encode(_VALUE).decode().rstrip("=") not in sealed


def test_an_empty_value_opens():
    assert unseal(seal(b"", about="secret:1"), about="secret:1") == b""


def test_sealing_twice_gives_two_texts():
    assert seal(_VALUE, about="secret:1") != seal(_VALUE, about="secret:1")


def test_a_value_that_was_moved_to_another_row_does_not_open():
    one, other = seal(b"one", about="secret:1"), seal(b"other", about="secret:2")

    assert _reason(one, about="secret:2") == "forged"
    assert _reason(other, about="secret:1") == "forged"


def test_every_changed_character_is_noticed():
    sealed = seal(_VALUE, about="secret:1")

    for place, character in enumerate(sealed):
        changed = sealed[:place] + ("A" if character != "A" else "B") + sealed[place + 1 :]
        assert _reason(changed) in {"malformed", "forged", "unknown_key"}


def test_every_text_that_was_cut_short_is_noticed():
    sealed = seal(_VALUE, about="secret:1")

    for length in range(len(sealed)):
        assert _reason(sealed[:length]) in {"malformed", "forged"}


@pytest.mark.parametrize("text", ["", "v1", "v2.a.b.c", "v1.a.é.c", "hunter2", "v1.a.b.c.d"])
def test_what_is_no_sealed_value_is_malformed(text):
    assert _reason(text) == "malformed"


def test_another_key_does_not_open_it(settings):
    sealed = seal(_VALUE, about="secret:1")
    settings.SECRETS_KEYS = [_SECOND]

    assert _reason(sealed) == "unknown_key"


def test_another_key_under_the_same_id_does_not_open_it(settings):
    version, _, nonce, ciphertext = seal(_VALUE, about="secret:1").split(".")
    settings.SECRETS_KEYS = [_SECOND]
    key_id = seal(b"", about="").split(".")[1]

    assert _reason(f"{version}.{key_id}.{nonce}.{ciphertext}") == "forged"


def test_an_older_key_of_the_ring_opens_and_the_first_seals(settings):
    old = seal(_VALUE, about="secret:1")
    settings.SECRETS_KEYS = [_SECOND, _FIRST]
    new = seal(_VALUE, about="secret:1")

    assert unseal(old, about="secret:1") == unseal(new, about="secret:1") == _VALUE
    assert not is_newest(old)
    assert is_newest(new)


def test_without_a_key_nothing_is_sealed(settings):
    settings.SECRETS_KEYS = []

    with pytest.raises(UnsealError):
        seal(_VALUE, about="secret:1")


@pytest.mark.parametrize("text", ["", "hunter2", "A" * 43 + "=", base64.b64encode(b"x" * 32)[:-4]])
def test_what_is_no_key_is_refused(text):
    with pytest.raises(ValueError, match=r".*"):
        read_key(text if isinstance(text, str) else text.decode())


def test_a_key_is_read_in_both_alphabets():
    key = bytes(range(224, 256))

    assert read_key(base64.b64encode(key).decode()) == key
    assert read_key(base64.urlsafe_b64encode(key).decode()) == key
