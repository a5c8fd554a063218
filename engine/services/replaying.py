"""Replaying runs as they are on record: with their own version, or with one they may get.

Nothing is written. Read `replay_run` first; `replay_open` does it for all open runs of a workflow.
Who may see a run's record is not asked here: `manage.py replay` is for operators, and the note on
publishing counts runs without naming any.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

from audit import store as ledger
from audit.domain.entry import EMPTY_HEAD
from audit.domain.errors import LedgerCorruptError
from audit.store import StoredEntry
from core.kernel import limits
from core.kernel.clock import SYSTEM_CLOCK, Clock
from engine import loading
from engine.domain.decider import Decider
from engine.domain.events import UNFOLDED_PAYLOADS, Event, EventKind
from engine.domain.replaying import Divergence, Replay, ReplayNote
from engine.models import Run, Version
from engine.selectors.replayable import count_moves, list_open_runs

_CHUNK = 500  # entries read at once, so that a long run is not in memory as a whole


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """What became of one run. `unreadable` says why its record could not be read to the end."""

    run_id: UUID
    number: int
    rev: int
    entry_count: int
    divergence: Divergence | None = None
    unreadable: str = ""
    is_redacted: bool = False  # values it needs were erased, which is on record: nothing is wrong
    is_complete: bool = True  # false: there was no time for the rest

    @property
    def holds(self) -> bool:
        """Say whether every entry replays."""
        return self.divergence is None and not self.unreadable and self.is_complete


def replay_run(
    *, run: Run, version_id: UUID | None = None, is_late: Callable[[], bool] = lambda: False
) -> ReplayReport:
    """Replay one run with its own version or another, until the end or until it is late."""
    made = Replay(decider=loading.get_rules(version_id=run.version_id).decider)
    unreadable, is_complete, is_redacted = "", True, False
    try:
        for decider, event in _follow(run, version_id):
            made.decider = decider
            if not made.go_on((event,)):
                break
            if made.entry_count % _CHUNK == 0 and is_late():
                is_complete = made.entry_count >= run.seq
                break
    except LedgerCorruptError as error:
        unreadable = str(error)
    except _ErasedError as error:
        unreadable, is_redacted = str(error), True
    return ReplayReport(
        run_id=run.pk,
        number=run.number,
        rev=run.version.rev,
        entry_count=made.entry_count,
        divergence=made.divergence,
        unreadable=unreadable,
        is_redacted=is_redacted,
        is_complete=is_complete,
    )


def replay_open(*, version: Version) -> Iterator[ReplayReport]:
    """Replay every open run of a version's workflow with that version, oldest first."""
    for run in list_open_runs(version=version).iterator(chunk_size=_CHUNK):
        yield replay_run(run=run, version_id=version.pk)


def note_open_runs(*, version: Version, clock: Clock = SYSTEM_CLOCK) -> ReplayNote:
    """Replay open runs of other versions with this one, as many as there is time for."""
    until = clock.monotonic() + limits.REPLAY_NOTE_SECONDS
    runs = list(
        list_open_runs(version=version).exclude(version_id=version.pk)[
            : limits.REPLAY_NOTE_RUN_COUNT_MAX + 1
        ]
    )
    replayed = diverging = 0
    first: Divergence | None = None
    for run in runs[: limits.REPLAY_NOTE_RUN_COUNT_MAX]:
        if clock.monotonic() > until:
            break
        report = replay_run(
            run=run, version_id=version.pk, is_late=lambda: clock.monotonic() > until
        )
        replayed += report.is_complete and not report.unreadable
        diverging += report.divergence is not None
        first = first or report.divergence
    return ReplayNote(
        open_count=len(runs), replayed_count=replayed, diverging_count=diverging, first=first
    )


class _ErasedError(Exception):
    """A payload that replaying needs has been erased."""


def _follow(run: Run, version_id: UUID | None) -> Iterator[tuple[Decider, Event]]:
    """Yield the events of a run, each with the rules it is replayed by.

    Up to where the run was last moved to another version they are those it had; from there on, and
    of a run that never moved from its first event on, those of the version that is named.
    """
    own = loading.get_rules(version_id=run.version_id).decider
    last = loading.get_rules(version_id=version_id).decider if version_id else own
    moves_left = count_moves(run_id=run.pk)
    decider = last
    for entries in _read(run.pk):
        if moves_left and entries[0].seq == 1:
            decider = loading.find_decider(entry=entries[0], known=own)
        for entry in entries:
            event = _event_of(entry)
            decider = loading.follow(decider, event)
            yield decider, event
            if event.kind == EventKind.RUN_MIGRATED:
                moves_left -= 1
                decider = decider if moves_left else last


def _read(run_id: UUID) -> Iterator[list[StoredEntry]]:
    """Yield the entries of a run in order, checked against their hashes."""
    seq, head = 0, EMPTY_HEAD
    while True:
        entries = ledger.read_verified(stream=run_id, after_seq=seq, after_head=head, limit=_CHUNK)
        if not entries:
            return
        yield entries
        seq, head = entries[-1].seq, entries[-1].leaf


def _event_of(entry: StoredEntry) -> Event:
    erased = entry.erased - UNFOLDED_PAYLOADS
    if erased:
        names = ", ".join(sorted(erased))
        raise _ErasedError(f"Entry {entry.seq} cannot be replayed: {names} has been erased.")
    return Event(
        kind=entry.kind, at=entry.at, data=entry.data, payloads=entry.payloads, seq=entry.seq
    )
