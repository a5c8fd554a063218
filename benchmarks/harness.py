"""A whole system for a benchmark: servers, workers, web, in a folder of its own. Read `System`.

The databases are durable, as in production: a commit reaches the disk.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import httpx
import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from core.settings.env import BASE_DIR
from core.toolkit.embedded.servers import EmbeddedServers, start_servers

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0


class System:
    """Servers for one benchmark run, and the processes a benchmark asks for."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="countersign-bench-"))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._servers: EmbeddedServers = start_servers(folder=self.folder)
        self._stack.callback(self._servers.stop)
        self._web_port = _free_port()
        os.environ.update(
            DJANGO_SETTINGS_MODULE="core.settings.demo",
            DATABASE_URL=self._servers.database_url,
            REDIS_URL=self._servers.redis_url,
            VAR=str(self.folder),
            PORT=str(self._web_port),
            FUNCTION_MODULES="benchmarks.functions",
            SECRET_KEY="x" * 60,
            LOG_LEVEL="WARNING",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def web_url(self) -> str:
        """Return where the web process listens."""
        return f"http://127.0.0.1:{self._web_port}"

    @property
    def database_address(self) -> tuple[str, str]:
        """Return the folder of PostgreSQL's socket and its port."""
        parts = conninfo_to_dict(self._servers.database_url)
        return str(parts["host"]), str(parts["port"])

    def make_database(self, name: str) -> None:
        """Make an empty database beside ours, for somebody else's tables."""
        with psycopg.connect(self._servers.database_url, autocommit=True) as link:
            link.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))

    def set_up(self) -> None:
        """Load Django in this process and make the tables."""
        import django  # noqa: PLC0415 - the environment decides what is loaded
        from django.core.management import call_command  # noqa: PLC0415

        django.setup()
        call_command("migrate", verbosity=0, interactive=False)

    def collect_static(self) -> None:
        """Collect the files of pages, as a deployment does."""
        from django.core.management import call_command  # noqa: PLC0415 - needs Django

        call_command("collectstatic", verbosity=0, interactive=False)

    @contextmanager
    def workers(self, count: int) -> Iterator[None]:
        """Run Celery workers, one process each, and the sweep; wait until they are ready."""
        commands = [
            (
                *(sys.executable, "-m", "celery", "--quiet", "--app", "core.celery", "worker"),
                *("--loglevel", "WARNING", "--queues", "engine", "--concurrency", "1"),
                *("--without-gossip", "--without-mingle", "--hostname", f"bench{index}@%h"),
            )
            for index in range(count)
        ]
        with ExitStack() as stack:
            for index, command in enumerate(commands):
                stack.enter_context(self._process(f"worker{index}", command, role="worker"))
            stack.enter_context(
                self._process("sweep", (sys.executable, "manage.py", "sweep"), role="sweep")
            )
            _wait_for_workers(count)
            yield

    @contextmanager
    def web(self) -> Iterator[str]:
        """Run the web process; yield its address."""
        command = (
            *(sys.executable, "-m", "uvicorn", "core.asgi:application"),
            *("--host", "127.0.0.1", "--port", str(self._web_port), "--no-access-log"),
        )
        with self._process("web", command, role="web"):
            _wait_for(self.web_url + "/healthz")
            yield self.web_url

    @contextmanager
    def _process(self, name: str, command: Sequence[str], *, role: str) -> Iterator[None]:
        log = (self.folder / f"{name}.log").open("wb")
        process = subprocess.Popen(  # noqa: S603 - an argument vector of ours
            command,
            cwd=BASE_DIR,
            env={**os.environ, "PROCESS_ROLE": role},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()


def _wait_for_workers(count: int) -> None:
    from core.celery import app  # noqa: PLC0415 - the environment decides what is loaded

    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if len(app.control.inspect(timeout=0.5).ping() or {}) >= count:
            return
    msg = f"{count} workers did not start"
    raise TimeoutError(msg)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=1.0).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    msg = f"{url} does not answer"
    raise TimeoutError(msg)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
