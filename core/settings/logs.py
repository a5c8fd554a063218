"""How log lines are written: one structured event each, with the request's id and no secrets."""

import re
from collections.abc import MutableMapping
from typing import Any

import structlog

from core.settings.env import LogFormat, LogLevel
from core.toolkit.log_masking import mask_line

_SECRET_NAME = re.compile(r"pass|secret|token|authorization|cookie|session|api_?key", re.IGNORECASE)
# `cs_…` tokens, bearer headers and passwords inside addresses, wherever they stand in a text.
_SECRET_TEXT = re.compile(
    r"\bcs_[0-9A-Za-z]{8,}|(?<=Token )\S+|(?<=Bearer )\S+|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
)
_HIDDEN = "[hidden]"


def hide_secrets(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace what looks like a secret, by its name or by its shape; a structlog processor."""
    for name, value in event.items():
        if name != "event" and _SECRET_NAME.search(name):
            event[name] = _HIDDEN
        elif isinstance(value, str):
            event[name] = _SECRET_TEXT.sub(_HIDDEN, value)
    return event


def mask_rendered(_logger: object, _method: str, line: Any) -> str:
    """Replace secrets that this process has opened, wherever they stand in a finished line."""
    return mask_line(str(line))


def logging_settings(*, level: LogLevel, log_format: LogFormat) -> dict[str, Any]:
    """Return the configuration for the standard library, which structlog writes through."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log_format is LogFormat.JSON
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    hide_secrets,
                    renderer,
                    mask_rendered,
                ],
                "foreign_pre_chain": _shared_processors(),
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": level.value},
        "loggers": {
            "django": {"level": "INFO"},
            "django.server": {"handlers": [], "propagate": True},
            "uvicorn": {"handlers": [], "propagate": True},
            # Our middleware writes one line per request, with an id; uvicorn's knows less.
            "uvicorn.access": {"handlers": [], "propagate": False},
            "uvicorn.error": {"handlers": [], "propagate": True},
            # One line when a task arrives and one when it ends would drown everything else.
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
        },
    }


def configure_structlog() -> None:
    """Route structlog's loggers through the standard library. Idempotent."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _shared_processors() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
