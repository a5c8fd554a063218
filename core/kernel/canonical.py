"""Canonical bytes of JSON values. Source: RFC 8785 (JCS).

The reference encoder is pure Python, and every ledger entry waits for it. Values of a common subset
(ASCII keys, safe integers, floats without an exponent) are written by the standard library's C
encoder instead, which gives the same bytes there; `tests/properties/core/test_canonical.py` holds
the proof. Measured: an entry in 20 microseconds instead of 85.
"""

import hashlib
import json
import re

import rfc8785

from core.kernel.errors import InvalidError
from core.kernel.types import JsonLike

_INTEGER_MAX = 2**53 - 1
_PLAIN_FLOAT_MIN = 1e-4  # below, Python writes an exponent
_PLAIN_FLOAT_MAX = 1e16  # from here on, Python writes an exponent
_KEY = re.compile(r"[\x20-\x7e]+")
_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


class UncanonicalError(InvalidError):
    """A value has no canonical form."""

    code = "core.uncanonical"
    title = "The value cannot be written as canonical JSON."


def canonical_bytes(value: JsonLike) -> bytes:
    """Return the RFC 8785 bytes of a JSON value.

    Raises:
        UncanonicalError: for NaN, infinities, integers over 2^53-1, lone surrogates, non-JSON.
    """
    try:
        if _is_common(value, floats=True):
            return _encode(value).encode()
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise UncanonicalError(f"Not canonical JSON: {error}") from error


def entry_bytes(value: JsonLike) -> bytes:
    """Return the canonical bytes of a ledger entry, in its restricted profile.

    ASCII keys and no floats, so that every language reads back the same value.

    Raises:
        UncanonicalError: for a float, a non-ASCII key, an integer over 2^53-1 or non-JSON.
    """
    try:
        if _is_common(value, floats=False):
            return _encode(value).encode()
        _check_profile(value, path="")  # says what is wrong, and knows subclasses
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise UncanonicalError(f"Not canonical JSON: {error}") from error


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 digest, 32 bytes."""
    return hashlib.sha256(data).digest()


def digest(value: JsonLike) -> bytes:
    """Return the SHA-256 of a value's canonical bytes, 32 bytes."""
    return sha256(canonical_bytes(value))


def _is_common(value: JsonLike, *, floats: bool) -> bool:  # noqa: C901, PLR0911 - one type each, hot
    """Tell whether the C encoder writes a value as RFC 8785 does.

    Only exact types, because a subclass may print itself differently. Floats that are no integers
    and that Python writes without an exponent have the same shortest digits in both.
    """
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is int:
        return -_INTEGER_MAX <= value <= _INTEGER_MAX  # type: ignore[operator]  # it is an int
    if kind is dict:
        for key, item in value.items():  # type: ignore[union-attr]  # it is a dict
            if type(key) is not str or not (key and key.isascii() and key.isprintable()):
                return False
            if type(item) is not str and not _is_common(item, floats=floats):
                return False
        return True
    if kind is list or kind is tuple:
        for item in value:  # type: ignore[union-attr]  # it is a list or tuple
            if type(item) is not str and not _is_common(item, floats=floats):
                return False
        return True
    if kind is float and floats:
        return _is_plain_float(value)  # type: ignore[arg-type]  # it is a float
    return False


def _is_plain_float(value: float) -> bool:
    return _PLAIN_FLOAT_MIN <= abs(value) < _PLAIN_FLOAT_MAX and not value.is_integer()


def _check_profile(value: JsonLike, *, path: str) -> None:
    if isinstance(value, bool | str) or value is None:
        return
    if isinstance(value, int):
        if abs(value) > _INTEGER_MAX:
            raise UncanonicalError(f"{path}: the integer {value} is over 2^53-1.")
        return
    if isinstance(value, float):
        raise UncanonicalError(f"{path}: an entry holds no floats; write decimals as text.")
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_profile(item, path=f"{path}/{index}")
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not _KEY.fullmatch(key):
                raise UncanonicalError(f"{path}: the key {key!r} is not printable ASCII.")
            _check_profile(item, path=f"{path}/{key}")
        return
    raise UncanonicalError(f"{path}: {type(value).__name__} is not JSON.")
