"""An export on a worker, part by part. Read `run_export`.

The row says how far it has come, so whoever takes it next goes on after the last part that is
written: after a worker was killed, and also after each slice, so that exports take turns.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from django.db import transaction

from audit import conf
from audit.domain.exporting import (
    ExportFailedError,
    ExportFormat,
    ExportKind,
    ExportOvertakenError,
    ExportRightsEndedError,
)
from audit.exports import assembling, files, reading, recording, rights, store
from audit.exports.models import Export, ExportStatus
from audit.exports.reading import Selection
from audit.exports.store import Pin, TurnLostError
from audit.exports.writing import write_part
from core.kernel import limits
from core.kernel.clock import SYSTEM_CLOCK, Clock
from core.kernel.errors import PlatformError

_log = structlog.get_logger(__name__)

_ASSEMBLING: Final = timedelta(seconds=limits.EXPORT_ASSEMBLY_SECONDS)


def run_export(
    *,
    export_id: UUID,
    clock: Clock = SYSTEM_CLOCK,
    on_part: Callable[[Export], None] | None = None,
) -> bool:
    """Take an export, if nobody has it, and write it for a while.

    Idempotent: an export that somebody else writes, or that has ended, is left alone.

    Args:
        export_id: which.
        clock: measures how long it has been going on.
        on_part: told after each part that is noted.

    Returns:
        Whether there is more to do at once.
    """
    job = store.claim(export_id=export_id)
    if job is None:
        return False
    try:
        return _go_on(job, clock=clock, on_part=on_part)
    except TurnLostError:
        _clean(job)
    except PlatformError as error:
        _fail(job, code=error.code)
    except OSError:
        _log.exception("audit.export_failed", export=str(job.pk))
        _fail(job, code=ExportFailedError.code)
    return False


def _go_on(job: Export, *, clock: Clock, on_part: Callable[[Export], None] | None) -> bool:
    if job.tree_size is None and not _pin(job):
        store.put_back(job=job)
        return False
    assert job.tree_size is not None, "it was pinned"
    until = clock.monotonic() + limits.EXPORT_SLICE_SECONDS
    number, leaf = store.find_last_part(export_id=job.pk)
    source = conf.public_url()
    packed_bytes = 0
    while True:
        _check_rights(job)
        part = write_part(
            job=job, selection=_select(job), number=number + 1, after_leaf=leaf, source=source
        )
        if part is None:
            return _finish(job)
        if job.format == ExportFormat.BUNDLE:
            packed_bytes += sum(int(file["packed_size"]) for file in part.files)
            assembling.check_bounds(packed_bytes=packed_bytes, part_count=part.number + 1)
        store.advance(job=job, part=part)
        if on_part is not None:
            on_part(job)
        number, leaf = part.number, part.last_leaf
        if clock.monotonic() > until:
            store.release(job=job)
            return True


def _pin(job: Export) -> bool:
    """Fix the tree an export is of; `False` if it is worth waiting for the sealer."""
    tree_size = reading.newest_tree_size()
    newest_entry = reading.newest_upkeep_seq()
    selection = _select(job)
    unsealed = reading.count_unsealed(selection=selection, tree_size=tree_size)
    waited = SYSTEM_CLOCK.now() - job.created_at
    # A run that has just ended is asked for at once; its last entries are sealed in a moment.
    is_patient = waited < timedelta(seconds=limits.EXPORT_SEAL_WAIT_SECONDS)
    if tree_size == 0 or (job.kind == ExportKind.RUN and unsealed and is_patient):
        return False
    run_id = _subject_id(job)
    is_complete = unsealed == 0
    if job.kind == ExportKind.RUN:
        assert run_id is not None, "an export of a run names it"
        is_complete = is_complete and reading.is_closed(run_id=run_id, tree_size=tree_size)
    store.pin(
        job=job,
        pinned=Pin(
            tree_size=tree_size,
            newest_entry=newest_entry,
            total_count=reading.count_entries(selection=selection, tree_size=tree_size),
            unsealed_count=unsealed,
            is_complete=is_complete,
        ),
    )
    return True


def _finish(job: Export) -> bool:
    assert job.pinned_entry is not None, "it was pinned"
    if _is_overtaken(job):
        if job.restart_count >= limits.EXPORT_RESTART_COUNT_MAX:
            raise ExportOvertakenError
        store.restart(job=job)
        files.delete_all(export_id=job.pk)  # what was redacted stays nowhere meanwhile
        store.release(job=job)
        return True
    store.extend_lease(job=job, by=_ASSEMBLING)
    product = assembling.assemble(job=job)
    with transaction.atomic():
        store.finish(job=job, size_bytes=product.size, sha256_hex=product.sha256_hex)
        manifest = product.manifest_sha256_hex
        recording.record(
            export=job,
            kind=recording.COMPLETED,
            origin=recording.origin_for(job),
            data={
                "entries": job.done_count,
                "size": job.tree_size,
                "unsealed": job.unsealed_count,
                "bytes": product.size,
                "sha256": product.sha256_hex,
                **({"manifest_sha256": manifest} if manifest else {}),
            },
        )
    files.delete_all_but_product(export_id=job.pk)
    return False


def _is_overtaken(job: Export) -> bool:
    """Say whether the parts may hold values that were redacted since; only bundles hold any."""
    assert job.pinned_entry is not None, "it was pinned"
    return job.format == ExportFormat.BUNDLE and reading.is_overtaken(newest_entry=job.pinned_entry)


def _check_rights(job: Export) -> None:
    principal = rights.requester_of(user=job.requested_by)
    if not rights.still_holds(principal=principal, export=job):
        raise ExportRightsEndedError


def _fail(job: Export, *, code: str) -> None:
    try:
        with transaction.atomic():
            store.fail(job=job, code=code)
            recording.record(
                export=job,
                kind=recording.FAILED,
                origin=recording.origin_for(job),
                data={"code": code},
                reason=code,
            )
    except TurnLostError:
        return
    _discard(job)


def _clean(job: Export) -> None:
    """Delete what was written for an export that was cancelled meanwhile."""
    if Export.objects.filter(pk=job.pk, status=ExportStatus.CANCELLED).exists():
        _discard(job)


def _discard(job: Export) -> None:
    """Delete what was written; what the disk keeps is left to whoever looks after it."""
    try:
        files.delete_all(export_id=job.pk)
    except OSError:
        _log.exception("audit.export_not_deleted", export=str(job.pk))


def _select(job: Export) -> Selection:
    return reading.select_entries(
        kind=job.kind,
        subject_id=_subject_id(job),
        scope_id=job.scope,
        covered=job.covered,
        since=job.since,
        until=job.until,
    )


def _subject_id(job: Export) -> UUID | None:
    return UUID(job.subject.partition(":")[2]) if job.subject else None
