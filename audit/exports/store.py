"""The only writer of the tables of exports. Read `claim`, then `advance`.

Whoever writes an export has taken it: its `turn` is then theirs, and every later change of the row
names that turn. A worker that was given up for dead and comes back finds another turn and stops.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from audit.exports.models import Export, ExportPart, ExportStatus
from core.kernel import limits

OPEN = (ExportStatus.QUEUED, ExportStatus.RUNNING)


class TurnLostError(Exception):
    """The export was cancelled, or another worker has taken it. Nobody hears of this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What an export is measured against, from its beginning to its end."""

    tree_size: int
    newest_entry: int
    total_count: int
    unsealed_count: int
    is_complete: bool


def claim(*, export_id: UUID) -> Export | None:
    """Take an export that nobody writes; `None` if somebody does, or there is nothing to write."""
    free = Q(lease_until=None) | Q(lease_until__lt=Now())
    with transaction.atomic():
        taken = (
            Export.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("requested_by")
            .filter(free, pk=export_id, status__in=OPEN)
            .first()
        )
        if taken is None:
            return None
        taken.status, taken.turn = ExportStatus.RUNNING, taken.turn + 1
        _change(taken, status=taken.status, turn=taken.turn, lease_until=_lease())
    return taken


def pin(*, job: Export, pinned: Pin) -> None:
    """Note what an export is measured against. Raises: TurnLostError."""
    _hold(
        job,
        tree_size=pinned.tree_size,
        pinned_entry=pinned.newest_entry,
        total_count=pinned.total_count,
        unsealed_count=pinned.unsealed_count,
        is_complete=pinned.is_complete,
    )
    job.tree_size, job.pinned_entry = pinned.tree_size, pinned.newest_entry
    job.total_count, job.unsealed_count = pinned.total_count, pinned.unsealed_count
    job.is_complete = pinned.is_complete


def find_last_part(*, export_id: UUID) -> tuple[int, int]:
    """Return the number and the last leaf of the newest part, or (-1, -1)."""
    parts = ExportPart.objects.filter(export_id=export_id).order_by("-number")
    return parts.values_list("number", "last_leaf").first() or (-1, -1)


def list_parts(*, export_id: UUID) -> list[ExportPart]:
    """Return the parts of an export in order."""
    return list(ExportPart.objects.filter(export_id=export_id).order_by("number"))


def advance(*, job: Export, part: ExportPart) -> None:
    """Note a part that is written, and that its writer lives.

    Transaction: one of its own. Raises: TurnLostError.
    """
    with transaction.atomic():
        _hold(
            job,
            done_count=F("done_count") + part.entry_count,
            payload_count=F("payload_count") + part.payload_count,
            lease_until=_lease(),
        )
        part.save(force_insert=True)
    job.done_count += part.entry_count
    job.payload_count += part.payload_count


def extend_lease(*, job: Export, by: timedelta) -> None:
    """Keep an export for longer than a part takes. Raises: TurnLostError."""
    _hold(job, lease_until=Now() + by)


def release(*, job: Export) -> None:
    """Give an export back that is not finished. Raises: TurnLostError."""
    _hold(job, lease_until=None)


def put_back(*, job: Export) -> None:
    """Give an export back that could not begin yet. Raises: TurnLostError."""
    _hold(job, lease_until=None, status=ExportStatus.QUEUED)


def restart(*, job: Export) -> None:
    """Forget what was written, so that it is begun anew. Raises: TurnLostError."""
    with transaction.atomic():
        _hold(
            job,
            tree_size=None,
            done_count=0,
            payload_count=0,
            restart_count=F("restart_count") + 1,
        )
        ExportPart.objects.filter(export_id=job.pk).delete()
    job.tree_size, job.done_count, job.payload_count = None, 0, 0
    job.restart_count += 1


def finish(*, job: Export, size_bytes: int, sha256_hex: str) -> None:
    """Note that the file is there. Transaction: needs one. Raises: TurnLostError."""
    _hold(
        job,
        status=ExportStatus.READY,
        size_bytes=size_bytes,
        sha256=sha256_hex,
        lease_until=None,
        ended_at=Now(),
        expires_at=Now() + limits.EXPORT_RETENTION,
    )


def fail(*, job: Export, code: str) -> None:
    """Note that the export ends without a file. Transaction: needs one. Raises: TurnLostError."""
    _hold(job, status=ExportStatus.FAILED, error_code=code, lease_until=None, ended_at=Now())


def cancel(*, export_id: UUID) -> bool:
    """End an export that is under way; say whether it was. Transaction: needs one."""
    return bool(
        Export.objects.filter(pk=export_id, status__in=OPEN).update(
            status=ExportStatus.CANCELLED, lease_until=None, ended_at=Now()
        )
    )


def list_overdue(*, limit: int) -> list[UUID]:
    """Return exports nobody writes although their hint is old, and note that they are hinted."""
    free = Q(lease_until=None) | Q(lease_until__lt=Now())
    old = Q(hinted_at__lt=Now() - timedelta(seconds=limits.EXPORT_OLD_SECONDS))
    with transaction.atomic():
        found = list(
            Export.objects.select_for_update(skip_locked=True)
            .filter(free, old, status__in=OPEN)
            .order_by("pk")
            .values_list("pk", flat=True)[:limit]
        )
        Export.objects.filter(pk__in=found).update(hinted_at=Now())
    return found


def expire(*, export_id: UUID) -> bool:
    """Say that an export's file is gone; say whether it had one. Transaction: needs one."""
    ready = Export.objects.filter(pk=export_id, status=ExportStatus.READY)
    return bool(ready.update(status=ExportStatus.EXPIRED))


def _hold(job: Export, **changes: Any) -> None:
    """Change the row of an export that this turn still has. Raises: TurnLostError."""
    held = Export.objects.filter(pk=job.pk, turn=job.turn, status=ExportStatus.RUNNING)
    if held.update(**changes) != 1:
        raise TurnLostError


def _change(job: Export, **changes: Any) -> None:
    Export.objects.filter(pk=job.pk).update(**changes)


def _lease() -> Any:
    return Now() + timedelta(seconds=limits.EXPORT_LEASE_SECONDS)
