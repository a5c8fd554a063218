"""Why somebody may or may not decide, rule by rule, in sentences. Read `list_facts` first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from approvals.domain import deadline
from approvals.domain.authority import DecisionTarget
from approvals.domain.decision import RequestState
from approvals.domain.exclusion import sentence
from approvals.domain.rule import Asks
from approvals.domain.words import describe_approvers, describe_keyword
from core.identity.domain.decision import Decision
from core.kernel.record import ActorKind


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFact:
    """One rule and what was found for the person. `holds` says that it does not stand in the way.

    `rule` is a stable word: `open`, `time`, `person`, `permission`, `approver`, `decided`, a
    keyword of `exclude`, or `expression`.
    """

    rule: str
    holds: bool
    sentence: str


def list_facts(
    state: RequestState,
    *,
    kind: ActorKind,
    permission: Decision,
    target: DecisionTarget | None,
    now: datetime,
) -> tuple[RuleFact, ...]:
    """Return every rule with what was found, those about the request first.

    Args:
        state: the request.
        kind: what kind of being asks.
        permission: whether it holds there what it takes to decide, `decide_request` as a rule.
        target: what was found about it and the open stage; `None` when no stage is open.
        now: the database's clock.
    """
    is_person = kind is ActorKind.PERSON
    return (
        _open_fact(state),
        _time_fact(state, now),
        RuleFact(
            rule="person",
            holds=is_person,
            sentence="You are a person."
            if is_person
            else "Only people decide; software may ask and wait.",
        ),
        RuleFact(rule="permission", holds=permission.allowed, sentence=permission.reason),
        *(() if target is None or target.stage is None else _stage_facts(state, target)),
    )


def _open_fact(state: RequestState) -> RuleFact:
    if state.closed is not None:
        by = f" by {state.closed.by}" if state.closed.by else ""
        text = f"The request was closed{by}: {state.closed.outcome.value}."
    elif state.open_stage is None:
        text = "Every stage was skipped, so nobody is asked; the request waits to end."
    else:
        text = f"The request is open, in the stage {state.open_stage!r}."
    holds = state.closed is None and state.open_stage is not None
    return RuleFact(rule="open", holds=holds, sentence=text)


def _time_fact(state: RequestState, now: datetime) -> RuleFact:
    if state.expires_at is None:
        return RuleFact(rule="time", holds=True, sentence="There is no deadline.")
    is_over = deadline.is_over(expires_at=state.expires_at, now=now)
    instant = f"{state.expires_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    text = f"The time to decide was over at {instant}." if is_over else f"It ends at {instant}."
    return RuleFact(rule="time", holds=not is_over, sentence=text)


def _stage_facts(state: RequestState, target: DecisionTarget) -> Iterator[RuleFact]:
    assert target.stage is not None, "the caller looked"
    if state.rule.asks is Asks.APPROVAL:  # a question is put to whoever has the permission
        who = describe_approvers(state.rule.stage(target.stage).approvers)
        are = "are" if target.is_approver else "are not"
        yield RuleFact(
            rule="approver",
            holds=target.is_approver,
            sentence=f"You {are} among the approvers of the stage {target.stage!r}: {who}.",
        )
    reasons = {item.reason: item for item in target.excluded if not item.expression}
    for keyword in state.rule.exclusions.keywords:
        found = reasons.get(keyword.value)
        yield RuleFact(
            rule=keyword.value,
            holds=found is None,
            sentence=sentence(found)
            if found
            else f"May not decide: {describe_keyword(keyword)}; that is not you.",
        )
    matched = {item.expression: item for item in target.excluded if item.expression}
    for expression in state.rule.exclusions.expressions:
        hit = matched.get(expression)
        yield RuleFact(
            rule="expression",
            holds=hit is None,
            sentence=sentence(hit)
            if hit
            else f"May not decide: whoever {expression!r} holds for; that is not you.",
        )
    have = "have already" if target.has_decided else "have not yet"
    yield RuleFact(
        rule="decided",
        holds=not target.has_decided,
        sentence=f"You {have} decided in the stage {target.stage!r}.",
    )
