"""Concurrency groups: who goes on, who waits, who is cancelled. Read `enter`, then `look`.

A run of a group waits from its first entry on. Whatever changes in a group is noted in the
transaction that changes it; then the group is looked at: turns are granted under a lock on its
name, and in transactions of their own the runs are told, or cancelled. A process that dies in
between leaves the note, and the sweep looks again. Source: decision 38.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import structlog
from django.db import DatabaseError, connection, transaction

from core.kernel.errors import PlatformError
from core.kernel.record import ENGINE_ORIGIN
from core.toolkit.db import after_commit
from engine import store
from engine.domain.events import Event, EventKind
from engine.domain.plan import OnConflict
from engine.domain.state import RunStatus
from engine.domain.turns import Displaced, judge
from engine.flow_control import turns
from engine.locks import lock_names
from engine.services import cancelling, outside

log = structlog.get_logger(__name__)

Subject = TypeVar("Subject")


def enter(
    event: Event, *, project_id: UUID, parent_id: UUID | None, predecessor_id: UUID | None
) -> Event:
    """Return a run's first event with what is known of its turn.

    A run that is awaited by one that has the turn is part of that turn, and a successor has its
    predecessor's; neither waits.

    Args:
        event: `run.started` with the group's name among its payloads.
        project_id: whose group.
        parent_id: the run that awaits its end, `None` if nobody does.
        predecessor_id: the run it goes on for.
    """
    name = str(event.payloads["group"])
    with_id = predecessor_id
    if with_id is None and parent_id is not None:
        with_id = turns.find_holder(run_id=parent_id, project_id=project_id, name=name)
    if with_id is None:
        return event
    group: Any = event.data["group"]
    return replace(event, data={**event.data, "group": {**group, "with": str(with_id)}})


def is_queued(event: Event) -> bool:
    """Say whether a run waits for its turn from this first event on."""
    group: Any = event.data.get("group")
    return isinstance(group, Mapping) and "with" not in group


def place(event: Event, *, run_id: UUID, project_id: UUID, predecessor_id: UUID | None) -> None:
    """Give a run that was just inserted its place; its group is looked at after the commit.

    Transaction: the start's.
    """
    name = str(event.payloads["group"])
    if not is_queued(event):
        turns.note_group(run_id=run_id, name=name)
        if predecessor_id is not None:
            turns.hand_on(run_id=predecessor_id, successor_id=run_id)
        return
    group: Any = event.data["group"]
    turns.join(
        run_id=run_id,
        project_id=project_id,
        name=name,
        run_count_max=int(group["max"]),
        on_conflict=OnConflict(str(group["on_conflict"])),
    )
    after_commit(look, project_id=project_id, name=name)


def leave(*, run_id: UUID) -> None:
    """Free the turn of a run that closes; the next is told after the commit.

    Transaction: the append's.
    """
    group = turns.leave(run_id=run_id)
    if group is not None:
        after_commit(look, project_id=group[0], name=group[1])


def look(*, project_id: UUID, name: str) -> None:
    """Let those of a group go on whose turn it is, and cancel those the group has no room for.

    Safe to call at any time from any number of processes.
    Transaction: one to grant under the group's lock, and one for each run that is told or
    cancelled, which locks the run.
    """
    with transaction.atomic():
        lock_names(kind="group", project_id=project_id, names=(name,))
        changes = turns.list_changes(project_id=project_id, name=name)
        verdict = judge(turns.list_turns(project_id=project_id, name=name))
        if verdict.granted:
            turns.grant(run_ids=verdict.granted)
    untold = turns.list_untold(project_id=project_id, name=name)
    cancel = partial(_cancel, name=name)
    done = [_safely(_tell, run_id) for run_id in untold]
    done += [_safely(cancel, displaced) for displaced in verdict.displaced]
    if changes and all(done):
        turns.forget_changes(ids=changes)


def look_again(*, run_id: UUID) -> None:
    """Have the group looked at in which a run waits, if it does: it may have been passed over."""
    group = turns.note_change(run_id=run_id)
    if group is not None:
        look(project_id=group[0], name=group[1])


def sweep_groups() -> int:
    """Look at groups nobody has looked at since they changed; return how many."""
    groups = turns.list_changed()
    for project_id, name in groups:
        look(project_id=project_id, name=name)
    return len(groups)


def _tell(run_id: UUID) -> None:
    """Let a run go on that has its turn. Idempotent."""
    with transaction.atomic():
        row = store.lock_run(run_id=run_id)
        assert row is not None, "runs are never deleted"
        if not turns.take(run_id=run_id):
            return
        if row.status == RunStatus.CLOSED or store.list_cancelled(run_ids=[run_id]):
            return  # it ends without having begun
        event = Event(kind=EventKind.RUN_ADMITTED, at=row.now)
        outside.append(row=row, events=(event,), origin=ENGINE_ORIGIN)


def _cancel(displaced: Displaced, *, name: str) -> None:
    """Cancel a run for another of its group, if that is still called for. Idempotent."""
    with transaction.atomic():
        row = store.lock_run(run_id=displaced.run_id)
        assert row is not None, "runs are never deleted"
        waits_for_it = displaced.run_id if displaced.is_late else displaced.by
        if row.status == RunStatus.CLOSED or not turns.is_waiting(run_id=waits_for_it):
            return
        conflict = OnConflict.CANCEL_NEWEST if displaced.is_late else OnConflict.CANCEL_IN_PROGRESS
        why = "has no room for it" if displaced.is_late else "has a newer run of its workflow"
        cancelling.cancel_locked(
            row=row,
            reason=f"The group “{name}” {why}, and the definition says {conflict.value}.",
            origin=ENGINE_ORIGIN,
            cause={"kind": conflict.value, "run": str(displaced.by)},
        )


def _safely(act: Callable[[Subject], None], subject: Subject) -> bool:
    """Do something about one run; what is wrong with it keeps no other from its turn."""
    try:
        act(subject)
    except (PlatformError, DatabaseError):
        log.exception("engine.turn_failed", subject=str(subject))
        connection.close_if_unusable_or_obsolete()
        return False
    return True
