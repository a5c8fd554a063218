"""Cancelling a run whose row is locked, and what it waits for. Read `cancel_locked`."""

from collections.abc import Mapping
from uuid import UUID

from django.db import connection, transaction

from core.kernel.record import ENGINE_ORIGIN, Origin
from core.kernel.types import Json, JsonLike
from core.toolkit.db import after_commit
from engine import inbox, registry, remote, store
from engine.domain.events import Event, EventKind
from engine.domain.state import Outcome, RunStatus
from engine.domain.unwinding import QUESTION
from engine.domain.verbs import WaitOutcome
from engine.flow_control import turns
from engine.gates import mutex
from engine.services import outside, reporting

# Children in the order of their ids, so that two who cancel meet nobody crosswise.
_AWAITED = """
    SELECT id FROM engine_run
    WHERE parent_id = %s AND NOT parent_reported AND (%s::text IS NULL OR parent_key = %s)
    ORDER BY id"""

_MOVES = {
    RunStatus.HALTED.value: RunStatus.CLOSED,
    RunStatus.PAUSED.value: RunStatus.READY,
}
_LET_GO_REASON = "The calling run goes on without it."
_LET_GO = "UPDATE engine_run SET parent_reported = true WHERE id = %s AND NOT parent_reported"


def cancel_locked(
    *,
    row: store.RunRow,
    reason: str,
    origin: Origin,
    cause: Mapping[str, JsonLike] | None = None,
    compensate: bool = False,
) -> None:
    """Cancel a run that this transaction has locked and that is not closed. Idempotent.

    Its open requests are voided here; its other waits, children, slots and tasks are taken back by
    whoever drives it next. A halted run is driven by nobody: all of that happens here, and it
    closes. Its mutexes are free after the commit. A paused run goes on, to its end.
    `cause` is hashed with the entry.

    With `compensate`, the run undoes what it has completed, after the runs it awaits have undone
    theirs; of a halted run nothing can be undone.
    Transaction: the caller's; locks its requests, and its children if it is halted or compensates.
    """
    is_halted = row.status == RunStatus.HALTED
    assert not (is_halted and compensate), "nobody would undo it"
    # Who cancelled a run before it halted waits for a driver that will never come.
    if not store.deduplicate(run_id=row.id, key="cancel") and not is_halted:
        return
    if is_halted:
        cancel_children(parent_id=row.id, key=None)
    if compensate:
        _compensate_children(row.id, reason=reason, origin=origin)
    data: dict[str, JsonLike] = {"cause": cause} if cause else {}
    if compensate:
        data["compensate"] = True
    payloads: dict[str, Json] = {"reason": reason}
    events = [Event(kind=EventKind.RUN_CANCEL_REQUESTED, at=row.now, data=data, payloads=payloads)]
    for verb, opener in registry.openers().items():
        voided = opener.void_all(run_id=row.id, reason="run_cancelled", origin=origin, at=row.now)
        if verb == QUESTION:  # closed at once, and taken back by the run itself
            continue
        events += [
            Event(
                kind=EventKind.APPROVAL_RESOLVED,
                at=row.now,
                data={"key": key, "outcome": WaitOutcome.VOIDED.value},
                payloads={"outputs": {"outcome": WaitOutcome.VOIDED.value}},
            )
            for key in voided
        ]
    if is_halted:  # no driver will ever close it
        closed: dict[str, JsonLike] = {"outcome": Outcome.CANCELLED.value}
        events.append(Event(kind=EventKind.RUN_CLOSED, at=row.now, data=closed))
    outside.append(row=row, events=events, origin=origin, move_to=_MOVES.get(row.status))
    if is_halted:
        turns.leave(run_id=row.id)  # the sweep looks at its group
        inbox.withdraw(run_id=row.id, keys=None)
        remote.abandon(run_id=row.id)  # or it would be executed after all
        # Later: who cancels a tree of runs still has rows to lock, and rows come before mutexes.
        after_commit(_free, row.id)
        after_commit(reporting.report_child, child_id=row.id)


def cancel_children(*, parent_id: UUID, key: str | None) -> int:
    """Cancel the children that a run awaits, of one step or (`None`) of all. Idempotent.

    Their ends are not reported any more. Detached children go on.
    Transaction: the one that has locked the parent; locks the children in the order of their ids.

    Returns:
        The number of children that were let go.
    """
    count = 0
    # Again, because a child may have gone on as another run while its lock was waited for.
    while child_ids := _list_awaited(parent_id, key):
        count += len(child_ids)
        for child_id in child_ids:
            row = store.lock_run(run_id=child_id)
            assert row is not None, "runs are never deleted"
            with connection.cursor() as cursor:
                cursor.execute(_LET_GO, (child_id,))
            if row.status != RunStatus.CLOSED:
                cancel_locked(
                    row=row, reason="The calling run went on without it.", origin=ENGINE_ORIGIN
                )
    return count


def _compensate_children(parent_id: UUID, *, reason: str, origin: Origin) -> None:
    """Cancel the runs that a run awaits, with compensation. Their ends are still awaited.

    One that has halted stays so, because it can undo nothing: the caller waits until an operator
    has looked.
    """
    seen: set[UUID] = set()
    # Again, because a child may have gone on as another run while its lock was waited for.
    while child_ids := [item for item in _list_awaited(parent_id, None) if item not in seen]:
        seen |= set(child_ids)
        for child_id in child_ids:
            row = store.lock_run(run_id=child_id)
            assert row is not None, "runs are never deleted"
            if row.status not in {RunStatus.CLOSED, RunStatus.HALTED}:
                cancel_locked(row=row, reason=reason, origin=origin, compensate=True)


def _free(run_id: UUID) -> None:
    """Give back what a closed run held or waited for. What this misses, the sweep finds."""
    with transaction.atomic():
        mutex.release(run_id=run_id, keys=None)


def _list_awaited(parent_id: UUID, key: str | None) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(_AWAITED, (parent_id, key, key))
        return [row[0] for row in cursor.fetchall()]
