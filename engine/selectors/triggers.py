"""What starts a workflow's runs by itself, and how that goes. Read `list_triggers`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from audit import store as ledger
from core.identity.authorize import authorize
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from engine import starting
from engine.domain.errors import TriggerMissingError
from engine.domain.triggers import AutomaticTrigger
from engine.selectors.targets import WorkflowTarget, get_workflow_target

_LIST = """
    SELECT t.name, t.kind, t.version_id, t.position, t.next_at, t.paused_at, t.fired_at,
        t.fired_count, r.id, r.number, t.refused_at, t.refused_seq, e.made_at,
        CASE WHEN e.previous_ends_at > clock_timestamp() THEN e.previous_ends_at END,
        (SELECT count(*) FROM (SELECT 1 FROM engine_firing f WHERE f.trigger_id = t.id
                               LIMIT 1000) waiting)
    FROM engine_trigger t
    LEFT JOIN engine_run r ON r.id = t.last_run_id
    LEFT JOIN engine_endpoint e
        ON e.workflow_id = t.workflow_id AND e.name = t.name AND t.kind = 'webhook'
    WHERE t.workflow_id = %s AND t.ended_at IS NULL AND (%s::text IS NULL OR t.name = %s)
    ORDER BY t.position"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a trigger last started nothing: a stable code and a sentence, "" if it was erased."""

    at: datetime
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerView:
    """A live trigger. `waiting_count` firings are not looked at yet, 1,000 or more being 1,000.

    `secret_made_at` is that of a webhook, `None` if it has no secret and takes nothing;
    `previous_secret_ends_at` until when the one before holds.
    """

    name: str
    kind: str
    trigger: AutomaticTrigger
    project_slug: str
    workflow_slug: str
    next_at: datetime | None
    paused_at: datetime | None
    fired_at: datetime | None
    fired_count: int
    last_run_id: UUID | None
    last_run_number: int | None
    waiting_count: int
    refusal: Refusal | None
    secret_made_at: datetime | None
    previous_secret_ends_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerPage:
    """A trigger, and what the reader may do with it."""

    view: TriggerView
    may_operate: bool
    may_make_secret: bool


def list_triggers(
    *, principal: Principal, project_slug: str, workflow_slug: str
) -> list[TriggerView]:
    """Return the live triggers of a workflow, in the order of its definition.

    Raises: WorkflowMissingError.
    """
    target = get_workflow_target(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
    )
    return _list(target, None)


def get_trigger_page(
    *, principal: Principal, project_slug: str, workflow_slug: str, name: str
) -> TriggerPage:
    """Return one live trigger. Raises: WorkflowMissingError, TriggerMissingError."""
    target = get_workflow_target(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
    )
    found = _list(target, name)
    if not found:
        raise TriggerMissingError(trigger=name)
    may_operate = authorize(
        principal=principal, permission=Permission.OPERATE_RUN, scope_id=target.scope_id
    ).allowed
    may_change = authorize(
        principal=principal, permission=Permission.CHANGE_PROJECT, scope_id=target.scope_id
    ).allowed
    return TriggerPage(
        view=found[0], may_operate=may_operate, may_make_secret=may_operate and may_change
    )


def _list(target: WorkflowTarget, name: str | None) -> list[TriggerView]:
    with connection.cursor() as cursor:
        cursor.execute(_LIST, (target.workflow_id, name, name))
        found = cursor.fetchall()
    return [_make_view(row, target) for row in found]


def _make_view(row: tuple[Any, ...], target: WorkflowTarget) -> TriggerView:
    chosen = starting.find_chosen(version_id=row[2])
    assert chosen is not None, "versions are never deleted"
    return TriggerView(
        name=row[0],
        kind=row[1],
        trigger=chosen.plan().automatic[row[3]],
        project_slug=target.project_slug,
        workflow_slug=target.workflow_slug,
        next_at=row[4],
        paused_at=row[5],
        fired_at=row[6],
        fired_count=row[7],
        last_run_id=row[8],
        last_run_number=row[9],
        refusal=_find_refusal(target.workflow_id, row[10], row[11]),
        secret_made_at=row[12],
        previous_secret_ends_at=row[13],
        waiting_count=row[14],
    )


def _find_refusal(workflow_id: UUID, at: datetime | None, seq: int) -> Refusal | None:
    """Return what the workflow's record says of a trigger's last refusal."""
    if at is None:
        return None
    entries = ledger.read_stream(stream=workflow_id, after_seq=seq - 1, limit=1)
    entry = entries[0]
    return Refusal(
        at=at,
        code=str(entry.data.get("code", "")),
        message=str(entry.payloads.get("message", "")),
    )
