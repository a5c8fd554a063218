"""Opening requests for runs and voiding them: implements `engine.ports.WaitOpener`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from approvals import store
from approvals.domain import deadline
from approvals.domain.authority import PERMISSIONS
from approvals.domain.decision import Closure
from approvals.domain.digest import Shown, shown_digest
from approvals.domain.exclusion import Excluded, Roles, excluded_persons
from approvals.domain.opening import rule_of
from approvals.domain.quorum import recount
from approvals.domain.rule import Asks, Rule, StageRule, rule_to_json
from approvals.drafting import Kind, draft
from approvals.models import Request, RequestStatus, Stage, StageStatus, Vote
from approvals.selectors.approvers import (
    Barrier,
    Eligibility,
    ResolvedApprovers,
    find_eligible,
    resolve_keys,
)
from approvals.selectors.reach import list_obstacles
from approvals.services.closing import Ending, close
from approvals.services.notifying import announce, tell_owners_blocked
from approvals.services.outbox import NoticeEvent, enqueue
from core.identity.models import Scope
from core.kernel import ids
from core.kernel.errors import Problem
from core.kernel.record import ENGINE_ORIGIN, Draft, Origin
from core.kernel.types import Json
from core.toolkit.db import require_transaction
from engine.domain.verbs import WaitOutcome
from engine.loading import EVALUATOR
from engine.ports import OpeningWait, RunFacts

_NOBODY = Eligibility(accounts={})


class ApprovalOpener:
    """The writing half of the verb `approval`."""

    def open(self, wait: OpeningWait) -> None:
        """Open a request for a step of a run and put it to its first stage.

        Transaction: the caller's, which has written the run's `approval.requested`.
        """
        require_transaction()
        open_request(wait=wait, rule=rule_of(wait.body))

    def list_obstacles(
        self, *, body: Mapping[str, Json], path: str, scope_id: UUID
    ) -> Sequence[Problem]:
        """Return a warning for each stage that today's people could not approve."""
        return list_obstacles(body=body, path=path, scope_id=scope_id)

    def withdraw(
        self, *, run_id: UUID, keys: Collection[str], reason: str, origin: Origin, at: datetime
    ) -> Sequence[str]:
        """Close the open requests of some steps of a run without a decision. Idempotent.

        Returns:
            The step keys of the requests that were open. Transaction: the caller's, which has
            locked the run.
        """
        require_transaction()
        requests = store.lock_open_requests(run_id=run_id, asks=Asks.APPROVAL, keys=keys)
        return void(requests=requests, reason=reason, origin=origin, at=at)

    def void_all(self, *, run_id: UUID, reason: str, origin: Origin, at: datetime) -> Sequence[str]:
        """Close every open request of a run without a decision.

        Returns:
            The step keys of the requests that were open. Transaction: the caller's, which has
            locked the run.
        """
        require_transaction()
        requests = store.lock_open_requests(run_id=run_id, asks=Asks.APPROVAL)
        return void(requests=requests, reason=reason, origin=origin, at=at)


def open_request(*, wait: OpeningWait, rule: Rule) -> None:
    """Open a request of a rule and put it to its first stage.

    Args:
        wait: its body is a prepared block, see `approvals.domain.opening`.
        rule: that of the body.

    Transaction: needs the one that writes the run's entry.
    """
    resolved = resolve_keys(stages=rule.stages, scope_id=wait.run.workflow_scope_id)
    request = _build_request(wait, rule, resolved)
    first = rule.next_stage(after=None)
    stages = _build_stages(request, rule, resolved, first)
    excluded = excluded_persons(rule.exclusions, _roles(wait.run))
    eligible = _NOBODY
    if first is not None:
        barrier = Barrier(
            persons=frozenset(item.person_id for item in excluded),
            exclusions=rule.exclusions,
            variables={**request.variables, "subject": request.subject},
        )
        eligible = find_eligible(
            scope_id=request.scope_id,
            keys=resolved.keys[first.key],
            barrier=barrier,
            evaluator=EVALUATOR,
            permission=PERMISSIONS[rule.asks],
        )
    excluded = (*excluded, *eligible.excluded)
    blocked = first is None or not _is_reachable(first, eligible)
    store.insert_request(request=request, stages=stages, exclusions=excluded)
    drafts = [_opened(request, wait, rule, excluded)]
    if blocked:
        drafts.append(_blocked(request, first, wait.at))
    store.append(request=request, drafts=drafts, changes={"blocked": blocked})
    _tell(request, first, eligible, keys=resolved.keys)


def void(
    *, requests: Sequence[Request], reason: str, origin: Origin, at: datetime
) -> Sequence[str]:
    """Close locked requests without a decision; return the keys of their steps.

    Transaction: needs the one that holds the locks.
    """
    ending = Ending(
        outcome=WaitOutcome.VOIDED,
        closure=Closure.VOID,
        at=at,
        origin=origin,
        reason=reason,
    )
    for request in requests:
        _void(request, ending)
    return [request.step_key for request in requests]


