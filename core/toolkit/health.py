"""Answers for those who watch the process: is it alive, and can it do its work."""

from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

_REDIS_SECONDS = 1.0

# What packages above do in the background, and whether each is late: one cheap query each.
_watched: dict[str, Callable[[], bool]] = {}


def register_watch(name: str, is_late: Callable[[], bool]) -> None:
    """Have `ready` say when something in the background is late.

    It is said and no more: taking web processes down would make nothing faster.
    """
    _watched[name] = is_late


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:  # noqa: ARG001  # fixed by the framework
    """Say that the process answers. It asks nobody else, so that a restart can help."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:  # noqa: ARG001  # fixed by the framework
    """Say whether the database and Redis answer: 200, or 503 and which does not.

    Redis down is reported, though runs go on without it; live updates do not. `late` names what
    is behind in the background, such as sealing.
    """
    parts = {"database": _database_answers(), "redis": _redis_answers()}
    down = sorted(name for name, answers in parts.items() if not answers)
    late = [] if "database" in down else sorted(name for name in _watched if _is_late(name))
    body = {"status": "unavailable" if down else "ok", "down": down, "late": late}
    return JsonResponse(body, status=503 if down else 200)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return bool(cursor.fetchone() == (1,))
    except DatabaseError:
        return False


def _is_late(name: str) -> bool:
    try:
        return _watched[name]()
    except DatabaseError:
        return True  # nobody can say that it is not


def _redis_answers() -> bool:
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS
    )
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
