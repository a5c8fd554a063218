"""Celery tasks: hints that a run can move on. The database is the truth; see `engine.sweep`."""

from typing import Any
from uuid import UUID

from celery import shared_task

from engine.process import current_worker


@shared_task(name="engine.drive")
def drive(*, run_id: str, **_: Any) -> None:
    """Take a run, if it is free, and move it on until it blocks. Idempotent."""
    current_worker().drive(run_id=UUID(run_id))
