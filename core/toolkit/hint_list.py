"""Lists of hints in Redis on which worker processes wait themselves. Read `push`, then `take`.

What they are for and who waits is told in `core.listening`.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from core.kernel import limits

_PREFIX = "countersign:hints:"


def push(task: str, kwargs: dict[str, Any]) -> None:
    """Put a hint at the end of its task's list; the oldest go if there are too many.

    Raises:
        RedisError: Redis does not take it.
    """
    key, most = f"{_PREFIX}{task}", limits.LISTED_HINT_COUNT_MAX
    if _client().lpush(key, json.dumps(kwargs)) > most:
        _client().ltrim(key, 0, most - 1)


def take(tasks: Sequence[str], *, seconds: float) -> tuple[str, dict[str, Any]] | None:
    """Take the oldest hint off the list of a task; wait for one at most some seconds.

    Of several tasks the first one comes first. Who waits longest gets the next hint. One that is
    taken is gone, whatever becomes of it.

    Returns:
        The task and its arguments.

    Raises:
        RedisError: Redis does not answer.
    """
    keys = [f"{_PREFIX}{task}" for task in tasks]
    found = cast("tuple[bytes, bytes] | None", _client().brpop(keys, timeout=seconds))
    if found is None:
        return None
    kwargs: dict[str, Any] = json.loads(found[1])
    return found[0].decode().removeprefix(_PREFIX), kwargs


def count(task: str) -> int:
    """Return how many hints wait in a task's list. Raises: RedisError."""
    return _client().llen(f"{_PREFIX}{task}")


def forget(task: str) -> None:
    """Empty a task's list. Raises: RedisError."""
    _client().delete(f"{_PREFIX}{task}")


@lru_cache(maxsize=1)
def _client() -> "redis.Redis":
    from django.conf import settings  # noqa: PLC0415 - asked for when settings are read

    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=options["socket_timeout"],
        socket_connect_timeout=options["socket_connect_timeout"],
        retry=Retry(NoBackoff(), 0),  # the sweep finds what a lost hint was about
    )
