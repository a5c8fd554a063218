"""Starts a program that ends when its parent does.

    python tether.py SIGNAL PARENT [--account UID:GID] [--clean] -- PROGRAM ARGUMENTS…

A supervisor that is killed outright stops nothing itself. On Linux the kernel sends SIGNAL then
(PR_SET_PDEATHSIG); elsewhere the next start ends what it finds. A separate program does this, not a
hook between fork and exec, which is unsafe in a process with threads.

It runs before anything of ours is importable, so it imports the standard library only.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # Source: linux/prctl.h


# No variable of the caller (PGDATA, LC_ALL …) has a say in a program that is started clean. The
# variables stay until here, because this interpreter itself may need them (LD_LIBRARY_PATH).
_CLEAN_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def main(arguments: list[str]) -> None:
    """Drop to an account if asked to, tie the process to its parent, become the program."""
    split = arguments.index("--")
    options, command = arguments[:split], arguments[split + 1 :]
    number, parent = int(options[0]), int(options[1])
    if "--account" in options:
        user, group = (int(part) for part in options[options.index("--account") + 1].split(":"))
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    # Only now: the kernel forgets the request when the account changes.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(128 + signal.SIGKILL)
    os.umask(0o077)
    if "--clean" in options:
        os.execve(command[0], command, _CLEAN_ENVIRONMENT)  # noqa: S606  # no shell
    os.execv(command[0], command)  # noqa: S606  # no shell


if __name__ == "__main__":
    main(sys.argv[1:])
