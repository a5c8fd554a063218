"""Telling live viewers that a run has moved, without slowing it down. Read `announce`.

A run of many quick steps would publish a message a step. So each process merges: a run is announced
at most once in `ANNOUNCE_SECONDS`, by a thread of its own, with the newest place.
"""

import threading
from uuid import UUID

from core.kernel import limits
from core.toolkit import realtime


class _Announcer:
    """Merges announcements of one process. The thread starts with the first one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: dict[UUID, int] = {}
        self._due = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, run_id: UUID, seq: int) -> None:
        with self._lock:
            self._pending[run_id] = seq
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._publish_forever, name="announcer", daemon=True
                )
                self._thread.start()
        self._due.set()

    def _publish_forever(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            self.flush()
            threading.Event().wait(limits.ANNOUNCE_SECONDS)

    def flush(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, {}
        for run_id, seq in pending.items():
            realtime.publish(groups=[f"run.{run_id.hex}"], signal={"run": str(run_id), "seq": seq})


_ANNOUNCER = _Announcer()


def announce(*, run_id: UUID, seq: int) -> None:
    """Tell viewers of a run, soon and merged, that its stream has grown to `seq`."""
    _ANNOUNCER.add(run_id, seq)


def flush() -> None:
    """Publish what is pending now; for a process that is about to end."""
    _ANNOUNCER.flush()
