"""How services of identity put what they did on record. Read `record_act`."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from core.identity.domain.principal import Principal
from core.kernel.clock import SYSTEM_CLOCK
from core.kernel.record import Draft
from core.kernel.types import JsonLike
from core.toolkit import ledger

IDENTITY_STREAM: Final = "identity"


def name_project_stream(project_id: UUID | None) -> str:
    """Return the stream of a project, that of identity where there is none."""
    return IDENTITY_STREAM if project_id is None else f"project:{project_id}"


def record_act(
    *,
    principal: Principal,
    kind: str,
    subject: object,
    matched: str,
    stream: str = IDENTITY_STREAM,
    data: Mapping[str, JsonLike] | None = None,
    payloads: Mapping[str, JsonLike] | None = None,
) -> None:
    """Record one act of a principal, with the assignment that allowed it. Transaction: needs one.

    Args:
        principal: who did it.
        kind: `noun.verbed`.
        subject: the id of what was changed.
        matched: what allowed it, in words (`Decision.matched`).
        stream: where it goes.
        data: ids and other facts about nobody; becomes part of the hashed entry.
        payloads: names, addresses, reasons: what may have to be erased one day.
    """
    token = {} if principal.token is None else {"token": str(principal.token.id)}
    ledger.record(
        stream=stream,
        draft=Draft(
            kind=kind,
            at=SYSTEM_CLOCK.now(),
            origin=principal.origin,
            subject=str(subject),
            data={**token, **(data or {})},
            payloads=payloads or {},
            policy=matched,
        ),
    )
