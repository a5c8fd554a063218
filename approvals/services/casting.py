"""Writing an accepted vote and everything that follows from it. Read `cast` first.

One append tells it all: the vote, the stage it ended, the stage that opened or the request that
closed. The caller's transaction holds the locks on the run and on the request.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from approvals import store
from approvals.domain.authority import PERMISSIONS
from approvals.domain.decision import Accepted, Closure, Command, Progress, progress
from approvals.domain.digest import shown_digest
from approvals.domain.exclusion import Excluded, Roles, excluded_persons
from approvals.domain.quorum import Ballot, Count, Verdict, recount
from approvals.domain.rule import Exclusions, Keyword
from approvals.drafting import SWEEP_ORIGIN, Kind, draft
from approvals.models import Stage, StageStatus, Vote
from approvals.selectors.approvers import Eligibility, find_eligible
from approvals.services.closing import Ending, Preceding, close, resolve_run
from approvals.services.locking import LockedRequest
from approvals.services.notifying import announce, tell_owners_blocked
from approvals.services.outbox import NoticeEvent, enqueue
from audit.domain.entry import BuiltEntry
from core.identity.domain.principal import Principal
from core.kernel import ids
from core.kernel.record import Draft
from core.kernel.types import Json
from engine.loading import EVALUATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionResult:
    """What a person is answered who decided.

    `status` and `outcome` are the request's after this vote (`outcome` is empty while it is open),
    `stage_status` the stage's. `approval_count` of `needed_count` approvals stand in the stage.
    `replayed` says that this decision had counted before; everything else is then the first answer.
    """

    request_id: UUID
    number: int
    round: int
    stage: str
    decision: str
    status: str
    outcome: str
    stage_status: str
    approval_count: int
    needed_count: int
    vote_id: UUID
    at: datetime
    replayed: bool = False

    def as_json(self) -> dict[str, Json]:
        """Return the form in which the vote keeps it."""
        return {
            "request_id": str(self.request_id),
            "number": self.number,
            "round": self.round,
            "stage": self.stage,
            "decision": self.decision,
            "status": self.status,
            "outcome": self.outcome,
            "stage_status": self.stage_status,
            "approval_count": self.approval_count,
            "needed_count": self.needed_count,
            "vote_id": str(self.vote_id),
            "at": self.at.isoformat(),
        }

    @classmethod
    def replay(cls, value: Any) -> Self:
        """Return the first answer, as the vote kept it."""
        return cls(
            **{
                **value,
                "request_id": UUID(value["request_id"]),
                "vote_id": UUID(value["vote_id"]),
                "at": datetime.fromisoformat(value["at"]),
            },
            replayed=True,
        )


@dataclass(slots=True, kw_only=True)
class _Consequences:
    """What the append will hold beside the vote, collected before anything is written."""

    drafts: list[Draft] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)
    exclusions: list[Excluded] = field(default_factory=list)
    opened: Stage | None = None
    recipients: Sequence[UUID] = ()
    blocked_stage: str = ""


def cast(
    *,
    principal: Principal,
    locked: LockedRequest,
    command: Command,
    accepted: Accepted,
    policy: str,
) -> DecisionResult:
    """Write a vote that counts, recount, and move the request. Returns the voter's answer.

    Args:
        principal: who decides.
        locked: the request and its run, locked by the caller's transaction.
        command: what was sent.
        accepted: what the rules said.
        policy: what the authority check said, for the record.
    """
    ballots = [
        *locked.ballots(accepted.stage),
        Ballot(person_id=principal.person_id, revision=accepted.revision, choice=command.choice),
    ]
    follow = _Consequences()
    went = _recount(locked, accepted.stage, ballots, follow)
    _add_form(locked, accepted, follow)
    result = _result(locked, command, accepted.stage, went)
    vote_draft = _vote_draft(
        principal, locked=locked, command=command, accepted=accepted, policy=policy
    )
    _collect(locked, went, ballots, principal=principal, stage=accepted.stage, follow=follow)
    vote_entry = _write(locked, went, principal=principal, vote_draft=vote_draft, follow=follow)
    _insert_vote(principal, locked=locked, command=command, result=result, entry=vote_entry)
    if went.outcome is not None:
        _tell_outcome(locked, vote_entry, principal)
    return result


def _recount(
    locked: LockedRequest, stage: str, ballots: Sequence[Ballot], follow: _Consequences
) -> Progress:
    """Recount; only a stage that would stay open needs to know who may still vote."""
    went = progress(locked.state, stage=stage, ballots=ballots)
    if went.stage_verdict is not Verdict.OPEN:
        return went
    eligible = _eligible(locked, locked.stage(stage), locked.exclusions)
    follow.exclusions += eligible.excluded
    return progress(locked.state, stage=stage, ballots=ballots, eligible=eligible.persons)


def _add_form(locked: LockedRequest, accepted: Accepted, follow: _Consequences) -> None:
    """The first approval's values become part of what the next approver signs."""
    if accepted.form == locked.state.shown.form:
        return
    form = dict(accepted.form or {})
    follow.changes["form_values"] = form
    follow.changes["shown_digest"] = shown_digest(replace(locked.state.shown, form=form))


