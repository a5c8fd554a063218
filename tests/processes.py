"""A whole system as processes, for tests that kill parts of it. Read `running_system`."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]
# Patience costs nothing where a machine is quick, and saves a false alarm where it is not.
START_SECONDS = 300.0
STOP_SECONDS = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSystem:
    """A supervisor and what it started."""

    url: str
    target_url: str
    supervisor: int
    folder: Path
    log: Path

    def pids(self, *words: str) -> list[int]:
        """Return the processes below the supervisor whose command has all these words."""
        family = _descendants(self.supervisor)
        return [pid for pid in family if all(word in _command(pid) for word in words)]

    def programs(self, name: str) -> list[int]:
        """Return the processes that are a server's own, not those it forked or that watch it."""
        return [
            pid
            for pid in self.pids(name, "-D")
            if Path(_command(pid).partition(" -D")[0].split()[-1]).name == name
        ]

    def worker_children(self) -> list[int]:
        """Return the prefork children that execute steps."""
        workers = set(self.pids("celery", "engine@"))
        return [pid for pid in workers if _parent(pid) in workers]


@contextmanager
def running_system(folder: Path, **variables: str) -> Iterator[RunningSystem]:
    """Start everything as `make run` does, with data in a folder of its own; stop it at the end."""
    ports = _free_ports()
    log = folder / "system.log"
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "VAR"}
        and not name.startswith(("PYTEST", "COV"))
    }
    environment = {
        **kept,
        "VAR": str(folder / "var"),
        "PORT": str(ports[0]),
        "TARGET_PORT": str(ports[1]),
        "NO_COLOR": "1",
        "DEMO_HISTORY": "no",
        **variables,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "core.supervisor"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{ports[0]}"
            _wait_until_ready(url, process, log)
            yield RunningSystem(
                url=url,
                target_url=f"http://127.0.0.1:{ports[1]}",
                supervisor=process.pid,
                folder=folder,
                log=log,
            )
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def eventually(condition, *, seconds: float = 90.0, every: float = 0.1):
    """Return the first true value of a condition, or fail after some seconds."""
    ends = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(every)


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    def ready() -> bool:
        text = log.read_text(errors="replace")
        assert process.poll() is None, text[-3000:]
        try:
            return httpx.get(f"{url}/readyz", timeout=10.0, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    eventually(ready, seconds=START_SECONDS)


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent(int(entry.name))):
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        for child in children.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found


def _parent(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[1])


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]
