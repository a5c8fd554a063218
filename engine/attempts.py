"""What this process drives and executes, for its heartbeat and its watchdog. Read `AttemptBook`."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from core.kernel.clock import SYSTEM_CLOCK, Clock
from core.kernel.masking import NO_MASK, Mask

_NOBODY = UUID(int=0)


class Beat:
    """One attempt while it executes. Its function reports to it, from any thread.

    What it reports is kept without what `mask` hides.
    """

    def __init__(
        self,
        *,
        run_id: UUID,
        key: str,
        number: int,
        deadline: float,
        heartbeat_seconds: float | None,
        clock: Clock,
    ) -> None:
        self.run_id = run_id
        self.key = key
        self.number = number
        self.deadline = deadline
        self.heartbeat_seconds = heartbeat_seconds
        self.is_curious = False
        self.mask: Mask = NO_MASK
        self.progress: Mapping[str, Any] | None = None
        self._clock = clock
        self._seen_at = clock.monotonic()
        self._is_cancelled = False  # set once, by any thread

    def beat(self, progress: Mapping[str, Any] | None) -> None:
        """Note that the attempt is alive, and how far it has come if it says so."""
        self._seen_at = self._clock.monotonic()
        if progress is not None:
            self.progress = _masked(progress, self.mask)

    def ask_cancelled(self) -> bool:
        """Say whether nobody needs the attempt's result any more, as far as this process knows.

        The first question makes the worker find out, now and then.
        """
        self.is_curious = True
        return self._is_cancelled

    def cancel(self) -> None:
        """Note that nobody needs its result."""
        self._is_cancelled = True

    def find_fault(self, *, now: float) -> str:
        """Return why the attempt counts as hung: `timeout`, `heartbeat`, or "" if it does not."""
        if self.deadline < now:
            return "timeout"
        patience = self.heartbeat_seconds
        is_silent = patience is not None and self._seen_at + patience < now
        return "heartbeat" if is_silent else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hung:
    """An attempt that executes past its time. `kind` is `timeout` or `heartbeat`."""

    run_id: UUID
    key: str
    attempt: int
    kind: str
    progress: Mapping[str, Any] | None


class AttemptBook:
    """The runs a process drives and the attempts it executes. Thread-safe."""

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._epochs: dict[UUID, int] = {}
        self._beats: dict[int, Beat] = {}
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
    def attempt(
        self,
        *,
        deadline: float,
        run_id: UUID = _NOBODY,
        key: str = "",
        number: int = 0,
        heartbeat_seconds: float | None = None,
    ) -> Iterator[Beat]:
        """Note an attempt while it executes.

        Args:
            deadline: when it counts as hung, in the seconds of the book's clock.
            run_id: whose attempt it is.
            key: the step's key in the run.
            number: the attempt's.
            heartbeat_seconds: it counts as hung when it says nothing for longer; `None`: it need
                not say anything.

        Returns:
            What the attempt reports to; give it to `engine.executing.execute`.
        """
        beat = Beat(
            run_id=run_id,
            key=key,
            number=number,
            deadline=deadline,
            heartbeat_seconds=heartbeat_seconds,
            clock=self._clock,
        )
        with self._lock:
            self._next += 1
            place = self._next
            self._beats[place] = beat
        try:
            yield beat
        finally:
            with self._lock:
                del self._beats[place]

    def list_hung(self, *, now: float) -> list[Hung]:
        """Return the attempts that execute past their time."""
        found = [(beat, beat.find_fault(now=now)) for beat in self._list_beats()]
        return [
            Hung(
                run_id=beat.run_id,
                key=beat.key,
                attempt=beat.number,
                kind=kind,
                progress=beat.progress,
            )
            for beat, kind in found
            if kind
        ]

    def list_curious(self) -> list[UUID]:
        """Return the runs whose attempts have asked whether they are cancelled, each once."""
        return list({beat.run_id for beat in self._list_beats() if beat.is_curious})

    def is_executing(self, *, run_id: UUID, key: str) -> bool:
        """Say whether an attempt of a step is executed in this process."""
        return any(beat.run_id == run_id and beat.key == key for beat in self._list_beats())

    def cancel(self, *, run_id: UUID, key: str | None = None) -> None:
        """Let attempts of a run, or of one step of it, know that nobody needs their results."""
        for beat in self._list_beats():
            if beat.run_id == run_id and key in (None, beat.key):
                beat.cancel()

    def _list_beats(self) -> list[Beat]:
        with self._lock:
            return list(self._beats.values())


def _masked(progress: Mapping[str, Any], mask: Mask) -> Mapping[str, Any]:
    """Return a report without secrets; one that nests without end, as none."""
    try:
        return cast("Mapping[str, Any]", mask.json(dict(progress)))
    except RecursionError:
        return {}
