"""Asking for exports, cancelling and handing them out. Read `request_export` first."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from audit.domain.exporting import (
    ExportExpiredError,
    ExportFormat,
    ExportInvalidError,
    ExportKeyReusedError,
    ExportKind,
    ExportNotReadyError,
    NothingSealedError,
    TooManyExportsError,
    Wish,
    name_file,
    write_instant,
)
from audit.exports import files, reading, recording, rights, store
from audit.exports.models import Export, ExportStatus
from audit.exports.sweeping import EXPORT_TASK
from audit.models import Entry
from audit.selectors.exports import ExportView, find_visible, view_export
from core.identity.acts import act
from core.identity.authorize import refuse, require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.models import User
from core.kernel import limits
from core.kernel.canonical import digest
from core.kernel.clock import SYSTEM_CLOCK
from core.kernel.errors import Problem
from core.toolkit import queue


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedExport:
    """An export that was asked for; `replayed` says that the same key had asked before."""

    export: ExportView
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file to hand out."""

    path: Path
    size: int
    sha256_hex: str
    file_name: str
    format: ExportFormat


@act
def request_export(
    *, principal: Principal, wish: Wish, idempotency_key: str = ""
) -> RequestedExport:
    """Have entries exported; a worker writes them to a file, which is there for a week.

    Idempotent on `idempotency_key` for one account, for the same wish.
    Transaction: one of its own.

    Raises:
        ExportInvalidError: if the wish contradicts itself.
        ExportSubjectMissingError: if there is no such run or project to be seen.
        AccessForbiddenError: without `export_audit` and `view_audit` for it.
        NothingSealedError: if no entry is sealed yet.
        TooManyExportsError: if the caller's exports under way are as many as may be.
        ExportKeyReusedError: if the key was used for another wish.
    """
    _check_wish(wish)
    target = rights.find_target(principal=principal, wish=wish)
    request_digest = _digest(wish)
    # One account's requests one after the other, or two at once would both be under the bound.
    User.objects.select_for_update(no_key=True).get(pk=principal.user_id)
    known = _find_known(principal, idempotency_key, request_digest)
    if known is not None:
        return RequestedExport(export=view_export(known), replayed=True)
    open_count = Export.objects.filter(
        requested_by_id=principal.user_id, status__in=store.OPEN
    ).count()
    if open_count >= limits.EXPORT_OPEN_COUNT_MAX:
        raise TooManyExportsError(count=open_count)
    if reading.newest_tree_size() == 0:
        raise NothingSealedError(retry_after_seconds=limits.EXPORT_OLD_SECONDS)
    export = Export.objects.create(
        kind=wish.kind,
        subject=target.subject,
        scope=target.scope_id,
        covered=rights.list_covered(principal=principal),
        since=wish.period.since if wish.period else None,
        until=wish.period.until if wish.period else None,
        format=wish.format,
        requested_by_id=principal.user_id,
        idempotency_key=idempotency_key,
        request_digest=request_digest,
    )
    recording.record(export=export, kind=recording.REQUESTED, origin=principal.origin)
    queue.hint_on_commit(EXPORT_TASK, export_id=str(export.pk))
    return RequestedExport(export=view_export(export), replayed=False)


@act
def cancel_export(*, principal: Principal, export_id: UUID) -> ExportView:
    """End an export that is under way; one that has ended stays as it is. Idempotent.

    Transaction: one of its own.

    Raises:
        ExportMissingError: if there is no such export to be seen.
    """
    export = find_visible(principal=principal, export_id=export_id)
    if export.requested_by_id != principal.user_id:
        require(principal=principal, permission=Permission.EXPORT_AUDIT, scope_id=export.scope)
    if store.cancel(export_id=export_id):
        recording.record(export=export, kind=recording.CANCELLED, origin=principal.origin)
    export.refresh_from_db()
    return view_export(export)


