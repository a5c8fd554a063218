"""Appending to a run from outside its driver. Read `append`.

Whoever drives the run finds the entry at its next append; a waiting run becomes READY and a worker
is hinted after the commit. Source: ENGINE §3, "Outsiders".
"""

from collections.abc import Sequence
from uuid import UUID

from audit.domain.entry import extend
from core.kernel import ids
from core.kernel.record import Origin
from core.toolkit import queue, realtime
from engine import beside, loading, store, writing
from engine.domain.events import Event
from engine.domain.state import RunStatus


def append(
    *,
    row: store.RunRow,
    events: Sequence[Event],
    origin: Origin,
    move_to: RunStatus | None = None,
    wakes: bool = True,
) -> None:
    """Append events to a run this transaction has locked, and wake it after the commit.

    `move_to`: what a run that nobody drives becomes; by default one that waits becomes READY, and
    any other stays what it is. Without `wakes` each stays so: nothing follows from the events.
    Transaction: needs the one that holds the lock; once per lock, because `row` tells the place.
    """
    version_digest, scope_id = _stamp(row)
    state_to = move_to or row.status
    if row.status == RunStatus.WAITING and move_to is None and wakes:
        state_to = RunStatus.READY
    drafts = [
        writing.draft_event(
            event,
            run_id=row.id,
            scope=scope_id,
            version=version_digest,
            state_from=row.status,
            state_to=state_to,
            origin=origin,
        )
        for event in events
    ]
    head, entries = extend(head=row.stream, drafts=drafts, salts=ids.salt)
    if wakes:
        store.append_outside(run=row, head=head, entries=entries, move_to=move_to or "")
        queue.hint_on_commit("engine.drive", run_id=str(row.id))
    else:
        beside.append_beside(run=row, head=head, entries=entries)
    realtime.publish_on_commit(
        groups=[f"run.{row.id.hex}"], signal={"run": str(row.id), "seq": head.seq}
    )


def _stamp(row: store.RunRow) -> tuple[str, UUID]:
    """Return the version's digest in hex and the workflow's scope."""
    if row.status == RunStatus.HALTED:  # perhaps because these rules cannot be read
        stamp = loading.get_stamp(version_id=row.version_id)
        return stamp.version_digest, stamp.scope_id
    rules = loading.get_rules(version_id=row.version_id)
    return rules.version_digest, rules.scope_id
