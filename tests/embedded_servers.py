"""A pytest plugin: real PostgreSQL and Redis for the tests, before Django's settings are read.

Whatever DATABASE_URL and REDIS_URL do not name is started in a folder of its own under `var/test`,
so that any number of test runs, in one clone or in several, never meet. The process that was
started by hand does this. The workers of pytest-xdist inherit the addresses; each has a PostgreSQL
database (pytest-django sees to that), a Redis database and a data folder of its own.
"""

import os
import shutil
from collections.abc import Generator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

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
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        _keep_apart(worker)
    elif not (options.help or options.version):
        _start(early_config)
    return (yield)


def _start(config: pytest.Config) -> None:
    database_url = os.environ.get("DATABASE_URL")
    redis_url = os.environ.get("REDIS_URL")
    folder = _PARENT / ids.uuid7().hex
    os.environ["VAR"] = str(folder)  # what the code under test writes goes there too
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
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
    config.add_cleanup(servers.stop)  # before the folder goes: the last one added runs first
    os.environ["DATABASE_URL"] = servers.database_url
    os.environ["REDIS_URL"] = servers.redis_url


def _keep_apart(worker: str) -> None:
    os.environ["VAR"] = str(Path(os.environ["VAR"]) / worker)
    number = 1 + int(worker.removeprefix("gw"))
    parts = urlsplit(os.environ["REDIS_URL"])
    # Written by hand: `geturl` drops the slashes of an address that names no host.
    if parts.scheme == "unix":
        query = urlencode(dict(parse_qsl(parts.query)) | {"db": str(number)})
        os.environ["REDIS_URL"] = f"unix://{parts.netloc}{parts.path}?{query}"
    else:
        query = f"?{parts.query}" if parts.query else ""
        os.environ["REDIS_URL"] = f"{parts.scheme}://{parts.netloc}/{number}{query}"
