"""Whether a person may decide a request now, on the one authority path. Read `ask_authority`."""

from dataclasses import dataclass

from approvals.domain.authority import PERMISSIONS, DecisionTarget
from approvals.domain.rule import Asks
from approvals.selectors.approvers import find_excluded_by_expression, find_matching_key
from approvals.selectors.facts import RequestFacts
from core.identity.authorize import authorize
from core.identity.domain.principal import Principal
from engine.loading import EVALUATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What the authority check said.

    `denial` is `None` if the person may decide, `policy` the grant that lets them. `target` holds
    the facts it looked at; `None` when no stage is open, and then nothing was asked.
    """

    denial: str | None = None
    policy: str = ""
    target: DecisionTarget | None = None


def ask_authority(*, principal: Principal, facts: RequestFacts) -> Authority:
    """Ask about a request and a person at this moment; at most 8 queries.

    Under the lock when somebody decides, without it to explain; the answer is the same.
    """
    stage = facts.open_stage
    if stage is None:
        return Authority()
    asks = facts.state.rule.asks
    # A question is put to whoever holds the permission, which is asked below.
    is_approver = asks is Asks.QUESTION or (
        find_matching_key(user_id=principal.user_id, keys=stage.approver_keys) is not None
    )
    frozen = tuple(item for item in facts.exclusions if item.person_id == principal.person_id)
    found = find_excluded_by_expression(
        person_ids=[principal.person_id], barrier=facts.barrier, evaluator=EVALUATOR
    )
    target = DecisionTarget(
        request_id=facts.row.pk,
        number=facts.row.number,
        stage=stage.key,
        is_approver=is_approver,
        excluded=(*frozen, *found),
        has_decided=facts.has_voted(person_id=principal.person_id, stage=stage.key),
    )
    decision = authorize(
        principal=principal,
        permission=PERMISSIONS[asks],
        scope_id=facts.row.scope_id,
        target=target,
    )
    if decision.allowed:
        return Authority(policy=decision.reason, target=target)
    return Authority(denial=decision.reason, target=target)
