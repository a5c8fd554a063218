"""Requests as plain values for the templates. Pure. Read `group_rows` and `describe` first."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from approvals.domain.quorum import Choice
from approvals.domain.rule import Asks
from approvals.domain.words import say_choice
from approvals.models import RequestStatus
from approvals.selectors.explaining import Explanation
from approvals.selectors.views import RequestDetail, RequestSummary, StageView, VoteView
from core.kernel.types import Json
from core.toolkit.portal.words import say_count

ICONS: Final = {
    "deploy": "rocket",
    "payment": "credit-card",
    "access": "key-round",
    "agent": "bot",
    "data": "database",
    "limit": "gauge",
    "content": "file-text",
    "other": "shield-check",
    "question": "circle-help",
}
_OUTCOME_MARKS: Final = {
    "approved": "approved",
    "rejected": "rejected",
    "expired": "expired",
    "retry": "approved",
    "skip": "skipped",
    "fail": "failed",
}
_OUTCOME_WORDS: Final = {
    "approved": "Approved",
    "rejected": "Rejected",
    "expired": "Expired",
    "retry": "To be retried",
    "skip": "Skipped",
    "fail": "Left to fail",
}
_STAGE_MARKS: Final = {
    "waiting": ("pending", "Queued"),
    "open": ("waiting", "Waiting"),
    "approved": ("approved", "Approved"),
    "rejected": ("rejected", "Rejected"),
    "answered": ("approved", "Answered"),
    "skipped": ("skipped", "Skipped"),
    "ended": ("cancelled", "Ended"),
}
# Mark, what follows if the reader decides so or somebody does, and the key that chooses it.
_CHOICES: Final = {
    Choice.APPROVE: ("approved", "If you approve", "If approved", "A"),
    Choice.REJECT: ("rejected", "If you reject", "If rejected", "R"),
    Choice.RETRY: ("approved", "If you retry", "If retried", "R"),
    Choice.SKIP: ("skipped", "If you skip", "If skipped", "S"),
    Choice.FAIL: ("failed", "If you let it fail", "If it is left to fail", "F"),
}
_LINE_CHARS_MAX: Final = 2_000  # of one fact; more is read under "as data"
_FACT_COUNT_MAX: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the list."""

    id: UUID
    number: int
    title: str
    icon: str
    is_agent: bool
    workflow: str
    requester: str
    amount_value: int | None
    amount_currency: str
    quorum: str
    risk: str
    expires_at: datetime | None
    is_open: bool
    mark: str
    word: str
    closed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A heading of the list and its rows."""

    key: str
    label: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A line of what is to be decided. `is_code`: structure that is shown as data."""

    label: str
    text: str
    is_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FactGroup:
    """A part of what is to be decided; the first has no heading."""

    heading: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonLine:
    """Somebody in a stage: who voted how, or who may."""

    name: str
    is_you: bool
    mark: str
    words: str
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageBox:
    """A stage with its people. `more_count` may decide too and are not listed."""

    key: str
    title: str
    quorum: str
    mark: str
    word: str
    people: tuple[PersonLine, ...]
    more_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceLine:
    """One thing that can be decided: its button, and what follows. `key` chooses it."""

    value: str
    mark: str
    label: str
    heading: str
    consequence: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One vote, with its mark and what its voter did in words. Sealed, it has a receipt."""

    vote: VoteView
    mark: str
    did: str
    is_sealed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that differs from what somebody saw."""

    label: str
    before: str
    after: str


