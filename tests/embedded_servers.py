"""A pytest plugin: real PostgreSQL and Redis for the tests, before Django's settings are read.

Whatever DATABASE_URL and REDIS_URL do not name is started in a folder of its own under `var/test`,
so that any number of test runs, in one clone or in several, never meet. The process that was
started by hand does this; the workers of pytest-xdist inherit the addresses.
"""

import os
from collections.abc import Generator

import pytest

from core.kernel import ids
from core.settings.env import BASE_DIR
from core.toolkit.embedded.process import EmbeddedServerError
from core.toolkit.embedded.servers import remove_abandoned, start_servers

_PARENT = BASE_DIR / "var" / "test"


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Start what is missing; a wrapper, so that it runs before pytest-django reads settings."""
    options = early_config.known_args_namespace
    if not (options.help or options.version) and "PYTEST_XDIST_WORKER" not in os.environ:
        _start(early_config)
    return (yield)


def _start(config: pytest.Config) -> None:
    database_url = os.environ.get("DATABASE_URL")
    redis_url = os.environ.get("REDIS_URL")
    folder = _PARENT / ids.uuid7().hex
    os.environ.setdefault("VAR", str(folder))  # what the code under test writes goes there too
    if database_url and redis_url:
        return
    remove_abandoned(_PARENT)
    try:
        servers = start_servers(
            folder=folder,
            database_url=database_url,
            redis_url=redis_url,
            durable=False,
            # Some tests try what a superuser could do to evidence, and see it refused.
            superuser=True,
        )
    except EmbeddedServerError as error:
        raise pytest.UsageError(str(error)) from error
    config.add_cleanup(servers.remove)
    os.environ["DATABASE_URL"] = servers.database_url
    os.environ["REDIS_URL"] = servers.redis_url
