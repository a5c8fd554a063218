"""What starts a workflow's runs by itself, as pages show it. Read `make_trigger`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.urls import reverse

from core.toolkit.portal.words import say_count
from engine.domain.triggers import Trigger
from engine.portal.context.triggers import say_trigger
from engine.portal.statuses import Chip
from engine.selectors.backfills import BackfillView
from engine.selectors.triggers import TriggerPage, TriggerView


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerRow:
    """A trigger in the list of its workflow. `text` completes "Started by …"."""

    name: str
    href: str
    text: str
    chip: Chip
    next_at: datetime | None
    fired_at: datetime | None
    run_href: str
    run_number: int | None
    refused_at: datetime | None
    refusal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRow:
    """A backfill: its period, how far it has come in words, and whether it goes on."""

    id: UUID
    since: datetime
    until: datetime
    requested_by: str
    created_at: datetime
    chip: Chip
    progress: str
    goes_on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerContext:
    """A trigger with what may be done to it. `address` is where a webhook is sent to."""

    row: TriggerRow
    project: str
    workflow: str
    workflow_href: str
    fired: str
    waiting: str
    is_paused: bool
    paused_at: datetime | None
    may_operate: bool
    is_hook: bool
    address: str
    secret_made_at: datetime | None
    previous_secret_ends_at: datetime | None
    may_make_secret: bool
    is_schedule: bool
    backfills: tuple[BackfillRow, ...]
    has_open_backfill: bool


def make_trigger_rows(views: Sequence[TriggerView]) -> tuple[TriggerRow, ...]:
    """Return the rows of a workflow's list."""
    return tuple(_row(view) for view in views)


def make_trigger(page: TriggerPage, *, backfills: Sequence[BackfillView]) -> TriggerContext:
    """Return a trigger with what its page shows."""
    view = page.view
    place = (view.project_slug, view.workflow_slug)
    is_hook = view.kind == Trigger.WEBHOOK
    return TriggerContext(
        row=_row(view),
        project=view.project_slug,
        workflow=view.workflow_slug,
        workflow_href=reverse("engine_portal:workflow", args=place),
        fired=say_count(view.fired_count, "run"),
        waiting=str(view.waiting_count) if view.waiting_count else "",
        is_paused=view.paused_at is not None,
        paused_at=view.paused_at,
        may_operate=page.may_operate,
        is_hook=is_hook,
        address=reverse("api-hook", args=(*place, view.name)) if is_hook else "",
        secret_made_at=view.secret_made_at,
        previous_secret_ends_at=view.previous_secret_ends_at,
        may_make_secret=page.may_make_secret,
        is_schedule=view.kind == Trigger.SCHEDULE,
        backfills=tuple(_backfill(item) for item in backfills),
        has_open_backfill=any(item.ended_at is None for item in backfills),
    )


def _row(view: TriggerView) -> TriggerRow:
    refusal = view.refusal
    run_id = view.last_run_id
    return TriggerRow(
        name=view.name,
        href=reverse(
            "engine_portal:trigger", args=(view.project_slug, view.workflow_slug, view.name)
        ),
        text=say_trigger(view.trigger),
        chip=_chip(view),
        next_at=view.next_at,
        fired_at=view.fired_at,
        run_href=reverse("engine_portal:run", args=(run_id,)) if run_id else "",
        run_number=view.last_run_number,
        refused_at=refusal.at if refusal else None,
        refusal=(refusal.message or refusal.code) if refusal else "",
    )


def _chip(view: TriggerView) -> Chip:
    if view.paused_at is not None:
        return Chip(mark="skipped", word="Paused")
    if view.kind == Trigger.WEBHOOK and view.secret_made_at is None:
        return Chip(mark="pending", word="Without a secret")
    return Chip(mark="approved", word="On")


def _backfill(view: BackfillView) -> BackfillRow:
    parts = (
        (view.succeeded_count, "succeeded"),
        (view.failed_count, "ended otherwise"),
        (view.refused_count, "could not start"),
        (view.open_count, "going on"),
        (view.waiting_count, "waiting"),
        (view.cancelled_count, "cancelled"),
    )
    told = [f"{count} {word}" for count, word in parts if count]
    goes_on = view.ended_at is None
    chip = Chip(mark="running", word="Goes on") if goes_on else Chip(mark="approved", word="Done")
    if view.is_cancelled:
        chip = Chip(mark="cancelled", word="Cancelled")
    return BackfillRow(
        id=view.id,
        since=view.since,
        until=view.until,
        requested_by=view.requested_by,
        created_at=view.created_at,
        chip=chip,
        progress=f"{say_count(view.total_count, 'instant')}: {', '.join(told) or 'none'}",
        goes_on=goes_on,
    )