def make_row(summary: RequestSummary) -> Row:
    """Return a request as a line of the list."""
    mark, word = mark_of(summary)
    quorum = ""
    if summary.needed_count > 1 or summary.approval_count:
        quorum = f"{summary.approval_count} of {summary.needed_count}"
    return Row(
        id=summary.id,
        number=summary.number,
        title=summary.title,
        icon="bot"
        if summary.requester_kind == "agent"
        else ICONS.get(summary.kind, "shield-check"),
        is_agent=summary.requester_kind == "agent",
        workflow=summary.workflow_slug or summary.project_slug,
        requester=summary.requester_name,
        amount_value=summary.amount_value,
        amount_currency=summary.amount_currency,
        quorum=quorum,
        risk=summary.risk,
        expires_at=summary.expires_at,
        is_open=summary.status == RequestStatus.OPEN,
        mark=mark,
        word=word,
        closed_at=summary.closed_at,
    )


def group_rows(requests: Iterable[RequestSummary], *, now: datetime) -> tuple[Group, ...]:
    """Return open requests under Overdue, Due within the hour, Today, Later and No deadline.

    The order within a group is that given: soonest deadline first.
    """
    headings = {
        "overdue": "Overdue",
        "hour": "Due within the hour",
        "today": "Today",
        "later": "Later",
        "none": "No deadline",
    }
    found: dict[str, list[Row]] = {key: [] for key in headings}
    for item in requests:
        found[_urgency(item.expires_at, now=now)].append(make_row(item))
    return tuple(
        Group(key=key, label=label, rows=tuple(found[key]))
        for key, label in headings.items()
        if found[key]
    )


def mark_of(summary: RequestSummary) -> tuple[str, str]:
    """Return the status mark and word of a request."""
    if summary.status == RequestStatus.OPEN:
        return "waiting", "Waiting"
    word = _OUTCOME_WORDS.get(summary.outcome, summary.outcome.replace("-", " ").capitalize())
    return _OUTCOME_MARKS.get(summary.outcome, "cancelled"), word


def list_facts(subject: Mapping[str, Json]) -> tuple[FactGroup, ...]:
    """Return what is to be decided: plain values first, then one part for each nested mapping."""
    plain = tuple(
        Fact(label=say_key(key), text=say_value(value), is_code=_is_structure(value))
        for key, value in subject.items()
        if not _is_part(value)
    )
    groups = [FactGroup(heading="", facts=plain[:_FACT_COUNT_MAX])] if plain else []
    for key, value in subject.items():
        if _is_part(value):
            assert isinstance(value, dict), "a part is a mapping"
            facts = tuple(
                Fact(label=say_key(name), text=say_value(item), is_code=_is_structure(item))
                for name, item in value.items()
            )
            groups.append(FactGroup(heading=say_key(key), facts=facts[:_FACT_COUNT_MAX]))
    return tuple(groups)


def list_stages(
    detail: RequestDetail, explanation: Explanation, *, username: str, shown_max: int = 5
) -> tuple[StageBox, ...]:
    """Return the stages of the current round with who voted and who may."""
    return tuple(
        _stage(stage, detail, explanation, username=username, shown_max=shown_max)
        for stage in detail.stages
    )


def take_snapshot(detail: RequestDetail) -> dict[str, str]:
    """Return what somebody sees of a request, path by path, to say later what has changed."""
    seen: dict[str, str] = {}
    _flatten(dict(detail.subject), "", seen)
    _flatten(dict(detail.form_values or {}), "Form · ", seen)
    seen["Stage"] = detail.summary.stage or ""
    seen["Title"] = detail.summary.title
    seen["If approved"] = detail.if_approved
    seen["If rejected"] = detail.if_rejected
    seen["Round"] = str(detail.summary.round)
    seen["Rule"] = " ".join(detail.rule_words)
    return {key: value[:_LINE_CHARS_MAX] for key, value in seen.items()}


def list_changes(seen: Mapping[str, str], now: Mapping[str, str]) -> tuple[Change, ...]:
    """Return what differs between two snapshots, in the order of the newer one."""
    keys = [*now, *(key for key in seen if key not in now)]
    return tuple(
        Change(label=key, before=seen.get(key, ""), after=now.get(key, ""))
        for key in keys
        if seen.get(key, "") != now.get(key, "")
    )


