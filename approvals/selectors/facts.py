"""A request with everything the rules look at. Read `read_facts` first; it guards nothing."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import DateTimeField, F, Func

from approvals.domain.decision import CastVote, Closed, Closure, RequestState, read_outcome
from approvals.domain.digest import Shown
from approvals.domain.exclusion import Excluded
from approvals.domain.quorum import Ballot, Choice
from approvals.domain.rule import rule_from_json
from approvals.models import Exclusion, Request, Round, Stage, StageStatus, Vote
from approvals.selectors.approvers import Barrier

_CLOCK = Func(template="clock_timestamp()", output_field=DateTimeField())


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """A request, its current round, and the database's clock when that was read.

    `stages` are in their order. True only as long as nobody writes: lock first to act on it.
    """

    row: Request
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

    def has_voted(self, *, person_id: UUID, stage: str) -> bool:
        """Return whether a person has cast a vote in a stage of this round."""
        return any(ballot.person_id == person_id for ballot in self.ballots(stage))


def read_facts(row: Request) -> dict[str, Any]:
    """Return the fields of `RequestFacts` for a request; 3 queries.

    The clock comes with the stages and not with the request's row: beside FOR UPDATE a clock is
    read before the wait for the lock, and whoever waited over the deadline would still be in time.
    """
    stages = tuple(
        Stage.objects.filter(request=row, round=row.round).annotate(now=_CLOCK).order_by("position")
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
    return {
        "row": row,
        "stages": stages,
        "exclusions": _list_exclusions(row),
        "state": state,
        "at": stages[0].now,
    }


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
        outcome=read_outcome(row.outcome),
        at=row.closed_at,
        by=row.closed_by_name,
    )


def _list_exclusions(row: Request) -> tuple[Excluded, ...]:
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
