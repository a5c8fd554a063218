"""Requests as values for readers, made from rows. Read `RequestSummary` first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, F, Q

from approvals.domain.question import consequence_of
from approvals.domain.quorum import CHOICES, Choice
from approvals.domain.rule import Asks, Rule, rule_from_json
from approvals.domain.words import describe_asked, describe_note, describe_rule
from approvals.models import DeliveryStatus, Notice, Request, Stage, StageStatus, Vote
from audit.selectors.redacted import find_note
from core.kernel.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSummary:
    """A request as lists show it.

    `stage` is the key of the open stage, `None` when none is; `approval_count` of `needed_count`
    approvals stand in it. `amount_value` is in minor units of `amount_currency`.
    """

    id: UUID
    number: int
    title: str
    kind: str
    risk: str
    amount_value: int | None
    amount_currency: str
    status: str
    outcome: str
    closure: str
    blocked: bool
    project_slug: str
    workflow_slug: str
    run_id: UUID | None
    run_number: int | None
    step_key: str
    requester: str
    requester_name: str
    requester_kind: str
    round: int
    stage: str | None
    approval_count: int
    needed_count: int
    opened_at: datetime
    expires_at: datetime | None
    closed_at: datetime | None
    closed_by_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageView:
    """One stage of the current round. `approvers` says in words who may decide."""

    key: str
    status: str
    approvers: str
    needed_count: int
    reject_count: int
    approval_count: int
    rejection_count: int
    opened_at: datetime | None
    closed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceView:
    """One thing that can be decided, and what follows from it, in words."""

    choice: Choice
    consequence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteView:
    """One vote. `leaf_hex` is its entry's leaf in the request's ledger stream."""

    id: UUID
    round: int
    stage: str
    decision: Choice
    name: str
    username: str
    comment: str
    at: datetime
    via: str
    shown_digest_hex: str
    seq: int
    leaf_hex: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UndeliveredView:
    """A notice that was given up: who was not told what. Why is in the ledger, for auditors."""

    event: str
    channel: str
    username: str
    name: str
    attempt_count: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDetail:
    """A request with what is to be decided, by what rule, and what was decided so far.

    `digest_hex` is what a decision must send back, together with `summary.stage`. `choices` are
    those it can be, `if_approved` and `if_rejected` empty for a question. `form_values` is
    `None` until the first approval gave some. `redacted` says that what it showed was erased, ""
    if it was not. `notes` are what went wrong while it opened,
    `undelivered` who could not be told of it, oldest first.
    """

    summary: RequestSummary
    digest_hex: str
    subject: Mapping[str, Json]
    if_approved: str
    if_rejected: str
    choices: tuple[ChoiceView, ...]
    confirm: str
    form_schema: Mapping[str, Json] | None
    form_values: Mapping[str, Json] | None
    rule: Mapping[str, Json]
    rule_words: tuple[str, ...]
    notes: tuple[str, ...]
    is_four_eyes: bool
    stages: tuple[StageView, ...]
    votes: tuple[VoteView, ...]
    undelivered: tuple[UndeliveredView, ...]
    run_title: str
    version_rev: int | None
    version_digest_hex: str
    seq: int
    head_hex: str
    redacted: str = ""


def _say_redacted(row: Request) -> str:
    if row.redacted_at is None:
        return ""
    note = find_note(stream=row.pk)
    return "What it showed was redacted." if note is None else note.words


def map_open_stages(request_ids: Iterable[UUID]) -> dict[UUID, Stage]:
    """Return the open stage of each request, with its `approval_count`; 1 query."""
    stages = Stage.objects.filter(
        request_id__in=list(request_ids), status=StageStatus.OPEN
    ).annotate(approval_count=Count("votes", filter=Q(votes__decision=Choice.APPROVE.value)))
    return {stage.request_id: stage for stage in stages}


def make_summary(row: Request, stage: Stage | None) -> RequestSummary:
    """Return a request as lists show it; `stage` as `map_open_stages` gives it. No query."""
    needed_count = 0
    if stage is not None:
        needed_count = rule_from_json(row.rule).stage(stage.key).quorum.count
    return RequestSummary(
        id=row.pk,
        number=row.number,
        title=row.title,
        kind=row.kind,
        risk=row.risk,
        amount_value=row.amount_value,
        amount_currency=row.amount_currency,
        status=row.status,
        outcome=row.outcome,
        closure=row.closure,
        blocked=row.blocked,
        project_slug=row.project_slug,
        workflow_slug=row.workflow_slug,
        run_id=row.run_id,
        run_number=row.run_number,
        step_key=row.step_key,
        requester=row.requester.username,
        requester_name=row.requester.name,
        requester_kind=row.requester.kind,
        round=row.round,
        stage=stage.key if stage else None,
        approval_count=getattr(stage, "approval_count", 0),
        needed_count=needed_count,
        opened_at=row.opened_at,
        expires_at=row.expires_at,
        closed_at=row.closed_at,
        closed_by_name=row.closed_by_name,
    )


def make_detail(row: Request) -> RequestDetail:
    """Return a request with everything a reader may know of it; 3 queries."""
    rule = rule_from_json(row.rule)
    stages = list(
        Stage.objects.filter(request=row, round=row.round)
        .annotate(approval_count=Count("votes", filter=Q(votes__decision=Choice.APPROVE.value)))
        .annotate(rejection_count=Count("votes", filter=Q(votes__decision=Choice.REJECT.value)))
        .order_by("position")
    )
    open_stage = next((stage for stage in stages if stage.status == StageStatus.OPEN), None)
    return RequestDetail(
        summary=make_summary(row, open_stage),
        digest_hex=bytes(row.shown_digest).hex(),
        subject=row.subject,
        if_approved=row.if_approved,
        if_rejected=row.if_rejected,
        choices=_list_choices(row, rule),
        confirm=row.confirm,
        form_schema=row.form_schema,
        form_values=row.form_values,
        rule=row.rule,
        rule_words=describe_rule(rule),
        notes=tuple(describe_note(note) for note in row.notes),
        redacted=_say_redacted(row),
        is_four_eyes=rule.is_four_eyes,
        stages=tuple(
            StageView(
                key=stage.key,
                status=stage.status,
                approvers=describe_asked(rule, stage.key),
                needed_count=rule.stage(stage.key).quorum.count,
                reject_count=rule.stage(stage.key).quorum.reject,
                approval_count=stage.approval_count,
                rejection_count=stage.rejection_count,
                opened_at=stage.opened_at,
                closed_at=stage.closed_at,
            )
            for stage in stages
        ),
        votes=_list_vote_views(row),
        undelivered=_list_undelivered(row),
        run_title=row.run_title,
        version_rev=row.version_rev,
        version_digest_hex=bytes(row.version_digest).hex(),
        seq=row.seq,
        head_hex=bytes(row.head).hex(),
    )


def _list_choices(row: Request, rule: Rule) -> tuple[ChoiceView, ...]:
    if rule.asks is Asks.QUESTION:
        return tuple(
            ChoiceView(choice=choice, consequence=consequence_of(choice, subject=row.subject))
            for choice in CHOICES[rule.asks]
        )
    return (
        ChoiceView(choice=Choice.APPROVE, consequence=row.if_approved),
        ChoiceView(choice=Choice.REJECT, consequence=row.if_rejected),
    )


def _list_vote_views(row: Request) -> tuple[VoteView, ...]:
    """Return the votes of every round, oldest first."""
    votes = (
        Vote.objects.filter(request=row)
        .annotate(stage_key=F("stage__key"), username=F("user__username"), text=F("comment__text"))
        .order_by("pk")
    )
    return tuple(
        VoteView(
            id=vote.pk,
            round=vote.round,
            stage=vote.stage_key,
            decision=Choice(vote.decision),
            name=vote.name,
            username=vote.username,
            comment=vote.text or "",
            at=vote.cast_at,
            via=vote.via,
            shown_digest_hex=bytes(vote.shown_digest).hex(),
            seq=vote.seq,
            leaf_hex=bytes(vote.leaf).hex(),
        )
        for vote in votes
    )


def _list_undelivered(row: Request) -> tuple[UndeliveredView, ...]:
    notices = Notice.objects.filter(request=row, status=DeliveryStatus.DEAD).order_by("pk")
    columns = ("event", "channel", "recipient__username", "recipient__name", "attempts")
    return tuple(
        UndeliveredView(
            event=event,
            channel=channel,
            username=username,
            name=name,
            attempt_count=attempts,
            at=created_at,
        )
        for event, channel, username, name, attempts, created_at in notices.values_list(
            *columns, "created_at"
        )
    )
