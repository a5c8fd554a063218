"""A run as it was at a past entry or instant. Read `get_past` first.

Whoever may see the run may look at its past, and sees what was on its record then: of other runs
only what that record names, never how they stand now.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from audit.models import Entry
from core.identity.domain.principal import Principal
from core.kernel.types import Json
from engine import loading, past
from engine.domain.errors import MomentMissingError
from engine.domain.plan import Plan
from engine.domain.state import RunStatus
from engine.models import Run, Version
from engine.past import Erased, Past
from engine.selectors.run_links import Relations, RunLink, find_relations
from engine.selectors.run_shapes import get_shape
from engine.selectors.runs import RunDetail, RunReading, RunView, get_run_row, view_run
from engine.selectors.step_views import StepReader, StepView
from engine.selectors.step_waits import WaitKind
from engine.selectors.targets import get_run_target
from engine.selectors.turns import TurnView


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Which past: the run's entry `seq`, or its newest one by the instant `at` (aware), or now."""

    seq: int | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """A run after its entry `seq` of `last_seq`, of `kind`, which was written at `written_at`.

    `at` is the instant that is looked at: that of the entry, or the later one that was asked for.
    `waiting` are the keys of steps that waited for people. `variables` are the run's `vars`.
    `erased` are values of entries so far that were redacted since.
    """

    seq: int
    last_seq: int
    kind: str
    written_at: datetime
    at: datetime
    leaf_hex: str
    reading: RunReading
    plan: Plan
    variables: Json
    waiting: tuple[str, ...]
    erased: tuple[Erased, ...] = ()

    @property
    def detail(self) -> RunDetail:
        """The run as its own page shows it, then."""
        return self.reading.detail

    @property
    def is_newest(self) -> bool:
        """Say whether nothing has happened since."""
        return self.seq == self.last_seq


def get_past(*, principal: Principal, run_id: UUID, moment: Moment, keep: str = "") -> PastRun:
    """Return a run as it was; a constant number of queries and one for every 500 entries.

    Args:
        principal: who reads; it must see the run.
        run_id: the run.
        moment: which past.
        keep: the key of a step that is listed whatever is left out; nonsense changes nothing.

    Raises:
        RunMissingError: there is no such run for the reader.
        MomentMissingError: the run has no such entry, or had none by then.
        LedgerCorruptError: an entry or payload does not match its hash.
    """
    get_run_target(principal=principal, run_id=run_id)
    row = get_run_row(run_id=run_id)
    seq = _find_seq(row, moment)
    known = loading.get_rules(version_id=row.version_id).decider
    found = past.fold_until(run_id=run_id, known=known, seq=seq)
    reading = _read(principal, row, found, keep=keep)
    return PastRun(
        seq=found.head.seq,
        last_seq=row.seq,
        kind=found.kind,
        written_at=found.at,
        at=max(moment.at, found.at) if moment.at is not None else found.at,
        leaf_hex=found.head.head.hex(),
        reading=reading,
        plan=found.decider.plan,
        variables=found.state.variables,
        waiting=_list_waiting(reading.detail.steps),
        erased=found.erased,
    )


def _find_seq(row: Run, moment: Moment) -> int:
    seq = row.seq if moment.at is None and moment.seq is None else moment.seq
    if seq is None:
        entries = Entry.objects.filter(stream=row.pk, at__lte=moment.at).order_by("-seq")
        seq = entries.values_list("seq", flat=True).first()
    if seq is None or not 1 <= seq <= row.seq:
        raise MomentMissingError(run=str(row.pk))
    return seq


def _read(principal: Principal, row: Run, found: Past, *, keep: str) -> RunReading:
    view = _view_then(row, found)
    state, decider = found.state, found.decider
    if found.broken:
        relations = _relations_then(principal, row.pk, found, ())
        detail = RunDetail(
            run=view,
            inputs=None,
            outputs={},
            steps=(),
            relations=relations,
            unreadable=found.broken,
        )
        return RunReading(detail=detail)
    reader = StepReader(decider, state)
    listed = reader.list_steps(keep=keep)
    relations = _relations_then(principal, row.pk, found, listed.steps)
    detail = RunDetail(
        run=view,
        inputs=state.inputs,
        outputs=state.closing.outputs if state.closing else {},
        steps=tuple(_name_called(step, relations) for step in listed.steps),
        relations=relations,
        hidden_step_count=listed.hidden_count,
        tallies=listed.tallies,
        shape=get_shape(state=state),
        turn=TurnView(group=state.group) if state.group else None,
    )
    return RunReading(detail=detail, reader=reader)


def _view_then(row: Run, found: Past) -> RunView:
    """Return the run's row as it was: its status, outcome and version of that time."""
    state, view = found.state, view_run(row)
    status = past.say_status(found)
    closing = state.closing if state.closed else None
    now = replace(
        view,
        status=status,
        outcome=str(closing.outcome) if closing else "",
        closed_at=found.at if status is RunStatus.CLOSED else None,
        seq=found.head.seq,
        head_hex=found.head.head.hex(),
    )
    digest = found.decider.version
    if digest == view.version_digest_hex:
        return now
    rev = (
        Version.objects.filter(workflow_id=row.workflow_id, digest=bytes.fromhex(digest))
        .order_by("-rev")
        .values_list("rev", flat=True)
        .first()
    )
    assert rev is not None, "a version a run had is never deleted"
    return replace(now, version_rev=rev, version_digest_hex=digest)


def _relations_then(
    principal: Principal, run_id: UUID, found: Past, steps: tuple[StepView, ...]
) -> Relations:
    """Return the runs around the run that were on its record by then, without how they stand now.

    What it was run again as is on the record of those runs only.
    """
    children = [step.child for step in steps if step.child is not None]
    relations = find_relations(principal=principal, run_id=run_id, others=children)
    return replace(
        relations,
        parent=_without_standing(relations.parent),
        predecessor=_without_standing(relations.predecessor),
        successor=_without_standing(relations.successor) if found.state.closed else None,
        origin=_without_standing(relations.origin),
        others={key: _known(link) for key, link in relations.others.items()},
        reruns=(),
    )


def _without_standing(link: RunLink | None) -> RunLink | None:
    return None if link is None else _known(link)


def _known(link: RunLink) -> RunLink:
    return replace(link, status="", outcome="")


def _name_called(step: StepView, relations: Relations) -> StepView:
    """Return a step whose waits name the run it called. Who held what else is on no record here."""
    if not any(wait.kind is WaitKind.RUN and wait.run_id is not None for wait in step.waits):
        return step
    links: Mapping[UUID, RunLink] = relations.others
    waits = tuple(
        replace(wait, run=links.get(wait.run_id) or RunLink(id=wait.run_id))
        if wait.run_id is not None
        else wait
        for wait in step.waits
    )
    return replace(step, waits=waits)


def _list_waiting(steps: tuple[StepView, ...]) -> tuple[str, ...]:
    """Return the keys of steps that waited for people, in the order of the listing."""
    people = {WaitKind.PEOPLE, WaitKind.QUESTION}
    return tuple(step.key for step in steps if any(wait.kind in people for wait in step.waits))
