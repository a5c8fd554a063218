"""Starts processes, starts crashed ones again, and stops them. Read `Family` first."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from core.settings.env import BASE_DIR
from core.supervisor.output import Printer
from core.supervisor.plan import Child
from core.toolkit.embedded.process import tethered

_BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_STEADY_SECONDS = 60.0  # having run for this long, a crash counts as the first again
_POLL_SECONDS = 0.05

MakeVariables = Callable[[Child], dict[str, str]]


class Family:
    """The running processes. One thread, the main one, may use it.

    The kernel ends a child when the *thread* that started it ends, so it has to be the main thread.
    """

    def __init__(self, *, printer: Printer, variables: MakeVariables) -> None:
        self._printer = printer
        self._variables = variables
        self._members: dict[str, _Member] = {}

    def start(self, child: Child) -> None:
        """Start a process."""
        self._members[child.name] = _Member(child, printer=self._printer, variables=self._variables)
        self._members[child.name].start()

    def revive(self) -> None:
        """Start again what has crashed, after a pause that grows with each crash in a row."""
        for member in self._members.values():
            member.revive()

    def stop(self) -> None:
        """Stop all, stage by stage; what does not listen is killed. Idempotent."""
        stages = sorted({member.child.stop_stage for member in self._members.values()})
        for stage in stages:
            leaving = [m for m in self._members.values() if m.child.stop_stage == stage]
            for member in leaving:
                member.ask_to_stop()
            for member in leaving:
                member.wait_or_kill()
        self._members.clear()

    def kill(self) -> None:
        """Kill all at once."""
        for member in self._members.values():
            member.kill()


class _Member:
    def __init__(self, child: Child, *, printer: Printer, variables: MakeVariables) -> None:
        self.child = child
        self._printer = printer
        self._variables = variables
        self._crash_count = 0
        self._is_done = False
        self._started_at = 0.0
        self._start_again_at: float | None = None
        self._asked_at: float | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._start_again_at = None
        self._started_at = time.monotonic()
        self._process = spawn(
            self.child.command,
            variables={**self._variables(self.child), **dict(self.child.variables)},
        )
        assert self._process.stdout is not None
        self._printer.follow(self._process.stdout, name=self.child.name)

    def revive(self) -> None:
        now = time.monotonic()
        if self._start_again_at is not None:
            if now >= self._start_again_at:
                self.start()
            return
        if self._is_done or self._process is None or self._process.poll() is None:
            return
        kill_group(self._process)  # what it started itself
        if self.child.runs_once:
            self._is_done = True
            if self._process.returncode != 0:
                status = describe_status(self._process.returncode)
                self._printer.say(f"{self.child.name} ended ({status}); the rest goes on")
            return
        if now - self._started_at > _STEADY_SECONDS:
            self._crash_count = 0
        seconds = _BACKOFF_SECONDS[min(self._crash_count, len(_BACKOFF_SECONDS) - 1)]
        self._crash_count += 1
        self._start_again_at = now + seconds
        self._printer.say(
            f"{self.child.name} ended ({describe_status(self._process.returncode)}); "
            f"starting it again in {seconds:g} s"
        )

    def ask_to_stop(self) -> None:
        self._asked_at = time.monotonic()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self.child.stop_signal)

    def wait_or_kill(self) -> None:
        if self._process is None:
            return
        deadline = (self._asked_at or time.monotonic()) + self.child.stop_seconds
        try:
            self._process.wait(timeout=max(deadline - time.monotonic(), _POLL_SECONDS))
        except subprocess.TimeoutExpired:
            self._printer.say(
                f"{self.child.name} does not stop within {self.child.stop_seconds:g} s; killing it"
            )
        self.kill()

    def kill(self) -> None:
        if self._process is not None:
            kill_group(self._process)
            self._process.wait()


def spawn(command: Sequence[str], *, variables: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Start a process that ends when this one does, in a process group of its own.

    It is killed then, not asked: Redis goes at the same moment, and a Celery worker that is asked
    to stop without its broker waits for it for ever. Everything here survives being killed.
    """
    return subprocess.Popen(  # noqa: S603  # an argument vector of ours
        tethered(command=command, orphan_signal=signal.SIGKILL),
        cwd=BASE_DIR,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        process_group=0,  # Ctrl-C comes to us alone, and we stop them in order
    )


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill whatever is left of a process's group; it may be nothing."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def describe_status(status: int) -> str:
    """Return words for an exit status; negative ones are signals."""
    if status >= 0:
        return f"status {status}"
    return signal.Signals(-status).name
