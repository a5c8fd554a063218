"""Telling people that a run is in one state for too long. Read `tell_stuck`."""

from collections.abc import Mapping
from typing import Any

import structlog

from approvals.domain.rule import Approvers, Exclusions, Quorum, StageRule
from approvals.selectors.approvers import Barrier, find_eligible, resolve_keys
from approvals.services.outbox import NoticeEvent, enqueue_of_run
from core.identity.domain.permissions import Permission
from core.toolkit.db import require_transaction
from engine.loading import EVALUATOR
from engine.ports import Alarm

_log = structlog.get_logger(__name__)

_NAMED = "named"
_NO_BARRIER = Barrier(
    persons=frozenset(), exclusions=Exclusions(keywords=(), expressions=()), variables={}
)


def tell_stuck(*, alarm: Alarm) -> None:
    """Write a notice to those the definition names who may see the run. Idempotent for a visit.

    Transaction: the one of the run's entry.
    """
    require_transaction()
    notify: Mapping[str, Any] = alarm.notify
    named = StageRule(
        key=_NAMED,
        approvers=Approvers(
            users=tuple(notify.get("users", ())), groups=tuple(notify.get("groups", ()))
        ),
        quorum=Quorum(),
    )
    scope_id = alarm.run.workflow_scope_id
    found = find_eligible(
        scope_id=scope_id,
        keys=resolve_keys(stages=(named,), scope_id=scope_id).keys[_NAMED],
        barrier=_NO_BARRIER,
        evaluator=EVALUATOR,
        permission=Permission.VIEW_WORKFLOW,
    )
    if not found.accounts:
        _log.warning("approvals.alarm_unheard", run=str(alarm.run.run_id), key=alarm.key)
    enqueue_of_run(
        event=NoticeEvent.RUN_STUCK,
        run_id=alarm.run.run_id,
        key=alarm.key,
        recipients=[account.user_id for account in found.accounts.values()],
        at=alarm.at,
        facts={
            "state": alarm.state,
            "since": alarm.since.isoformat() if alarm.since is not None else None,
        },
    )
