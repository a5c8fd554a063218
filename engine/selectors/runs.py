"""Reading runs: the list from rows, one run by folding its stream. Read `get_run` first."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import structlog
from django.db.models import Q, QuerySet

from audit import store as ledger
from audit.domain.entry import SOURCE_PAYLOAD, read_entry
from audit.selectors.redacted import find_note
from audit.store import StoredEntry
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.selectors.access import list_scopes
from core.kernel.types import Json
from engine import loading
from engine.domain.errors import NondeterministicError, RunRedactedError, UnexpectedEventError
from engine.domain.state import RunState, RunStatus
from engine.models import Run
from engine.selectors.run_links import Relations, find_relations
from engine.selectors.run_shapes import RunShape, get_shape
from engine.selectors.step_views import (
    StepFilters,
    StepReader,
    StepView,
    Tally,
)
from engine.selectors.targets import get_run_target
from engine.selectors.turns import TurnView, find_turn
from engine.selectors.waited import find_surroundings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run as lists show it."""

    id: UUID
    number: int
    project_slug: str
    workflow_slug: str
    version_rev: int
    version_digest_hex: str
    title: str
    status: str
    outcome: str
    initiator: str
    created_at: datetime
    closed_at: datetime | None
    seq: int
    head_hex: str
    priority: int = 0
    redacted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail:
    """A run with what its stream tells.

    `steps` are in the plan's order, compensations last; `hidden_step_count` more are left out where
    something is repeated often, and `tallies` say how all of them stand. They are empty, and
    `unreadable` says why, if the stream cannot be folded with the run's version, or because values
    were redacted. `turn` is its place in its concurrency group, `None` without one.
    """

    run: RunView
    inputs: Json
    outputs: Mapping[str, Json]
    steps: tuple[StepView, ...]
    relations: Relations
    hidden_step_count: int = 0
    tallies: tuple[Tally, ...] = ()
    shape: RunShape = field(default_factory=RunShape)
    unreadable: str = ""
    turn: TurnView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReading:
    """A run, and what reads more of its steps: `None` if its stream cannot be read."""

    detail: RunDetail
    reader: StepReader | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEventView:
    """One entry of a run's stream. `erased` are the names of payloads that were redacted."""

    seq: int
    kind: str
    at: datetime
    actor_id: str
    actor_kind: str
    via: str
    leaf_hex: str
    data: Mapping[str, Json]
    payloads: Mapping[str, Json]
    erased: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilters:
    """What a list of runs may be narrowed to; `None` means any. `is_open`: not closed yet."""

    project_slug: str | None = None
    workflow_slug: str | None = None
    status: str | None = None
    outcome: str | None = None
    initiator: str | None = None
    is_open: bool = False


def list_runs(
    *,
    principal: Principal,
    filters: RunFilters,
    after: UUID | None = None,
    limit: int,
) -> list[RunView]:
    """Return the runs the caller may see, newest first, after a cursor. At most 4 statements."""
    query = _visible(principal).filter(_conditions(filters))
    if after is not None:
        query = query.filter(pk__lt=after)
    return [view_run(row) for row in query.order_by("-pk")[:limit]]


def get_run(*, principal: Principal, run_id: UUID) -> RunDetail:
    """Return one run with its steps; a constant number of queries. Raises: RunMissingError."""
    return get_run_reading(principal=principal, run_id=run_id).detail


def get_run_reading(*, principal: Principal, run_id: UUID, keep: str = "") -> RunReading:
    """Return one run with its steps; a constant number of queries.

    Args:
        principal: who reads.
        run_id: the run.
        keep: the key of a step that is listed whatever is left out; nonsense changes nothing.

    Raises: RunMissingError.
    """
    get_run_target(principal=principal, run_id=run_id)
    row = get_run_row(run_id=run_id)
    folded = _fold(row)
    if isinstance(folded, str):
        relations = find_relations(principal=principal, run_id=run_id)
        return RunReading(detail=_unreadable(row, folded, relations))
    rules, state = folded
    reader = StepReader(rules.decider, state)
    listed = reader.list_steps(keep=keep)
    around = find_surroundings(
        principal=principal, run_id=run_id, project_id=rules.project_id, steps=listed.steps
    )
    detail = RunDetail(
        run=view_run(row),
        inputs=state.inputs,
        outputs=state.closing.outputs if state.closing else {},
        steps=around.fill(listed.steps),
        relations=around.relations,
        hidden_step_count=listed.hidden_count,
        tallies=listed.tallies,
        shape=get_shape(state=state),
        turn=find_turn(principal=principal, run_id=run_id, group=state.group),
    )
    return RunReading(detail=detail, reader=reader)


