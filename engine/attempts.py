"""What this process drives and executes, for its heartbeat and its watchdog. Read `AttemptBook`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID


class AttemptBook:
    """The runs a process drives and the deadlines of the attempts it executes. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._epochs: dict[UUID, int] = {}
        self._deadlines: dict[int, float] = {}
        self._next = 0

    def enter(self, *, run_id: UUID, epoch: int) -> None:
        """Note that a driver of this process has a run."""
        with self._lock:
            self._epochs[run_id] = epoch

    def leave(self, *, run_id: UUID) -> None:
        """Note that no driver of this process has a run any more."""
        with self._lock:
            self._epochs.pop(run_id, None)

    def is_driving(self, *, run_id: UUID, epoch: int) -> bool:
        """Say whether a driver of this process has a run in an epoch."""
        with self._lock:
            return self._epochs.get(run_id) == epoch

    @contextmanager
    def attempt(self, *, deadline: float) -> Iterator[None]:
        """Note an attempt while it executes; `deadline` in the seconds of the driver's clock."""
        with self._lock:
            self._next += 1
            number = self._next
            self._deadlines[number] = deadline
        try:
            yield
        finally:
            with self._lock:
                del self._deadlines[number]

    def is_overdue(self, *, now: float) -> bool:
        """Say whether an attempt executes past its deadline."""
        with self._lock:
            return any(deadline < now for deadline in self._deadlines.values())
