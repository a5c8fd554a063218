"""Celery tasks of the ledger: hints that there is something to do. The database is the truth."""

from typing import Any
from uuid import UUID

from celery import shared_task

from audit.exports.running import run_export
from audit.exports.sweeping import EXPORT_TASK
from core.toolkit import queue


@shared_task(name=EXPORT_TASK)
def export(*, export_id: str, **_: Any) -> None:
    """Write an export for a while; the rest follows in further tasks. Idempotent."""
    if run_export(export_id=UUID(export_id)):
        queue.hint(EXPORT_TASK, export_id=export_id)
