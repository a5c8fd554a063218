"""A rule in words, for the people it concerns. Read `describe_rule` first."""

from typing import Final

from approvals.domain.quorum import Choice
from approvals.domain.rule import Approvers, Asks, Keyword, Rule, StageRule
from core.kernel.types import Json

_WHO = {
    Keyword.INITIATOR: "who asked",
    Keyword.ON_BEHALF_OF: "on whose behalf it was asked",
    Keyword.RERUNNER: "who re-ran it",
    Keyword.AGENT_OWNER: "the owner of the agent or token that asked",
    Keyword.EDITORS: "who edited it",
    Keyword.VERSION_AUTHORS: "the authors of the workflow's version",
    Keyword.EARLIER_DECIDERS: "who decided in an earlier stage",
}


OPERATORS: Final = "those who may operate runs of this workflow"

# The mark of a vote, and what its voter did.
_DID: Final = {
    Choice.APPROVE: ("approved", "approved"),
    Choice.REJECT: ("rejected", "rejected"),
    Choice.RETRY: ("approved", "had it retried"),
    Choice.SKIP: ("skipped", "had it skipped"),
    Choice.FAIL: ("failed", "let it fail"),
}


def say_choice(choice: Choice) -> tuple[str, str]:
    """Return the mark of a vote and what its voter did: ("approved", "had it retried")."""
    return _DID[choice]


def describe_rule(rule: Rule) -> tuple[str, ...]:
    """Return the rule as sentences, stages first, in their order."""
    if rule.asks is Asks.QUESTION:
        return (
            f"May answer: {OPERATORS}. The first answer counts.",
            "Nobody is excluded: who started the run may answer too.",
        )
    lines = [describe_stage(stage) for stage in rule.stages]
    exclusions = [_WHO[keyword] for keyword in rule.exclusions.keywords]
    if exclusions:
        lines.append(f"May not decide: {', '.join(exclusions)}.")
    lines += [
        f"May not decide: whoever {text!r} holds for." for text in rule.exclusions.expressions
    ]
    if not rule.is_four_eyes:
        lines.append("Nobody is excluded: who asked may decide too.")
    return tuple(lines)


def describe_stage(stage: StageRule) -> str:
    """Return one stage as a sentence."""
    if not stage.asked:
        return f"The stage {stage.key!r} is skipped: its condition was false."
    who, count, reject = describe_approvers(stage.approvers), *_quorum(stage)
    return f"The stage {stage.key!r} needs {count} of {who}; {reject}."


def describe_asked(rule: Rule, stage: str) -> str:
    """Return who may decide in a stage of a rule, in words."""
    if rule.asks is Asks.QUESTION:
        return OPERATORS
    return describe_approvers(rule.stage(stage).approvers)


def describe_approvers(approvers: Approvers) -> str:
    """Return who may decide in a stage, in words."""
    ways = [f"the group {name}" for name in approvers.groups]
    ways += list(approvers.users)
    ways += [f"those who hold {code}" for code in approvers.permissions]
    return " or ".join(ways)


def describe_keyword(keyword: Keyword) -> str:
    """Return whom a keyword of `exclude` means, in words."""
    return _WHO[keyword]


def describe_note(note: Json) -> str:
    """Return one note of an opening as a sentence: a condition that failed, or an unknown name."""
    assert isinstance(note, dict), "notes are what prepare_block() and the opener made"
    if "expression" in note:
        return (
            f"The condition {note['expression']!r} could not be evaluated ({note['reason']}), "
            "so its stage stands."
        )
    return f"The stage {note['stage']!r} names {note['name']!r}: {note['reason']}."


def _quorum(stage: StageRule) -> tuple[str, str]:
    count, reject = stage.quorum.count, stage.quorum.reject
    approvals = "1 approval" if count == 1 else f"{count} approvals"
    no = "1 rejection ends it" if reject == 1 else f"{reject} rejections end it"
    return approvals, no
