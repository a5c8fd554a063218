"""One person's decision, judged without any I/O. Read `judge` first.

The shell loads the facts under the lock, asks `judge`, and writes what it answers. A refusal is a
value too, so that it can be put on record in the transaction that found it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from approvals.domain import deadline, errors
from approvals.domain.authority import PERMISSIONS
from approvals.domain.digest import Shown, changed_since, shown_digest
from approvals.domain.form import check_storable, check_values, merge, pointer_of
from approvals.domain.quorum import CHOICES, Answer, Ballot, Choice, Count, Verdict, recount
from approvals.domain.rule import Asks, Rule
from core.kernel import limits
from core.kernel.canonical import digest
from core.kernel.errors import PlatformError, Problem
from core.kernel.types import Json
from engine.domain.expressions import Evaluator
from engine.domain.verbs import WaitOutcome

Outcome: TypeAlias = WaitOutcome | Answer

# Those that take a comment: whoever comes after wants to know why.
_EXPLAINED = {Choice.REJECT: "a rejection", Choice.SKIP: "skipping a step"}


class Closure(StrEnum):
    """Why a request is closed."""

    DECISION = "decision"
    TIME = "time"
    VOID = "void"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """How a request ended. `by` is the name of whoever ended it, empty for the system."""

    closure: Closure
    outcome: Outcome
    at: datetime
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CastVote:
    """A vote on record, one revision. `result` is what its caster was answered."""

    vote_id: UUID
    person_id: UUID
    stage: str
    revision: int
    choice: Choice
    idempotency_key: str
    command_digest: bytes
    cast_at: datetime
    result: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestState:
    """A request as locked: what was shown, its rule, and where it stands.

    `open_stage` is `None` when the request is closed or no stage was asked. `votes` are those of
    the current round. `round_digests` maps each round to the digest it opened with.
    """

    number: int
    shown: Shown
    open_stage: str | None
    votes: tuple[CastVote, ...]
    form_schema: Mapping[str, Json] | None = None
    confirm: str = ""
    expires_at: datetime | None = None
    closed: Closed | None = None
    round_digests: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def rule(self) -> Rule:
        """The rule as frozen."""
        return self.shown.rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a person sends. `stage` is the stage shown to them, empty when they did not say.

    `digest` is what they say they saw, 32 bytes (or anything else, which then does not match).
    """

    choice: Choice
    digest: bytes
    stage: str = ""
    comment: str = ""
    form: Mapping[str, Json] | None = None
    confirmed: bool = False
    idempotency_key: str = ""

    def body_digest(self) -> bytes:
        """Return the digest that tells one body from another under the same key, 32 bytes."""
        return digest(
            {
                "choice": self.choice.value,
                "digest": self.digest.hex(),
                "stage": self.stage,
                "comment": self.comment,
                "form": None if self.form is None else dict(self.form),
                "confirmed": self.confirmed,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The decision counts. `form` is what stands after it, `None` where there is no form."""

    stage: str
    revision: int
    form: Mapping[str, Json] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """The person decided exactly so before; the first result is the answer."""

    vote: CastVote


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The decision does not count. `late` says that it came after the time was up."""

    error: PlatformError
    late: bool = False


Judgement: TypeAlias = Accepted | Repeated | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where the request goes after a vote.

    `stage_verdict` is that of the stage voted in. `next_stage` opens if not `None`; `outcome`
    closes the request if not `None`; both `None`: the stage stays open.
    """

    stage_verdict: Verdict
    count: Count
    next_stage: str | None = None
    outcome: Outcome | None = None


def repeated(state: RequestState, *, person_id: UUID, command: Command) -> Judgement | None:
    """Return the answer to a decision this person sent before, or `None` if it is a new one.

    One human has one vote a stage, whichever account it comes from. Without a named stage, a
    decision of somebody who voted in an earlier stage is that vote again, not one for the stage
    that opened since: a double click must not count twice.
    """
    own = _own_votes(state, person_id)
    for vote in own:
        if command.idempotency_key and vote.idempotency_key == command.idempotency_key:
            if vote.command_digest == command.body_digest():
                return Repeated(vote=vote)
            return Refused(error=errors.KeyReusedError(request=str(state.shown.request_id)))
    last = _meant_vote(own, command)
    if last is not None and last.choice is command.choice:
        return Repeated(vote=last)
    return None


def closed_refusal(state: RequestState, *, now: datetime) -> Refused | None:
    """Return the refusal of a closed or overdue request, or `None` if it can be decided.

    `now` is the database's clock inside the lock. The answer says who ended it, when and how.
    """
    if state.closed is not None:
        return _closed(state.closed)
    if deadline.is_over(expires_at=state.expires_at, now=now):
        outcome = deadline.outcome_after(state.rule.after_expiry)
        return Refused(
            error=errors.RequestExpiredError(
                outcome=outcome.value, closed_at=state.expires_at, closed_by=""
            ),
            late=True,
        )
    return None


def _closed(closed: Closed) -> Refused:
    if closed.closure is Closure.TIME:
        gone = errors.RequestExpiredError(
            outcome=closed.outcome.value, closed_at=closed.at, closed_by=closed.by
        )
        return Refused(error=gone, late=True)
    by = f" by {closed.by}" if closed.by else ""
    return Refused(
        error=errors.RequestClosedError(
            f"The request was closed{by}: {closed.outcome.value}.",
            outcome=closed.outcome.value,
            closed_at=closed.at,
            closed_by=closed.by,
        )
    )


def judge(
    state: RequestState,
    *,
    person_id: UUID,
    command: Command,
    denial: str | None,
    now: datetime,
    evaluator: Evaluator,
) -> Judgement:
    """Return whether a decision counts.

    Args:
        state: the request as locked.
        person_id: the human who decides.
        command: what was sent.
        denial: why the authority check refuses this person at this moment, `None` if it does not.
        now: the database's clock inside the lock.
        evaluator: matches the patterns of the form in linear time.
    """
    answer = (
        repeated(state, person_id=person_id, command=command)
        or closed_refusal(state, now=now)
        or _different(state, person_id=person_id, command=command)
    )
    if answer is not None:
        return answer
    if denial is not None or state.open_stage is None:
        reason = denial or "No stage of this request is open."
        permission = PERMISSIONS[state.rule.asks].value
        error = errors.MayNotDecideError(reason, permission=permission, reason=reason)
        return Refused(error=error)
    stale = _stale(state, command)
    if stale is not None:
        return Refused(error=stale)
    problems = _problems(state, command, evaluator=evaluator)
    if problems:
        return Refused(error=errors.DecisionInvalidError(problems=problems))
    edits = _edits(state, command)
    if edits:
        return Refused(error=errors.EditRefusedError(problems=edits))
    return Accepted(stage=state.open_stage, revision=1, form=_form_after(state, command))


def progress(
    state: RequestState,
    *,
    stage: str,
    ballots: Sequence[Ballot],
    eligible: Collection[UUID] | None = None,
) -> Progress:
    """Return where the request goes, given every ballot of the open stage, the new one included.

    Args:
        state: the request as it was before the new vote.
        stage: key of the open stage.
        ballots: every revision of every vote in that stage.
        eligible: persons who could vote in it now; `None` when not known.
    """
    count = recount(quorum=state.rule.stage(stage).quorum, ballots=ballots, eligible=eligible)
    if state.rule.asks is Asks.QUESTION:
        return _progress_of_question(count, ballots)
    following = state.rule.next_stage(after=stage)
    next_stage, outcome = None, None
    if count.verdict is Verdict.REJECTED:
        outcome = WaitOutcome.REJECTED
    elif count.verdict is Verdict.APPROVED and following is None:
        outcome = WaitOutcome.APPROVED
    elif count.verdict is Verdict.APPROVED and following is not None:
        next_stage = following.key
    return Progress(
        stage_verdict=count.verdict, count=count, next_stage=next_stage, outcome=outcome
    )


def read_outcome(text: str) -> Outcome:
    """Return an outcome from its text. Raises: ValueError."""
    return Answer(text) if text in list(Answer) else WaitOutcome(text)


def _progress_of_question(count: Count, ballots: Sequence[Ballot]) -> Progress:
    """Return where a question goes: the first answer ends it."""
    if not ballots:
        return Progress(stage_verdict=Verdict.OPEN, count=count)
    answer = Answer(ballots[0].choice.value)
    return Progress(stage_verdict=Verdict.ANSWERED, count=count, outcome=answer)


def _own_votes(state: RequestState, person_id: UUID) -> list[CastVote]:
    """Return a person's votes in this round, oldest first."""
    own = [vote for vote in state.votes if vote.person_id == person_id]
    return sorted(own, key=lambda vote: (vote.cast_at, vote.revision))


def _meant_vote(own: Sequence[CastVote], command: Command) -> CastVote | None:
    """Return the vote a command is about, if its sender has cast that one already."""
    meant = [vote for vote in own if command.stage in ("", vote.stage)]
    return meant[-1] if meant else None


def _different(state: RequestState, *, person_id: UUID, command: Command) -> Refused | None:
    """Return the refusal of a person who decided otherwise before, or `None`."""
    last = _meant_vote(_own_votes(state, person_id), command)
    if last is None:
        return None
    return Refused(
        error=errors.AlreadyDecidedError(
            f"You decided {last.choice.value!r} in the stage {last.stage!r}.",
            decision=last.choice.value,
            stage=last.stage,
            at=last.cast_at,
        )
    )


def _stale(state: RequestState, command: Command) -> PlatformError | None:
    """Return the error of somebody who decides on something else than what stands now."""
    current = shown_digest(state.shown)
    if command.digest != current:
        changed = changed_since(sent=command.digest, shown=state.shown, earlier=state.round_digests)
        form = None if state.shown.form is None else dict(state.shown.form)
        return errors.SubjectChangedError(
            changed=list(changed), digest=current.hex(), round=state.shown.round_number, form=form
        )
    if command.stage and command.stage != state.open_stage:
        return errors.StageClosedError(
            f"The stage {command.stage!r} is not open; {state.open_stage!r} is.",
            stage=command.stage,
            open_stage=state.open_stage,
        )
    return None


def _problems(state: RequestState, command: Command, *, evaluator: Evaluator) -> list[Problem]:
    """Return everything that is wrong with what was sent, in the order of the form's fields."""
    choices = CHOICES[state.rule.asks]
    if command.choice not in choices:
        message = f"a decision is one of {', '.join(choices)}"
        return [_problem("decision", message, "/decision")]
    problems = _comment_problems(command)
    if command.choice is Choice.REJECT:
        if command.form:
            message = "rejecting takes no form"
            problems.append(_problem("form.not_wanted", message, "/form"))
        return problems
    if state.confirm and not command.confirmed:
        message = f"confirm this first: {state.confirm}"
        problems.append(_problem("confirmation_required", message, "/confirmed"))
    if state.form_schema is None:
        if command.form:
            problems.append(_problem("form.not_wanted", "this request has no form", "/form"))
        return problems
    return problems + check_values(
        state.form_schema, _form_after(state, command) or {}, evaluator=evaluator
    )


def _comment_problems(command: Command) -> list[Problem]:
    problems = []
    if command.choice in _EXPLAINED and not command.comment.strip():
        message = f"say why: {_EXPLAINED[command.choice]} needs a comment"
        problems.append(_problem("comment_required", message, "/comment"))
    if len(command.comment) > limits.REASON_CHARS_MAX:
        message = f"a comment has at most {limits.REASON_CHARS_MAX} characters"
        problems.append(_problem("comment_too_long", message, "/comment"))
    return problems + check_storable(command.comment, path="/comment")


def _edits(state: RequestState, command: Command) -> list[Problem]:
    """Return the fields given another value than the first approval's, which is an edit."""
    signed = state.shown.form
    if signed is None or command.choice is Choice.REJECT:
        return []
    return [
        _problem(
            "form.edited", "an earlier approver signed another value", pointer_of(["form", name])
        )
        for name, value in (command.form or {}).items()
        if name not in signed or digest(signed[name]) != digest(value)
    ]


def _form_after(state: RequestState, command: Command) -> Mapping[str, Json] | None:
    """Return the form values that stand after the decision; a rejection changes none."""
    if state.form_schema is None or command.choice is Choice.REJECT:
        return state.shown.form
    return merge(state.shown.form or {}, command.form or {})


def _problem(code: str, message: str, path: str) -> Problem:
    return Problem(message=message, path=path, code=f"approvals.{code}")
