"""The system the demo plays against: one that runs already, or one started for it.

Read `find_or_start` first.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx

from core.toolkit.embedded.process import tethered

ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 300.0  # a first start also makes a database; on a busy machine that takes time
_STOP_SECONDS = 40.0
_POLL_SECONDS = 0.2
_LOG_LINES_SHOWN = 25


class NoSystemError(Exception):
    """There is no system to play against; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A running system: where it answers, and the environment its commands need."""

    url: str
    variables: Mapping[str, str]
    is_own: bool

    def manage(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a management command against the system's database."""
        return subprocess.run(  # noqa: S603  # an argument vector of ours
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "core.settings.demo",
                "NO_COLOR": "1",
                **self.variables,
            },
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def find_or_start() -> Iterator[System]:
    """Yield the running system, or start one and stop it afterwards.

    `COUNTERSIGN_URL` names one that must be there; else one is looked for on this machine's `PORT`
    (8000), and if nothing of ours answers, one is started on free ports with its data in a folder
    `demo` of `VAR` (`var`).

    Raises:
        NoSystemError: when the named one does not answer, or one cannot be started.
    """
    named = os.environ.get("COUNTERSIGN_URL", "").rstrip("/")
    url = named or f"http://127.0.0.1:{os.environ.get('PORT', '8000')}"
    if _is_ready(url):
        yield System(url=url, variables={}, is_own=False)
        return
    if named:
        raise NoSystemError(f"No Countersign answers at {named} (COUNTERSIGN_URL).")
    with _started() as system:
        yield system


@contextmanager
def _started() -> Iterator[System]:
    folder = (ROOT / os.environ.get("VAR", "var")).resolve() / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    port, target_port = _find_free_ports()
    variables = {"VAR": str(folder), "PORT": str(port), "TARGET_PORT": str(target_port)}
    # The story comes first and has the system for itself; `play.py` adds the history.
    variables["DEMO_HISTORY"] = "no"
    log = folder / "system.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # an argument vector of ours
            tethered(
                command=[sys.executable, "-m", "core.supervisor"], orphan_signal=signal.SIGTERM
            ),
            cwd=ROOT,
            env={**os.environ, **variables, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C comes to us alone, and we stop it
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(process, url=url, log=log)
            yield System(url=url, variables=variables, is_own=True)
        finally:
            _stop(process)


def _wait_until_ready(process: "subprocess.Popen[bytes]", *, url: str, log: Path) -> None:
    ends = time.monotonic() + _START_SECONDS
    while not _is_ready(url):
        if process.poll() is not None or time.monotonic() > ends:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            tail = "\n".join(f"  {line}" for line in lines[-_LOG_LINES_SHOWN:])
            raise NoSystemError(f"The system did not start. The end of {log}:\n{tail}")
        time.sleep(_POLL_SECONDS)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _is_ready(url: str) -> bool:
    """Say whether a system of ours answers there, database and all."""
    try:
        answer = httpx.get(f"{url}/readyz", timeout=2.0, trust_env=False)
        return answer.status_code == HTTPStatus.OK and answer.json().get("status") == "ok"
    except (httpx.HTTPError, ValueError, AttributeError):
        return False


def _find_free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]
