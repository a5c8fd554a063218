"""What starting a run takes, whoever starts it. Read `Chosen`, then `make_started_event`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import cast
from uuid import UUID

from django.db import transaction

from audit.domain.entry import StreamHead, extend
from core.kernel import ids, limits
from core.kernel.canonical import canonical_bytes
from core.kernel.record import Origin
from core.kernel.types import Json, JsonLike
from core.toolkit.db import fetch_rows
from engine import loading, store, writing
from engine.domain import semver
from engine.domain.definition import Definition
from engine.domain.errors import CallUnresolvedError, InputsTooLargeError
from engine.domain.events import Event, EventKind
from engine.domain.flow.input_schema import BoundedValidator
from engine.domain.inputs import check_inputs
from engine.domain.plan import Call, Plan, walk
from engine.domain.state import RunStatus
from engine.flow_control import groups

_TITLE_CHARS_MAX = 300

# Drawn once nothing is left to refuse, because a sequence takes no number back: one is missing only
# where the process died before the insert, or another start with the same key was faster.
_NUMBER = "SELECT nextval('engine_run_number_seq'), clock_timestamp()"

_CHOSEN = """
    SELECT v.id, v.digest, v.rev, w.id, w.slug, w.scope_id, p.id, p.slug
    FROM engine_version v JOIN engine_workflow w ON w.id = v.workflow_id
    JOIN identity_project p ON p.id = w.project_id
    WHERE v.id = %s::uuid"""

_CALLABLE = """
    SELECT v.id, v.digest, v.rev, v.label
    FROM engine_version v JOIN engine_workflow w ON w.id = v.workflow_id
    JOIN identity_project p ON p.id = w.project_id
    WHERE p.slug = %s AND w.slug = %s AND w.archived_at IS NULL AND v.status = 'published'
    ORDER BY v.rev DESC"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The version a start runs, and where it belongs. `version_digest` is hex."""

    version_id: UUID
    version_digest: str
    rev: int
    workflow_id: UUID
    workflow_slug: str
    scope_id: UUID
    project_id: UUID
    project_slug: str

    def plan(self) -> Plan:
        """Return the compiled definition."""
        return self.definition().plan

    def definition(self) -> Definition:
        """Return the compiled definition, indexed."""
        return loading.get_rules(version_id=self.version_id).decider.definition


def find_chosen(*, version_id: UUID) -> Chosen | None:
    """Return what a start of a version needs, whatever its status. One statement."""
    rows = fetch_rows(_CHOSEN, (version_id,))
    if not rows:
        return None
    row = rows[0]
    return Chosen(
        version_id=row[0],
        version_digest=bytes(row[1]).hex(),
        rev=row[2],
        workflow_id=row[3],
        workflow_slug=row[4],
        scope_id=row[5],
        project_id=row[6],
        project_slug=row[7],
    )


def fill_inputs(chosen: Chosen, kept: Json) -> dict[str, Json]:
    """Return inputs that `keep_inputs` let through, with the schema's defaults.

    Raises:
        InputsInvalidError: they do not match the version's schema.
    """
    return check_inputs(_validator(chosen.version_id), kept)


def check_rendering(chosen: Chosen, inputs: dict[str, Json], *, heard: Json = None) -> None:
    """Check that the expressions of a start evaluate, before a number is drawn for it.

    `heard` is the event that starts the run, if one does.

    Raises:
        ExpressionError: the title, `vars` or the concurrency group cannot be rendered with these
            inputs, or the group's name is empty or too long.
        InputsTooLargeError: `vars` come to more than is recorded.
    """
    facts, variables, _ = _render(chosen, inputs, run_id=ids.uuid7(), number=1, heard=heard)
    _render_group(chosen, inputs, facts=facts, heard=heard)
    size = len(canonical_bytes(variables))
    if size > limits.PAYLOAD_BYTES_MAX:
        raise InputsTooLargeError(
            f"With these inputs `vars` come to {size} bytes; at most {limits.PAYLOAD_BYTES_MAX} "
            "are recorded."
        )


def draw_number() -> tuple[int, datetime]:
    """Return the number of a new run and the database's clock. One statement.

    For runs that go on with others; what begins by itself asks `admission.draw_admitted_number`.
    """
    ((number, at),) = fetch_rows(_NUMBER, ())
    return number, at


def choose_versions(*, plan: Plan, project_slug: str) -> dict[str, Json]:
    """Return which version each `call` of a plan runs, by reference; none for a plan without any.

    The value is `{"version": id, "digest": hex, "rev": number, "label": text}`: of the published
    versions in the range the one with the highest label, of equal ones the newest. One statement
    for each called workflow.

    Raises:
        CallUnresolvedError: nothing published is in a range; `references` lists what is missing.
    """
    calls = {
        step.verb.reference: step.verb for _, step in walk(plan) if isinstance(step.verb, Call)
    }
    chosen: dict[str, Json] = {}
    for reference, call in calls.items():
        found = _pick(call, project_slug=call.project or project_slug)
        if found is not None:
            chosen[reference] = found
    missing = sorted(set(calls) - set(chosen))
    if missing:
        raise CallUnresolvedError(
            f"No published version fits: {', '.join(missing)}.", references=missing
        )
    return chosen


