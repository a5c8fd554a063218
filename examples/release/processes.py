"""Running a program with a bounded time, a bounded output and no secrets in its environment."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from countersign import TransientError, current_attempt

OUTPUT_CHARS_MAX = 4_000  # of a program's output, its end: that is where the reason is
_TIME_SHARE = 0.9  # of what the attempt has, so that the program ends before the attempt does

# The platform's own environment holds the database's address and more; programs get these only.
_INHERITED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a program ended. `output` is the end of what it wrote, both streams."""

    code: int
    output: str


def run_program(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str] | None = None
) -> Finished:
    """Run a program in a folder and wait for it.

    Raises:
        TransientError: when it takes longer than the attempt has; it is killed with its children.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    timeout = current_attempt().timeout_seconds * _TIME_SHARE
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # noqa: S603  # an argument vector of ours, no shell
            list(arguments),
            cwd=folder,
            env={**inherited, "HOME": str(folder), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            msg = f"{Path(arguments[0]).name} was stopped after {timeout:.0f} s"
            raise TransientError(msg) from error
        finally:
            _end_group(process)
        return Finished(code=code, output=_end_of(output.fileno()))


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the program and its children if it has not ended by itself."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _end_of(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    start = max(0, size - OUTPUT_CHARS_MAX)
    return os.pread(descriptor, OUTPUT_CHARS_MAX, start).decode("utf-8", "replace").strip()