def _collect(
    locked: LockedRequest,
    went: Progress,
    ballots: Sequence[Ballot],
    *,
    principal: Principal,
    stage: str,
    follow: _Consequences,
) -> None:
    """Collect what follows from the recount."""
    if went.stage_verdict is Verdict.OPEN:
        is_news = not locked.row.blocked
        _note_reach(locked, stage, went.count, is_news=is_news, follow=follow)
        return
    follow.drafts.append(
        draft(
            Kind.STAGE_CLOSED,
            request=locked.row,
            at=locked.at,
            origin=principal.origin,
            data={
                "stage": stage,
                "verdict": went.stage_verdict.value,
                "approvals": went.count.approval_count,
                "rejections": went.count.rejection_count,
            },
        )
    )
    if went.next_stage is not None:
        _open_next(locked, went.next_stage, ballots, principal=principal, follow=follow)


def _open_next(
    locked: LockedRequest,
    key: str,
    ballots: Sequence[Ballot],
    *,
    principal: Principal,
    follow: _Consequences,
) -> None:
    """Collect the opening of the next stage: whom it excludes, whom it is put to."""
    only = tuple(
        item for item in locked.state.rule.exclusions.keywords if item is Keyword.EARLIER_DECIDERS
    )
    deciders = tuple(ballot.person_id for ballot in ballots)
    follow.exclusions += excluded_persons(
        Exclusions(keywords=only), Roles(earlier_deciders=deciders)
    )
    stage = locked.stage(key)
    eligible = _eligible(locked, stage, (*locked.exclusions, *follow.exclusions))
    follow.exclusions += eligible.excluded
    follow.opened = stage
    follow.recipients = [account.user_id for account in eligible.accounts.values()]
    follow.drafts.append(
        draft(
            Kind.STAGE_OPENED,
            request=locked.row,
            at=locked.at,
            origin=principal.origin,
            data={"stage": key},
        )
    )
    quorum = locked.state.rule.stage(key).quorum
    count = recount(quorum=quorum, ballots=(), eligible=eligible.persons)
    _note_reach(locked, key, count, is_news=True, follow=follow)


def _note_reach(
    locked: LockedRequest, stage: str, count: Count, *, is_news: bool, follow: _Consequences
) -> None:
    """Note whether enough people may decide in a stage; tell of it once a stage."""
    follow.changes["blocked"] = not count.reachable
    if count.reachable or not is_news:
        return
    follow.blocked_stage = stage
    follow.drafts.append(
        draft(
            Kind.REQUEST_BLOCKED,
            request=locked.row,
            at=locked.at,
            origin=SWEEP_ORIGIN,
            data={"stage": stage},
        )
    )


def _eligible(locked: LockedRequest, stage: Stage, exclusions: Sequence[Excluded]) -> Eligibility:
    persons = frozenset(excluded.person_id for excluded in exclusions)
    return find_eligible(
        scope_id=locked.row.scope_id,
        keys=stage.approver_keys,
        barrier=replace(locked.barrier, persons=persons),
        evaluator=EVALUATOR,
        permission=PERMISSIONS[locked.state.rule.asks],
    )


