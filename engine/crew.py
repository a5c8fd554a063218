"""How a driver executes attempts beside each other. Read `Crew` first."""

from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from django.db import connections

from core.kernel import limits
from engine.executing import Ended

Execution = Callable[[], Ended]


class Crew:
    """Executes attempts on threads of this process. Belongs to one driver; threads start late.

    The simulation puts one in its place that takes turns.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def begin(self, execution: Execution) -> "Future[Ended]":
        """Begin an attempt and return what will hold how it ended."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(
                max_workers=limits.PARALLEL_STEP_COUNT_MAX, thread_name_prefix="step"
            )
        return self._pool.submit(_execute, execution)

    def wait_first(
        self, futures: "Collection[Future[Ended]]", *, seconds: float | None
    ) -> "list[Future[Ended]]":
        """Return the attempts that have ended, as soon as one has; none, if the time is up first.

        Without `seconds` it waits for as long as it takes.
        """
        done, _ = wait(futures, timeout=seconds, return_when=FIRST_COMPLETED)
        return list(done)

    def wait_all(self, futures: "Collection[Future[Ended]]") -> None:
        """Return when every attempt has ended."""
        wait(futures)

    def close(self) -> None:
        """Stop the threads, after what they execute."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)


def _execute(execution: Execution) -> Ended:
    try:
        return execution()
    finally:
        connections.close_all()  # this thread's own
