"""The worker of this process, for Celery's children. Read `current_worker`."""

import os
import socket
import threading

from engine import conf
from engine.worker import WorkerProcess

_lock = threading.Lock()
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


def stop_current_worker() -> None:
    """Stop this process's worker, if it has one."""
    with _lock:
        worker = _workers.pop(os.getpid(), None)
    if worker is not None:
        worker.stop()


def drain_current_worker() -> None:
    """Let this process's worker begin nothing more, if it has one."""
    worker = _workers.get(os.getpid())
    if worker is not None:
        worker.drain()
