"""Which streams are over their time. Read `list_due`, then `is_ripe`."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from audit import registry
from audit.domain.entry import SOURCE_PAYLOAD
from audit.domain.errors import RedactionHeldError
from audit.domain.redaction import Part
from audit.redactions import rows
from audit.redactions.covering import check_held, find_member
from audit.redactions.models import Retention
from core.kernel import limits
from core.toolkit.db import read_database_clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What the keeper would erase now: a project's part, month by month.

    `months` are (year and month in which the streams closed, streams, payloads), oldest first.
    `held_count` streams are due and kept by a hold. `is_whole`: nothing was left out.
    """

    project_slug: str
    part: Part
    days: int
    months: tuple[tuple[str, int, int], ...]
    held_count: int
    is_whole: bool


def list_due(
    policy: Retention, *, at: datetime, after: UUID | None, limit: int
) -> list[tuple[str, UUID]]:
    """Return the (noun, stream) that closed before a policy's period began, by id, after one."""
    before = at - timedelta(days=policy.days)
    found = [
        (noun, stream)
        for noun, holder in registry.holders().items()
        for stream in holder.list_due(
            project_id=policy.project_id,
            part=Part(policy.part),
            before=before,
            after=after,
            limit=limit,
        )
    ]
    return sorted(found, key=lambda item: item[1])[:limit]


def is_ripe(policy: Retention, noun: str, stream: UUID, *, at: datetime) -> bool:
    """Say whether nothing that needs the stream is younger: a run is kept as long as its rerun."""
    if policy.part != Part.RUNS:
        return True
    before = at - timedelta(days=policy.days)
    family = registry.holders()[noun].find_family(stream=stream)
    return all(
        not member.open_words and rows.read_last_at(stream=member.stream) < before
        for member in family
    )


def names_of(policy: Retention) -> tuple[str, ...]:
    """Return the payloads a policy is about; none for all."""
    return (SOURCE_PAYLOAD,) if policy.part == Part.ADDRESSES else ()


def look_ahead(*, now: datetime | None = None) -> list[Outlook]:
    """Return what the keeper would erase now, project by project; for operators on the server."""
    at = now or read_database_clock()
    policies = Retention.objects.select_related("project").order_by("project__slug", "part")
    return [_look_at(policy, at=at) for policy in policies]


def _look_at(policy: Retention, *, at: datetime) -> Outlook:
    limit = limits.REDACTION_STREAM_COUNT_MAX
    due = list_due(policy, at=at, after=None, limit=limit)
    held = 0
    months: dict[str, tuple[int, int]] = {}
    for noun, stream in due:
        if not is_ripe(policy, noun, stream, at=at):
            continue
        try:
            check_held((find_member(stream),))
        except RedactionHeldError:
            held += 1
            continue
        payloads = rows.count_places(streams=[stream], names=names_of(policy))
        closed = rows.read_last_at(stream=stream)
        month = f"{closed:%Y-%m}"
        streams, total = months.get(month, (0, 0))
        months[month] = (streams + 1, total + payloads)
    return Outlook(
        project_slug=policy.project.slug,
        part=Part(policy.part),
        days=policy.days,
        months=tuple((month, *counts) for month, counts in sorted(months.items())),
        held_count=held,
        is_whole=len(due) < limit,
    )
