"""Orders to erase, legal holds and periods of retention. Read `list_redactions` first.

Whoever holds `view_audit` or `redact_audit` everywhere sees them all, nobody else any.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from audit.domain.errors import RedactionMissingError
from audit.domain.redaction import Part, write_period
from audit.redactions.models import Hold, Redaction, Retention
from core.identity.authorize import authorize, authorize_each
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.models import Project, User
from core.kernel import limits


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactionView:
    """An order to erase, with the names of who asked and who decided ("" while nobody has)."""

    id: UUID
    target: str
    target_id: UUID
    seq: int
    name: str
    label: str
    basis: str
    reason: str
    reference: str
    status: str
    blocked: str
    requested_by: str
    requested_person_id: UUID
    requested_at: datetime
    decided_by: str
    decided_at: datetime | None
    done_at: datetime | None
    payload_count: int
    stream_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldView:
    """A legal hold. `released_by` is "" while it stands."""

    id: UUID
    kind: str
    target_id: UUID
    label: str
    reason: str
    reference: str
    placed_by: str
    placed_at: datetime
    released_by: str
    released_at: datetime | None
    release_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionView:
    """How long a project keeps each part: `P400D`, "" for ever."""

    project_id: UUID
    project_slug: str
    runs: str
    requests: str
    addresses: str


def can_see(*, principal: Principal) -> bool:
    """Say whether a principal sees orders, holds and periods."""
    answers = authorize_each(
        principal=principal,
        permissions=(Permission.VIEW_AUDIT, Permission.REDACT_AUDIT),
        scope_id=None,
    )
    return any(answer.allowed for answer in answers)


def can_redact(*, principal: Principal) -> bool:
    """Say whether a principal may order, approve, hold and set periods."""
    return authorize(principal=principal, permission=Permission.REDACT_AUDIT, scope_id=None).allowed


def list_redactions(
    *, principal: Principal, status: str = "", after: UUID | None = None, limit: int
) -> list[RedactionView]:
    """Return orders, newest first, after a cursor; none for who may not see them. 3 queries."""
    if not can_see(principal=principal):
        return []
    rows = Redaction.objects.order_by("-pk")
    if status:
        rows = rows.filter(status=status)
    if after is not None:
        rows = rows.filter(pk__lt=after)
    return _view_all(list(rows[:limit]))


def get_redaction(*, principal: Principal, redaction_id: UUID) -> RedactionView:
    """Return one order. Raises: RedactionMissingError."""
    row = Redaction.objects.filter(pk=redaction_id).first()
    if row is None or not can_see(principal=principal):
        raise RedactionMissingError(redaction=str(redaction_id))
    return _view_all([row])[0]


def list_holds(
    *, principal: Principal, standing: bool = False, after: UUID | None = None, limit: int
) -> list[HoldView]:
    """Return holds, newest first, after a cursor; `standing`: only those that are. 3 queries."""
    if not can_see(principal=principal):
        return []
    rows = Hold.objects.order_by("-pk")
    if standing:
        rows = rows.filter(released_at=None)
    if after is not None:
        rows = rows.filter(pk__lt=after)
    return _view_holds(list(rows[:limit]))


def get_hold(*, principal: Principal, hold_id: UUID) -> HoldView:
    """Return one hold. Raises: RedactionMissingError."""
    row = Hold.objects.filter(pk=hold_id).first()
    if row is None or not can_see(principal=principal):
        raise RedactionMissingError(hold=str(hold_id))
    return _view_holds([row])[0]


def _view_holds(found: list[Hold]) -> list[HoldView]:
    names = _names({row.placed_by for row in found} | {row.released_by for row in found})
    return [
        HoldView(
            id=row.pk,
            kind=row.kind,
            target_id=row.target_id,
            label=row.label,
            reason=row.reason,
            reference=row.reference,
            placed_by=names.get(row.placed_by, ""),
            placed_at=row.placed_at,
            released_by=names.get(row.released_by, ""),
            released_at=row.released_at,
            release_reason=row.release_reason,
        )
        for row in found
    ]


def list_retentions(*, principal: Principal) -> list[RetentionView]:
    """Return how long each project keeps what, by slug; none for who may not see. 3 queries."""
    if not can_see(principal=principal):
        return []
    kept = {(row.project_id, row.part): row.days for row in Retention.objects.all()}
    projects = Project.objects.order_by("slug")[: limits.RETENTION_PROJECT_COUNT_MAX]
    return [_view_retention(project, kept) for project in projects]


def get_retention(*, principal: Principal, project_slug: str) -> RetentionView:
    """Return how long one project keeps what. Raises: RedactionMissingError."""
    project = Project.objects.filter(slug=project_slug).first()
    if project is None or not can_see(principal=principal):
        raise RedactionMissingError(project=project_slug)
    kept = {
        (row.project_id, row.part): row.days for row in Retention.objects.filter(project=project)
    }
    return _view_retention(project, kept)


def _view_retention(project: Project, kept: Mapping[tuple[UUID, str], int]) -> RetentionView:
    periods = {
        part.value: write_period(kept[project.pk, part]) if (project.pk, part) in kept else ""
        for part in Part
    }
    return RetentionView(project_id=project.pk, project_slug=project.slug, **periods)


def _view_all(rows: list[Redaction]) -> list[RedactionView]:
    names = _names({row.requested_by for row in rows} | {row.decided_by for row in rows})
    return [
        RedactionView(
            id=row.pk,
            target=row.target_kind,
            target_id=row.target_id,
            seq=row.seq,
            name=row.name,
            label=row.label,
            basis=row.basis,
            reason=row.reason,
            reference=row.reference,
            status=row.status,
            blocked=row.blocked,
            requested_by=names.get(row.requested_by, ""),
            requested_person_id=row.requested_person,
            requested_at=row.requested_at,
            decided_by=names.get(row.decided_by, ""),
            decided_at=row.decided_at,
            done_at=row.done_at,
            payload_count=row.payload_count,
            stream_count=row.stream_count,
        )
        for row in rows
    ]


def _names(user_ids: Collection[UUID | None]) -> dict[UUID | None, str]:
    known = [item for item in user_ids if item is not None]
    return dict(User.objects.filter(pk__in=known).values_list("pk", "name"))
