"""Hints to workers that there is something to do. Read `hint` first.

A hint may be lost, doubled or late without harm: the database says what is to be done, and the
sweep finds what nobody was told of. So a hint never fails and never waits for a broken broker.
"""

import structlog
from django.conf import settings
from kombu.exceptions import KombuError
from kombu.exceptions import OperationalError as BrokerError
from redis import RedisError

from core.celery import app
from core.toolkit import hint_list
from core.toolkit.breaker import Breaker
from core.toolkit.db import after_commit

_log = structlog.get_logger(__name__)

BREAKER = Breaker()  # of this process


def hint(task: str, **kwargs: str | int) -> None:
    """Send a task by name to whichever worker is free; by a broken broker, count and go on.

    Args:
        task: the task's name; the settings route it to a queue, or name it in `LISTED_TASKS` if
            workers wait for it themselves.
        **kwargs: ids, never content: a task reads the state again.
    """
    _send(None, task, kwargs)


def hint_at(queue: str, task: str, **kwargs: str | int) -> None:
    """Send a task as `hint` does, but to the workers of a named queue."""
    _send(queue, task, kwargs)


def _send(queue: str | None, task: str, kwargs: dict[str, str | int]) -> None:
    if not BREAKER.lets_through():
        return
    try:
        send(queue, task, kwargs)
    except (BrokerError, KombuError, RedisError, OSError) as error:
        if BREAKER.record_failure():
            _log.warning("hints_fail", task=task, reason=type(error).__name__)
    else:
        if BREAKER.record_success():
            _log.info("hints_work_again", failure_count=BREAKER.failure_count)


def send(queue: str | None, task: str, kwargs: dict[str, str | int]) -> None:
    """Send a hint now, or fail. Raises: RedisError, KombuError, OSError."""
    if queue is None and task in settings.LISTED_TASKS:
        hint_list.push(task, kwargs)
    elif queue is None:
        app.send_task(task, kwargs=kwargs, retry=False, ignore_result=True)
    else:
        app.send_task(task, kwargs=kwargs, queue=queue, retry=False, ignore_result=True)


def hint_on_commit(task: str, **kwargs: str | int) -> None:
    """Send a hint when the open transaction commits, at once if there is none.

    Transaction: joins one. Nothing is sent if it rolls back.
    """
    after_commit(hint, task, **kwargs)


def hint_at_on_commit(queue: str, task: str, **kwargs: str | int) -> None:
    """Send a hint to a named queue when the open transaction commits, at once if there is none."""
    after_commit(hint_at, queue, task, **kwargs)
