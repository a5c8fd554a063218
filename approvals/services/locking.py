"""A request under lock, as a value the rules can judge. Read `lock` first.

The lock order is run, then request, everywhere.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import F

from approvals import store
from approvals.domain.decision import CastVote, Closed, Closure, RequestState
from approvals.domain.digest import Shown
from approvals.domain.exclusion import Excluded
from approvals.domain.quorum import Ballot, Choice
from approvals.domain.rule import rule_from_json
from approvals.models import Exclusion, Request, Round, Stage, StageStatus, Vote
from approvals.selectors.approvers import Barrier
from core.toolkit.db import require_transaction
from engine.domain.verbs import WaitOutcome
from engine.services.waits import LockedRun, lock_run


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedRequest:
    """A request nobody else can change until the transaction ends.

    `at` is the database's clock, read after the locks were got. `stages` are those of the current
    round in their order.
    """

    row: Request
    run: LockedRun | None
    stages: tuple[Stage, ...]
    exclusions: tuple[Excluded, ...]
    state: RequestState
    at: datetime

    @property
    def open_stage(self) -> Stage | None:
        """The stage people are asked in now."""
        return next((stage for stage in self.stages if stage.status == StageStatus.OPEN), None)

    @property
    def barrier(self) -> Barrier:
        """What keeps approvers out of this round."""
        return Barrier(
            persons=frozenset(excluded.person_id for excluded in self.exclusions),
            exclusions=self.state.rule.exclusions,
            variables={**self.row.variables, "subject": self.row.subject},
        )

    def stage(self, key: str) -> Stage:
        """Return a stage of the current round by its key."""
        return next(stage for stage in self.stages if stage.key == key)

    def ballots(self, stage: str) -> list[Ballot]:
        """Return the votes cast in a stage of this round."""
        return [
            Ballot(person_id=vote.person_id, revision=vote.revision, choice=vote.choice)
            for vote in self.state.votes
            if vote.stage == stage
        ]


def lock(*, request_id: UUID, run_id: UUID | None) -> LockedRequest | None:
    """Lock a run and then its request, and read what belongs to it; 5 statements.

    Transaction: needs one.
    """
    require_transaction()
    run = None if run_id is None else lock_run(run_id=run_id)
    row = store.lock_request(request_id=request_id)
    if row is None:
        return None
    # The clock comes with the stages and not with the lock: beside FOR UPDATE it is read before
    # the wait, and whoever waited over the deadline would still be in time.
    stages = tuple(
        Stage.objects.filter(request=row, round=row.round)
        .annotate(now=store.CLOCK)
        .order_by("position")
    )
    open_keys = [stage.key for stage in stages if stage.status == StageStatus.OPEN]
    state = RequestState(
        number=row.number,
        shown=shown_of(row),
        open_stage=open_keys[0] if open_keys else None,
        votes=_list_votes(row),
        form_schema=row.form_schema,
        confirm=row.confirm,
        expires_at=row.expires_at,
        closed=closed_of(row),
        round_digests=_map_earlier_rounds(row),
    )
    return LockedRequest(
        row=row,
        run=run,
        stages=stages,
        exclusions=list_exclusions(row),
        state=state,
        at=stages[0].now,
    )


def shown_of(row: Request) -> Shown:
    """Return what a decision on the request is about."""
    return Shown(
        request_id=row.pk,
        round_number=row.round,
        subject=row.subject,
        version_digest=bytes(row.version_digest),
        rule=rule_from_json(row.rule),
        form=row.form_values,
    )


def closed_of(row: Request) -> Closed | None:
    """Return how the request ended, or `None` while it is open."""
    if row.closed_at is None:
        return None
    return Closed(
        closure=Closure(row.closure),
        outcome=WaitOutcome(row.outcome),
        at=row.closed_at,
        by=row.closed_by_name,
    )


def list_exclusions(row: Request) -> tuple[Excluded, ...]:
    """Return whom the current round excludes so far, in the order of being found; 1 query."""
    rows = Exclusion.objects.filter(request=row, round=row.round).order_by("pk")
    return tuple(
        Excluded(person_id=person_id, reason=reason, expression=expression, error=error)
        for person_id, reason, expression, error in rows.values_list(
            "person_id", "reason", "expression", "error"
        )
    )


def _list_votes(row: Request) -> tuple[CastVote, ...]:
    votes = (
        Vote.objects.filter(request=row, round=row.round)
        .annotate(stage_key=F("stage__key"))
        .order_by("pk")
    )
    return tuple(
        CastVote(
            vote_id=vote.pk,
            person_id=vote.person_id,
            stage=vote.stage_key,
            revision=vote.revision,
            choice=Choice(vote.decision),
            idempotency_key=vote.idempotency_key,
            command_digest=bytes(vote.command_digest),
            cast_at=vote.cast_at,
            result=vote.result,
        )
        for vote in votes
    )


def _map_earlier_rounds(row: Request) -> dict[int, bytes]:
    """Return the digest each earlier round opened with; no query in the first."""
    if row.round == 1:
        return {}
    rounds = Round.objects.filter(request=row, number__lt=row.round)
    return {number: bytes(shown) for number, shown in rounds.values_list("number", "shown_digest")}
