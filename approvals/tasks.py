"""Celery tasks: hints that notices are due. The outbox is the truth; see `approvals.outbound`."""

from typing import Any

from celery import shared_task

from approvals.outbound.delivery import deliver_due
from approvals.services.outbox import DELIVER_TASK
from core.kernel import limits
from core.toolkit import queue


@shared_task(name=DELIVER_TASK)
def deliver_notices(**_: Any) -> None:
    """Deliver what is due. Idempotent: a second hint finds nothing left."""
    if deliver_due().count >= limits.DELIVERY_COUNT_MAX:
        queue.hint(DELIVER_TASK)
