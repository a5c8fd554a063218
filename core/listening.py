"""How a worker's process hears of hints without Celery's main process. Read `Listener`.

Some hints people wait for: a decision was made, a run was started. A message of Celery's takes 3 ms
through the main process and a pipe to a child. So each child has a thread that waits for these
hints itself, on lists in Redis (`core.toolkit.hint_list`), and calls their tasks, one at a time.
Everything else goes through Celery, on the main thread of the same child.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from celery import Celery, signals
from django.conf import settings
from django.db import close_old_connections, connection
from redis import RedisError

from core.kernel import limits
from core.kernel.clock import SYSTEM_CLOCK, Clock
from core.toolkit import hint_list

log = structlog.get_logger(__name__)

_CHECK_SECONDS = 5.0  # a database connection that was used since is not asked whether it answers


class Listener:
    """Takes hints off their lists, one at a time, and calls their tasks on its thread.

    A task that fails is logged, as in Celery: the database says what is to be done, and the sweep
    hints again.
    """

    def __init__(
        self, *, tasks: Mapping[str, Callable[..., object]], clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._tasks = tasks
        self._clock = clock
        self._checked_at = clock.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="listener", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Take no further hint."""
        self._stopping.set()

    def join(self, *, seconds: float) -> bool:
        """Wait for the end of the task that is called now, at most some seconds.

        Returns:
            Whether it has ended.
        """
        self._thread.join(timeout=seconds)
        return not self._thread.is_alive()

    def _listen(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._take_one()
                except Exception:  # a thread that ended would leave this process deaf, unnoticed
                    log.exception("listening_failed")
                    self._stopping.wait(limits.HINT_BREAKER_SECONDS)
        finally:
            connection.close()  # this thread's own

    def _take_one(self) -> None:
        try:
            found = hint_list.take(list(self._tasks), seconds=limits.LISTEN_SECONDS)
            if found is not None and self._stopping.is_set():
                hint_list.push(*found)  # for a process that goes on
                return
        except (RedisError, OSError) as error:
            log.warning("listening_fails", reason=type(error).__name__)
            self._stopping.wait(limits.HINT_BREAKER_SECONDS)
            return
        if found is not None:
            self._call(*found)

    def _call(self, task: str, kwargs: dict[str, Any]) -> None:
        # Asking whether the connection still answers costs as much as reading a run.
        now = self._clock.monotonic()
        if now - self._checked_at > _CHECK_SECONDS:
            close_old_connections()
        self._checked_at = now
        try:
            self._tasks[task](**kwargs)
        except Exception:  # this thread's edge: what fails one hint must not keep the others
            log.exception("listened_task_failed", task=task, hint=kwargs)
            close_old_connections()


_listeners: dict[int, Listener] = {}  # by process: a forked child has none
_drains: list[Callable[[], None]] = []
_queues: set[str] = set()  # those that this worker serves


def register_drain(drain: Callable[[], None]) -> None:
    """Have a function called when this process is to stop, so that tasks come to an end soon."""
    _drains.append(drain)


def follow_celery(app: Celery) -> None:
    """Let the children of this application's workers listen as long as they live."""

    def note_queues(*, instance: Any, **_: object) -> None:
        # In the main process; the children that it forks know what it knew.
        _queues.update(instance.app.amqp.queues.consume_from)

    def begin(**_: object) -> None:
        names = list_heard(_queues)
        if names:
            start({name: app.tasks[name] for name in names})

    def end(**_: object) -> None:
        stop()

    signals.celeryd_after_setup.connect(note_queues, weak=False, dispatch_uid="listening.queues")
    signals.worker_process_init.connect(begin, weak=False, dispatch_uid="listening.begin")
    signals.worker_process_shutdown.connect(end, weak=False, dispatch_uid="listening.end")


def list_heard(queues: set[str]) -> Sequence[str]:
    """Return the tasks for whose hints a worker of some queues listens."""
    return [task for task, queue in settings.LISTED_TASKS.items() if queue in queues]


def start(tasks: Mapping[str, Callable[..., object]]) -> None:
    """Let this process listen for the hints of tasks, by name."""
    listener = _listeners[os.getpid()] = Listener(tasks=tasks)
    listener.start()


def stop() -> None:
    """Let this process listen no more, and give the task that is called now a moment to end.

    It has `limits.LET_GO_SECONDS`, however the worker was told to stop: Celery tells its children
    too late that they are to hurry.
    """
    listener = _listeners.get(os.getpid())
    if listener is None:
        return
    listener.stop()
    for drain in _drains:
        drain()
    listener.join(seconds=limits.LET_GO_SECONDS)


def is_busy() -> bool:
    """Say whether this process still calls a task although it was to stop."""
    listener = _listeners.get(os.getpid())
    return listener is not None and not listener.join(seconds=0)
