"""What exports put on record, in the stream `ledger`. Read `record`."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from audit import store
from audit.domain.exporting import write_instant
from audit.exports.models import Export
from core.kernel.clock import SYSTEM_CLOCK
from core.kernel.record import SYSTEM_ACTOR, Actor, ActorKind, Draft, Origin, Via
from core.kernel.types import JsonLike

STREAM: Final = "ledger"
REQUESTED: Final = "export.requested"
COMPLETED: Final = "export.completed"
FAILED: Final = "export.failed"
CANCELLED: Final = "export.cancelled"
DOWNLOADED: Final = "export.downloaded"
EXPIRED: Final = "export.expired"


def record(
    *,
    export: Export,
    kind: str,
    origin: Origin,
    data: Mapping[str, JsonLike] | None = None,
    policy: str = "",
    reason: str = "",
) -> None:
    """Record what was done about an export. Transaction: needs one; record last.

    Args:
        export: the export.
        kind: one of the names above.
        origin: who, and how.
        data: what the entry says beside what the export is.
        policy: what allowed it.
        reason: a code, of what failed.
    """
    store.append(
        stream=STREAM,
        drafts=(
            Draft(
                kind=kind,
                at=SYSTEM_CLOCK.now(),
                origin=origin,
                subject=name_subject(export.pk),
                scope=export.scope,
                data={
                    "kind": export.kind,
                    "format": export.format,
                    "subject": export.subject or None,
                    "since": write_instant(export.since),
                    "until": write_instant(export.until),
                    **(data or {}),
                },
                policy=policy,
                reason=reason,
            ),
        ),
    )


def name_subject(export_id: UUID) -> str:
    """Return what entries call an export."""
    return f"export:{export_id}"


def origin_for(export: Export) -> Origin:
    """Return the origin of what the platform does because somebody asked for an export."""
    user = export.requested_by
    return Origin(
        actor=SYSTEM_ACTOR,
        via=Via.ENGINE,
        on_behalf_of=Actor(id=str(user.pk), kind=ActorKind(user.kind)),
    )
