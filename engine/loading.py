"""What a process keeps between drives: deciders by version, states by run. Read `load_state`.

Both are caches of values that can be rebuilt from the database at any time. A kept state is used
only if its place in the chain is still there: the entries after it must link to its head.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from audit import store as ledger
from audit.domain.entry import StreamHead, read_entry
from core.kernel import limits
from engine import registry, store
from engine.domain.decider import Decider
from engine.domain.errors import RunRedactedError
from engine.domain.events import UNFOLDED_PAYLOADS, Event, EventKind
from engine.domain.plan_json import plan_from_json
from engine.domain.state import RunState
from engine.expressions import CelEvaluator
from engine.models import Version
from engine.store import RunRow

Key = TypeVar("Key")
Value = TypeVar("Value")

_RULES_COUNT_MAX = 128
_STATE_COUNT_MAX = 512


class BoundedCache(Generic[Key, Value]):
    """A small map that forgets what was used least recently. Safe between threads."""

    def __init__(self, *, size: int) -> None:
        self._size = size
        self._items: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: Key) -> Value | None:
        """Return a kept value, or `None`."""
        with self._lock:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key]

    def keep(self, key: Key, value: Value) -> None:
        """Keep a value, forgetting the oldest if there are too many."""
        with self._lock:
            self._items[key] = value
            self._items.move_to_end(key)
            while len(self._items) > self._size:
                self._items.popitem(last=False)

    def drop(self, key: Key) -> None:
        """Forget a value."""
        with self._lock:
            self._items.pop(key, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What entries say of a version: its digest in hex, its workflow's scope and project."""

    version_digest: str
    scope_id: UUID
    project_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules(Stamp):
    """What a version says: its stamp, and its decider."""

    decider: Decider


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptState:
    """A state, and the entry it is the state after."""

    head: StreamHead
    state: RunState


EVALUATOR = CelEvaluator()
_rules: BoundedCache[UUID, Rules] = BoundedCache(size=_RULES_COUNT_MAX)
_states: BoundedCache[UUID, KeptState] = BoundedCache(size=_STATE_COUNT_MAX)


def get_rules(*, version_id: UUID) -> Rules:
    """Return the rules of a version. A version never changes, so they are kept."""
    kept = _rules.find(version_id)
    if kept is not None:
        return kept
    version = (
        Version.objects.select_related("workflow")
        .only("plan", "digest", "workflow__scope_id", "workflow__project_id")
        .get(pk=version_id)
    )
    digest = bytes(version.digest).hex()
    decider = Decider(
        plan=plan_from_json(version.plan),
        evaluator=EVALUATOR,
        verbs=registry.verbs(),
        version=digest,
    )
    made = Rules(
        decider=decider,
        version_digest=digest,
        scope_id=version.workflow.scope_id,
        project_id=version.workflow.project_id,
    )
    _rules.keep(version_id, made)
    return made


def get_stamp(*, version_id: UUID) -> Stamp:
    """Return what entries say of a version, also of one whose rules cannot be read. One query."""
    version = Version.objects.select_related("workflow").only(
        "digest", "workflow__scope_id", "workflow__project_id"
    )
    found = version.get(pk=version_id)
    return Stamp(
        version_digest=bytes(found.digest).hex(),
        scope_id=found.workflow.scope_id,
        project_id=found.workflow.project_id,
    )


def load_state(*, decider: Decider, run_id: UUID, seq: int) -> tuple[RunState, StreamHead]:
    """Return a run's state after its newest entry, folding what is not kept yet.

    `seq` is where the caller saw the stream: a state kept for just there needs no query.

    Raises:
        NondeterministicError, UnexpectedEventError: the entries do not replay.
        RunRedactedError: values they need were erased.
        audit errors: an entry or payload does not match its hash.
    """
    kept = _states.find(run_id)
    if kept is not None and kept.head.seq == seq:
        return kept.state, kept.head
    if kept is not None:
        return _fold_after(decider, kept.state, kept.head)
    return _fold_after(decider, RunState(), StreamHead(stream=run_id, seq=0, head=bytes(32)))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRun:
    """A run's row, the newest state that is kept of it, and the entries after that, unchecked."""

    row: RunRow
    kept: KeptState
    tail: ledger.Tail

    def fold(self, decider: Decider) -> tuple[RunState, StreamHead]:
        """Return the run's state at its row's place, and the place. Raises: as `load_state`."""
        head = self.kept.head
        entries = ledger.verify(self.tail, after_seq=head.seq, after_head=head.head)
        state, head = _fold(decider, self.kept.state, head, entries)
        if head.seq < self.row.seq:  # the tail was cut
            return _fold_after(decider, state, head)
        return state, head


