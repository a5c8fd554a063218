"""What is done again and again for the ledger, beside sealing it. Read `register_job` first.

Any number of keepers may run. For each job, the one that has its lock does it, and the others wait;
the lock is the database session's, so it is free the moment its keeper is gone. It only saves work:
a job must be right also when two keepers do it at once. Each job has a thread and a connection of
its own, so that a slow or failing one keeps no other from its turn.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256

import structlog
from django.db import connection

from core.kernel import ids, limits

_log = structlog.get_logger(__name__)

_TRY_LOCK = "SELECT pg_try_advisory_lock(%s::bigint)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something to keep doing.

    `run_once` does some of it and returns how much, 0 if nothing is left for now; then it is asked
    again after `seconds`, otherwise at once. It asks the database about once when there is nothing.
    """

    name: str
    run_once: Callable[[], int]
    seconds: float


_jobs: dict[str, Job] = {}
_sources: dict[str, Callable[[], Iterable[Job]]] = {}


def register_job(name: str, run_once: Callable[[], int], seconds: float) -> None:
    """Say what keepers do; called in `ready()`. The same name again replaces the job.

    Args:
        name: tells the job apart, in logs and in its lock.
        run_once: see `Job`.
        seconds: how long to wait when nothing was left.
    """
    _jobs[name] = Job(name=name, run_once=run_once, seconds=seconds)


def register_source(name: str, source: Callable[[], Iterable[Job]]) -> None:
    """Say who knows jobs that depend on settings; asked when a keeper starts."""
    _sources[name] = source


def list_jobs() -> tuple[Job, ...]:
    """Return every job by name, those of the settings among them.

    Raises:
        PlatformError: if a setting does not hold.
    """
    found = dict(_jobs)
    for source in _sources.values():
        found.update({job.name: job for job in source()})
    return tuple(found[name] for name in sorted(found))


@dataclass(slots=True, kw_only=True)
class Turn:
    """One job in one thread: whether it is ours to do, and how long to wait for the next time."""

    job: Job
    fault_count: int = 0
    _held: object = field(default=None)  # the connection whose session has the lock

    def take(self) -> float:
        """Do some of the job, if no other keeper does; return the seconds until the next turn.

        What the job raises is logged; the next turn then comes later and later.
        """
        try:
            if not self._is_ours():
                return self._wait(self.job.seconds)
            count = self.job.run_once()
        # A thread's edge: whatever is wrong with one job now must not end it for good.
        except Exception as error:  # noqa: BLE001
            self.fault_count += 1
            seconds = self._wait(self._delay())
            _log.exception(
                "audit.job_failed",
                job=self.job.name,
                faults=self.fault_count,
                again_seconds=round(seconds),
                reason=f"{type(error).__name__}: {error}".strip(),
            )
            self.release()
            return seconds
        self.fault_count = 0
        if count:
            _log.debug("audit.job_done", job=self.job.name, count=count)
            return 0.0
        return self._wait(self.job.seconds)

    def release(self) -> None:
        """Give up the lock, with the connection that has it."""
        self._held = None
        connection.close()

    def _is_ours(self) -> bool:
        """Say whether this session has the job's lock, having asked for it if not."""
        if self._held is not None and self._held is connection.connection:
            return True
        with connection.cursor() as cursor:
            cursor.execute(_TRY_LOCK, (lock_number(self.job.name),))
            is_ours = bool(cursor.fetchone()[0])
        self._held = connection.connection if is_ours else None
        return is_ours

    def _delay(self) -> float:
        # 2**10 is far over the bound, and keeps the product a number.
        grown = self.job.seconds * 2.0 ** min(self.fault_count, 10)
        return min(grown, limits.KEEPER_SECONDS_MAX)

    @staticmethod
    def _wait(seconds: float) -> float:
        return seconds + ids.jitter(spread=seconds / 10)


def keep(*, jobs: Iterable[Job], stopping: threading.Event) -> None:
    """Do the jobs until told to stop, each in a thread of its own; return when all have ended.

    A job that does not come to an end in time is left behind: its work is safe to be done again.
    """
    threads = [
        threading.Thread(target=_keep_one, args=(job, stopping), name=job.name, daemon=True)
        for job in jobs
    ]
    for thread in threads:
        thread.start()
    stopping.wait()
    for thread in threads:
        thread.join(timeout=limits.KEEPER_STOP_SECONDS / max(len(threads), 1))


def lock_number(name: str) -> int:
    """Return the number of a job's advisory lock, of 64 bits with a sign."""
    digest = sha256(f"countersign/keeper/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _keep_one(job: Job, stopping: threading.Event) -> None:
    turn = Turn(job=job)
    try:
        while not stopping.is_set():
            stopping.wait(turn.take())
    finally:
        turn.release()
