"""Celery tasks: hints that a run can move on. The database is the truth; see `engine.sweep`."""

from typing import Any
from uuid import UUID

from celery import shared_task

from core.kernel import limits
from core.toolkit import queue
from engine.process import current_worker, drive_run
from engine.services.events import deliver_event
from engine.triggers.firing import fire_due


@shared_task(name="engine.drive")
def drive(*, run_id: str, **_: Any) -> None:
    """Take a run, if it is free, and move it on until it blocks. Idempotent."""
    drive_run(UUID(run_id))


@shared_task(name="engine.execute")
def execute(**_: Any) -> None:
    """Execute attempts of the queues this worker serves, while there are. Idempotent."""
    current_worker().execute_tasks()


@shared_task(name="engine.receive")
def receive(*, event_id: str, **_: Any) -> None:
    """Deliver an event to runs that may have it; the rest follows in further tasks. Idempotent."""
    limit = limits.SWEEP_ROW_COUNT_MAX
    if deliver_event(event_id=UUID(event_id), limit=limit) == limit:
        queue.hint("engine.receive", event_id=event_id)


@shared_task(name="engine.fire")
def fire(**_: Any) -> None:
    """Start the runs that triggers ask for, while there are; the rest follow. Idempotent."""
    fire_due()
