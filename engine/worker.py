"""A process that drives runs: its lease, its heartbeat, its watchdog. Read `WorkerProcess`.

One row in `engine_worker` says until when the process is alive. A thread extends it, looks for runs
that the rows say this process drives but that no driver of it has (an orphan: its connection died
under it), and ends the process when an attempt executes past its timeout, because a thread that
hangs cannot be stopped otherwise.
"""

import os
import signal
import threading
from collections.abc import Callable
from uuid import UUID

import structlog
from django.db import Error, connection

from core.kernel import ids, limits
from core.kernel.clock import SYSTEM_CLOCK, Clock
from core.toolkit import queue
from engine import announcing, store
from engine.attempts import AttemptBook
from engine.crew import Crew
from engine.driver import DriveEnd, Driver

log = structlog.get_logger(__name__)

_WATCH_SECONDS = 0.5


def end_process() -> None:
    """End this process at once, without clean-up: an attempt in it cannot be stopped."""
    os.kill(os.getpid(), signal.SIGKILL)


class WorkerProcess:
    """The worker of this process. `start` it once; then `drive` runs, one at a time."""

    def __init__(
        self,
        *,
        name: str,
        on_hang: Callable[[], None] = end_process,
        attempts: AttemptBook | None = None,
        clock: Clock = SYSTEM_CLOCK,
        crew: Crew | None = None,
    ) -> None:
        self.id = ids.uuid7()
        self._name = name
        self._on_hang = on_hang
        self._attempts = attempts or AttemptBook()
        self._clock = clock
        self._driver = Driver(worker=self.id, attempts=self._attempts, clock=clock, crew=crew)
        self._beat_at = clock.monotonic()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._missing: set[tuple[UUID, int]] = set()

    def start(self) -> None:
        """Register the worker and begin to keep it alive."""
        self.register()
        self._thread = threading.Thread(target=self._keep_alive, name="heartbeat", daemon=True)
        self._thread.start()

    def register(self) -> None:
        """Say that the worker is alive, for one lease. `start` does it."""
        store.heartbeat(worker=self.id, name=self._name)
        self._beat_at = self._clock.monotonic() + limits.HEARTBEAT_SECONDS

    def drive(self, *, run_id: UUID) -> DriveEnd:
        """Take a run, if it is free, and move it on until it blocks."""
        return self._driver.drive(run_id=run_id)

    def drain(self) -> None:
        """Begin no further attempts; what executes is finished."""
        self._driver.drain()

    def stop(self) -> None:
        """Finish what executes, say good-bye: other workers may take the runs at once."""
        self.drain()
        self._driver.close()
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=limits.HEARTBEAT_SECONDS)
        store.expire_worker(worker=self.id)
        announcing.flush()

    # --- the thread --------------------------------------------------------------------------

    def _keep_alive(self) -> None:
        try:
            self._watch()
        except Exception:  # this thread's edge: without a heartbeat every claim would fail
            log.exception("engine.heartbeat_died", worker=str(self.id))
            self._give_up()
        finally:
            connection.close()  # this thread's own

    def _watch(self) -> None:
        while not self._stopping.wait(_WATCH_SECONDS):
            if not self.look():
                return

    def look(self) -> bool:
        """Look once what the watching thread looks for, and extend the lease if it is time to.

        Returns:
            `False`: an attempt hangs, so this process is to end.
        """
        now = self._clock.monotonic()
        if self._attempts.is_overdue(now=now):
            log.error("engine.attempt_hangs", worker=str(self.id))
            self._give_up()
            return False
        if now >= self._beat_at:
            self._beat()
            self._beat_at = self._clock.monotonic() + limits.HEARTBEAT_SECONDS
        return True

    def _beat(self) -> None:
        try:
            store.heartbeat(worker=self.id, name=self._name)
            self.reconcile()
        except Error:
            # The lease runs out if this lasts; then others take over, which is what it is for.
            log.warning("engine.heartbeat_failed", worker=str(self.id))
            connection.close()

    def reconcile(self) -> list[UUID]:
        """Free the runs that rows say this worker drives, but that it does not.

        A run counts as orphaned when two looks in a row find it so: between a claim's commit and
        its return there is nothing wrong with it. Returns the freed run ids.
        """
        driven = store.list_driven(worker=self.id)
        missing = {
            item for item in driven if not self._attempts.is_driving(run_id=item[0], epoch=item[1])
        }
        orphans = missing & self._missing
        self._missing = missing
        freed = []
        for run_id, epoch in orphans:
            if store.release(run_id=run_id, epoch=epoch):
                log.warning("engine.orphan_released", run=str(run_id), epoch=epoch)
                queue.hint("engine.drive", run_id=str(run_id))
                freed.append(run_id)
        return freed

    def _give_up(self) -> None:
        """End the lease, so that others take the runs at once, and the process."""
        try:
            store.expire_worker(worker=self.id)
        except Error:
            log.warning("engine.lease_not_expired", worker=str(self.id))
        finally:
            self._on_hang()
