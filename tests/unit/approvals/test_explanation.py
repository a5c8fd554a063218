"""Why somebody may or may not decide."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from approvals.domain.authority import DecisionTarget
from approvals.domain.decision import Closed, Closure, RequestState
from approvals.domain.digest import Shown
from approvals.domain.exclusion import Excluded
from approvals.domain.explanation import list_facts
from approvals.domain.rule import Approvers, Exclusions, Keyword, Quorum, Rule, StageRule
from core.identity.domain.decision import Decision, Step
from core.kernel.record import ActorKind
from engine.domain.verbs import WaitOutcome

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANN = UUID(int=1)
RULE = Rule(
    stages=(StageRule(key="peer", approvers=Approvers(groups=("board",)), quorum=Quorum()),),
    exclusions=Exclusions(keywords=(Keyword.INITIATOR,), expressions=("user.id == '1'",)),
)
STATE = RequestState(
    number=7,
    shown=Shown(request_id=UUID(int=9), round_number=1, subject={}, version_digest=b"", rule=RULE),
    open_stage="peer",
    votes=(),
)
TARGET = DecisionTarget(request_id=UUID(int=9), number=7, stage="peer", is_approver=True)
ALLOWED = Decision(allowed=True, reason="Allowed by decide_request of approver.", step=Step.ROLE)


def facts(*, state=STATE, target=TARGET, kind=ActorKind.PERSON, permission=ALLOWED):
    found = list_facts(state, kind=kind, permission=permission, target=target, now=NOW)
    return {fact.rule: (fact.holds, fact.sentence) for fact in found}


def test_somebody_with_nothing_in_the_way_gets_every_rule_as_holding():
    assert facts() == {
        "open": (True, "The request is open, in the stage 'peer'."),
        "time": (True, "There is no deadline."),
        "person": (True, "You are a person."),
        "permission": (True, "Allowed by decide_request of approver."),
        "approver": (True, "You are among the approvers of the stage 'peer': the group board."),
        "initiator": (True, "May not decide: who asked; that is not you."),
        "expression": (
            True,
            "May not decide: whoever \"user.id == '1'\" holds for; that is not you.",
        ),
        "decided": (True, "You have not yet decided in the stage 'peer'."),
    }


def test_each_rule_in_the_way_says_so():
    target = replace(
        TARGET,
        is_approver=False,
        has_decided=True,
        excluded=(
            Excluded(person_id=ANN, reason="initiator"),
            Excluded(person_id=ANN, reason="expression", expression="user.id == '1'"),
        ),
    )
    refused = Decision(allowed=False, reason="No live role gives it.", step=Step.NOTHING)

    found = facts(target=target, kind=ActorKind.AGENT, permission=refused)

    assert found["person"] == (False, "Only people decide; software may ask and wait.")
    assert found["permission"] == (False, "No live role gives it.")
    assert found["approver"][0] is False
    assert found["initiator"] == (False, "You asked for this, and who asks may not decide.")
    assert found["expression"][0] is False
    assert found["decided"] == (False, "You have already decided in the stage 'peer'.")


def test_a_deadline_is_named_before_and_after():
    soon = facts(state=replace(STATE, expires_at=NOW + timedelta(hours=1)))
    over = facts(state=replace(STATE, expires_at=NOW))

    assert soon["time"] == (True, "It ends at 2026-03-01 13:00:00 UTC.")
    assert over["time"] == (False, "The time to decide was over at 2026-03-01 12:00:00 UTC.")


def test_a_closed_request_says_who_closed_it():
    closed = Closed(closure=Closure.DECISION, outcome=WaitOutcome.APPROVED, at=NOW, by="Bob")
    state = replace(STATE, open_stage=None, closed=closed)

    found = facts(state=state, target=None)

    assert found["open"] == (False, "The request was closed by Bob: approved.")
    assert set(found) == {"open", "time", "person", "permission"}
    voided = replace(closed, by="", outcome=WaitOutcome.VOIDED)
    assert facts(state=replace(state, closed=voided), target=None)["open"] == (
        False,
        "The request was closed: voided.",
    )


def test_a_request_whose_stages_were_all_skipped_says_so():
    found = facts(state=replace(STATE, open_stage=None), target=replace(TARGET, stage=None))

    assert found["open"][0] is False
    assert "approver" not in found
