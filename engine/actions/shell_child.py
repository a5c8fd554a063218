"""Starts the program it was asked for with limits, waits, and ends as that did.

Executed as a script by `engine.actions.shell_run`, isolated and without the platform's packages:
`shell_child.py MEMORY_BYTES PARENT_PID PROGRAM ARGUMENT…`. It stays beside the program, because the
kernel tells only a direct child of the worker's death: it then kills the whole process group.
"""

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1  # Source: prctl(2)
_NOT_FOUND = 127


def _die_with(parent: int, *, by: signal.Signals) -> None:
    """Let the kernel send this process a signal when its parent dies; end if it has already."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:  # it died before the line above
        os._exit(_NOT_FOUND)


def _watch(parent: int) -> None:
    """Kill the group when the worker dies, and ignore what the program sends to its group."""

    def kill_group(*_: object) -> None:
        if os.getppid() != parent:
            os.killpg(0, signal.SIGKILL)

    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        try:
            signal.signal(number, signal.SIG_IGN)
        except OSError:  # the C library keeps some for itself
            continue
    signal.signal(signal.SIGTERM, kill_group)
    _die_with(parent, by=signal.SIGTERM)


def _become(argv: list[str], *, memory: int, launcher: int) -> None:
    """Be the program. Returns only by an exception."""
    for number in signal.valid_signals():
        if signal.getsignal(number) not in {signal.SIG_DFL, None}:
            signal.signal(number, signal.SIG_DFL)
    _die_with(launcher, by=signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    os.execvp(argv[0], argv)  # noqa: S606  # no shell is the point


def _end_as(status: int) -> None:
    """End with the program's status, or by the signal that killed it."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        os._exit(128 + number)  # what shells say, should the signal not have ended this
    os._exit(os.WEXITSTATUS(status))


def main() -> None:
    """Start the program and stay until it ends. Never returns."""
    memory, parent, *argv = sys.argv[1:]
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)  # never kill a group that is somebody else's
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _watch(int(parent))
    launcher = os.getpid()
    program = os.fork()
    if program == 0:
        try:
            _become(argv, memory=int(memory), launcher=launcher)
        except OSError as error:
            os.write(2, f"countersign: {argv[0]} cannot be executed: {error.strerror}.".encode())
        finally:
            os._exit(_NOT_FOUND)
    # The program's streams end when the program closes them, not when this process ends.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    _end_as(os.waitpid(program, 0)[1])


if __name__ == "__main__":
    main()