def make_started_event(
    chosen: Chosen,
    inputs: dict[str, Json],
    *,
    run_id: UUID,
    number: int,
    at: datetime,
    calls: Mapping[str, Json],
    extra: Mapping[str, JsonLike] | None = None,
    heard: Json = None,
) -> tuple[str, Event]:
    """Return a run's title and first event. `extra` joins its hashed data.

    `heard` is the event that starts the run, if one does.
    """
    facts, rendered, title = _render(chosen, inputs, run_id=run_id, number=number, heard=heard)
    payloads: dict[str, Json] = {"inputs": inputs, "vars": rendered, "title": title}
    group, name = _render_group(chosen, inputs, facts=facts, heard=heard)
    if name:
        payloads["group"] = name
    if calls:
        payloads["calls"] = dict(calls)
    if heard is not None:
        payloads["event"] = heard
    event = Event(
        kind=EventKind.RUN_STARTED,
        at=at,
        data={"run": cast("JsonLike", facts), **group, **(extra or {})},
        payloads=payloads,
    )
    return title, event


def insert(chosen: Chosen, run: store.NewRun, event: Event, *, origin: Origin) -> bool:
    """Insert a run with its first entry. `False`: the idempotency key is taken.

    One statement; a run of a concurrency group takes a few, and waits for its turn.
    """
    if "group" not in event.payloads:
        return _insert(chosen, run, event, origin=origin)
    with transaction.atomic():
        event = groups.enter(
            event,
            project_id=chosen.project_id,
            parent_id=None if run.parent_reported else run.parent_id,
            predecessor_id=run.predecessor_id,
        )
        if not _insert(chosen, run, event, origin=origin):
            return False
        groups.place(
            event,
            run_id=run.id,
            project_id=chosen.project_id,
            predecessor_id=run.predecessor_id,
        )
    return True


def _insert(chosen: Chosen, run: store.NewRun, event: Event, *, origin: Origin) -> bool:
    draft = writing.draft_event(
        event,
        run_id=run.id,
        scope=chosen.scope_id,
        version=chosen.version_digest,
        state_to=RunStatus.WAITING if groups.is_queued(event) else RunStatus.READY,
        origin=origin,
    )
    head, entries = extend(head=StreamHead(stream=run.id), drafts=(draft,), salts=ids.salt)
    return store.start(run=run, entries=entries, head=head)


def render_variables(
    chosen: Chosen, inputs: dict[str, Json], *, run_id: UUID, number: int, heard: Json
) -> dict[str, Json]:
    """Return the `vars` a run of a version begins with. Raises: ExpressionError."""
    _, variables, _ = _render(chosen, inputs, run_id=run_id, number=number, heard=heard)
    return cast("dict[str, Json]", variables)


def _pick(call: Call, *, project_slug: str) -> dict[str, Json] | None:
    rows = fetch_rows(_CALLABLE, (project_slug, call.workflow))
    label = semver.pick(call.range, [row[3] for row in rows])
    for version_id, digest, rev, found in rows:
        if found == label:
            digest_hex = bytes(digest).hex()
            return {"version": str(version_id), "digest": digest_hex, "rev": rev, "label": found}
    return None


def _render(
    chosen: Chosen, inputs: dict[str, Json], *, run_id: UUID, number: int, heard: Json
) -> tuple[dict[str, Json], Json, str]:
    """Return what expressions see as `run`, and the rendered `vars` and title."""
    plan = chosen.plan()
    facts: dict[str, Json] = {
        "id": str(run_id),
        "number": number,
        "project": chosen.project_slug,
        "workflow": chosen.workflow_slug,
        "rev": chosen.rev,
    }
    variables: dict[str, Json] = {"inputs": inputs, "run": facts, "event": heard}
    rendered = loading.EVALUATOR.render(dict(plan.variables), variables)
    title = loading.EVALUATOR.render(plan.title, variables | {"vars": rendered})
    return facts, rendered, str(title)[:_TITLE_CHARS_MAX] or plan.name


def _render_group(
    chosen: Chosen, inputs: dict[str, Json], *, facts: Mapping[str, Json], heard: Json
) -> tuple[dict[str, JsonLike], str]:
    """Return what the first entry says of a run's concurrency group, and the group's name."""
    rules = loading.get_rules(version_id=chosen.version_id)
    concurrency = rules.decider.plan.concurrency
    if concurrency is None:
        return {}, ""
    seen: dict[str, Json] = {"inputs": inputs, "run": dict(facts), "event": heard}
    name = rules.decider.definition.render_name(concurrency.group, seen)
    conflict = concurrency.on_conflict.value
    return {"group": {"max": concurrency.run_count_max, "on_conflict": conflict}}, name


@lru_cache(maxsize=256)
def _validator(version_id: UUID) -> BoundedValidator:
    schema = loading.get_rules(version_id=version_id).decider.plan.inputs_schema
    return BoundedValidator(schema, evaluator=loading.EVALUATOR)
