"""Writing a move: its entries and its projection, in one statement. Read `append` first."""

from dataclasses import dataclass
from uuid import UUID

from audit.domain.entry import BuiltEntry, StreamHead, extend
from core.kernel import ids
from core.kernel.record import ENGINE_ORIGIN, Draft, Origin
from engine import store
from engine.domain.events import Event
from engine.domain.moving import Move
from engine.domain.state import RunStatus
from engine.store import Projection, RunRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a driver appends: the run as it was read, its epoch, and its stream's head."""

    run: RunRow
    epoch: int
    head: StreamHead
    worker: UUID
    version_digest: str
    scope_id: UUID
    project_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What an append wrote."""

    head: StreamHead
    entries: tuple[BuiltEntry, ...]


def append(place: Place, move: Move, *, claiming: bool) -> Written | None:
    """Write a move in one statement.

    Returns:
        What was written; `None` if the run is not as the driver knew it.
    """
    before = place.run.status if claiming else RunStatus.RUNNING
    drafts = [
        draft_event(
            event,
            run_id=place.run.id,
            scope=place.scope_id,
            version=place.version_digest,
            state_from=before,
            state_to=move.status,
        )
        for event in move.events
    ]
    head, entries = extend(head=place.head, drafts=drafts, salts=ids.salt)
    projection = _projection(place, move)
    if claiming:
        written = store.claim(
            run=place.run, worker=place.worker, head=head, entries=entries, projection=projection
        )
    else:
        written = store.advance(
            run_id=place.run.id,
            epoch=place.epoch,
            seq=place.head.seq,
            head=head,
            entries=entries,
            projection=projection,
        )
    return Written(head=head, entries=entries) if written else None


def draft_event(
    event: Event,
    *,
    run_id: UUID,
    scope: UUID,
    version: str,
    state_from: str = "",
    state_to: str = "",
    origin: Origin = ENGINE_ORIGIN,
) -> Draft:
    """Return the ledger draft of an event of a run. `version` is the digest in hex."""
    return Draft(
        kind=event.kind,
        at=event.at,
        origin=origin,
        subject=f"run:{run_id}",
        scope=scope,
        data=event.data,
        payloads=event.payloads,
        version=version,
        state_from=state_from,
        state_to=state_to,
    )


def _projection(place: Place, move: Move) -> Projection:
    running = move.status is RunStatus.RUNNING
    # A released run is READY: its instant tells the sweep how long nobody has come for it.
    ready_at = move.events[-1].at if move.status is RunStatus.READY else None
    return Projection(
        status=move.status,
        worker=place.worker if running else None,
        wake_at=move.wake_at or ready_at,
        outcome=move.outcome,
        closed_at=move.events[-1].at if move.status is RunStatus.CLOSED else None,
    )
