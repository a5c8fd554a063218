"""Reading a run that is to be run again. Read `read_origin`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from audit import store as ledger
from audit.domain.entry import EMPTY_HEAD
from core.kernel.types import Json
from engine import loading
from engine.domain.definition import Definition
from engine.domain.errors import NotRepeatableError, RunRedactedError
from engine.domain.events import UNFOLDED_PAYLOADS, Event, EventKind
from engine.domain.keys import any_try_of, path_of, prefix_of
from engine.domain.plan import Call
from engine.domain.replaying import Divergence, Replay
from engine.domain.rerunning import holds_gate
from engine.domain.state import RunState
from engine.models import Run
from engine.reruns import rows

_CHUNK = 500  # entries read at once, so that a long run is not in memory as a whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A run that is over, as its record tells.

    `first` is its first entry, `setting` the last that gave it a version; `divergence` is where its
    record stops to replay, and `state` that before it then.
    """

    run: Run
    definition: Definition
    first: Event
    setting: Event
    state: RunState
    divergence: Divergence | None = None

    @property
    def inputs(self) -> dict[str, Json]:
        """Return its inputs, defaults filled in."""
        return dict(cast("Mapping[str, Json]", self.setting.payloads["inputs"]))

    @property
    def variables(self) -> dict[str, Json]:
        """Return the `vars` it began with."""
        return dict(cast("Mapping[str, Json]", self.first.payloads["vars"] or {}))

    @property
    def calls(self) -> dict[str, Json]:
        """Return which version each of its calls ran, by reference."""
        return dict(cast("Mapping[str, Json]", self.setting.payloads.get("calls") or {}))

    @property
    def heard(self) -> Json:
        """Return the event that started it, if one did."""
        return self.first.payloads.get("event")

    def check_replays(self) -> None:
        """Check that its record can be followed to the end. Raises: NotRepeatableError."""
        if self.divergence is not None:
            found = self.divergence
            raise NotRepeatableError(
                f"Entry {found.seq} of its record does not replay, so it can only be run again "
                f"from the beginning: recorded is {found.expected}, and replaying it gives "
                f"{found.found}.",
                seq=found.seq,
            )


def read_origin(*, run: Run) -> Origin:
    """Return a run as its record tells, every entry checked against its hashes.

    Raises:
        RunRedactedError: payloads of its record have been erased.
        audit errors: an entry or payload does not match its hash.
    """
    decider = loading.get_rules(version_id=run.version_id).decider
    replay = Replay(decider=decider)
    first: Event | None = None
    setting: Event | None = None
    seq, head = 0, EMPTY_HEAD
    while entries := ledger.read_verified(
        stream=run.pk, after_seq=seq, after_head=head, limit=_CHUNK
    ):
        if first is None:
            replay.decider = loading.find_decider(entry=entries[0], known=decider)
        for entry in entries:
            erased = entry.erased - UNFOLDED_PAYLOADS
            if erased:
                names = ", ".join(sorted(erased))
                raise RunRedactedError(
                    f"The run cannot be run again: of entry {entry.seq} {names} was erased.",
                    seq=entry.seq,
                )
            event = Event(
                kind=entry.kind,
                at=entry.at,
                data=entry.data,
                payloads=entry.payloads,
                seq=entry.seq,
            )
            first = first or event
            if event.kind == EventKind.RUN_MIGRATED:
                setting = event
            replay.decider = loading.follow(replay.decider, event)
            replay.go_on([event])
        seq, head = entries[-1].seq, entries[-1].leaf
    assert first is not None, "a run has a first entry"
    return Origin(
        run=run,
        definition=decider.definition,
        first=first,
        setting=setting or first,
        state=replay.state,
        divergence=replay.divergence,
    )


def list_gated(*, definition: Definition, state: RunState) -> frozenset[str]:
    """Return the keys of the outermost steps that called a workflow with an approval in it.

    Whatever version ran for the call counts, and whatever that called in turn; not what was started
    detached, because nothing waited for its end.
    """
    children = []
    for key, step in state.steps.items():
        verb = definition.step(key).verb if path_of(key) in definition.tree.nodes else None
        if step.child and isinstance(verb, Call) and not verb.detached:
            children.append((UUID(step.child), prefix_of(any_try_of(key), 1)))
    return frozenset(
        key
        for key, version_id in rows.list_called(children=children)
        if _has_gate(version_id=version_id)
    )


def _has_gate(*, version_id: UUID) -> bool:
    definition = loading.get_rules(version_id=version_id).decider.definition
    nodes: Any = definition.tree.nodes.values()
    return any(holds_gate(definition, node.step) for node in nodes if not node.parent)
