"""Notices to people, written with what they tell of. Read `enqueue` first.

A notice is a row of the same transaction, so it exists if and only if the thing happened; a worker
delivers it after the commit, at least once.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from approvals.models import Channel, Notice, Request
from core.kernel.canonical import digest
from core.kernel.types import Json
from core.toolkit import queue

DELIVER_TASK = "approvals.deliver_notices"


class NoticeEvent(StrEnum):
    """What people are told of."""

    REQUEST_OPENED = "request.opened"  # to those who may decide
    STAGE_OPENED = "stage.opened"  # to those who may decide
    REQUEST_DECIDED = "request.decided"  # to who asked
    REQUEST_EXPIRED = "request.expired"  # to who asked
    REQUEST_BLOCKED = "request.blocked"  # to who asked and who manages the project's access
    REQUEST_VOIDED = "request.voided"  # to who asked and who voted
    RUN_STUCK = "run.stuck"  # to whom the definition names, of those who may see the run


def enqueue(
    *,
    event: NoticeEvent,
    request: Request,
    recipients: Iterable[UUID],
    at: datetime,
    facts: Mapping[str, Json] | None = None,
) -> None:
    """Write one notice for each recipient (an account), and hint a worker after the commit.

    Idempotent on event, request, round, `facts["stage"]` and recipient. Transaction: needs one.
    """
    facts = dict(facts or {})
    prefix = f"{event.value}:{request.pk.hex}:{request.round}:{facts.get('stage', '')}"
    _insert(Notice(event=event.value, request=request, facts=facts), recipients, prefix, at=at)


def enqueue_of_run(
    *,
    event: NoticeEvent,
    run_id: UUID,
    key: str,
    recipients: Iterable[UUID],
    at: datetime,
    facts: Mapping[str, Json],
) -> None:
    """Do what `enqueue` does for something that happened to a run itself.

    Idempotent on event, run, `key` (of what in the run) and recipient. Transaction: needs one.
    """
    prefix = f"{event.value}:{run_id.hex}:{digest(key).hex()}"
    _insert(Notice(event=event.value, run_id=run_id, facts=dict(facts)), recipients, prefix, at=at)


def _insert(like: Notice, recipients: Iterable[UUID], prefix: str, *, at: datetime) -> None:
    rows = [
        Notice(
            event=like.event,
            request_id=like.request_id,
            run_id=like.run_id,
            recipient_id=recipient,
            channel=Channel.EMAIL,
            facts=like.facts,
            next_at=at,
            created_at=at,
            dedupe_key=f"{prefix}:{recipient.hex}:{Channel.EMAIL.value}",
        )
        for recipient in dict.fromkeys(recipients)
    ]
    if rows:
        Notice.objects.bulk_create(rows, ignore_conflicts=True)
        queue.hint_on_commit(DELIVER_TASK)
