"""A process that drives runs: its lease, its heartbeat, its watchdog. Read `WorkerProcess`.

One row in `engine_worker` says until when the process is alive. A thread extends it, looks for runs
that the rows say this process drives but that no driver of it has (an orphan: its connection died
under it), and ends the process when an attempt executes past its timeout or falls silent, because a
thread that hangs cannot be stopped otherwise.

Beside runs a process may execute attempts of other queues, one at a time: see `engine.remote`.
"""

import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog
from django.db import Error, connection

from core.kernel import ids, limits
from core.kernel.canonical import UncanonicalError, canonical_bytes
from core.kernel.clock import SYSTEM_CLOCK, Clock
from core.kernel.types import Json
from core.toolkit import queue
from engine import announcing, registry, remote, store
from engine.attempts import AttemptBook, Hung
from engine.crew import Crew
from engine.domain.keys import step_of
from engine.driver import DriveEnd, Driver
from engine.executing import StepCall, execute
from engine.remote import ClaimedTask
from engine.secrets.opening import find_lock
from engine.services import late

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
        queues: Sequence[str] = (),
    ) -> None:
        self.id = ids.uuid7()
        self._name = name
        self._queues = tuple(queues)
        self._on_hang = on_hang
        self._attempts = attempts or AttemptBook(clock=clock)
        self._clock = clock
        self._driver = Driver(
            worker=self.id,
            attempts=self._attempts,
            clock=clock,
            crew=crew,
            queues=("", *queues),
        )
        self._beat_at = clock.monotonic()
        self._draining = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._missing: set[tuple[UUID, int]] = set()
        self._forgotten: set[UUID] = set()  # ids of attempts that nobody seems to execute

    def start(self) -> None:
        """Register the worker and begin to keep it alive."""
        self.register()
        self._thread = threading.Thread(target=self._keep_alive, name="heartbeat", daemon=True)
        self._thread.start()

    def register(self) -> None:
        """Say that the worker is alive, for one lease. `start` does it."""
        store.heartbeat(worker=self.id, name=self._name, queues=self._queues)
        self._beat_at = self._clock.monotonic() + limits.HEARTBEAT_SECONDS

    def drive(self, *, run_id: UUID) -> DriveEnd:
        """Take a run, if it is free, and move it on until it blocks."""
        return self._driver.drive(run_id=run_id)

    def execute_tasks(self) -> int:
        """Execute attempts of the queues this worker serves, one after the other, while there are.

        Gives up its turn after `limits.DRIVE_SECONDS_MAX`; then workers are hinted again.

        Returns:
            How many it executed.
        """
        until = self._clock.monotonic() + limits.DRIVE_SECONDS_MAX
        count = 0
        while self._queues and not self._draining.is_set():
            tasks = remote.claim(worker=self.id, labels=self._queues, count=1)
            for task in tasks:
                self._execute_task(task)
                count += 1
            if not tasks:
                break
            if self._clock.monotonic() >= until:
                for label in self._queues:
                    queue.hint_at(remote.queue_name(label), "engine.execute")
                break
        return count

    def _execute_task(self, task: ClaimedTask) -> None:
        call = StepCall(
            run_id=task.run_id,
            key=task.key,
            step=step_of(task.key),
            attempt=task.attempt,
            spec=registry.actions().get(task.action),
            action=task.action,
            arguments=task.arguments,
            timeout=task.timeout,
            deadline=self._clock.monotonic() + task.timeout.total_seconds(),
            heartbeat_seconds=task.heartbeat_seconds,
            round=task.round,
            locked=find_lock(run_id=task.run_id, key=task.key, arguments=task.arguments),
        )
        with self._attempts.attempt(
            deadline=call.deadline,
            run_id=call.run_id,
            key=call.key,
            number=call.attempt,
            heartbeat_seconds=call.heartbeat_seconds,
        ) as beat:
            ended = execute(call, now=self._clock.monotonic(), beat=beat)
        if not remote.finish(task_id=task.id, worker=self.id, ended=ended):
            late.note_late(run_id=task.run_id, ended=(ended,))

    def drain(self) -> None:
        """Begin no further attempts; what executes is finished."""
        self._draining.set()
        self._driver.drain()

    def stop(self, *, waits: bool = True) -> None:
        """Finish what executes, say good-bye: other workers may take the runs at once.

        Without `waits` it finishes nothing, because the process ends.
        """
        self.drain()
        if waits:
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
        hung = self._attempts.list_hung(now=now)
        if hung:
            log.error("engine.attempt_hangs", worker=str(self.id), steps=[i.key for i in hung])
            self._give_up(hung)
            return False
        if now >= self._beat_at:
            self._beat()
            self._beat_at = self._clock.monotonic() + limits.HEARTBEAT_SECONDS
        return True

    def _beat(self) -> None:
        try:
            store.heartbeat(worker=self.id, name=self._name, queues=self._queues)
            self.reconcile()
            self.reconcile_tasks()
            self._tell_cancelled()
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

    def reconcile_tasks(self) -> list[UUID]:
        """Call attempts lost that rows say this worker executes for others, but that it does not.

        What failed between executing one and saying how it ended left it so. Like runs, they count
        when two looks in a row find it. Returns the runs that are woken by it.
        """
        if not self._queues:
            return []
        missing = {
            task_id
            for task_id, run_id, key in remote.list_held(worker=self.id)
            if not self._attempts.is_executing(run_id=run_id, key=key)
        }
        orphans = missing & self._forgotten
        self._forgotten = missing
        if not orphans:
            return []
        log.warning("engine.tasks_given_up", worker=str(self.id), count=len(orphans))
        return remote.give_up(worker=self.id, task_ids=sorted(orphans))

    def _tell_cancelled(self) -> None:
        """Let attempts that have asked know whether their run was cancelled."""
        curious = self._attempts.list_curious()
        if curious:
            for run_id in store.list_cancelled(run_ids=curious):
                self._attempts.cancel(run_id=run_id)

    def _give_up(self, hung: Sequence[Hung] = ()) -> None:
        """End the lease, so that others take the runs at once, and the process.

        The row says for which attempts, so that whoever takes the runs can say so too.
        """
        try:
            store.note_hung(worker=self.id, hung=[_describe(item) for item in hung])
        except Error:
            log.warning("engine.lease_not_expired", worker=str(self.id))
        finally:
            self._on_hang()


def _describe(hung: Hung) -> dict[str, Json]:
    """Return what a worker's row says of an attempt that hangs."""
    return {
        "run": str(hung.run_id),
        "key": hung.key,
        "attempt": hung.attempt,
        "kind": hung.kind,
        "progress": _progress_text(hung.progress),
    }


def _progress_text(progress: Mapping[str, Any] | None) -> str | None:
    """Return what an attempt said of itself as a short JSON text, `None` if it is no such thing."""
    if progress is None:
        return None
    try:
        text = canonical_bytes(dict(progress)).decode()
    except (UncanonicalError, ValueError, TypeError):
        return None
    return text if len(text) <= limits.ERROR_CHARS_MAX else None
