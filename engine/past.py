"""A run as it was after one of its entries: its stream, folded up to there. Read `fold_until`.

Nothing is kept between two looks: a value that is erased meanwhile must not be shown from memory.
Every entry is checked against its hash and the one before, and every recorded consequence against
what its version draws, so a past state is as true as the present one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from audit import store as ledger
from audit.domain.entry import SOURCE_PAYLOAD, StreamHead, read_entry
from audit.store import StoredEntry
from core.kernel.types import Json
from engine import loading
from engine.domain.decider import Decider
from engine.domain.errors import MomentMissingError, NondeterministicError, UnexpectedEventError
from engine.domain.events import Event
from engine.domain.state import RunState, RunStatus

_CHUNK: Final = 500  # entries read at once, so that a long run is not in memory as a whole
_TEXTS: Final = frozenset({"reason", "message", "why", "difference"})
_MOVING: Final = frozenset({RunStatus.READY, RunStatus.RUNNING, RunStatus.WAITING})
REDACTED: Final = "redacted"  # what stands where a text was erased
REDACTED_VALUE: Final[Mapping[str, Json]] = {REDACTED: True}
# What a version stumbles over when a value it needs is not there.
_STRANGE: Final = (KeyError, IndexError, AttributeError, TypeError, ValueError, AssertionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """Values of an entry that were redacted, by name."""

    seq: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A run after the entry `head.seq`, which is of `kind` and happened at `at`.

    `state_to` is the status that entry records, "" if none. `decider` has the rules of the version
    the run had then. `erased` are redacted values among the entries so far. `broken` says why the
    entries could not be folded to the end; `state` is then the one before the first that does not
    hold.
    """

    decider: Decider
    state: RunState
    head: StreamHead
    kind: str
    at: datetime
    state_to: str
    erased: tuple[Erased, ...] = ()
    broken: str = ""


def fold_until(*, run_id: UUID, known: Decider, seq: int) -> Past:
    """Return a run as it was after the entry `seq`, or after its last one if there are fewer.

    Args:
        run_id: the run.
        known: the rules of the version it has now.
        seq: from 1. One query for every 500 entries up to there.

    Raises:
        MomentMissingError: the run has no entries.
        LedgerCorruptError: an entry or payload does not match its hash.
    """
    decider, state = known, RunState()
    newest: StoredEntry | None = None
    broken = ""
    erased: list[Erased] = []
    for entry in _read(run_id, seq):
        newest = entry
        missing = tuple(sorted(entry.erased - {SOURCE_PAYLOAD}))
        if missing:
            erased.append(Erased(seq=entry.seq, names=missing))
        if broken:
            continue
        if entry.seq == 1:
            decider = loading.find_decider(entry=entry, known=known)
        event = _event_of(entry, missing)
        decider = loading.follow(decider, event)
        try:
            state = _fold(decider, state, event, missing=missing, has_erased=bool(erased))
        except _BrokenError as error:
            broken = str(error)
    if newest is None:
        raise MomentMissingError(run=str(run_id))
    return Past(
        decider=decider,
        state=state,
        head=StreamHead(stream=run_id, seq=newest.seq, head=newest.leaf),
        kind=newest.kind,
        at=newest.at,
        state_to=read_entry(newest.body).state_to,
        erased=tuple(erased),
        broken=broken,
    )


def say_status(past: Past) -> RunStatus:
    """Return who moved the run on then.

    The entry says so, but those that were written together all say what the last of them led to:
    what the state itself knows goes first.
    """
    state = past.state
    if state.closed:
        return RunStatus.CLOSED
    if state.halted:
        return RunStatus.HALTED
    is_busy = len(state.running) > len(state.remote)
    if state.paused:
        return RunStatus.RUNNING if is_busy else RunStatus.PAUSED
    recorded = past.state_to
    if recorded in _MOVING:
        return RunStatus(recorded)
    return RunStatus.RUNNING if is_busy else RunStatus.READY


class _BrokenError(Exception):
    """An entry that does not fold, and why."""


def _fold(
    decider: Decider,
    state: RunState,
    event: Event,
    *,
    missing: tuple[str, ...],
    has_erased: bool,
) -> RunState:
    """Return the state after an event; raises `_BrokenError`."""
    if "decided" in missing:
        raise _BrokenError(f"What followed from entry {event.seq} was redacted.")
    try:
        return decider.fold(state, (event,))
    except (NondeterministicError, UnexpectedEventError) as error:
        why = error.message
        if has_erased:
            why = f"Entry {event.seq} needs values that were redacted; the record itself holds."
        raise _BrokenError(why) from error
    except _STRANGE as error:
        if not has_erased:
            raise
        why = f"Entry {event.seq} needs values that were redacted; the record itself holds."
        raise _BrokenError(why) from error


def _read(run_id: UUID, until: int) -> Iterator[StoredEntry]:
    """Yield the entries of a run in order up to a number, checked against their hashes."""
    head = StreamHead(stream=run_id)
    while head.seq < until:
        entries = ledger.read_verified(
            stream=run_id,
            after_seq=head.seq,
            after_head=head.head,
            limit=min(_CHUNK, until - head.seq),
        )
        if not entries:
            return
        yield from entries
        head = StreamHead(stream=run_id, seq=entries[-1].seq, head=entries[-1].leaf)


def _event_of(entry: StoredEntry, missing: tuple[str, ...]) -> Event:
    """Return the event in an entry, with marks in place of what was redacted."""
    marks: dict[str, Json] = {
        name: REDACTED if name in _TEXTS else dict(REDACTED_VALUE)
        for name in missing
        if name not in {"decided", "notes", "names", "calls"}
    }
    return Event(
        kind=entry.kind,
        at=entry.at,
        data=entry.data,
        payloads={**entry.payloads, **marks} if marks else entry.payloads,
        seq=entry.seq,
    )
