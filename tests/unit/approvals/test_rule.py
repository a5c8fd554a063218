"""The frozen rule, its JSON, its words and its deadline."""

from datetime import UTC, datetime, timedelta

import pytest

from approvals.domain import deadline
from approvals.domain.rule import (
    AfterExpiry,
    Approvers,
    Exclusions,
    Keyword,
    Quorum,
    Rule,
    StageRule,
    rule_from_json,
    rule_to_json,
)
from approvals.domain.words import describe_note, describe_rule
from core.kernel.types import Json
from engine.domain.verbs import WaitOutcome

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def stage(key, *, asked=True, count=1, reject=1, **approvers):
    return StageRule(
        key=key,
        approvers=Approvers(**(approvers or {"groups": ("engineers",)})),
        quorum=Quorum(count=count, reject=reject),
        asked=asked,
    )


RULE = Rule(
    stages=(
        stage("peer"),
        stage("legal", asked=False),
        stage("board", count=2, reject=2, users=("ann",), permissions=("publish_workflow",)),
    ),
    exclusions=Exclusions(
        keywords=(Keyword.INITIATOR, Keyword.EARLIER_DECIDERS), expressions=("user.id == '1'",)
    ),
    after_expiry=AfterExpiry.EXPIRE,
)


@pytest.mark.parametrize(
    "rule", [RULE, Rule(stages=(stage("a"),), exclusions=Exclusions(keywords=()))]
)
def test_a_rule_survives_its_json(rule):
    assert rule_from_json(rule_to_json(rule)) == rule


def test_stages_follow_in_order_and_skipped_ones_are_left_out():
    assert RULE.next_stage(after=None) == RULE.stages[0]
    assert RULE.next_stage(after="peer") == RULE.stages[2]
    assert RULE.next_stage(after="board") is None


def test_a_rule_whose_stages_are_all_skipped_has_no_first_stage():
    rule = Rule(stages=(stage("a", asked=False),), exclusions=Exclusions())

    assert rule.next_stage(after=None) is None


def test_a_stage_is_found_by_its_key_and_a_missing_one_is_an_error():
    assert RULE.stage("board") is RULE.stages[2]
    with pytest.raises(KeyError):
        RULE.stage("nope")


def test_only_an_empty_exclusion_gives_up_four_eyes():
    assert RULE.is_four_eyes
    assert Rule(stages=(), exclusions=Exclusions(keywords=(), expressions=("true",))).is_four_eyes
    assert not Rule(stages=(), exclusions=Exclusions(keywords=())).is_four_eyes


def test_a_rule_reads_as_sentences():
    assert describe_rule(RULE) == (
        "The stage 'peer' needs 1 approval of the group engineers; 1 rejection ends it.",
        "The stage 'legal' is skipped: its condition was false.",
        (
            "The stage 'board' needs 2 approvals of ann or those who hold publish_workflow; "
            "2 rejections end it."
        ),
        "May not decide: who asked, who decided in an earlier stage.",
        "May not decide: whoever \"user.id == '1'\" holds for.",
    )


def test_a_rule_without_exclusions_says_so():
    rule = Rule(stages=(), exclusions=Exclusions(keywords=()))

    assert describe_rule(rule) == ("Nobody is excluded: who asked may decide too.",)


def test_a_failed_condition_reads_as_a_sentence():
    note: dict[str, Json] = {
        "path": "/stages/0/when",
        "expression": "1 / 0",
        "reason": "division by zero",
    }

    assert describe_note(note) == (
        "The condition '1 / 0' could not be evaluated (division by zero), so its stage stands."
    )


def test_a_name_nobody_has_reads_as_a_sentence():
    note: dict[str, Json] = {"stage": "peer", "name": "ghosts", "reason": "there is no such group"}

    assert describe_note(note) == "The stage 'peer' names 'ghosts': there is no such group."


def test_a_deadline_is_so_long_after_the_opening():
    assert deadline.expires_at(opened_at=AT, after_seconds=60) == AT + timedelta(minutes=1)
    assert deadline.expires_at(opened_at=AT, after_seconds=None) is None


def test_a_decision_counts_strictly_before_the_deadline():
    just_before = AT - timedelta(microseconds=1)

    assert not deadline.is_over(expires_at=AT, now=just_before)
    assert deadline.is_over(expires_at=AT, now=AT)
    assert not deadline.is_over(expires_at=None, now=AT)


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (None, WaitOutcome.REJECTED),
        (AfterExpiry.REJECT, WaitOutcome.REJECTED),
        (AfterExpiry.EXPIRE, WaitOutcome.EXPIRED),
        (AfterExpiry.FAIL, WaitOutcome.FAILED),
    ],
)
def test_the_end_of_time_never_approves(after, outcome):
    assert deadline.outcome_after(after) is outcome
