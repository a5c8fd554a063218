"""How a request ends, whatever ends it. Read `close` first."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from approvals import store
from approvals.domain.decision import Closure, Outcome
from approvals.domain.rule import Asks
from approvals.drafting import Kind, draft
from approvals.models import Request, RequestStatus, Stage, StageStatus, Vote
from approvals.services.notifying import announce
from audit.domain.entry import BuiltEntry
from core.identity.domain.principal import Principal
from core.kernel.record import Draft, Origin
from core.kernel.types import Json, JsonLike
from engine.domain.verbs import WaitOutcome
from engine.services.waits import LockedRun, answer_question, resolve_wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a request ends. `by` is who ended it, `None` for the system; `reason` is a code."""

    outcome: Outcome
    closure: Closure
    at: datetime
    origin: Origin
    by: Principal | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preceding:
    """What happened in the same breath, just before the end, and goes into the same append."""

    drafts: Sequence[Draft] = ()
    changes: dict[str, Any] = field(default_factory=dict)


def close(
    *,
    request: Request,
    stage: Stage | None,
    stage_status: StageStatus,
    ending: Ending,
    preceding: Preceding | None = None,
) -> tuple[BuiltEntry, ...]:
    """Close a locked request: its row, stages, round and stream. Tells nobody but open pages.

    Transaction: needs the one that holds the lock.

    Args:
        request: the row as locked; it is brought up to date.
        stage: the stage that is open, if one is.
        stage_status: what that stage becomes.
        ending: how the request ends.
        preceding: what goes into the same append, before.

    Returns:
        The entries written, the closing one last.
    """
    preceding = preceding or Preceding()
    closing = draft(
        Kind.REQUEST_CLOSED,
        request=request,
        at=ending.at,
        origin=ending.origin,
        data={"outcome": ending.outcome.value, "closure": ending.closure.value},
    )
    closing = replace(
        closing,
        reason=ending.reason,
        state_from=RequestStatus.OPEN.value,
        state_to=RequestStatus.CLOSED.value,
    )
    entries = store.append(
        request=request,
        drafts=[*preceding.drafts, closing],
        changes={
            **preceding.changes,
            "status": RequestStatus.CLOSED.value,
            "outcome": ending.outcome.value,
            "closure": ending.closure.value,
            "blocked": False,
            "closed_at": ending.at,
            "closed_by_id": ending.by.user_id if ending.by else None,
            "closed_by_name": ending.by.name if ending.by else "",
        },
    )
    store.end_stages(request=request, open_status=stage_status, at=ending.at)
    store.close_round(request=request, outcome=ending.outcome.value, at=ending.at)
    keys = stage.approver_keys if stage else ()
    announce(request=request, event=Kind.REQUEST_CLOSED.value, keys=keys)
    return entries


def resolve_run(
    *,
    request: Request,
    run: LockedRun | None,
    entry: BuiltEntry,
    origin: Origin,
) -> None:
    """Hand the outcome of a closed request to the run that waits for it, if one does.

    The run's entry names the entry that brought the outcome about: the deciding vote's, or the
    closing one. Transaction: needs the one that holds the locks.
    """
    if run is None:
        return
    evidence: dict[str, JsonLike] = {
        "request": str(request.pk),
        "number": request.number,
        "round": request.round,
        "entry_kind": entry.kind,
        "entry_seq": entry.seq,
        "entry_leaf": entry.leaf.hex(),
    }
    if request.kind == Asks.QUESTION:
        answer_question(
            locked=run,
            key=request.step_key,
            choice=request.outcome,
            evidence=evidence,
            origin=origin,
        )
        return
    resolve_wait(
        locked=run,
        key=request.step_key,
        outcome=WaitOutcome(request.outcome),
        outputs=_outputs(request),
        evidence=evidence,
        origin=origin,
    )


def _outputs(request: Request) -> dict[str, Json]:
    votes = Vote.objects.filter(request=request, round=request.round).order_by("pk")
    return {
        "outcome": request.outcome,
        "form": request.form_values or {},
        "votes": [
            {
                "stage": stage,
                "decision": decision,
                "person": str(person_id),
                "name": name,
                "at": at.isoformat(),
            }
            for stage, decision, person_id, name, at in votes.values_list(
                "stage__key", "decision", "person_id", "name", "cast_at"
            )
        ],
    }