def list_activity(detail: RequestDetail, *, sealed: Collection[int]) -> tuple[Activity, ...]:
    """Return what was decided, newest first; `sealed` are the votes' entries with a receipt."""
    return tuple(
        Activity(
            vote=vote,
            mark=say_choice(vote.decision)[0],
            did=say_choice(vote.decision)[1],
            is_sealed=vote.seq in sealed,
        )
        for vote in reversed(detail.votes)
    )


def list_choices(detail: RequestDetail, *, is_mine: bool) -> tuple[ChoiceLine, ...]:
    """Return what can be decided with what follows, in the order in which it is read."""
    lines = []
    for item in detail.choices:
        mark, heading, others, key = _CHOICES[item.choice]
        lines.append(
            ChoiceLine(
                value=item.choice.value,
                mark=mark,
                label=item.choice.value.capitalize(),
                heading=heading if is_mine else others,
                consequence=item.consequence,
                key=key,
            )
        )
    return tuple(lines)


def say_key(key: str) -> str:
    """Return a key as a label: "size_bytes" → "Size bytes"."""
    words = key.replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:] if words else key


def say_value(value: Json) -> str:
    """Return a value as people read it; structure as one line of data."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if value is None or value in ("", [], {}):
        return "—"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
    if isinstance(value, list) and all(isinstance(item, str | int) for item in value):
        return ", ".join(str(item) for item in value)
    return _data(value)


def _data(value: Json) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{say_key(key)}: {say_value(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "\n".join(say_value(item) for item in value)
    return str(value)


def _is_structure(value: Json) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict | list) for item in value)


def _is_part(value: Json) -> bool:
    return isinstance(value, dict) and bool(value)


def _urgency(expires_at: datetime | None, *, now: datetime) -> str:
    if expires_at is None:
        return "none"
    if expires_at <= now:
        return "overdue"
    if expires_at - now <= timedelta(hours=1):
        return "hour"
    same_day = expires_at.astimezone(UTC).date() == now.astimezone(UTC).date()
    return "today" if same_day else "later"


def _stage(
    stage: StageView,
    detail: RequestDetail,
    explanation: Explanation,
    *,
    username: str,
    shown_max: int,
) -> StageBox:
    mark, word = _STAGE_MARKS.get(stage.status, ("pending", stage.status.capitalize()))
    round_number = detail.summary.round
    votes = [v for v in detail.votes if v.stage == stage.key and v.round == round_number]
    people = [
        PersonLine(
            name=vote.name,
            is_you=vote.username == username,
            mark=say_choice(vote.decision)[0],
            words=say_choice(vote.decision)[1].capitalize(),
            at=vote.at,
        )
        for vote in votes
    ]
    others = explanation.deciders if stage.key == explanation.stage else ()
    ordered = sorted(others, key=lambda item: item.username != username)
    people += [
        PersonLine(
            name=item.name,
            is_you=item.username == username,
            mark="waiting" if item.username == username else "pending",
            words="Asked" if item.username == username else "May decide",
            at=None,
        )
        for item in ordered[:shown_max]
    ]
    return StageBox(
        key=stage.key,
        title="One answer"
        if detail.summary.kind == Asks.QUESTION
        else f"{stage.approval_count} of {say_count(stage.needed_count, 'approval')}",
        quorum=stage.approvers,
        mark=mark,
        word=word,
        people=tuple(people),
        more_count=max(len(ordered) - shown_max, 0),
    )


def _flatten(value: Json, path: str, into: dict[str, str]) -> None:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            here = f"{path}{say_key(key)}"
            if isinstance(item, dict) and item:
                _flatten(item, f"{here} · ", into)
            else:
                into[here] = say_value(item)


def pick_next(rows: Sequence[RequestSummary], *, current: UUID) -> UUID | None:
    """Return the request to deal with next: the most pressing one that is not the current one."""
    return next((item.id for item in rows if item.id != current), None)
