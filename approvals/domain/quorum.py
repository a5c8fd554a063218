"""Counting the votes of one stage. Read `recount` first.

A count looks at a set of votes: their order does not matter. Approvals and rejections are counted
apart, one vote per human, the latest revision of it. When both thresholds are reached, the
rejection holds.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from approvals.domain.rule import Asks, Quorum


class Choice(StrEnum):
    """What a person can decide: the first two of an approval, the others of a question."""

    APPROVE = "approve"
    REJECT = "reject"
    RETRY = "retry"
    SKIP = "skip"
    FAIL = "fail"


class Answer(StrEnum):
    """How a question ends that somebody answered: what becomes of the step."""

    RETRY = "retry"
    SKIP = "skip"
    FAIL = "fail"


CHOICES: Mapping[Asks, tuple[Choice, ...]] = {
    Asks.APPROVAL: (Choice.APPROVE, Choice.REJECT),
    Asks.QUESTION: (Choice.RETRY, Choice.SKIP, Choice.FAIL),
}


class Verdict(StrEnum):
    """Where a stage stands."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    ANSWERED = "answered"  # a question, by whoever was first


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """One revision of one person's vote in a stage."""

    person_id: UUID
    revision: int
    choice: Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """The result of a recount.

    `reachable` is false when the people who may still vote are too few to approve; the stage is
    then blocked, unless their number is down because people said no, which rejects it.
    """

    verdict: Verdict
    approval_count: int
    rejection_count: int
    reachable: bool = True


def latest_ballots(ballots: Iterable[Ballot]) -> Mapping[UUID, Ballot]:
    """Return each person's ballot with the highest revision."""
    latest: dict[UUID, Ballot] = {}
    for ballot in ballots:
        known = latest.get(ballot.person_id)
        if known is None or ballot.revision > known.revision:
            latest[ballot.person_id] = ballot
    return latest


def recount(
    *, quorum: Quorum, ballots: Iterable[Ballot], eligible: Collection[UUID] | None = None
) -> Count:
    """Return where a stage stands after these votes.

    Args:
        quorum: the thresholds of the stage.
        ballots: every revision of every vote cast in the stage, in any order.
        eligible: persons who could vote in the stage now (whether they did or not); `None` when
            that is not known, and then nothing is concluded from it.

    A stage is rejected before the threshold when the votes still possible cannot reach the count
    and would have, had those who rejected approved: a person's no decided it. When they could not
    even then, nobody decided anything; the stage stays open and is not `reachable`.
    """
    latest = latest_ballots(ballots)
    approval_count = sum(ballot.choice is Choice.APPROVE for ballot in latest.values())
    rejection_count = sum(ballot.choice is Choice.REJECT for ballot in latest.values())
    verdict, reachable = Verdict.OPEN, True
    if rejection_count >= quorum.reject:
        verdict = Verdict.REJECTED
    elif approval_count >= quorum.count:
        verdict = Verdict.APPROVED
    elif eligible is not None:
        possible_count = approval_count + len(set(eligible) - latest.keys())
        reachable = possible_count >= quorum.count
        if not reachable and possible_count + rejection_count >= quorum.count:
            verdict = Verdict.REJECTED
    return Count(
        verdict=verdict,
        approval_count=approval_count,
        rejection_count=rejection_count,
        reachable=reachable,
    )
