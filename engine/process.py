"""The worker of this process, for Celery's children. Read `current_worker`.

A child has two threads that execute tasks, see `core.listening`; when both bring a run, they take
turns.
"""

import os
import socket
import threading
from uuid import UUID

from celery.signals import worker_process_shutdown

from core import listening
from engine import conf
from engine.driver import DriveEnd
from engine.worker import WorkerProcess

_lock = threading.Lock()
_turn = threading.Lock()  # a driver is of one thread at a time
_workers: dict[int, WorkerProcess] = {}


def current_worker() -> WorkerProcess:
    """Return this process's worker, started. A forked child gets one of its own."""
    pid = os.getpid()
    with _lock:
        worker = _workers.get(pid)
        if worker is None:
            worker = WorkerProcess(
                name=f"{socket.gethostname()}:{pid}", queues=conf.worker_queues()
            )
            worker.start()
            _workers[pid] = worker
        return worker


def drive_run(run_id: UUID) -> DriveEnd:
    """Take a run, if it is free, and move it on until it blocks; from any thread."""
    worker = current_worker()
    with _turn:
        return worker.drive(run_id=run_id)


def drain_current_worker() -> None:
    """Let this process's worker begin nothing more, if it has one."""
    worker = _workers.get(os.getpid())
    if worker is not None:
        worker.drain()


def stop_current_worker() -> None:
    """Stop this process's worker, if it has one, after the steps it executes now.

    What `core.listening` has given up waiting for is taken over elsewhere.
    """
    with _lock:
        worker = _workers.pop(os.getpid(), None)
    if worker is not None:
        worker.stop(waits=not listening.is_busy())


def follow_celery() -> None:
    """Let the worker of a child of Celery's end with it."""
    listening.register_drain(drain_current_worker)
    worker_process_shutdown.connect(
        lambda **_: stop_current_worker(), weak=False, dispatch_uid="engine.worker"
    )
