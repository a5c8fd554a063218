"""Both embedded servers on one data folder, one process at a time. Read `start_servers` first."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

from core.kernel.clock import SYSTEM_CLOCK
from core.toolkit.embedded.folders import (
    make_data_folder,
    make_socket_folder,
    remove_socket_folder,
)
from core.toolkit.embedded.postgres import PostgresServer, end_orphan, start_postgres
from core.toolkit.embedded.process import EmbeddedServerError
from core.toolkit.embedded.redis import RedisServer, start_redis

_LOCK_NAME = "embedded.lock"
_SOCKETS_NAME = "embedded.sockets"  # names the socket folder, so that the next start can remove it


Server = PostgresServer | RedisServer


class EmbeddedServers:
    """Running servers, and the addresses to use: ours, or those that were given.

    Made by `start_servers`; only the thread that did so may call it.
    """

    def __init__(self, *, folder: Path, lock: IO[str], socket_folder: Path) -> None:
        self.folder = folder
        self._lock = lock
        self._socket_folder = socket_folder
        self._starts: dict[str, Callable[[], Server]] = {}
        self._running: dict[str, Server] = {}
        self.database_url = ""
        self.redis_url = ""

    def start(self, name: str, how: Callable[[], Server]) -> str:
        """Start a server and return its address. `how` starts it again, at the same address."""
        self._starts[name] = how
        self._running[name] = how()
        return self._running[name].url

    def find_ended(self) -> dict[str, str]:
        """Return the servers that ended by themselves, by name, with their last log lines."""
        return {
            name: server.program.log_tail()
            for name, server in self._running.items()
            if server.program.has_ended()
        }

    def start_again(self, name: str) -> None:
        """Start a server that ended, at the same address.

        Raises:
            EmbeddedServerError: if it does not start.
        """
        self._running[name] = self._starts[name]()

    def stop(self) -> None:
        """End what was started here, and give the data folder free. Idempotent."""
        for server in reversed(self._running.values()):
            server.stop()
        remove_socket_folder(self._socket_folder)
        (self.folder / _SOCKETS_NAME).unlink(missing_ok=True)
        self._lock.close()

    def remove(self) -> None:
        """End what was started here, and delete the data folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def start_servers(
    *,
    folder: Path,
    database_url: str | None = None,
    redis_url: str | None = None,
    durable: bool = True,
    superuser: bool = False,
) -> EmbeddedServers:
    """Start the servers for which no address is given; return when they answer.

    Args:
        folder: the data folder; `postgres`, `redis` and `log` are made inside.
        database_url: a PostgreSQL to use instead of one of ours.
        redis_url: a Redis to use instead of one of ours.
        durable: whether commits reach the disk; only tests do without.
        superuser: whether the platform's database role may do anything; only for tests.

    Raises:
        EmbeddedServerError: if a server cannot run here, or another process uses the folder.
    """
    make_data_folder(folder)
    lock = lock_folder(folder)
    if lock is None:
        raise EmbeddedServerError(
            f"Another process already runs servers in {folder}. Stop it, or set VAR to another "
            "folder (and PORT to another port)."
        )
    try:
        sockets = _fresh_socket_folder(folder)
        make_data_folder(folder / "log")
    except BaseException:
        lock.close()
        raise
    servers = EmbeddedServers(folder=folder, lock=lock, socket_folder=sockets)
    redis = partial(
        start_redis,
        folder=folder / "redis",
        socket_folder=sockets,
        log=folder / "log" / "redis.log",
    )
    postgres = partial(
        start_postgres,
        folder=folder / "postgres",
        socket_folder=sockets,
        log=folder / "log" / "postgres.log",
        durable=durable,
        superuser=superuser,
    )
    try:
        servers.redis_url = redis_url or servers.start("Redis", redis)
        servers.database_url = database_url or servers.start("PostgreSQL", postgres)
    except BaseException:
        servers.stop()
        raise
    return servers


def lock_folder(folder: Path) -> IO[str] | None:
    """Take a data folder for this process; close the result to give it back.

    Returns:
        `None` if another process has it. The system gives it back when a process dies.
    """
    lock = (folder / _LOCK_NAME).open("a", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def remove_abandoned(parent: Path, *, age_seconds: float = 60.0) -> None:
    """Remove data folders below a folder whose process is gone, with what it left running.

    Younger ones than `age_seconds` stay: somebody may have made one and not locked it yet.
    """
    newest = SYSTEM_CLOCK.now().timestamp() - age_seconds
    for folder in parent.iterdir() if parent.is_dir() else ():
        lock_path = folder / _LOCK_NAME
        if not lock_path.exists() or lock_path.stat().st_mtime > newest:
            continue
        lock = lock_folder(folder)
        if lock is None:
            continue
        with lock:
            end_orphan(folder / "postgres")
            _remove_old_sockets(folder)
            shutil.rmtree(folder, ignore_errors=True)


def announce(*, path: Path, servers: EmbeddedServers) -> None:
    """Write where the servers are, for commands run by hand. Only this account can read it."""
    text = json.dumps(
        {
            "pid": os.getpid(),
            "database_url": servers.database_url,
            "redis_url": servers.redis_url,
        }
    )
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def _fresh_socket_folder(folder: Path) -> Path:
    _remove_old_sockets(folder)
    sockets = make_socket_folder()
    (folder / _SOCKETS_NAME).write_text(str(sockets), encoding="utf-8")
    return sockets


def _remove_old_sockets(folder: Path) -> None:
    with suppress(FileNotFoundError, ValueError):
        remove_socket_folder(Path((folder / _SOCKETS_NAME).read_text(encoding="utf-8")))
