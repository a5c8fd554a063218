"""Why somebody may or may not decide a request, and who may. Read `explain` first."""

from dataclasses import dataclass
from uuid import UUID

from approvals.domain.authority import permission_for
from approvals.domain.explanation import RuleFact, list_facts
from approvals.selectors.approvers import Eligibility
from approvals.selectors.authority import ask_authority
from approvals.selectors.facts import RequestFacts, read_facts
from approvals.selectors.reach import can_be_reached, find_deciders
from approvals.selectors.requests import get_visible_row
from core.identity.authorize import authorize
from core.identity.domain.principal import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider:
    """Somebody who may decide now."""

    username: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Whether the caller may decide, every rule with what was found, and who else may.

    `reason` is what stands in the way, as a sentence, or what allows it. `deciders` are those who
    may decide in the open stage and have not, by username, at most `limits.APPROVER_COUNT_MAX`;
    `is_blocked` says that with them the stage cannot be approved.
    """

    request_id: UUID
    number: int
    is_eligible: bool
    reason: str
    facts: tuple[RuleFact, ...]
    stage: str | None
    deciders: tuple[Decider, ...]
    is_blocked: bool


def explain(*, principal: Principal, request_id: UUID) -> Explanation:
    """Return why the caller may or may not decide a request now.

    It asks what deciding asks, at this moment. At most 21 queries. Raises: RequestMissingError.
    """
    row = get_visible_row(principal=principal, request_id=request_id)
    facts = RequestFacts(**read_facts(row))
    authority = ask_authority(principal=principal, facts=facts)
    permission = authorize(
        principal=principal, permission=permission_for(row.kind), scope_id=row.scope_id
    )
    found = list_facts(
        facts.state,
        kind=principal.kind,
        permission=permission,
        target=authority.target,
        now=facts.at,
    )
    # The check has the last word: a package above may have registered a rule not listed here.
    in_the_way = [fact.sentence for fact in found if not fact.holds]
    in_the_way += [denial for denial in (authority.denial,) if denial is not None]
    eligible = find_deciders(facts=facts)
    return Explanation(
        request_id=row.pk,
        number=row.number,
        is_eligible=not in_the_way,
        reason=in_the_way[0] if in_the_way else authority.policy,
        facts=found,
        stage=facts.state.open_stage,
        deciders=_deciders(facts, eligible),
        is_blocked=row.closed_at is None and not can_be_reached(facts=facts, deciders=eligible),
    )


def _deciders(facts: RequestFacts, eligible: Eligibility) -> tuple[Decider, ...]:
    stage = facts.state.open_stage or ""
    return tuple(
        Decider(username=account.username, name=account.name)
        for person_id, account in eligible.accounts.items()
        if not facts.has_voted(person_id=person_id, stage=stage)
    )
