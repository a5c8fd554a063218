"""Whether a request was signed with a secret. Read `check_signature`. Pure.

Three ways of signing are read. GitHub signs the body alone, so nothing in a delivery says when it
was sent: what tells a replay apart is its id. The other two sign an instant with the body, and one
that is off by more than `limits.HOOK_TOLERANCE` is refused. Source: GitHub, "Validating webhook
deliveries"; Standard Webhooks 1.0.0.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from core.kernel import limits
from engine.domain.triggers import Provider

SECRET_PREFIX = "whsec_"  # noqa: S105  # what marks one, not one itself
_HEX_SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})")
_STANDARD_SIGNATURE = re.compile(r"v1,([A-Za-z0-9+/]{43}=)")
_SECONDS = re.compile(r"[0-9]{1,12}")
_ID = re.compile(rf"[\x21-\x7e]{{1,{limits.HOOK_ID_CHARS_MAX}}}")
_TYPE = re.compile(rf"[\x21-\x7e]{{1,{limits.EVENT_TYPE_CHARS_MAX}}}")


class Fault(StrEnum):
    """Why a request is not believed."""

    UNSIGNED = "unsigned"  # a header is missing or malformed
    FORGED = "forged"  # no secret gives this signature
    OLD = "old"  # signed with a secret, but not now


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A request that somebody signed who knows a secret.

    `secret_index` is the secret's place among those that were tried. `key` is what a repetition of
    the delivery has in common with it, `id` what its sender calls it. `type` is what kind of thing
    it tells, "" where only the body says so.
    """

    secret_index: int
    key: str
    id: str
    type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """What a request says of itself: each of `signatures` would be that of `content`."""

    content: bytes
    signatures: tuple[bytes, ...]
    key: str
    id: str
    type: str = ""
    at: datetime | None = None


def check_signature(
    *,
    provider: Provider,
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[str],
    now: datetime,
) -> Signed | Fault:
    """Return what a signed request is, or why it is not believed.

    Args:
        provider: how it should be signed.
        headers: its headers, names in lower case.
        body: its bytes as they came.
        secrets: those that hold now, in the order of `Signed.secret_index`.
        now: the database's time.
    """
    claim = _read_claim(provider, headers, body)
    if claim is None:
        return Fault.UNSIGNED
    # Every secret and signature is compared, so that time tells nothing about which one was near.
    found = [
        index
        for index, secret in enumerate(secrets)
        if _matches(_key_of(provider, secret), claim.content, claim.signatures)
    ]
    if not found:
        return Fault.FORGED
    if claim.at is not None and abs(now - claim.at) > limits.HOOK_TOLERANCE:
        return Fault.OLD
    return Signed(secret_index=found[0], key=claim.key, id=claim.id, type=claim.type)


def find_secret_fault(secret: str, *, provider: Provider) -> str | None:
    """Return what keeps a text from being the secret of a webhook, `None` if nothing does."""
    if not secret.isprintable() or not secret.strip():
        return "It has only printable characters, and not only spaces."
    if provider is Provider.STANDARD and _key_of(provider, secret) is None:
        return "It is `whsec_` and 24 to 64 bytes in base64."
    if len(secret) < limits.HOOK_SECRET_CHARS_MIN:
        return f"It has at least {limits.HOOK_SECRET_CHARS_MIN} characters."
    return None


def write_secret(key: bytes) -> str:
    """Return random bytes as a secret that every provider takes."""
    return SECRET_PREFIX + base64.b64encode(key).decode("ascii")


def _read_claim(provider: Provider, headers: Mapping[str, str], body: bytes) -> _Claim | None:
    match provider:
        case Provider.GITHUB:
            return _read_github(headers, body)
        case Provider.STANDARD:
            return _read_standard(headers, body)
        case Provider.HMAC:
            return _read_hmac(headers, body)


def _read_github(headers: Mapping[str, str], body: bytes) -> _Claim | None:
    signature = _HEX_SIGNATURE.fullmatch(headers.get("x-hub-signature-256", ""))
    delivery, event = headers.get("x-github-delivery", ""), headers.get("x-github-event", "")
    if signature is None or not _ID.fullmatch(delivery) or not _TYPE.fullmatch(event):
        return None
    signatures = (bytes.fromhex(signature[1]),)
    return _Claim(content=body, signatures=signatures, key=delivery, id=delivery, type=event)


def _read_standard(headers: Mapping[str, str], body: bytes) -> _Claim | None:
    message, seconds = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not _ID.fullmatch(message) or not _SECONDS.fullmatch(seconds):
        return None
    signatures = tuple(_list_standard(headers.get("webhook-signature", "")))
    at = _instant(seconds)
    if not signatures or at is None:
        return None
    content = f"{message}.{seconds}.".encode() + body
    return _Claim(content=content, signatures=signatures, key=message, id=message, at=at)


def _list_standard(header: str) -> Iterator[bytes]:
    """Yield the signatures of a header; others than of version 1 are left out."""
    for part in header.split(" ")[: limits.HOOK_SIGNATURE_COUNT_MAX]:
        found = _STANDARD_SIGNATURE.fullmatch(part)
        if found is not None:
            yield base64.b64decode(found[1])


def _read_hmac(headers: Mapping[str, str], body: bytes) -> _Claim | None:
    signature = _HEX_SIGNATURE.fullmatch(headers.get("x-webhook-signature", ""))
    seconds = headers.get("x-webhook-timestamp", "")
    if signature is None or not _SECONDS.fullmatch(seconds):
        return None
    at = _instant(seconds)
    if at is None:
        return None
    content = f"{seconds}.".encode() + body
    # Nothing but instant and body is signed, so nothing else may tell two deliveries apart.
    key = signature[1]
    return _Claim(content=content, signatures=(bytes.fromhex(key),), key=key, id=key, at=at)


def _instant(seconds: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(seconds), tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _key_of(provider: Provider, secret: str) -> bytes | None:
    """Return the key a secret stands for, `None` if it stands for none."""
    if provider is not Provider.STANDARD:
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    low, high = limits.HOOK_KEY_BYTES_MIN, limits.HOOK_KEY_BYTES_MAX
    return key if low <= len(key) <= high else None


def _matches(key: bytes | None, content: bytes, signatures: Sequence[bytes]) -> bool:
    if key is None:
        return False
    made = hmac.new(key, content, hashlib.sha256).digest()
    return True in [hmac.compare_digest(made, signature) for signature in signatures]
