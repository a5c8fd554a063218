"""Starts a program that ends when its parent does: `python tether.py SIGNAL PARENT [UID:GID] -- …`.

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


def main(arguments: list[str]) -> None:
    """Drop to an account if asked to, tie the process to its parent, become the program."""
    split = arguments.index("--")
    number, parent, *account = arguments[:split]
    if account:
        user, group = (int(part) for part in account[0].split(":"))
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    # Only now: the kernel forgets the request when the account changes.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != int(parent):  # it died before we asked
            sys.exit(128 + signal.SIGKILL)
    os.umask(0o077)
    os.execv(arguments[split + 1], arguments[split + 1 :])  # noqa: S606  # an argument vector, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