def load_run(*, run_id: UUID) -> LoadedRun | None:
    """Return a run as it is, to be folded; `None` if there is none. One statement."""
    kept = _states.find(run_id) or KeptState(head=StreamHead(stream=run_id), state=RunState())
    found = store.read_run_with_tail(run_id=run_id, after_seq=kept.head.seq)
    return None if found is None else LoadedRun(row=found[0], kept=kept, tail=found[1])


def keep_state(*, head: StreamHead, state: RunState) -> None:
    """Keep a state for whoever next drives or reads the run in this process."""
    _states.keep(head.stream, KeptState(head=head, state=state))


def forget_state(*, run_id: UUID) -> None:
    """Forget a run another driver has."""
    _states.drop(run_id)


def fold_tail(
    *, decider: Decider, state: RunState, head: StreamHead
) -> tuple[RunState, StreamHead]:
    """Fold the entries after `head`, whatever they are; return the new state and head."""
    return _fold_after(decider, state, head)


def forget_all() -> None:
    """Empty the caches; for tests that rebuild the database."""
    for cache in (_rules, _states):
        cache._items.clear()  # noqa: SLF001 - the class of this module


def find_decider(*, entry: ledger.StoredEntry, known: Decider) -> Decider:
    """Return the rules by which an entry was written: those `known`, or of an earlier version.

    A run that was moved to another version is folded with the one it had, up to where it moved.
    """
    if not known.version or f'"version":"{known.version}"'.encode() in entry.body:
        return known
    digest = read_entry(entry.body).version
    version_id = (
        Version.objects.filter(digest=bytes.fromhex(digest)).values_list("pk", flat=True).first()
    )
    return known if version_id is None else get_rules(version_id=version_id).decider


def follow(decider: Decider, event: Event) -> Decider:
    """Return the rules an event is applied by: from the entry that moves a run on, the new ones."""
    if event.kind != EventKind.RUN_MIGRATED:
        return decider
    return get_rules(version_id=UUID(str(event.data["version_to"]))).decider


def make_event(entry: ledger.StoredEntry) -> Event:
    """Return the event of an entry. Raises: RunRedactedError if a value it needs was erased."""
    erased = entry.erased - UNFOLDED_PAYLOADS
    if erased:
        names = ", ".join(sorted(erased))
        raise RunRedactedError(f"Of entry {entry.seq} {names} was erased.", seq=entry.seq)
    return Event(
        kind=entry.kind, at=entry.at, data=entry.data, payloads=entry.payloads, seq=entry.seq
    )


def _fold_after(decider: Decider, state: RunState, head: StreamHead) -> tuple[RunState, StreamHead]:
    entries = ledger.read_verified(
        stream=head.stream,
        after_seq=head.seq,
        after_head=head.head,
        limit=limits.RUN_ENTRY_COUNT_MAX,
    )
    return _fold(decider, state, head, entries)


def _fold(
    decider: Decider, state: RunState, head: StreamHead, entries: Sequence[ledger.StoredEntry]
) -> tuple[RunState, StreamHead]:
    events = (make_event(entry) for entry in entries)
    if entries:
        decider = find_decider(entry=entries[0], known=decider)
    for event in events:
        decider = follow(decider, event)
        state = decider.fold(state, (event,))
    if entries:
        head = StreamHead(stream=head.stream, seq=entries[-1].seq, head=entries[-1].leaf)
    return state, head
