"""The only source of randomness: identifiers, salts and secrets."""

import os
import secrets
import time
from uuid import UUID

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def uuid7() -> UUID:
    """Return a time-ordered identifier.

    48 bits of Unix milliseconds, 12 bits of the fraction of that millisecond (steps of 244 ns),
    then 62 random bits; so ids that one process makes one after another are in order, unless the
    clock is set back. Source: RFC 9562 §5.7 and §6.2, method 3.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76
    value |= (rest * 4096 // 1_000_000) << 64
    value |= 0x2 << 62 | int.from_bytes(os.urandom(8), "big") >> 2
    return UUID(int=value)


def salt() -> bytes:
    """Return the 32 random bytes that hide a committed value."""
    return os.urandom(32)


def nonce(*, byte_count: int) -> bytes:
    """Return random bytes that are used once, beside the key of a cipher."""
    return os.urandom(byte_count)


def secret(*, length: int = 40) -> str:
    """Return a random base62 string, about 5.95 bits a character."""
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def jitter(*, spread: float) -> float:
    """Return a random number in `[0, spread)`, to spread work of several processes in time."""
    return secrets.randbelow(1_000_000) / 1_000_000 * spread
