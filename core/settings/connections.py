"""Turns the two server addresses into what each library wants to be told. Pure functions."""

from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from psycopg.conninfo import conninfo_to_dict

from core.settings.env import PlanCacheMode, ProcessRole

# A statement is planned by the server from its third use on; hot statements are used thousands of
# times, and one-off ones never pay for a plan that is kept.
_PREPARE_THRESHOLD = 2
_POOL_WAIT_SECONDS = 10.0  # a request that gets no connection for this long is better refused
_CONNECT_SECONDS = 10
# A transaction that idles holds locks and old row versions; ours never wait for people.
_IDLE_TRANSACTION_SECONDS = 60


def database(
    *, url: str, role: ProcessRole, plan_cache_mode: PlanCacheMode, pool_size_max: int
) -> dict[str, Any]:
    """Return the Django database settings for an address.

    The web has a pool, because each request runs in a thread of its own; every other process keeps
    one persistent connection per thread.
    """
    parts = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    session = (
        f"-c plan_cache_mode={plan_cache_mode.value}"
        f" -c idle_in_transaction_session_timeout={_IDLE_TRANSACTION_SECONDS}s"
    )
    options: dict[str, Any] = {
        "server_side_binding": True,
        "prepare_threshold": _PREPARE_THRESHOLD,
        "connect_timeout": _CONNECT_SECONDS,
        "application_name": f"countersign-{role.value}",
    }
    pooled = role is ProcessRole.WEB
    if pooled:
        options["pool"] = {"min_size": 2, "max_size": pool_size_max, "timeout": _POOL_WAIT_SECONDS}
    settings = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname"),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": parts.pop("port", ""),
        "CONN_MAX_AGE": 0 if pooled else None,
        "CONN_HEALTH_CHECKS": True,
        "ATOMIC_REQUESTS": False,
    }
    session = f"{parts.pop('options', '')} {session}".strip()
    return settings | {"OPTIONS": options | parts | {"options": session}}


def celery_broker(*, redis_url: str) -> str:
    """Return the address as kombu writes it: `unix://` sockets are `redis+socket://` there."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    query = parse_qs(parts.query)
    number = query.get("db", ["0"])[0]
    password = query.get("password", [parts.password or ""])[0]
    account = f":{quote(unquote(password), safe='')}@" if password else ""
    return f"redis+socket://{account}{parts.path}?virtual_host={number}"
