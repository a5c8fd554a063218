"""One person's decision, judged."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from approvals.domain import errors
from approvals.domain.decision import (
    Accepted,
    CastVote,
    Closed,
    Closure,
    Command,
    Refused,
    Repeated,
    RequestState,
    judge,
    progress,
    read_outcome,
)
from approvals.domain.digest import Shown, changed_since, shown_digest
from approvals.domain.quorum import CHOICES, Answer, Ballot, Choice, Verdict
from approvals.domain.rule import (
    AfterExpiry,
    Approvers,
    Asks,
    Exclusions,
    Quorum,
    Rule,
    StageRule,
)
from core.kernel import limits
from engine.domain.verbs import WaitOutcome
from engine.expressions import CelEvaluator

ANN, BOB = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULE = Rule(
    stages=(
        StageRule(key="peer", approvers=Approvers(groups=("a",)), quorum=Quorum(count=2, reject=2)),
        StageRule(key="board", approvers=Approvers(groups=("b",)), quorum=Quorum()),
    ),
    exclusions=Exclusions(),
)
SHOWN = Shown(
    request_id=UUID(int=9),
    round_number=1,
    subject={"ref": "v1"},
    version_digest=bytes(32),
    rule=RULE,
)
DIGEST = shown_digest(SHOWN)
SCHEMA = {
    "type": "object",
    "required": ["risk"],
    "properties": {"risk": {"enum": ["low", "high"]}, "a/b": {"type": "integer"}},
}

EVALUATOR = CelEvaluator()


def state(**changes):
    facts = {"number": 7, "shown": SHOWN, "open_stage": "peer", "votes": (), **changes}
    return RequestState(**facts)


def command(**changes):
    return Command(**{"choice": Choice.APPROVE, "digest": DIGEST, **changes})


REJECT = {"choice": Choice.REJECT, "comment": "not today"}


def vote(sent=None, *, person=ANN, stage="peer", at=NOW):
    sent = sent or command()
    return CastVote(
        vote_id=UUID(int=50),
        person_id=person,
        stage=stage,
        revision=1,
        choice=sent.choice,
        idempotency_key=sent.idempotency_key,
        command_digest=sent.body_digest(),
        cast_at=at,
        result={"status": "open"},
    )


def decide(request, sent, *, denial=None, now=NOW, person=ANN):
    return judge(
        request, person_id=person, command=sent, denial=denial, now=now, evaluator=EVALUATOR
    )


def refusal(*args, **kwargs):
    answer = decide(*args, **kwargs)
    assert isinstance(answer, Refused)
    return answer.error


def problem_codes(*args):
    error = refusal(*args)
    assert isinstance(error, errors.DecisionInvalidError)
    return [(problem.path, problem.code) for problem in error.problems]


def test_an_approval_of_what_stands_is_accepted():
    assert decide(state(), command()) == Accepted(stage="peer", revision=1, form=None)


def test_a_rejection_with_a_comment_is_accepted():
    assert decide(state(), command(**REJECT)) == Accepted(stage="peer", revision=1, form=None)


def test_a_rejection_needs_a_comment():
    sent = command(choice=Choice.REJECT, comment="  ")

    assert problem_codes(state(), sent) == [("/comment", "approvals.comment_required")]


@pytest.mark.parametrize(
    ("comment", "code"),
    [
        ("x" * (limits.REASON_CHARS_MAX + 1), "comment_too_long"),
        ("a\x00b", "form.nul"),
        ("\ud800", "form.uncanonical"),
    ],
)
def test_a_comment_that_cannot_be_kept_is_refused(comment, code):
    sent = command(comment=comment)

    assert problem_codes(state(), sent) == [("/comment", f"approvals.{code}")]


def test_a_confirmation_is_needed_to_approve_and_not_to_reject():
    request = state(confirm="I checked")

    assert problem_codes(request, command()) == [("/confirmed", "approvals.confirmation_required")]
    assert isinstance(decide(request, command(confirmed=True)), Accepted)
    assert isinstance(decide(request, command(**REJECT)), Accepted)


def test_a_bad_form_lists_every_problem_and_a_good_one_is_kept():
    request = state(form_schema=SCHEMA, confirm="I checked")
    bad = command(form={"risk": "middle", "a/b": "x"})

    assert problem_codes(request, bad) == [
        ("/confirmed", "approvals.confirmation_required"),
        ("/form/a~1b", "approvals.form.type"),
        ("/form/risk", "approvals.form.enum"),
    ]
    accepted = decide(request, command(confirmed=True, form={"risk": "low"}))
    assert isinstance(accepted, Accepted)
    assert accepted.form == {"risk": "low"}


def test_a_form_that_is_needed_cannot_be_left_out_by_the_first_approver():
    request = state(form_schema=SCHEMA)

    assert problem_codes(request, command()) == [("/form/risk", "approvals.form.required")]


def test_a_form_nobody_asked_for_is_refused():
    form = {"risk": "low"}

    assert problem_codes(state(), command(form=form)) == [("/form", "approvals.form.not_wanted")]
    assert problem_codes(state(form_schema=SCHEMA), command(**REJECT, form=form)) == [
        ("/form", "approvals.form.not_wanted")
    ]


def signed_state(**changes):
    shown = replace(SHOWN, form={"risk": "low"})
    return state(shown=shown, form_schema=SCHEMA, **changes), shown_digest(shown)


def test_the_next_approver_keeps_omitted_values_and_may_repeat_them():
    request, digest = signed_state()

    for form in (None, {}, {"risk": "low"}):
        accepted = decide(request, command(digest=digest, form=form))
        assert isinstance(accepted, Accepted)
        assert accepted.form == {"risk": "low"}


@pytest.mark.parametrize(("form", "path"), [({"risk": "high"}, "risk"), ({"a/b": 1}, "a~1b")])
def test_another_value_than_the_first_approvers_is_an_edit_and_refused(form, path):
    request, digest = signed_state()

    error = refusal(request, command(digest=digest, form=form))

    assert isinstance(error, errors.EditRefusedError)
    assert [problem.path for problem in error.problems] == [f"/form/{path}"]


def test_a_rejection_keeps_the_values_signed_so_far():
    request, digest = signed_state()

    accepted = decide(request, command(**REJECT, digest=digest))

    assert isinstance(accepted, Accepted)
    assert accepted.form == {"risk": "low"}


def test_who_saw_the_request_before_the_first_approval_is_told_what_changed():
    request, digest = signed_state()

    error = refusal(request, command(form={"risk": "low"}))

    assert isinstance(error, errors.SubjectChangedError)
    assert error.details == {
        "changed": ["form"],
        "digest": digest.hex(),
        "round": 1,
        "form": {"risk": "low"},
    }


def test_a_digest_of_an_earlier_round_or_of_nothing_is_refused():
    request = state(round_digests={1: bytes(32), 2: DIGEST})

    assert refusal(request, command(digest=bytes(32))).details["changed"] == [
        "round",
        "subject",
        "form",
    ]
    assert refusal(request, command(digest=b"")).details["changed"] == ["unknown"]


def test_every_part_of_what_is_shown_moves_the_digest():
    others = [
        replace(SHOWN, request_id=UUID(int=10)),
        replace(SHOWN, round_number=2),
        replace(SHOWN, subject={"ref": "v2"}),
        replace(SHOWN, attachments=("aa",)),
        replace(SHOWN, version_digest=bytes(31) + b"x"),
        replace(SHOWN, calls={"child": "aa"}),
        replace(SHOWN, rule=replace(RULE, after_expiry=AfterExpiry.FAIL)),
        replace(SHOWN, form={}),
    ]

    digests = {shown_digest(shown) for shown in [SHOWN, *others]}

    assert len(digests) == len(others) + 1
    assert {len(digest) for digest in digests} == {32}


def test_what_never_was_shown_has_no_explanation():
    assert changed_since(sent=b"x" * 32, shown=SHOWN, earlier={}) == ("unknown",)


def test_the_same_decision_again_is_answered_with_the_first_result():
    first = vote()

    again = decide(state(votes=(first,)), command(comment="me again"))

    assert again == Repeated(vote=first)


def test_the_same_decision_again_is_answered_even_when_closed_stale_or_denied():
    first = vote()
    closed = Closed(closure=Closure.DECISION, outcome=WaitOutcome.APPROVED, at=NOW, by="Bob")
    request = state(votes=(first,), closed=closed, open_stage=None)

    assert decide(request, command(digest=b""), denial="no") == Repeated(vote=first)


def test_another_decision_of_the_same_person_is_refused():
    error = refusal(state(votes=(vote(),)), command(**REJECT))

    assert isinstance(error, errors.AlreadyDecidedError)
    assert error.details == {"decision": "approve", "stage": "peer", "at": NOW}


def test_a_vote_of_somebody_else_is_no_vote_of_mine():
    assert isinstance(decide(state(votes=(vote(person=BOB),)), command()), Accepted)


def test_a_key_used_again_with_the_same_body_replays_and_with_another_is_refused():
    sent = command(idempotency_key="k1")
    first = vote(sent)
    request = state(votes=(first,))

    assert decide(request, sent) == Repeated(vote=first)
    error = refusal(request, command(idempotency_key="k1", comment="other"))
    assert isinstance(error, errors.KeyReusedError)
    assert isinstance(decide(request, sent, person=BOB), Accepted)


def test_a_new_key_with_the_same_decision_is_the_same_decision():
    first = vote(command(idempotency_key="k1"))

    assert decide(state(votes=(first,)), command(idempotency_key="k2")) == Repeated(vote=first)


def test_a_double_click_does_not_count_in_the_next_stage():
    first = vote()
    request = state(votes=(first,), open_stage="board")

    assert decide(request, command()) == Repeated(vote=first)
    assert decide(request, command(stage="peer")) == Repeated(vote=first)
    assert isinstance(decide(request, command(stage="board")), Accepted)


def test_of_two_own_votes_the_latest_is_meant():
    early, late = vote(), vote(stage="board", at=NOW + timedelta(hours=1))

    assert decide(state(votes=(late, early), open_stage="board"), command()) == Repeated(vote=late)


def test_a_stage_that_is_not_open_is_refused():
    error = refusal(state(), command(stage="board"))

    assert isinstance(error, errors.StageClosedError)
    assert error.details == {"stage": "board", "open_stage": "peer"}


def test_a_request_closed_by_somebody_says_who_when_and_how():
    closed = Closed(closure=Closure.DECISION, outcome=WaitOutcome.REJECTED, at=NOW, by="Bob")

    answer = decide(state(closed=closed), command())

    assert isinstance(answer, Refused)
    assert not answer.late
    assert isinstance(answer.error, errors.RequestClosedError)
    assert answer.error.message == "The request was closed by Bob: rejected."
    assert answer.error.details == {"outcome": "rejected", "closed_at": NOW, "closed_by": "Bob"}


def test_a_request_closed_with_its_run_is_refused_without_a_name():
    closed = Closed(closure=Closure.VOID, outcome=WaitOutcome.VOIDED, at=NOW)

    error = refusal(state(closed=closed), command())

    assert isinstance(error, errors.RequestClosedError)
    assert error.message == "The request was closed: voided."


def test_another_decision_on_a_closed_request_is_refused_as_closed():
    closed = Closed(closure=Closure.VOID, outcome=WaitOutcome.VOIDED, at=NOW)

    error = refusal(state(closed=closed, votes=(vote(),)), command(**REJECT))

    assert isinstance(error, errors.RequestClosedError)


def test_a_request_closed_by_time_is_gone_and_the_attempt_is_late():
    closed = Closed(closure=Closure.TIME, outcome=WaitOutcome.EXPIRED, at=NOW)

    answer = decide(state(closed=closed), command())

    assert isinstance(answer, Refused)
    assert answer.late
    assert isinstance(answer.error, errors.RequestExpiredError)


def test_a_decision_at_the_deadline_is_late_and_just_before_it_is_not():
    request = state(expires_at=NOW)

    late = decide(request, command())
    in_time = decide(request, command(), now=NOW - timedelta(microseconds=1))

    assert isinstance(late, Refused)
    assert late.late
    assert late.error.details == {"outcome": "rejected", "closed_at": NOW, "closed_by": ""}
    assert isinstance(in_time, Accepted)


def test_who_is_denied_is_refused_with_the_reason():
    error = refusal(state(), command(), denial="You asked for this.")

    assert isinstance(error, errors.MayNotDecideError)
    assert error.details == {"permission": "decide_request", "reason": "You asked for this."}


def test_nobody_decides_when_no_stage_is_open():
    error = refusal(state(open_stage=None), command())

    assert isinstance(error, errors.MayNotDecideError)


def ballot(person, choice=Choice.APPROVE):
    return Ballot(person_id=person, revision=1, choice=choice)


def test_a_stage_stays_open_until_its_quorum():
    went = progress(state(), stage="peer", ballots=[ballot(ANN)])

    assert (went.stage_verdict, went.next_stage, went.outcome) == (Verdict.OPEN, None, None)


def test_an_approved_stage_opens_the_next():
    went = progress(state(), stage="peer", ballots=[ballot(ANN), ballot(BOB)])

    assert (went.stage_verdict, went.next_stage, went.outcome) == (Verdict.APPROVED, "board", None)


def test_the_last_approved_stage_approves_the_request():
    went = progress(state(), stage="board", ballots=[ballot(ANN)])

    assert (went.next_stage, went.outcome) == (None, WaitOutcome.APPROVED)


def test_a_rejected_stage_rejects_the_request_whatever_would_follow():
    rejections = [ballot(ANN, Choice.REJECT), ballot(BOB, Choice.REJECT)]

    went = progress(state(), stage="peer", ballots=rejections)

    assert (went.next_stage, went.outcome) == (None, WaitOutcome.REJECTED)


def test_a_stage_nobody_can_finish_is_blocked():
    went = progress(state(), stage="peer", ballots=[ballot(ANN)], eligible=[ANN])

    assert went.outcome is None
    assert not went.count.reachable


# --- questions -----------------------------------------------------------------------------------

ASKING = replace(
    RULE,
    stages=(
        StageRule(key="answer", approvers=Approvers(permissions=("operate_run",)), quorum=Quorum()),
    ),
    exclusions=Exclusions(keywords=()),
    asks=Asks.QUESTION,
)
QUESTION = replace(SHOWN, rule=ASKING)


def question(**changes):
    return state(shown=QUESTION, open_stage="answer", **changes)


def reply(choice, **changes):
    return command(choice=choice, digest=shown_digest(QUESTION), **changes)


def test_what_was_asked_is_part_of_what_is_signed():
    assert shown_digest(QUESTION) != shown_digest(
        replace(QUESTION, rule=replace(ASKING, asks=Asks.APPROVAL))
    )


@pytest.mark.parametrize("choice", CHOICES[Asks.QUESTION])
def test_each_answer_to_a_question_is_accepted(choice):
    assert isinstance(decide(question(), reply(choice, comment="why")), Accepted)


@pytest.mark.parametrize("asks", Asks)
def test_what_was_not_asked_is_no_decision(asks):
    other = Asks.APPROVAL if asks is Asks.QUESTION else Asks.QUESTION
    for choice in CHOICES[other]:
        sent = reply(choice, comment="x") if asks is Asks.QUESTION else command(choice=choice)
        request = question() if asks is Asks.QUESTION else state()
        assert problem_codes(request, sent) == [("/decision", "approvals.decision")]


def test_only_skipping_a_step_needs_a_reason():
    assert problem_codes(question(), reply(Choice.SKIP)) == [
        ("/comment", "approvals.comment_required")
    ]
    for choice in (Choice.RETRY, Choice.FAIL):
        assert isinstance(decide(question(), reply(choice)), Accepted)


def test_who_may_not_answer_lacks_the_permission_to_operate():
    error = refusal(question(), reply(Choice.RETRY), denial="no")

    assert error.details["permission"] == "operate_run"


@pytest.mark.parametrize("choice", CHOICES[Asks.QUESTION])
def test_the_first_answer_ends_a_question(choice):
    went = progress(question(), stage="answer", ballots=[ballot(ANN, choice)])

    assert (went.stage_verdict, went.outcome, went.next_stage) == (
        Verdict.ANSWERED,
        Answer(choice.value),
        None,
    )


def test_a_question_nobody_answered_stays_open():
    went = progress(question(), stage="answer", ballots=[], eligible=[])

    assert (went.stage_verdict, went.outcome, went.count.reachable) == (Verdict.OPEN, None, False)


@pytest.mark.parametrize("outcome", [*WaitOutcome, *Answer])
def test_an_outcome_is_read_back(outcome):
    assert read_outcome(outcome.value) is outcome
