"""Whether and when a failed attempt is tried again."""

from datetime import timedelta

from core.kernel.canonical import sha256
from engine.domain.plan import Backoff, Retry

ANY_ERROR = "*"


def is_retried(*, retry: Retry, error_kind: str, failure_count: int) -> bool:
    """Say whether another attempt follows, after `failure_count` failures (at least 1)."""
    matches = error_kind in retry.errors or ANY_ERROR in retry.errors
    return matches and failure_count <= retry.retries_max


def retry_delay(*, retry: Retry, failure_count: int, key: str) -> timedelta:
    """Return how long to wait before the next attempt.

    The jitter comes from a hash of `key` and the count, so that a replay waits as long.
    """
    seconds = retry.initial_seconds
    if retry.backoff is Backoff.EXPONENTIAL:
        # 2**30 s is far over any bound; the cap keeps the power from growing without limit.
        seconds *= 2.0 ** min(failure_count - 1, 30)
    seconds = min(seconds, retry.delay_seconds_max)
    if retry.jitter:
        share = sha256(f"{key}/{failure_count}".encode())[0] / 255.0
        seconds *= 1.0 - share / 2.0
    return timedelta(seconds=round(seconds, 3))
