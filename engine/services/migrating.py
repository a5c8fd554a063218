"""Moving open runs to another version. Read `migrate_runs`; `foresee_migration` changes nothing.

Whether a run may move is judged in `engine.domain.migrating`. Why it is so: decision 34.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast
from uuid import UUID

from django.db import connection, transaction

from core.identity.authorize import require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.kernel import limits
from core.kernel.errors import PlatformError
from core.kernel.types import Json, JsonLike
from engine import loading, starting, store
from engine.domain.errors import (
    NothingPublishedError,
    ReasonMissingError,
    ReasonTooLongError,
    VersionMissingError,
)
from engine.domain.events import Event, EventKind
from engine.domain.inputs import keep_inputs
from engine.domain.migrating import Given, Obstacle, judge_move
from engine.domain.state import RunState, RunStatus
from engine.models import Run, Version, VersionStatus
from engine.reruns import rows
from engine.reruns.origin import list_gated
from engine.selectors.targets import WorkflowTarget, get_workflow_target
from engine.services import outside
from engine.starting import Chosen

# The row is locked, and the entry that says so is written in the same transaction.
_MOVE = "UPDATE engine_run SET version_id = %s WHERE id = %s"

_QUIET = frozenset({RunStatus.WAITING.value, RunStatus.PAUSED.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """What is moved where.

    `names`: ids of outermost steps, or of states, of the old version → their ids in the new one.
    `data`: names of `vars` → CEL over `inputs`, `vars`, `run` and `event`, for the new version.
    `run_ids`: those runs only, `None` for all. `after`: those with a higher id.
    """

    from_rev: int
    to_rev: int
    names: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    run_ids: Sequence[UUID] | None = None
    after: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMove:
    """What became, or would become, of one run. It does not move if there are obstacles."""

    run_id: UUID
    number: int
    title: str
    obstacles: tuple[Obstacle, ...] = ()
    reset: tuple[str, ...] = ()
    has_moved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationReport:
    """What became of runs, in the order of their ids; the next begin `after` that one, if any."""

    runs: tuple[RunMove, ...]
    after: UUID | None


def foresee_migration(
    *, principal: Principal, project_slug: str, workflow_slug: str, migration: Migration
) -> MigrationReport:
    """Return what moving runs would do now, of `limits.MIGRATION_RUN_COUNT_MAX` at most.

    Raises: as `migrate_runs`, but for the reason.
    """
    target = _check_access(principal, project_slug, workflow_slug)
    chosen = _choose(target, migration)
    return _each(target, migration, lambda run: _foresee(run, chosen, migration))


def migrate_runs(
    *,
    principal: Principal,
    project_slug: str,
    workflow_slug: str,
    migration: Migration,
    reason: str,
) -> MigrationReport:
    """Move open runs of a version to another one, as far as they may, each by itself.

    An approval that is another there, or leads to something else, is taken back and asked anew.
    Idempotent: what has moved is of the other version.
    Transaction: one for each run, which locks it.

    Raises:
        WorkflowMissingError: no such workflow, or the caller may not see it.
        AccessForbiddenError: the caller may not publish its versions, or not operate its runs.
        ReasonMissingError, ReasonTooLongError: there is no reason, or it is over its bound.
        VersionMissingError, NothingPublishedError: a version is not there, or not published.
    """
    target = _check_access(principal, project_slug, workflow_slug)
    if not reason.strip():
        raise ReasonMissingError
    if len(reason) > limits.REASON_CHARS_MAX:
        raise ReasonTooLongError
    chosen = _choose(target, migration)

    def move(run: Run) -> RunMove:
        try:
            with transaction.atomic():
                return _move(run, chosen, migration, principal=principal, reason=reason)
        except PlatformError as error:
            return _refused(run, error)

    return _each(target, migration, move)


# --- which runs ------------------------------------------------------------------------------


def _check_access(principal: Principal, project_slug: str, workflow_slug: str) -> WorkflowTarget:
    target = get_workflow_target(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
    )
    for permission in (Permission.PUBLISH_WORKFLOW, Permission.OPERATE_RUN):
        require(principal=principal, permission=permission, scope_id=target.scope_id)
    return target


def _choose(target: WorkflowTarget, migration: Migration) -> Chosen:
    versions = Version.objects.filter(workflow_id=target.workflow_id)
    revs = (migration.from_rev, migration.to_rev)
    found = {item.rev: item for item in versions.filter(rev__in=revs)}
    for rev in revs:
        if rev not in found:
            raise VersionMissingError(rev=rev)
    wanted = found[migration.to_rev]
    if wanted.status != VersionStatus.PUBLISHED:
        raise NothingPublishedError(f"Version {wanted.rev} is not published.", rev=wanted.rev)
    chosen = starting.find_chosen(version_id=wanted.pk)
    assert chosen is not None, "versions are never deleted"
    return chosen


def _each(
    target: WorkflowTarget, migration: Migration, act: Callable[[Run], RunMove]
) -> MigrationReport:
    runs = Run.objects.filter(
        workflow_id=target.workflow_id, version__rev=migration.from_rev
    ).exclude(status=RunStatus.CLOSED)
    if migration.run_ids is not None:
        runs = runs.filter(pk__in=migration.run_ids)
    if migration.after is not None:
        runs = runs.filter(pk__gt=migration.after)
    most = limits.MIGRATION_RUN_COUNT_MAX
    found = list(runs.order_by("pk")[: most + 1])
    moves = tuple(act(run) for run in found[:most])
    return MigrationReport(runs=moves, after=moves[-1].run_id if len(found) > most else None)


# --- one run ---------------------------------------------------------------------------------


def _foresee(run: Run, chosen: Chosen, migration: Migration) -> RunMove:
    row = store.read_run(run_id=run.pk)
    assert row is not None, "runs are never deleted"
    try:
        return _judge(run, row, chosen, migration)[0]
    except PlatformError as error:
        return _refused(run, error)


def _move(
    run: Run, chosen: Chosen, migration: Migration, *, principal: Principal, reason: str
) -> RunMove:
    row = store.lock_run(run_id=run.pk)
    assert row is not None, "runs are never deleted"
    made, event = _judge(run, row, chosen, migration)
    if event is None:
        return made
    if made.reset or migration.data:  # who changes what people are asked about is no judge of it
        behalf = principal.origin.on_behalf_of
        persons = {principal.person_id} | ({UUID(behalf.id)} if behalf else set())
        rows.note_movers(run_id=run.pk, persons=persons)
    payloads = {**event.payloads, "reason": reason}
    outside.append(row=row, events=(replace(event, payloads=payloads),), origin=principal.origin)
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, (chosen.version_id, run.pk))
    return replace(made, has_moved=True)


def _judge(
    run: Run, row: store.RunRow, chosen: Chosen, migration: Migration
) -> tuple[RunMove, Event | None]:
    """Return what becomes of a run, and the event that moves it, `None` if it stays."""
    made = RunMove(run_id=run.pk, number=run.number, title=run.title)
    if row.version_id != run.version_id or row.status == RunStatus.CLOSED:
        return replace(made, obstacles=(Obstacle(code="over", message="it is over"),)), None
    if row.status not in _QUIET:
        busy = Obstacle(code="executing", message=f"it is {row.status}, not waiting")
        return replace(made, obstacles=(busy,)), None
    decider = loading.get_rules(version_id=row.version_id).decider
    state, _ = loading.load_state(decider=decider, run_id=run.pk, seq=row.seq)
    translated = _translate(run, state, chosen, migration)
    given = Given(
        inputs=cast("Mapping[str, Json]", translated["inputs"]),
        variables=cast("Mapping[str, Json]", translated["vars"]),
        gated=list_gated(definition=decider.definition, state=state),
    )
    verdict = judge_move(
        decider.definition, chosen.definition(), state, names=migration.names, given=given
    )
    made = replace(made, obstacles=verdict.obstacles, reset=verdict.reset)
    if verdict.obstacles:
        return made, None
    data: dict[str, JsonLike] = {
        "version_from": str(row.version_id),
        "version_to": str(chosen.version_id),
        "rev": chosen.rev,
        "reset": list(verdict.reset),
    }
    payloads: dict[str, Json] = {
        "names": dict(migration.names),
        **translated,
    }
    event = Event(kind=EventKind.RUN_MIGRATED, at=row.now, data=data, payloads=payloads)
    return made, event


def _translate(run: Run, state: RunState, chosen: Chosen, migration: Migration) -> dict[str, Json]:
    """Return the inputs, vars and calls of a run in the other version.

    Inputs get the other schema's defaults; a var that only the other version has is rendered, one
    that `data` names is evaluated, all others stay. What is called already keeps its version.
    """
    inputs = starting.fill_inputs(chosen, keep_inputs(state.inputs))
    rendered = starting.render_variables(
        chosen, inputs, run_id=run.pk, number=run.number, heard=state.event
    )
    known = state.variables if isinstance(state.variables, Mapping) else {}
    seen: dict[str, Json] = {
        "inputs": inputs,
        "vars": dict(known),
        "run": dict(state.facts),
        "event": state.event,
    }
    given = {name: loading.EVALUATOR.evaluate(text, seen) for name, text in migration.data.items()}
    calls = starting.choose_versions(plan=chosen.plan(), project_slug=chosen.project_slug)
    return {
        "inputs": inputs,
        "vars": {**rendered, **known, **given},
        "calls": {**calls, **state.calls},
    }


def _refused(run: Run, error: PlatformError) -> RunMove:
    problems = "; ".join(f"{item.path or '/'}: {item.message}" for item in error.problems[:5])
    message = (problems or error.message)[: limits.ERROR_CHARS_MAX]
    obstacle = Obstacle(code=error.code or "expression", message=message)
    return RunMove(run_id=run.pk, number=run.number, title=run.title, obstacles=(obstacle,))
