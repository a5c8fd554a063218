"""Asking others over HTTPS, and why an attempt failed. Read `post`.

The client is the platform's guarded one: judged addresses, no redirects, bounded answers. What a
target does not mark as private must be on the public internet.
"""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from audit.domain import webhook_signing
from audit.outward.errors import OutwardSettingError
from audit.outward.targets import Endpoint
from core.kernel import limits
from core.kernel.clock import SYSTEM_CLOCK
from core.kernel.egress import EgressPolicy, parse_policy
from core.toolkit.outbound import (
    GuardedClient,
    OutboundAnswer,
    OutboundError,
    OutboundRequest,
    parse_target,
)

REMEDY = 'marked "private" in the settings'
_EXCERPT_CHARS = 200  # of an answer, in an error


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt failed.

    `retry_after` is what the other side asks for. `is_final` means that trying again is of no use
    before somebody has changed something. `told` is the size and root of a tree that the other
    side knows and that cannot be ours: an alarm.
    """

    reason: str
    retry_after: timedelta | None = None
    is_final: bool = False
    told: tuple[int, bytes | None] | None = None


def post(
    endpoint: Endpoint,
    *,
    path: str = "",
    body: bytes,
    media_type: str,
    headers: Sequence[tuple[str, str]] = (),
    message_id: str = "",
    timeout_seconds: float,
) -> OutboundAnswer | Failure:
    """Post a body, signed if the endpoint has a secret, and return the answer of any status.

    Args:
        endpoint: where to.
        path: what comes after the endpoint's URL.
        body: what to post.
        media_type: what it is.
        headers: further ones.
        message_id: names what is sent, in the signature; the same for each attempt.
        timeout_seconds: for everything, name lookup to last byte.
    """
    try:
        key = _find_key(endpoint)
        target = parse_target(endpoint.url.rstrip("/") + path if path else endpoint.url)
        signed = (
            webhook_signing.sign(key=key, message_id=message_id, at=SYSTEM_CLOCK.now(), body=body)
            if key is not None
            else ()
        )
        client = GuardedClient(
            policy=allow(target.host, target.port, is_private=endpoint.is_private),
            ssl_context=context_for(endpoint.ca_file) if endpoint.ca_file else None,
            answer_bytes_max=limits.OUTWARD_ANSWER_BYTES_MAX,
            remedy=REMEDY,
        )
        return client.send(
            OutboundRequest(
                method="POST",
                target=target,
                headers=(
                    ("Content-Type", media_type),
                    ("User-Agent", "countersign"),
                    *signed,
                    *headers,
                ),
                body=body,
                timeout_seconds=timeout_seconds,
            )
        )
    except OutwardSettingError as error:
        return Failure(reason=error.message)
    except OutboundError as error:
        return Failure(reason=_hide_path(error.message, endpoint))


def allow(host: str, port: int, *, is_private: bool) -> EgressPolicy:
    """Return the policy for one target: the public internet, and itself if it is marked private."""
    if not is_private:
        return EgressPolicy()
    written = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return parse_policy([written])


@lru_cache(maxsize=32)
def context_for(ca_file: str) -> ssl.SSLContext:
    """Return what checks a server's certificate: under a file's authorities, or the system's.

    Raises:
        OutwardSettingError: if the file cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise OutwardSettingError(
            f"The certificates in {ca_file} cannot be read: {error}.", name=ca_file
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def judge_answer(answer: OutboundAnswer, *, label: str) -> Failure | None:
    """Return why an answer is no success, `None` if it is one.

    2xx is. 408, 425, 429 and everything from 500 are worth another attempt, at the time the answer
    asks for; anything else is not: redirects are not followed, and other requests would be the
    same again.
    """
    status = answer.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    said = answer.body[:_EXCERPT_CHARS].decode("utf-8", "replace").strip()
    reason = f"{label} answered {status}" + (f": {said}" if said.isprintable() and said else "")
    passing = status in {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
    return Failure(
        reason=reason,
        retry_after=read_retry_after(answer.headers.get("retry-after", "")),
        is_final=not passing and status < HTTPStatus.INTERNAL_SERVER_ERROR,
    )


def read_retry_after(text: str, *, now: datetime | None = None) -> timedelta | None:
    """Return how long an answer asks us to wait: seconds or a date, within our own bound.

    Source: RFC 9110 §10.2.3.
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        wait = timedelta(seconds=min(int(text[:9]), 10**8))
    else:
        try:
            at = parsedate_to_datetime(text)
        except (ValueError, TypeError):
            return None
        aware = at if at.tzinfo else at.replace(tzinfo=UTC)
        wait = aware - (now or SYSTEM_CLOCK.now())
    return max(min(wait, limits.FORWARD_RETRY_AFTER_MAX), timedelta(0))


def delay_for(*, attempt: int, failure: Failure) -> timedelta:
    """Return how long to wait after a failed attempt, before jitter. `attempt` is from 1."""
    # 2**20 is far over the bound; the cap keeps the product within what a timedelta holds.
    grown = limits.FORWARD_DELAY_FIRST * int(2 ** min(attempt - 1, 20))
    delay = min(grown, limits.FORWARD_DELAY_MAX)
    return delay if failure.retry_after is None else max(failure.retry_after, delay)


def _find_key(endpoint: Endpoint) -> bytes | None:
    if not endpoint.is_signed:
        return None
    secret = _read_secret(endpoint)
    if not secret:
        name = place_of(endpoint)
        raise OutwardSettingError(f"The secret for {name} is not set in this process.", name=name)
    key = webhook_signing.find_key(secret)
    if key is None:
        raise OutwardSettingError(
            f"The secret for {place_of(endpoint)} is not whsec_ and 24 to 64 bytes in base64.",
            name=place_of(endpoint),
        )
    return key


def _read_secret(endpoint: Endpoint) -> str:
    if not endpoint.secret_file:
        return endpoint.secret
    try:
        return Path(endpoint.secret_file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OutwardSettingError(
            f"The secret for {place_of(endpoint)} cannot be read from {endpoint.secret_file}.",
            name=place_of(endpoint),
        ) from error


def _hide_path(message: str, endpoint: Endpoint) -> str:
    try:
        label = parse_target(endpoint.url).label
    except OutboundError:
        label = endpoint.url
    return message.replace(label, place_of(endpoint)).replace(endpoint.url, place_of(endpoint))


def place_of(endpoint: Endpoint) -> str:
    """Return where an endpoint is, for people: neither path nor query, which may hold secrets."""
    parts = urlsplit(endpoint.url)
    return f"{parts.scheme}://{parts.netloc}"
