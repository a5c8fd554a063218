"""What holds of every vote, rule and expression."""

from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from approvals.domain.decision import (
    Accepted,
    CastVote,
    Command,
    RequestState,
    judge,
    progress,
)
from approvals.domain.digest import Shown, shown_digest
from approvals.domain.exclusion import Account, excluded_by_expression
from approvals.domain.quorum import CHOICES, Ballot, Choice, Verdict, latest_ballots, recount
from approvals.domain.rule import (
    Approvers,
    Asks,
    Exclusions,
    Keyword,
    Quorum,
    Rule,
    StageRule,
    rule_from_json,
    rule_to_json,
)
from engine.domain.verbs import WaitOutcome
from engine.expressions import CelEvaluator
from tests.fakes.evaluator import TableEvaluator

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
people = st.integers(1, 6).map(lambda number: UUID(int=number))
choices = st.sampled_from(CHOICES[Asks.APPROVAL])
quorums = st.builds(Quorum, count=st.integers(1, 4), reject=st.integers(1, 4))
ballots = st.builds(Ballot, person_id=people, revision=st.integers(1, 3), choice=choices)
# A person's revision is one vote, never two.
boxes = st.lists(ballots, max_size=12, unique_by=lambda item: (item.person_id, item.revision))
eligibles = st.none() | st.frozensets(people)
words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
stages = st.builds(
    StageRule,
    key=words,
    approvers=st.builds(Approvers, users=st.tuples(words), groups=st.tuples(words, words)),
    quorum=quorums,
    asked=st.booleans(),
)
rules = st.builds(
    Rule,
    stages=st.lists(stages, min_size=1, max_size=4, unique_by=lambda stage: stage.key).map(tuple),
    exclusions=st.builds(
        Exclusions,
        keywords=st.lists(st.sampled_from(Keyword), unique=True).map(tuple),
        expressions=st.lists(words, max_size=2).map(tuple),
    ),
    asks=st.sampled_from(Asks),
)

EVALUATOR = CelEvaluator()


@given(quorums, boxes, eligibles, st.randoms())
def test_the_order_of_votes_does_not_matter(quorum, box, eligible, random):
    shuffled = list(box)
    random.shuffle(shuffled)

    first = recount(quorum=quorum, ballots=box, eligible=eligible)

    assert recount(quorum=quorum, ballots=shuffled, eligible=eligible) == first


@given(quorums, boxes, eligibles)
def test_a_person_has_one_vote(quorum, box, eligible):
    counted = recount(quorum=quorum, ballots=box, eligible=eligible)

    voters = {ballot.person_id for ballot in box}
    assert counted.approval_count + counted.rejection_count == len(voters)
    assert set(latest_ballots(box)) == voters


@given(quorums, boxes, eligibles)
def test_nothing_is_approved_without_its_quorum(quorum, box, eligible):
    counted = recount(quorum=quorum, ballots=box, eligible=eligible)

    if counted.verdict is Verdict.APPROVED:
        assert counted.approval_count >= quorum.count
        assert counted.rejection_count < quorum.reject


@given(quorums, boxes, eligibles)
def test_nothing_is_rejected_without_a_rejection(quorum, box, eligible):
    counted = recount(quorum=quorum, ballots=box, eligible=eligible)

    if counted.verdict is Verdict.REJECTED:
        assert counted.rejection_count > 0


@given(quorums, boxes, eligibles)
def test_knowing_who_is_eligible_never_approves(quorum, box, eligible):
    unknown = recount(quorum=quorum, ballots=box)
    known = recount(quorum=quorum, ballots=box, eligible=eligible)

    assert (known.verdict is Verdict.APPROVED) == (unknown.verdict is Verdict.APPROVED)


@given(quorums, boxes, people)
def test_one_more_voter_never_takes_a_rejection_back(quorum, box, person):
    newcomer = UUID(int=person.int + 100)
    before = recount(quorum=quorum, ballots=box)

    approved = recount(
        quorum=quorum,
        ballots=[*box, Ballot(person_id=newcomer, revision=1, choice=Choice.APPROVE)],
    )
    rejected = recount(
        quorum=quorum,
        ballots=[*box, Ballot(person_id=newcomer, revision=1, choice=Choice.REJECT)],
    )

    if before.verdict is Verdict.REJECTED:
        assert approved.verdict is rejected.verdict is Verdict.REJECTED
    if before.verdict is Verdict.APPROVED:
        assert approved.verdict is Verdict.APPROVED
    if before.verdict is not Verdict.APPROVED:
        assert rejected.verdict is not Verdict.APPROVED


