"""Values that are kept sealed: AES-256-GCM under a ring of keys. Read `seal` and `unseal` first.

A sealed value is the text `v1.<key id>.<nonce>.<ciphertext>`, each part but the first in unpadded
base64url. What the value is *about* (its table, row and column) is authenticated with it, so a text
copied into another row does not open there. The ring is `SECRETS_KEYS`, newest key first: the first
seals, all of them open, and `manage.py rotate_secrets` seals everything anew under the first.

The web process seals, and unseals nothing but the secrets of webhooks;
`tests/architecture/test_sealing.py` holds who does.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from core.kernel import ids
from core.kernel.errors import UnavailableError

KEY_BYTE_COUNT = 32  # AES-256
_VERSION = "v1"
_NONCE_BYTE_COUNT = 12  # NIST SP 800-38D §8.2.2: random, at most 2^32 uses of one key
_TAG_BYTE_COUNT = 16
_PART_COUNT = 4
_KEY_ID_BYTE_COUNT = 6  # tells the keys of one ring apart; it says nothing about the key


class UnsealError(UnavailableError):
    """A sealed value does not open. `details["reason"]`: malformed, unknown_key or forged."""

    code = "core.unsealable"
    title = "A sealed value cannot be opened."

    def __init__(self, *, reason: str) -> None:
        super().__init__(
            {
                "malformed": "A sealed value is cut short or no sealed value at all.",
                "unknown_key": "A value is sealed under a key that SECRETS_KEYS does not hold.",
                "forged": "A sealed value was changed, or belongs to something else.",
            }[reason],
            reason=reason,
        )


def seal(plaintext: bytes, *, about: str) -> str:
    """Return the sealed text of a value, under the newest key.

    Args:
        plaintext: the value; sealing it twice gives two texts.
        about: what it belongs to, such as `engine_secret:<id>`; the same is needed to open it.
    """
    (key_id, cipher), *_ = _ring(tuple(settings.SECRETS_KEYS))
    nonce = ids.nonce(byte_count=_NONCE_BYTE_COUNT)
    ciphertext = cipher.encrypt(nonce, plaintext, _associated(key_id, about))
    return ".".join((_VERSION, key_id, _encode(nonce), _encode(ciphertext)))


def unseal(sealed: str, *, about: str) -> bytes:
    """Return the value.

    Raises:
        UnsealError: it is malformed, was changed, is about something else, or its key is gone.
    """
    key_id, nonce, ciphertext = _split(sealed)
    cipher = dict(_ring(tuple(settings.SECRETS_KEYS))).get(key_id)
    if cipher is None:
        raise UnsealError(reason="unknown_key")
    try:
        return cipher.decrypt(nonce, ciphertext, _associated(key_id, about))
    except InvalidTag as error:
        raise UnsealError(reason="forged") from error


def is_newest(sealed: str) -> bool:
    """Return whether a value is sealed under the key that seals now. Raises: UnsealError."""
    (key_id, _cipher), *_ = _ring(tuple(settings.SECRETS_KEYS))
    return _split(sealed)[0] == key_id


def read_key(text: str) -> bytes:
    """Return the key that one item of `SECRETS_KEYS` writes down: base64 of 32 random bytes.

    Raises:
        ValueError: it is not.
    """
    key = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    # 32 random bytes have some thirty different ones; a phrase or a row of zeros has few.
    if len(key) != KEY_BYTE_COUNT or len(set(key)) < KEY_BYTE_COUNT // 2:
        raise ValueError(KEY_BYTE_COUNT)
    return key


def derive_key(*, secret_key: str) -> str:
    """Return a key, as `SECRETS_KEYS` writes it, for a profile that is nobody's deployment."""
    digest = hashlib.sha256(b"countersign/sealing/local\0" + secret_key.encode()).digest()
    return base64.b64encode(digest).decode("ascii")


@lru_cache(maxsize=16)
def _ring(keys: Sequence[str]) -> tuple[tuple[str, AESGCM], ...]:
    """Return the keys by id, newest first."""
    if not keys:
        raise UnsealError(reason="unknown_key")
    return tuple((_key_id(key), AESGCM(key)) for key in map(read_key, keys))


def _key_id(key: bytes) -> str:
    digest = hashlib.sha256(b"countersign/sealing/key-id\0" + key).digest()
    return _encode(digest[:_KEY_ID_BYTE_COUNT])


def _associated(key_id: str, about: str) -> bytes:
    return f"{_VERSION}.{key_id}.{about}".encode()


def _split(sealed: str) -> tuple[str, bytes, bytes]:
    """Return key id, nonce and ciphertext. Raises: UnsealError."""
    parts = sealed.split(".")
    if len(parts) != _PART_COUNT or parts[0] != _VERSION:
        raise UnsealError(reason="malformed")
    nonce, ciphertext = _decode(parts[2]), _decode(parts[3])
    if len(nonce) != _NONCE_BYTE_COUNT or len(ciphertext) < _TAG_BYTE_COUNT:
        raise UnsealError(reason="malformed")
    return parts[1], nonce, ciphertext


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    """Return the bytes of a text that `_encode` made, and of no other spelling of them."""
    try:
        value = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (binascii.Error, UnicodeEncodeError) as error:
        raise UnsealError(reason="malformed") from error
    if _encode(value) != text:
        raise UnsealError(reason="malformed")
    return value
