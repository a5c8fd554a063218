"""Signing what is posted to others. Read `sign`. Source: Standard Webhooks 1.0.0."""

import base64
import binascii
import hashlib
import hmac
from datetime import datetime
from typing import Final

_PREFIX: Final = "whsec_"
_KEY_BYTES_MIN: Final = 24  # Source: Standard Webhooks, "Signature scheme"
_KEY_BYTES_MAX: Final = 64


def find_key(secret: str) -> bytes | None:
    """Return the key a secret stands for: base64 of 24 to 64 bytes, with `whsec_` or without."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if _KEY_BYTES_MIN <= len(key) <= _KEY_BYTES_MAX else None


def sign(*, key: bytes, message_id: str, at: datetime, body: bytes) -> tuple[tuple[str, str], ...]:
    """Return the headers that sign a body.

    Args:
        key: from `find_key`.
        message_id: the same for each attempt to send the same thing.
        at: when it is sent; receivers refuse what is minutes away.
        body: the bytes that are sent.
    """
    seconds = str(int(at.timestamp()))
    content = f"{message_id}.{seconds}.".encode() + body
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode("ascii")
    return (
        ("Webhook-Id", message_id),
        ("Webhook-Timestamp", seconds),
        ("Webhook-Signature", f"v1,{signature}"),
    )
