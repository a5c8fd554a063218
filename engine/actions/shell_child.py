"""Sets limits on its own process, then becomes the program it was asked for.

Executed as a script by `engine.actions.shell_run`, isolated and without the platform's packages:
`shell_child.py MEMORY_BYTES PARENT_PID PROGRAM ARGUMENT…`.
"""

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1  # Source: prctl(2)
_NOT_FOUND = 127


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when the worker dies, so that two attempts never overlap."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(_NOT_FOUND)


def main() -> None:
    """Set the limits and replace this process. Never returns."""
    memory, parent, *argv = sys.argv[1:]
    _die_with(int(parent))
    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        os.execvp(argv[0], argv)  # noqa: S606  # no shell is the point
    except OSError as error:
        sys.stderr.write(f"countersign: {argv[0]} cannot be executed: {error.strerror}.")
        sys.exit(_NOT_FOUND)


if __name__ == "__main__":
    main()