@act
def open_download(*, principal: Principal, export_id: UUID) -> Download:
    """Return an export's file for one download, which goes on record.

    What is resumed within ten minutes is the same download. Transaction: one of its own.

    Raises:
        ExportMissingError: if there is no such export to be seen.
        AccessForbiddenError: if the caller may not export, or see, all of it now.
        ExportNotReadyError: if it has no file yet, or never will.
        ExportExpiredError: if its file is gone.
    """
    export = find_visible(principal=principal, export_id=export_id)
    require(principal=principal, permission=Permission.EXPORT_AUDIT, scope_id=export.scope)
    if not rights.still_holds(principal=principal, export=export):
        refuse(
            principal=principal,
            permission=Permission.VIEW_AUDIT,
            scope_id=export.scope,
            reason="the export holds entries that may not be seen",
        )
    if export.status == ExportStatus.EXPIRED:
        raise ExportExpiredError
    if export.status != ExportStatus.READY:
        raise ExportNotReadyError(status=export.status)
    path = files.product_path(export_id=export.pk)
    # The sweep may come a moment after a redaction; nobody may.
    if _is_overtaken(export) or not path.is_file():
        raise ExportExpiredError
    if not _is_going_on(principal, export):
        recording.record(
            export=export,
            kind=recording.DOWNLOADED,
            origin=principal.origin,
            data={"sha256": export.sha256},
        )
    assert export.size_bytes is not None, "a file that is ready has a size"
    return Download(
        path=path,
        size=export.size_bytes,
        sha256_hex=export.sha256,
        file_name=name_file(
            kind=export.kind, format_=ExportFormat(export.format), export_id=export.pk
        ),
        format=ExportFormat(export.format),
    )


def _is_overtaken(export: Export) -> bool:
    assert export.pinned_entry is not None, "what is ready was pinned"
    return export.format == ExportFormat.BUNDLE and reading.is_overtaken(
        newest_entry=export.pinned_entry
    )


def _is_going_on(principal: Principal, export: Export) -> bool:
    return Entry.objects.filter(
        subject=recording.name_subject(export.pk),
        kind=recording.DOWNLOADED,
        actor=principal.origin.actor.id,
        at__gt=SYSTEM_CLOCK.now() - timedelta(seconds=limits.EXPORT_DOWNLOAD_SECONDS),
    ).exists()


def _find_known(principal: Principal, key: str, request_digest: bytes) -> Export | None:
    if not key:
        return None
    rows = Export.objects.select_related("requested_by")
    known = rows.filter(requested_by_id=principal.user_id, idempotency_key=key).first()
    if known is not None and bytes(known.request_digest) != request_digest:
        raise ExportKeyReusedError
    return known


def _digest(wish: Wish) -> bytes:
    found: bytes = digest(
        {
            "kind": wish.kind.value,
            "format": wish.format.value,
            "run": None if wish.run_id is None else str(wish.run_id),
            "project": wish.project,
            "since": write_instant(wish.period.since) if wish.period else None,
            "until": write_instant(wish.period.until) if wish.period else None,
        }
    )
    return found


def _check_wish(wish: Wish) -> None:
    problems = [
        *_check_shape(wish),
        *(
            [Problem(path="/project", message="No project has such a name.")]
            if "\x00" in wish.project
            else []
        ),
        *(
            [Problem(path="/until", message="It must be after `since`.")]
            if wish.period is not None and wish.period.since >= wish.period.until
            else []
        ),
    ]
    if problems:
        raise ExportInvalidError(problems=problems)


def _check_shape(wish: Wish) -> list[Problem]:
    """Return what a kind needs and does not have, or has and does not need."""
    kind = wish.kind
    checks = (
        ("/run_id", kind is ExportKind.RUN, wish.run_id is not None, True),
        ("/project", kind is ExportKind.PROJECT, bool(wish.project), True),
        (
            "/since",
            kind in {ExportKind.PERIOD, ExportKind.PROJECT},
            wish.period is not None,
            kind is not ExportKind.PROJECT,
        ),
    )
    problems = []
    for path, is_wanted, is_there, is_needed in checks:
        if is_wanted and is_needed and not is_there:
            problems.append(Problem(path=path, message=f"An export of a {kind} needs it."))
        if is_there and not is_wanted:
            problems.append(Problem(path=path, message=f"An export of a {kind} takes none."))
    return problems