def _void(request: Request, ending: Ending) -> None:
    stage = Stage.objects.filter(
        request=request, round=request.round, status=StageStatus.OPEN
    ).first()
    close(request=request, stage=stage, stage_status=StageStatus.ENDED, ending=ending)
    voters = Vote.objects.filter(request=request, round=request.round)
    enqueue(
        event=NoticeEvent.REQUEST_VOIDED,
        request=request,
        recipients=[request.requester_id, *voters.values_list("user_id", flat=True)],
        at=ending.at,
        facts={"outcome": ending.outcome.value},
    )


def _build_request(wait: OpeningWait, rule: Rule, resolved: ResolvedApprovers) -> Request:
    body: Mapping[str, Any] = wait.body
    run = wait.run
    request_id = ids.uuid7()
    amount = body["amount"]
    after_seconds = body["expires"]["after_seconds"] if body["expires"] else None
    shown = Shown(
        request_id=request_id,
        round_number=1,
        subject=body["subject"],
        version_digest=run.version_digest,
        rule=rule,
    )
    return Request(
        id=request_id,
        number=store.next_number(),
        run_id=run.run_id,
        step_key=wait.key,
        scope_id=run.workflow_scope_id,
        project_scope_id=Scope.objects.values_list("parent_id", flat=True).get(
            pk=run.workflow_scope_id
        ),
        project_slug=run.project_slug,
        workflow_slug=run.workflow_slug,
        run_number=run.number,
        run_title=run.title,
        requester_id=run.initiator_user_id,
        requester_person_id=run.initiator_person_id,
        round=1,
        status=RequestStatus.OPEN,
        rule=rule_to_json(rule),
        variables=body["variables"],
        notes=[*body["notes"], *resolved.notes],
        version_digest=run.version_digest,
        version_rev=run.version_rev,
        title=body["title"],
        kind=body["kind"],
        risk=body["risk"],
        amount_value=amount["value"] if amount else None,
        amount_currency=amount["currency"] if amount else "",
        if_approved=body["if_approved"],
        if_rejected=body["if_rejected"],
        confirm=body["confirm"],
        subject=body["subject"],
        form_schema=body["form"],
        shown_digest=shown_digest(shown),
        opened_at=wait.at,
        expires_at=deadline.expires_at(opened_at=wait.at, after_seconds=after_seconds),
    )


def _build_stages(
    request: Request, rule: Rule, resolved: ResolvedApprovers, first: StageRule | None
) -> list[Stage]:
    stages = []
    for position, stage in enumerate(rule.stages):
        status = StageStatus.WAITING if stage.asked else StageStatus.SKIPPED
        if stage == first:
            status = StageStatus.OPEN
        stages.append(
            Stage(
                request=request,
                round=request.round,
                position=position,
                key=stage.key,
                status=status,
                approver_keys=list(resolved.keys[stage.key]),
                opened_at=request.opened_at if status is StageStatus.OPEN else None,
            )
        )
    return stages


def _roles(run: RunFacts) -> Roles:
    return Roles(
        initiator=run.initiator_person_id,
        on_behalf_of=run.on_behalf_of_person_id,
        rerunners=run.rerunner_person_ids,
        agent_owner=run.agent_owner_person_id,
        version_authors=run.version_author_person_ids,
    )


def _is_reachable(stage: StageRule, eligible: Eligibility) -> bool:
    return recount(quorum=stage.quorum, ballots=(), eligible=eligible.persons).reachable


def _opened(request: Request, wait: OpeningWait, rule: Rule, excluded: Sequence[Excluded]) -> Draft:
    """Return the entry that says what was asked of whom; what may be personal is a payload."""
    opened = draft(
        Kind.REQUEST_OPENED,
        request=request,
        at=wait.at,
        origin=ENGINE_ORIGIN,
        data={
            "run": str(wait.run.run_id),
            "run_seq": wait.seq,
            "run_leaf": wait.leaf.hex(),
            "step": wait.key,
            "shown": bytes(request.shown_digest).hex(),
            "four_eyes": rule.is_four_eyes,
            "stages": [stage.key for stage in rule.stages if stage.asked],
            "expires_at": request.expires_at.isoformat() if request.expires_at else None,
        },
        payloads={
            "request": {key: value for key, value in wait.body.items() if key != "variables"},
            "variables": request.variables,
            "rule": request.rule,
            "notes": request.notes,
            "excluded": [
                {
                    "person": str(item.person_id),
                    "reason": item.reason,
                    "expression": item.expression,
                    "error": item.error,
                }
                for item in excluded
            ],
        },
    )
    return replace(opened, state_to=RequestStatus.OPEN.value)


def _blocked(request: Request, stage: StageRule | None, at: datetime) -> Draft:
    return draft(
        Kind.REQUEST_BLOCKED,
        request=request,
        at=at,
        origin=ENGINE_ORIGIN,
        data={"stage": stage.key if stage else None},
    )


def _tell(
    request: Request,
    stage: StageRule | None,
    eligible: Eligibility,
    *,
    keys: Mapping[str, tuple[str, ...]],
) -> None:
    key = stage.key if stage else ""
    enqueue(
        event=NoticeEvent.REQUEST_OPENED,
        request=request,
        recipients=[account.user_id for account in eligible.accounts.values()],
        at=request.opened_at,
        facts={"stage": key},
    )
    if request.blocked:
        tell_owners_blocked(request=request, stage=key, at=request.opened_at)
    announce(request=request, event=Kind.REQUEST_OPENED.value, keys=keys[key] if stage else ())
