"""What PostgreSQL spends. Read `ServerTime`."""

import os
from pathlib import Path

_PARENT, _USER, _SYSTEM, _CHILDREN_SYSTEM = 1, 11, 12, 14


class ServerTime:
    """The processor time of a server and all its processes, those that ended included."""

    def __init__(self, folder: Path) -> None:
        lines = (folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        self._pid = int(lines[0])
        self._ticks_a_second = os.sysconf("SC_CLK_TCK")

    def seconds(self) -> float:
        """Return user and system time so far."""
        total = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = read_stat(path.read_text(encoding="utf-8", errors="replace"))
            except OSError:  # it has just ended; its parent keeps its time
                continue
            if int(path.parent.name) == self._pid:
                total += sum(fields[_USER : _CHILDREN_SYSTEM + 1])
            elif fields[_PARENT] == self._pid:
                total += fields[_USER] + fields[_SYSTEM]
        return total / self._ticks_a_second


def read_stat(line: str) -> list[int]:
    """Return the numbers of a line of `/proc/<pid>/stat` after the name, which may hold anything.

    The first, the state, is a letter: 0 stands for it.
    """
    _, _, rest = line.rpartition(")")
    return [0, *map(int, rest.split()[1:])]