@given(quorums, boxes, st.frozensets(people), people)
def test_losing_an_approver_never_helps(quorum, box, eligible, gone):
    rank = {Verdict.REJECTED: 0, Verdict.OPEN: 1, Verdict.APPROVED: 2}

    with_them = recount(quorum=quorum, ballots=box, eligible=eligible)
    without = recount(quorum=quorum, ballots=box, eligible=eligible - {gone})

    assert without.reachable <= with_them.reachable
    if with_them.reachable:
        assert rank[without.verdict] <= rank[with_them.verdict]


@given(rules)
def test_a_rule_survives_its_json(rule):
    assert rule_from_json(rule_to_json(rule)) == rule


@given(rules, rules)
def test_only_the_same_rule_has_the_same_digest(one, other):
    def digest(rule):
        return shown_digest(
            Shown(
                request_id=UUID(int=1),
                round_number=1,
                subject={},
                version_digest=b"",
                rule=rule,
            )
        )

    assert (digest(one) == digest(other)) == (one == other)


@given(st.lists(st.tuples(people, choices, st.booleans()), max_size=12), rules)
def test_a_whole_request_is_approved_only_by_every_asked_stage(sent, rule):
    """Plays decisions one after the other, as the shell does, and counts anew at the end."""
    shown = Shown(request_id=UUID(int=9), round_number=1, subject={}, version_digest=b"", rule=rule)
    first = rule.next_stage(after=None)
    stage, outcome = first.key if first else None, None
    votes: tuple[CastVote, ...] = ()
    for number, (person, choice, names_stage) in enumerate(sent):
        state = RequestState(number=1, shown=shown, open_stage=stage, votes=votes)
        command = Command(
            choice=choice,
            digest=shown_digest(shown),
            stage=(stage or "") if names_stage else "",
            comment="because",
        )
        answer = judge(
            state, person_id=person, command=command, denial=None, now=NOW, evaluator=EVALUATOR
        )
        if not isinstance(answer, Accepted):
            continue
        vote = CastVote(
            vote_id=UUID(int=number),
            person_id=person,
            stage=answer.stage,
            revision=answer.revision,
            choice=choice,
            idempotency_key="",
            command_digest=command.body_digest(),
            cast_at=NOW,
        )
        votes = (*votes, vote)
        went = progress(state, stage=answer.stage, ballots=_ballots(votes, answer.stage))
        outcome = went.outcome
        if outcome is not None:
            break
        stage = went.next_stage or stage

    asked = [item for item in rule.stages if item.asked]
    verdicts = [
        recount(quorum=item.quorum, ballots=_ballots(votes, item.key)).verdict for item in asked
    ]
    if outcome is WaitOutcome.APPROVED:
        assert asked
        assert set(verdicts) == {Verdict.APPROVED}
    if outcome is WaitOutcome.REJECTED:
        assert Verdict.REJECTED in verdicts
    # Stages come in sequence: none has votes unless all before it were approved.
    for before, after in pairwise(asked):
        if _ballots(votes, after.key):
            assert (
                recount(quorum=before.quorum, ballots=_ballots(votes, before.key)).verdict
                is Verdict.APPROVED
            )


def _ballots(votes, stage):
    return [
        Ballot(person_id=vote.person_id, revision=vote.revision, choice=vote.choice)
        for vote in votes
        if vote.stage == stage
    ]


@given(
    st.lists(st.sampled_from(["yes", "no", "boom", "text", "number"]), min_size=1, max_size=4),
    st.lists(people, max_size=4),
)
def test_an_expression_lets_through_only_whom_it_clearly_does_not_hold_for(texts, persons):
    evaluator = TableEvaluator(
        answers={"yes": True, "no": False, "text": "false", "number": 0}, broken=["boom"]
    )
    accounts = [
        Account(user_id=person, person_id=person, username="x", name="X", email="", groups=())
        for person in persons
    ]

    excluded = excluded_by_expression(
        Exclusions(expressions=tuple(texts)),
        accounts=accounts,
        variables={},
        evaluator=evaluator,
    )

    spared = set(persons) - {item.person_id for item in excluded}
    assert not spared or set(texts) == {"no"}
