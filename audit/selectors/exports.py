"""Exports as their readers see them. Read `list_exports` first.

Everybody sees their own. Whoever holds `export_audit` and `view_audit` everywhere sees everybody's,
because nothing can be in one that they could not export themselves.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from audit.domain.exporting import ExportFormat, ExportMissingError, name_file
from audit.exports.models import Export, ExportStatus
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.selectors.access import list_scopes


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportView:
    """An export and how far it has come.

    `total_count` and what was measured with it are `None` until it began. `is_complete` says
    whether everything in its scope was sealed, and of a run also whether it had ended.
    """

    id: UUID
    kind: str
    subject: str
    since: datetime | None
    until: datetime | None
    format: str
    requested_by: str
    requested_by_id: UUID
    status: str
    done_count: int
    total_count: int | None
    payload_count: int
    tree_size: int | None
    unsealed_count: int | None
    is_complete: bool | None
    size_bytes: int | None
    sha256: str
    error_code: str
    file_name: str
    created_at: datetime
    ended_at: datetime | None
    expires_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Say whether a worker still writes it, or will."""
        return self.status in {ExportStatus.QUEUED, ExportStatus.RUNNING}

    @property
    def is_ready(self) -> bool:
        """Say whether there is a file."""
        return self.status == ExportStatus.READY


def list_exports(
    *, principal: Principal, after: UUID | None = None, limit: int
) -> list[ExportView]:
    """Return exports, newest first, after a cursor; at most 7 queries."""
    rows = _visible(principal).order_by("-pk")
    if after is not None:
        rows = rows.filter(pk__lt=after)
    return [view_export(row) for row in rows[:limit]]


def get_export(*, principal: Principal, export_id: UUID) -> ExportView:
    """Return an export. Raises: ExportMissingError, also for one the caller may not see."""
    return view_export(find_visible(principal=principal, export_id=export_id))


def find_visible(*, principal: Principal, export_id: UUID) -> Export:
    """Return the row of an export the caller may see. Raises: ExportMissingError."""
    row = _visible(principal).filter(pk=export_id).first()
    if row is None:
        raise ExportMissingError
    return row


def view_export(row: Export) -> ExportView:
    """Return an export's facts; no query if its account is loaded."""
    return ExportView(
        id=row.pk,
        kind=row.kind,
        subject=row.subject,
        since=row.since,
        until=row.until,
        format=row.format,
        requested_by=row.requested_by.username,
        requested_by_id=row.requested_by_id,
        status=row.status,
        done_count=row.done_count,
        total_count=row.total_count,
        payload_count=row.payload_count,
        tree_size=row.tree_size,
        unsealed_count=row.unsealed_count,
        is_complete=row.is_complete,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        error_code=row.error_code,
        file_name=name_file(kind=row.kind, format_=ExportFormat(row.format), export_id=row.pk),
        created_at=row.created_at,
        ended_at=row.ended_at,
        expires_at=row.expires_at,
    )


def _visible(principal: Principal) -> QuerySet[Export]:
    rows = Export.objects.select_related("requested_by")
    needed = (Permission.VIEW_AUDIT, Permission.EXPORT_AUDIT)
    if all(
        list_scopes(principal=principal, permission=permission).everything for permission in needed
    ):
        return rows
    return rows.filter(requested_by_id=principal.user_id)