def list_run_steps(
    *,
    principal: Principal,
    run_id: UUID,
    filters: StepFilters,
    after: str = "",
    limit: int,
) -> list[StepView]:
    """Return a run's steps in their order, all of them, after a key; a constant number of queries.

    Of a run that cannot be read there are none; `get_run` says why. Raises: RunMissingError.
    """
    get_run_target(principal=principal, run_id=run_id)
    folded = _fold(get_run_row(run_id=run_id))
    if isinstance(folded, str):
        return []
    rules, state = folded
    steps = StepReader(rules.decider, state).list_after(filters=filters, after=after, limit=limit)
    around = find_surroundings(
        principal=principal, run_id=run_id, project_id=rules.project_id, steps=steps
    )
    return list(around.fill(steps))


def list_run_events(
    *, principal: Principal, run_id: UUID, after_seq: int = 0, limit: int
) -> list[RunEventView]:
    """Return a run's entries in order, after a place. Raises: RunMissingError."""
    get_run_target(principal=principal, run_id=run_id)
    entries = ledger.read_stream(stream=run_id, after_seq=after_seq, limit=limit)
    return [_event_view(entry) for entry in entries]


def get_run_row(*, run_id: UUID) -> Run:
    """Return the row of a run the reader may see, with its workflow and version. One query."""
    return _rows().get(pk=run_id)


def view_run(row: Run) -> RunView:
    """Return a run that `get_run_row` returned as lists show it."""
    return RunView(
        id=row.id,
        number=row.number,
        project_slug=row.workflow.project.slug,
        workflow_slug=row.workflow.slug,
        version_rev=row.version.rev,
        version_digest_hex=bytes(row.version.digest).hex(),
        title=row.title,
        status=row.status,
        outcome=row.outcome,
        initiator=row.initiator.username,
        created_at=row.created_at,
        closed_at=row.closed_at,
        seq=row.seq,
        head_hex=bytes(row.head).hex(),
        priority=row.priority,
        redacted_at=row.redacted_at,
    )


def _visible(principal: Principal) -> QuerySet[Run]:
    scopes = list_scopes(principal=principal, permission=Permission.VIEW_WORKFLOW)
    if scopes.everything:
        return _rows()
    covered = list(scopes.scope_ids)
    return _rows().filter(
        Q(workflow__scope_id__in=covered) | Q(workflow__scope__parent_id__in=covered)
    )


def _conditions(filters: RunFilters) -> Q:
    names = {
        "workflow__project__slug": filters.project_slug,
        "workflow__slug": filters.workflow_slug,
        "status": filters.status,
        "outcome": filters.outcome,
        "initiator__username": filters.initiator,
    }
    wanted = Q(**{name: value for name, value in names.items() if value is not None})
    return wanted & ~Q(status=RunStatus.CLOSED) if filters.is_open else wanted


def _rows() -> QuerySet[Run]:
    return Run.objects.select_related("workflow__project", "version", "initiator").defer(
        "version__plan", "version__source", "version__inputs_schema", "snapshot"
    )


def _fold(row: Run) -> tuple[loading.Rules, RunState] | str:
    """Return a run's rules and state, or why its stream cannot be read.

    What other processes keep of a run outlives its redaction: the row says whether to look.
    """
    if row.redacted_at is not None:
        loading.forget_state(run_id=row.id)
        return _say_redacted(row.id)
    try:
        rules = loading.get_rules(version_id=row.version_id)
        state, head = loading.load_state(decider=rules.decider, run_id=row.id, seq=row.seq)
    except RunRedactedError:  # since the row was read
        loading.forget_state(run_id=row.id)
        return _say_redacted(row.id)
    except (NondeterministicError, UnexpectedEventError) as error:
        return error.message
    except Exception:  # what halted the run may be a bug that folding it meets again
        if row.status != RunStatus.HALTED:
            raise
        log.exception("engine.run_unreadable", run=str(row.id))
        return "A bug keeps the record from being read; the log has it."
    loading.keep_state(head=head, state=state)
    return rules, state


def _say_redacted(run_id: UUID) -> str:
    note = find_note(stream=run_id)
    return "Values of it were redacted." if note is None else note.words


def _unreadable(row: Run, why: str, relations: Relations) -> RunDetail:
    return RunDetail(
        run=view_run(row),
        inputs=None,
        outputs={},
        steps=(),
        relations=relations,
        unreadable=why,
    )


def _event_view(entry: StoredEntry) -> RunEventView:
    view = read_entry(entry.body)
    # The caller's network address is for auditors, who read it in the ledger.
    shown = {name: value for name, value in entry.payloads.items() if name != SOURCE_PAYLOAD}
    return RunEventView(
        seq=entry.seq,
        kind=entry.kind,
        at=entry.at,
        actor_id=view.actor.id,
        actor_kind=view.actor.kind,
        via=view.via,
        leaf_hex=entry.leaf.hex(),
        data=view.data,
        payloads=shown,
        erased=tuple(sorted(entry.erased - {SOURCE_PAYLOAD})),
    )
