"""Counting votes."""

from uuid import UUID

import pytest

from approvals.domain.quorum import Ballot, Choice, Verdict, recount
from approvals.domain.rule import Quorum

PEOPLE = [UUID(int=number) for number in range(1, 8)]


def ballots(marks):
    """Read `"++-"` as two approvals and a rejection by three people."""
    choice = {"+": Choice.APPROVE, "-": Choice.REJECT}
    return [
        Ballot(person_id=person, revision=1, choice=choice[mark])
        for person, mark in zip(PEOPLE, marks, strict=False)
    ]


def verdict(marks, *, count=2, reject=1, eligible=None):
    counted = recount(
        quorum=Quorum(count=count, reject=reject),
        ballots=ballots(marks),
        eligible=None if eligible is None else PEOPLE[:eligible],
    )
    return counted.verdict, counted.reachable


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ("", Verdict.OPEN),
        ("+", Verdict.OPEN),
        ("++", Verdict.APPROVED),
        ("+++", Verdict.APPROVED),
        ("-", Verdict.REJECTED),
        ("+-", Verdict.REJECTED),
        ("++-", Verdict.REJECTED),
    ],
)
def test_two_approvals_are_needed_and_one_rejection_is_a_veto(marks, expected):
    assert verdict(marks) == (expected, True)


def test_a_higher_threshold_of_rejections_takes_more_than_one():
    assert verdict("-", reject=2) == (Verdict.OPEN, True)
    assert verdict("--", reject=2) == (Verdict.REJECTED, True)


def test_a_stage_is_rejected_once_rejections_leave_too_few_possible_votes():
    assert verdict("-", reject=3, eligible=3) == (Verdict.OPEN, True)
    assert verdict("--", reject=3, eligible=3) == (Verdict.REJECTED, False)


def test_too_few_people_block_a_stage_and_never_reject_it():
    assert verdict("", eligible=1) == (Verdict.OPEN, False)
    assert verdict("", eligible=2) == (Verdict.OPEN, True)
    assert verdict("+", eligible=1) == (Verdict.OPEN, False)


def test_a_rejection_does_not_reject_what_was_out_of_reach_anyway():
    assert verdict("-", count=3, reject=2, eligible=2) == (Verdict.OPEN, False)
    assert verdict("-", count=3, reject=2, eligible=3) == (Verdict.REJECTED, False)


def test_a_vote_of_somebody_who_left_still_counts():
    counted = recount(quorum=Quorum(count=2), ballots=ballots("+"), eligible=PEOPLE[1:3])

    assert (counted.verdict, counted.reachable) == (Verdict.OPEN, True)


def test_only_the_latest_revision_of_a_vote_counts():
    first = Ballot(person_id=PEOPLE[0], revision=1, choice=Choice.REJECT)
    second = Ballot(person_id=PEOPLE[0], revision=2, choice=Choice.APPROVE)

    for order in ([first, second], [second, first]):
        counted = recount(quorum=Quorum(), ballots=order)
        assert (counted.approval_count, counted.rejection_count) == (1, 0)
        assert counted.verdict is Verdict.APPROVED
