"""Settings of the engine, read when asked. Read `http_private_allowed` first."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from engine.domain.generating import Price


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlConnection:
    """A database that definitions may ask by name. Without `write` it is read-only."""

    url: str
    write: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AiEndpoint:
    """An OpenAI-compatible endpoint. `url` is what `/chat/completions` is under; no final slash."""

    url: str
    models: tuple[str, ...]
    key: str = field(repr=False)
    price: Price | None
    answer_format: str  # json_schema, json_object or text


def http_private_allowed() -> tuple[str, ...]:
    """Return the private targets that definitions may ask over HTTP; none by default.

    Setting `HTTP_PRIVATE_ALLOWED`: a list of `host:port`, addresses and networks in CIDR form.
    The public internet is always allowed; put an egress proxy or firewall before the workers where
    that is too much.
    """
    return tuple(getattr(settings, "HTTP_PRIVATE_ALLOWED", ()))


def function_modules() -> tuple[str, ...]:
    """Return the modules that register functions for `python/call@1`; none by default.

    Setting `FUNCTION_MODULES`: dotted names, imported when a process of the platform starts.
    """
    return tuple(getattr(settings, "FUNCTION_MODULES", ()))


def worker_queues() -> tuple[str, ...]:
    """Return the labels whose steps this process executes; none by default.

    Setting `WORKER_QUEUES`: what steps write as `queue:`. Steps without it are executed by whoever
    drives their run. A process that serves `gpu` also takes Celery's queue `engine.gpu`.
    """
    return tuple(getattr(settings, "WORKER_QUEUES", ()))


def sql_connections() -> Mapping[str, SqlConnection]:
    """Return the databases that `sql/query@1` may ask, by name; none by default.

    Setting `SQL_CONNECTIONS`: name → `{url, write}`, where `url` is that of a PostgreSQL database.
    """
    known: Mapping[str, Mapping[str, object]] = getattr(settings, "SQL_CONNECTIONS", {})
    return {
        name: SqlConnection(url=str(item["url"]), write=item.get("write") is True)
        for name, item in known.items()
    }


def slack_webhooks() -> Mapping[str, str]:
    """Return the addresses of the webhooks `slack/post@1` may use, by name; none by default.

    Setting `SLACK_WEBHOOKS`. The addresses are secrets.
    """
    known: Mapping[str, str] = getattr(settings, "SLACK_WEBHOOKS", {})
    return known


def ai_endpoints() -> Mapping[str, AiEndpoint]:
    """Return the models that `ai/generate@1` may ask, by name of their endpoint; none by default.

    Setting `AI_ENDPOINTS`: name → `{url, models, key, price, format}`. The key is a secret.
    """
    known: Mapping[str, Mapping[str, Any]] = getattr(settings, "AI_ENDPOINTS", {})
    return {
        name: AiEndpoint(
            url=item["url"],
            models=tuple(item["models"]),
            key=item["key"],
            price=None if item["price"] is None else Price(**item["price"]),
            answer_format=item["format"],
        )
        for name, item in known.items()
    }


def may_run_programs() -> bool:
    """Return whether `shell/run@1` is there; it is not by default. Setting `SHELL_RUN`."""
    return getattr(settings, "SHELL_RUN", False) is True


def shell_memory_bytes() -> int:
    """Return the address space a program of `shell/run@1` may have. Setting `SHELL_MEMORY_MB`."""
    return int(getattr(settings, "SHELL_MEMORY_MB", 1024)) * 1024 * 1024


def mail_domains_allowed() -> tuple[str, ...]:
    """Return the domains `email/send@1` may write to beside the accounts' addresses; none.

    Setting `MAIL_DOMAINS_ALLOWED`: names such as `example.org`.
    """
    return tuple(getattr(settings, "MAIL_DOMAINS_ALLOWED", ()))


def workflow_ready_count_max() -> int:
    """Return how many runs of a workflow may wait for a worker. Setting `WORKFLOW_READY_RUNS_MAX`.

    A start beyond it is refused for the moment.
    """
    return int(getattr(settings, "WORKFLOW_READY_RUNS_MAX", 10_000))


def project_ready_count_max() -> int:
    """Return how many runs of a project may wait for a worker. Setting `PROJECT_READY_RUNS_MAX`."""
    return int(getattr(settings, "PROJECT_READY_RUNS_MAX", 50_000))


def project_quota() -> tuple[int, int, int]:
    """Return the quota of a project that has none of its own; 0 is no bound.

    Settings `PROJECT_OPEN_RUNS_MAX`, `PROJECT_STARTS_PER_HOUR_MAX` and
    `PROJECT_STARTS_PER_DAY_MAX`: open runs, and starts in an hour and in a day of UTC.
    """
    names = ("PROJECT_OPEN_RUNS_MAX", "PROJECT_STARTS_PER_HOUR_MAX", "PROJECT_STARTS_PER_DAY_MAX")
    opened, hour, day = (int(getattr(settings, name, 0)) for name in names)
    return opened, hour, day
