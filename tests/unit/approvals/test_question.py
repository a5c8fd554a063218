"""What a question about a failed step shows and says."""

import pytest

from approvals.domain.question import consequence_of, prepare_question, rule_of_question
from approvals.domain.quorum import CHOICES, Answer
from approvals.domain.rule import Asks, rule_from_json, rule_to_json
from approvals.domain.words import describe_asked, describe_rule, say_choice
from core.kernel import limits
from engine.domain.unwinding import CHOICES as OFFERED

BODY = {"error": {"kind": "timeout", "message": "late"}, "attempt": 2, "choices": list(OFFERED)}


def prepared(**changes):
    return prepare_question(key="group#1/deploy#1", step="deploy", body={**BODY, **changes})


def test_the_engine_offers_what_people_can_answer():
    assert list(OFFERED) == [choice.value for choice in CHOICES[Asks.QUESTION]]
    assert list(OFFERED) == [answer.value for answer in Answer]


@pytest.mark.parametrize("asks", Asks)
def test_a_rule_lists_what_can_be_decided(asks):
    rule = rule_of_question(prepared())
    written = rule_to_json(rule if asks is Asks.QUESTION else rule_from_json(_approval(rule)))

    assert written["outcomes"] == [choice.value for choice in CHOICES[asks]]
    assert rule_from_json(written).asks is asks


def _approval(rule):
    return {**rule_to_json(rule), "outcomes": ["approve", "reject"]}


def test_a_question_excludes_nobody_and_never_expires():
    rule = rule_of_question(prepared())

    assert (rule.is_four_eyes, rule.after_expiry) == (False, None)
    assert describe_rule(rule)[1] == "Nobody is excluded: who started the run may answer too."
    assert describe_asked(rule, "answer") in describe_rule(rule)[0]


def test_what_is_shown_can_be_kept_and_is_bounded():
    shown = prepared(error={"kind": "a\x00b", "message": "\x00" + "x" * 9_000})["subject"]

    assert shown["error"] == "ab"
    assert shown["message"] == "x" * limits.ERROR_CHARS_MAX
    assert (shown["step"], shown["instance"], shown["attempt"]) == ("deploy", "group#1/deploy#1", 2)


def test_an_uncertain_attempt_has_a_higher_risk_and_says_why():
    failed, unknown = prepared(), prepared(error={"kind": "uncertain", "message": "died"})

    assert (failed["risk"], unknown["risk"]) == ("medium", "high")
    for choice in CHOICES[Asks.QUESTION]:
        plain, warned = (consequence_of(choice, subject=q["subject"]) for q in (failed, unknown))
        assert plain
        assert ("twice" in warned) is (choice.value == "retry")
        assert "twice" not in plain


def test_every_choice_has_a_mark_and_words():
    for choices in CHOICES.values():
        for choice in choices:
            assert all(say_choice(choice))
