"""What becomes of triggers, on their workflow's record. Read `record`, then `record_refusal`."""

from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

import structlog
from django.db import transaction

from audit.domain.entry import StreamHead, extend
from core.kernel import ids, limits
from core.kernel.record import ENGINE_ORIGIN, Draft, Origin
from core.kernel.types import JsonLike
from core.toolkit.db import read_database_clock
from engine import store
from engine.models import Workflow
from engine.triggers import tallies

log = structlog.get_logger(__name__)


def record(
    *,
    workflow_id: UUID,
    version: str,
    kind: str,
    data: Mapping[str, JsonLike],
    payloads: Mapping[str, JsonLike] = MappingProxyType({}),
    origin: Origin = ENGINE_ORIGIN,
) -> int:
    """Put what became of a trigger on its workflow's record. Transaction: needs one; locks it.

    Args:
        workflow_id: whose record.
        version: the version's digest, hex; "" where none is concerned.
        kind: such as `trigger.refused` or `trigger.paused`.
        data: what is hashed.
        payloads: what is committed to.
        origin: whose doing it is.

    Returns:
        The entry's place in the workflow's stream.
    """
    workflow = Workflow.objects.select_for_update(no_key=True).get(pk=workflow_id)
    draft = Draft(
        kind=kind,
        at=read_database_clock(),
        origin=origin,
        subject=f"workflow:{workflow_id}",
        scope=workflow.scope_id,
        version=version,
        data=data,
        payloads=payloads,
    )
    head = StreamHead(stream=workflow.id, seq=workflow.seq, head=bytes(workflow.head))
    head, entries = extend(head=head, drafts=(draft,), salts=ids.salt)
    store.append_to_workflow(head=head, entries=entries)
    return head.seq


def record_refusal(
    *,
    workflow_id: UUID,
    version: str,
    data: Mapping[str, JsonLike],
    payloads: Mapping[str, JsonLike],
    tally: str = tallies.START,
    origin: Origin = ENGINE_ORIGIN,
) -> int | None:
    """Put a refusal on record, or only count it if there were many. Transaction: needs one.

    Returns:
        Its place in the workflow's stream, `None` if it was only counted.
    """
    if not tallies.count(workflow_id=workflow_id, kind=tally):
        return None
    return record(
        workflow_id=workflow_id,
        version=version,
        kind="trigger.refused",
        data=data,
        payloads=payloads,
        origin=origin,
    )


def close_tallies() -> int:
    """Put on record how many refusals were left out, where a window is over; return how many are.

    Transaction: one of its own.
    """
    with transaction.atomic():
        ended = tallies.take_ended(limit=limits.SWEEP_ROW_COUNT_MAX)
        for item in sorted(ended, key=lambda item: (item.workflow_id, item.kind)):
            if not item.left_out_count:
                continue
            record(
                workflow_id=item.workflow_id,
                version="",
                kind="trigger.refusals_left_out",
                data={
                    "of": item.kind,
                    "left_out_count": item.left_out_count,
                    "since": item.since.isoformat().replace("+00:00", "Z"),
                },
            )
            log.warning(
                "engine.refusals_left_out",
                workflow=str(item.workflow_id),
                of=item.kind,
                count=item.left_out_count,
            )
    return len(ended)
