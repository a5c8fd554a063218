"""Canonical bytes of JSON values. Source: RFC 8785 (JCS)."""

import hashlib
import re

import rfc8785

from core.kernel.errors import InvalidError
from core.kernel.types import JsonLike

_INTEGER_MAX = 2**53 - 1
_KEY = re.compile(r"[\x20-\x7e]+")


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
        return rfc8785.dumps(value)  # type: ignore[arg-type]  # it takes mappings too
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise UncanonicalError(f"Not canonical JSON: {error}") from error


def entry_bytes(value: JsonLike) -> bytes:
    """Return the canonical bytes of a ledger entry, in its restricted profile.

    ASCII keys and no floats, so that every language reads back the same value.

    Raises:
        UncanonicalError: for a float, a non-ASCII key, an integer over 2^53-1 or non-JSON.
    """
    _check_profile(value, path="")
    return canonical_bytes(value)


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 digest, 32 bytes."""
    return hashlib.sha256(data).digest()


def digest(value: JsonLike) -> bytes:
    """Return the SHA-256 of a value's canonical bytes, 32 bytes."""
    return sha256(canonical_bytes(value))


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
