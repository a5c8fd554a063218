"""Settings of the engine, read when asked. Read `http_private_allowed` first."""

from django.conf import settings


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
