"""Starting, finding and ending the server programs. Read `Program` first.

Everything here takes argument vectors, never a shell, so that a folder may be called anything.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.kernel.errors import UnavailableError

_TETHER = Path(__file__).with_name("tether.py")
_POLL_SECONDS = 0.02
_LOG_TAIL_CHARS = 4_000  # what of a log a person needs to see why a server did not start


class EmbeddedServerError(UnavailableError):
    """An embedded server cannot run here; the message says what to install or to set."""

    code = "core.embedded_server"
    title = "An embedded server cannot run here."


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An operating-system account to run as, by number."""

    user: int
    group: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A server program to run beside us, and how to end it.

    `stop_signals` are tried in order, each with the seconds it gets before the next.
    """

    name: str
    command: tuple[str, ...]
    folder: Path  # its working directory
    log: Path  # where its output goes, appended
    orphan_signal: signal.Signals  # what it gets when this process dies
    stop_signals: tuple[tuple[signal.Signals, float], ...]
    account: Account | None = None


class RunningProgram:
    """A program that was started here. Start it from a thread that lives as long as the process."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._log_start = program.log.stat().st_size if program.log.exists() else 0
        with program.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # an argument vector of ours
                tethered(
                    command=program.command,
                    orphan_signal=program.orphan_signal,
                    account=program.account,
                    is_clean=True,
                ),
                cwd=program.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C is for us; we end it when its clients are gone
            )

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def has_ended(self) -> bool:
        """Return whether the program is gone."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """End the program, harder each time it does not listen. Idempotent."""
        for number, seconds in self._program.stop_signals:
            if self.has_ended():
                return
            self._process.send_signal(number)
            try:
                self._process.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                continue
        if not self.has_ended():
            self._process.kill()
            self._process.wait()

    def log_tail(self) -> str:
        """Return the end of what the program has written since it was started."""
        with self._program.log.open("rb") as log:
            log.seek(self._log_start)
            text = log.read().decode(errors="replace")
        return text[-_LOG_TAIL_CHARS:].strip()


def tethered(
    *,
    command: Sequence[str],
    orphan_signal: signal.Signals,
    account: Account | None = None,
    is_clean: bool = False,
) -> list[str]:
    """Return a command that ends with this process, wrapped in `tether.py`.

    Args:
        command: the program's path and arguments.
        orphan_signal: what the kernel sends it when this process dies.
        account: whom to become first; `None` stays the same. Only root can.
        is_clean: whether no variable of our environment reaches the program.
    """
    return [
        sys.executable,
        "-I",  # neither the user's site packages nor PYTHON… variables matter here
        "-S",
        str(_TETHER),
        str(int(orphan_signal)),
        str(os.getpid()),
        *(["--account", f"{account.user}:{account.group}"] if account else []),
        *(["--clean"] if is_clean else []),
        "--",
        *command,
    ]


def run(
    command: Sequence[str], *, account: Account | None = None, seconds: float = 120.0
) -> tuple[int, str]:
    """Run a program to its end; return its exit status and everything it wrote.

    A program that cannot be started, or takes too long, has the status 127.
    """
    try:
        done = subprocess.run(  # noqa: S603  # an argument vector of ours
            tethered(command=command, orphan_signal=signal.SIGKILL, account=account, is_clean=True),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, str(error)
    return done.returncode, done.stdout.decode(errors="replace").strip()


def is_alive(pid: int) -> bool:
    """Return whether a process runs. One that ended but was not collected does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # alive, another account's
    return _state_of(pid) != "Z"


def command_of(pid: int) -> str:
    """Return the command line of a process, or "" when it is gone or cannot be read."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return ""
    except (OSError, UnicodeDecodeError):
        return ""
    status, text = run(["/bin/ps", "-o", "command=", "-p", str(pid)], seconds=5.0)
    return text if status == 0 else ""


def end(pid: int, *, signals: Sequence[tuple[signal.Signals, float]]) -> bool:
    """End a process that is not our child, harder each time; return whether it is gone."""
    for number, seconds in signals:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        if wait_until_gone(pid, seconds=seconds):
            return True
    return False


def wait_until_gone(pid: int, *, seconds: float) -> bool:
    """Wait for a process that is not our child; return whether it went in time."""
    deadline = time.monotonic() + seconds
    while is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _state_of(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[0]  # the name before may hold spaces and brackets
