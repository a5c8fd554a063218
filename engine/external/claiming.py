"""Taking attempts to execute them outside. Read `claim_tasks`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from core.identity.authorize import require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.kernel import ids
from core.kernel.types import Json
from engine import remote, store
from engine.domain import external
from engine.domain.events import Event, EventKind
from engine.domain.keys import step_of
from engine.external import rows
from engine.external.rows import NewClaim
from engine.remote import ClaimedTask
from engine.selectors.targets import ProjectTarget, get_project_target
from engine.services import outside


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedTask:
    """An attempt that the caller executes now.

    `token` fences it and is needed to tell how it ended. `idempotency_key` is the same for every
    attempt of the step. After `lease_until` without a heartbeat the attempt counts as lost, after
    `deadline_at` as failed.
    """

    id: UUID
    token: UUID
    topic: str
    data: Json
    run_id: UUID
    step: str
    attempt: int
    idempotency_key: str
    lease_seconds: int
    lease_until: datetime
    deadline_at: datetime


def claim_tasks(
    *,
    principal: Principal,
    project_slug: str,
    topics: Sequence[str],
    worker: str,
    count: int,
    lease_seconds: int,
) -> list[HandedTask]:
    """Take attempts of these topics in a project, and put on record who has them.

    Args:
        principal: as whom the program speaks.
        project_slug: where.
        topics: of what kind; each as definitions write it.
        worker: what the program calls itself.
        count: how many at most.
        lease_seconds: how long it may be silent; a step's `heartbeat` may ask for less.

    Returns:
        At most `count`, perhaps none. It never waits for one.

    Transaction: one for each attempt; locks its run.

    Raises:
        ProjectMissingError: no such project, or the caller may not see it.
        AccessForbiddenError: the caller may not execute the project's external tasks.
    """
    target = get_project_target(principal=principal, project_slug=project_slug)
    require(principal=principal, permission=Permission.EXECUTE_TASK, scope_id=target.scope_id)
    queues = [external.label_of(topic) for topic in topics]
    handed: list[HandedTask] = []
    tries = 0
    while len(handed) < count and tries < 2 * count:
        tries += 1
        with transaction.atomic():
            found = rows.find_open(project_id=target.project_id, queues=queues)
            if found is None:
                break
            task = _claim(found, principal, target, worker=worker, lease_seconds=lease_seconds)
        if task is not None:
            handed.append(task)
    return handed


def _claim(
    found: tuple[UUID, UUID],
    principal: Principal,
    target: ProjectTarget,
    *,
    worker: str,
    lease_seconds: int,
) -> HandedTask | None:
    """Take one attempt of a run that is locked. `None`: somebody has taken it before the lock."""
    task_id, run_id = found
    row = store.lock_run(run_id=run_id)
    assert row is not None, "runs are never deleted"
    token = ids.uuid7()
    task = remote.claim_one(task_id=task_id, token=token)
    if task is None:
        return None
    topic = str(task.arguments["topic"])
    claim = NewClaim(
        token=token,
        project_id=target.project_id,
        account_id=principal.user_id,
        worker=worker,
        topic=topic,
        lease_seconds=_lease(task, lease_seconds),
    )
    lease_until, deadline_at = rows.insert(task=task, claim=claim)
    event = Event(
        kind=EventKind.ATTEMPT_CLAIMED,
        at=row.now,
        data={
            "key": task.key,
            "attempt": task.attempt,
            "task": str(task.id),
            "topic": topic,
            "worker": worker,
        },
    )
    outside.append(row=row, events=(event,), origin=principal.origin, wakes=False)
    return HandedTask(
        id=task.id,
        token=token,
        topic=topic,
        data=task.arguments.get("data"),
        run_id=task.run_id,
        step=step_of(task.key),
        attempt=task.attempt,
        idempotency_key=f"{task.run_id}:{task.key}:{task.round}",
        lease_seconds=claim.lease_seconds,
        lease_until=lease_until,
        deadline_at=deadline_at,
    )


def _lease(task: ClaimedTask, wanted: int) -> int:
    """Return how long a program may be silent: as it asks, but no longer than the step says."""
    if task.heartbeat_seconds is None:
        return wanted
    return max(1, min(wanted, int(task.heartbeat_seconds)))
