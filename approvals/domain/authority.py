"""Who may decide, beyond roles: the hard denials of a request. Read `denial` first.

Roles say who may decide at all in a scope. These rules say who of them may decide this request
now; `core.identity.authorize` asks them on the one path every channel takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from approvals.domain.exclusion import Excluded, sentence
from approvals.domain.rule import Asks
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.kernel.record import ActorKind

# What it takes to decide, beside being asked: of a failed step, what it takes to operate its run.
PERMISSIONS: Mapping[Asks, Permission] = {
    Asks.APPROVAL: Permission.DECIDE_REQUEST,
    Asks.QUESTION: Permission.OPERATE_RUN,
}
_ONLY_PEOPLE = "Only people decide; software may ask and wait."


def permission_for(kind: str) -> Permission:
    """Return the permission it takes to decide a request of a kind."""
    return PERMISSIONS[Asks.QUESTION if kind == Asks.QUESTION else Asks.APPROVAL]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionTarget:
    """What is to be decided, with the facts about one principal that count against it.

    `stage` is the open stage's key, `None` when no stage is open. `is_approver` says whether the
    principal is among the approvers of that stage, `excluded` why the rule keeps that person out
    regardless, `has_decided` whether the person's vote in that stage stands.
    """

    request_id: UUID
    number: int
    stage: str | None
    is_approver: bool
    excluded: tuple[Excluded, ...] = ()
    has_decided: bool = False


def denial(principal: Principal, target: object) -> str | None:
    """Return why a principal may never decide a target, as a sentence, or `None`.

    Anything but a `DecisionTarget` is judged by kind alone: agents and services never decide.
    """
    if principal.kind is not ActorKind.PERSON:
        return _ONLY_PEOPLE
    if not isinstance(target, DecisionTarget):
        return None
    if target.stage is None:
        return "No stage of this request is open."
    return _denial_of_person(target, stage=target.stage)


def denial_of_question(principal: Principal, target: object) -> str | None:
    """Return why a principal may never answer a question, or `None`; see `denial`.

    The permission is that to operate runs, which software may have for other acts: those are not
    the business of this rule.
    """
    return denial(principal, target) if isinstance(target, DecisionTarget) else None


def _denial_of_person(target: DecisionTarget, *, stage: str) -> str | None:
    if target.excluded:
        return sentence(target.excluded[0])
    if not target.is_approver:
        return f"You are not among the approvers of the stage {stage!r}."
    if target.has_decided:
        return f"You have already decided in the stage {stage!r}."
    return None