def _write(
    locked: LockedRequest,
    went: Progress,
    *,
    principal: Principal,
    vote_draft: Draft,
    follow: _Consequences,
) -> BuiltEntry:
    """Write entries, row, stages, audiences and exclusions; return the vote's entry."""
    stage = locked.open_stage
    assert stage is not None, "a vote is only accepted in an open stage"
    drafts = [vote_draft, *follow.drafts]
    store.add_exclusions(request=locked.row, exclusions=follow.exclusions)
    if went.outcome is not None:
        ending = Ending(
            outcome=went.outcome,
            closure=Closure.DECISION,
            at=locked.at,
            origin=principal.origin,
            by=principal,
        )
        entries = close(
            request=locked.row,
            stage=stage,
            stage_status=StageStatus(went.stage_verdict.value),
            ending=ending,
            preceding=Preceding(drafts=drafts, changes=follow.changes),
        )
        return entries[0]
    entries = store.append(request=locked.row, drafts=drafts, changes=follow.changes)
    keys = [*stage.approver_keys]
    if follow.opened is not None:
        status = StageStatus(went.stage_verdict.value)
        store.close_stage(stage=stage, status=status, at=locked.at)
        store.open_stage(stage=follow.opened, at=locked.at)
        keys += follow.opened.approver_keys
    _tell_progress(locked, follow)
    announce(request=locked.row, event=Kind.VOTE_CAST.value, keys=keys)
    return entries[0]


def _tell_progress(locked: LockedRequest, follow: _Consequences) -> None:
    if follow.opened is not None:
        enqueue(
            event=NoticeEvent.STAGE_OPENED,
            request=locked.row,
            recipients=follow.recipients,
            at=locked.at,
            facts={"stage": follow.opened.key},
        )
    if follow.blocked_stage:
        tell_owners_blocked(request=locked.row, stage=follow.blocked_stage, at=locked.at)


def _tell_outcome(locked: LockedRequest, entry: BuiltEntry, principal: Principal) -> None:
    """Tell the run and who asked."""
    resolve_run(request=locked.row, run=locked.run, entry=entry, origin=principal.origin)
    enqueue(
        event=NoticeEvent.REQUEST_DECIDED,
        request=locked.row,
        recipients=[locked.row.requester_id],
        at=locked.at,
        facts={"outcome": locked.row.outcome, "by": principal.name},
    )


def _vote_draft(
    principal: Principal,
    *,
    locked: LockedRequest,
    command: Command,
    accepted: Accepted,
    policy: str,
) -> Draft:
    """Return the vote's entry. What the person wrote is only committed to."""
    payloads: dict[str, Json] = {}
    if command.comment.strip():
        payloads["comment"] = command.comment
    if command.form is not None:
        payloads["form"] = dict(command.form)
    entry = draft(
        Kind.VOTE_CAST,
        request=locked.row,
        at=locked.at,
        origin=principal.origin,
        data={
            "stage": accepted.stage,
            "decision": command.choice.value,
            "person": str(principal.person_id),
            "revision": accepted.revision,
            "confirmed": command.confirmed,
        },
        payloads=payloads,
    )
    return replace(entry, shown=command.digest.hex(), policy=policy)


def _result(locked: LockedRequest, command: Command, stage: str, went: Progress) -> DecisionResult:
    return DecisionResult(
        request_id=locked.row.pk,
        number=locked.row.number,
        round=locked.row.round,
        stage=stage,
        decision=command.choice.value,
        status="open" if went.outcome is None else "closed",
        outcome="" if went.outcome is None else went.outcome.value,
        stage_status=went.stage_verdict.value,
        approval_count=went.count.approval_count,
        needed_count=locked.state.rule.stage(stage).quorum.count,
        vote_id=ids.uuid7(),
        at=locked.at,
    )


def _insert_vote(
    principal: Principal,
    *,
    locked: LockedRequest,
    command: Command,
    result: DecisionResult,
    entry: BuiltEntry,
) -> None:
    vote = Vote(
        id=result.vote_id,
        request=locked.row,
        round=locked.row.round,
        stage=locked.stage(result.stage),
        person_id=principal.person_id,
        user_id=principal.user_id,
        name=principal.name,
        revision=1,
        decision=command.choice.value,
        shown_digest=command.digest,
        cast_at=locked.at,
        via=principal.origin.via.value,
        idempotency_key=command.idempotency_key,
        command_digest=command.body_digest(),
        result=result.as_json(),
        seq=entry.seq,
        leaf=entry.leaf,
    )
    store.insert_vote(vote=vote, comment=command.comment)
