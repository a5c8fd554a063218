"""What people do to triggers: pause them, and give webhooks their secrets. Read `pause_trigger`."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from core.identity.authorize import require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.kernel import ids, limits
from core.toolkit.db import read_database_clock
from engine import starting
from engine.domain.errors import (
    HookSecretError,
    ReasonTooLongError,
    TriggerKindError,
    TriggerMissingError,
)
from engine.domain.schedules import next_due
from engine.domain.triggers import AutomaticTrigger, ScheduleTrigger, WebhookTrigger
from engine.domain.webhooks import find_secret_fault, write_secret
from engine.models import Workflow
from engine.selectors.targets import (
    WorkflowTarget,
    get_project_target,
    get_workflow_target,
)
from engine.triggers import endpoints, rows
from engine.triggers.recording import record
from engine.triggers.rows import LiveTrigger


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSecret:
    """A secret that was just kept, shown this once; and until when the one before holds."""

    secret: str
    previous_ends_at: datetime | None


def pause_trigger(
    *, principal: Principal, project_slug: str, workflow_slug: str, name: str, reason: str
) -> None:
    """Let a trigger start nothing until somebody resumes it. Idempotent.

    What it has heard already is still started. Instants that a paused schedule passes are not made
    up for; a backfill can. Publishing another version changes nothing of it.
    Transaction: one of its own; locks the workflow.

    Raises:
        WorkflowMissingError, TriggerMissingError: there is no such thing to be seen.
        AccessForbiddenError: the caller may not operate the workflow's runs.
        ReasonTooLongError: the reason is.
    """
    _set_paused(
        principal=principal,
        project_slug=project_slug,
        workflow_slug=workflow_slug,
        name=name,
        reason=reason,
        pauses=True,
    )


def resume_trigger(
    *, principal: Principal, project_slug: str, workflow_slug: str, name: str, reason: str
) -> None:
    """Let a paused trigger start runs again, a schedule from its next instant on. Idempotent.

    Transaction and errors: as `pause_trigger`.
    """
    _set_paused(
        principal=principal,
        project_slug=project_slug,
        workflow_slug=workflow_slug,
        name=name,
        reason=reason,
        pauses=False,
    )


def make_secret(
    *,
    principal: Principal,
    project_slug: str,
    workflow_slug: str,
    name: str,
    secret: str = "",
    overlap_seconds: float | None = None,
) -> MadeSecret:
    """Give a webhook a secret, made here or given; the one before holds for a while.

    Runs that are started by what is signed with it count as started by the caller, who hands out
    the right to start them. The record says that there is a new secret, and nothing of it.
    Transaction: one of its own; locks the workflow.

    Args:
        principal: who asks.
        project_slug: the project's.
        workflow_slug: the workflow's.
        name: the webhook's.
        secret: what the sender uses; "" has one made.
        overlap_seconds: how long the secret before holds; `None`: `limits.HOOK_OVERLAP_DEFAULT`.

    Raises:
        WorkflowMissingError, TriggerMissingError: there is no such thing to be seen.
        AccessForbiddenError: the caller may not change the project, or operate the workflow's runs.
        TriggerKindError: it is no webhook.
        HookSecretError: the given secret is none for its provider.
    """
    target = get_workflow_target(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
    )
    project = get_project_target(principal=principal, project_slug=project_slug)
    # To change what reaches the project from outside, and no more than one may do oneself.
    require(principal=principal, permission=Permission.CHANGE_PROJECT, scope_id=project.scope_id)
    require(principal=principal, permission=Permission.OPERATE_RUN, scope_id=target.scope_id)
    seconds = limits.HOOK_OVERLAP_DEFAULT.total_seconds()
    seconds = seconds if overlap_seconds is None else overlap_seconds
    if not 0 <= seconds <= limits.HOOK_OVERLAP_MAX.total_seconds():
        most = int(limits.HOOK_OVERLAP_MAX.total_seconds())
        raise HookSecretError(f"The secret before may hold for 0 to {most} seconds.")
    with transaction.atomic():
        live = _lock_live(target, name)
        trigger, version = _read_trigger(live)
        if not isinstance(trigger, WebhookTrigger):
            raise TriggerKindError("Only webhooks have a secret.")
        text = secret or write_secret(ids.nonce(byte_count=limits.HOOK_KEY_BYTES))
        fault = find_secret_fault(text, provider=trigger.provider)
        if fault is not None:
            raise HookSecretError(fault)
        ends_at = endpoints.put_secret(
            workflow_id=target.workflow_id,
            name=name,
            secret=text,
            made_by_id=principal.user_id,
            overlap_seconds=seconds,
        )
        record(
            workflow_id=target.workflow_id,
            version=version,
            kind="trigger.secret_made",
            data={"name": name, "overlap_seconds": int(seconds) if ends_at else 0},
            origin=principal.origin,
        )
    return MadeSecret(secret=text, previous_ends_at=ends_at)


def _set_paused(
    *,
    principal: Principal,
    project_slug: str,
    workflow_slug: str,
    name: str,
    reason: str,
    pauses: bool,
) -> None:
    target = get_workflow_target(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
    )
    require(principal=principal, permission=Permission.OPERATE_RUN, scope_id=target.scope_id)
    if len(reason) > limits.REASON_CHARS_MAX:
        raise ReasonTooLongError
    with transaction.atomic():
        live = _lock_live(target, name)
        if (live.paused_at is not None) is pauses:
            return
        trigger, version = _read_trigger(live)
        if pauses:
            rows.pause(trigger_id=live.id)
        else:
            rows.resume(trigger_id=live.id, next_at=_next_of(trigger))
        record(
            workflow_id=target.workflow_id,
            version=version,
            kind="trigger.paused" if pauses else "trigger.resumed",
            data={"name": name, "kind": live.kind},
            payloads={"reason": reason},
            origin=principal.origin,
        )


def _lock_live(target: WorkflowTarget, name: str) -> LiveTrigger:
    """Return a live trigger, its workflow locked before it, as publishing does."""
    Workflow.objects.select_for_update(no_key=True).get(pk=target.workflow_id)
    live = rows.lock_live(workflow_id=target.workflow_id, name=name)
    if live is None:
        raise TriggerMissingError(trigger=name)
    return live


def _read_trigger(live: LiveTrigger) -> tuple[AutomaticTrigger, str]:
    """Return a trigger and the digest of its version, hex."""
    chosen = starting.find_chosen(version_id=live.version_id)
    assert chosen is not None, "versions are never deleted"
    return chosen.plan().automatic[live.position], chosen.version_digest


def _next_of(trigger: AutomaticTrigger) -> datetime | None:
    if not isinstance(trigger, ScheduleTrigger):
        return None
    return next_due(trigger.schedule, after=read_database_clock())
