"""Both embedded servers on one data folder, one process at a time. Read `start_servers` first."""

import fcntl
import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

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


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedServers:
    """Running servers, and the addresses to use: ours, or those that were given."""

    database_url: str
    redis_url: str
    folder: Path
    _lock: IO[str]
    _socket_folder: Path
    _running: tuple[PostgresServer | RedisServer, ...] = field(default=())

    def find_ended(self) -> tuple[str, str] | None:
        """Return the name and the last log lines of a server that ended by itself, or `None`."""
        for server in self._running:
            if server.program.has_ended():
                return type(server).__name__.removesuffix("Server"), server.program.log_tail()
        return None

    def stop(self) -> None:
        """End what was started here, and give the data folder free. Idempotent."""
        for server in reversed(self._running):
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
    started: list[PostgresServer | RedisServer] = []
    try:
        sockets = _fresh_socket_folder(folder)
        make_data_folder(folder / "log")
        if redis_url is None:
            broker = start_redis(
                folder=folder / "redis", socket_folder=sockets, log=folder / "log" / "redis.log"
            )
            started.append(broker)
            redis_url = broker.url
        if database_url is None:
            database = start_postgres(
                folder=folder / "postgres",
                socket_folder=sockets,
                log=folder / "log" / "postgres.log",
                durable=durable,
                superuser=superuser,
            )
            started.append(database)
            database_url = database.url
    except BaseException:
        for server in reversed(started):
            server.stop()
        lock.close()
        raise
    return EmbeddedServers(
        database_url=database_url,
        redis_url=redis_url,
        folder=folder,
        _lock=lock,
        _socket_folder=sockets,
        _running=tuple(started),
    )


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


def remove_abandoned(parent: Path) -> None:
    """Remove data folders below a folder whose process is gone, with what it left running."""
    for folder in parent.iterdir() if parent.is_dir() else ():
        if not folder.is_dir() or not (folder / _LOCK_NAME).exists():
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
