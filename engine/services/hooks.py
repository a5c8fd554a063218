"""What signed requests start. Read `check_delivery`, then `take_delivery`."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import structlog
from django.db import transaction

from core.kernel import limits
from core.kernel.canonical import UncanonicalError, canonical_bytes, digest
from core.kernel.record import ENGINE_ORIGIN, Origin, Via
from core.kernel.types import Json
from core.toolkit.db import after_commit_once
from engine import starting
from engine.domain.errors import HookInvalidError, HookRefusedError, HookTooLargeError
from engine.domain.triggers import WebhookTrigger
from engine.domain.webhooks import Fault, Signed, check_signature
from engine.triggers import endpoints, rows, tallies
from engine.triggers.endpoints import FoundEndpoint
from engine.triggers.firing import hint_firings
from engine.triggers.recording import record_refusal

log = structlog.get_logger(__name__)

_MESSAGES: Mapping[Fault, str] = {
    Fault.UNSIGNED: "A header of the signature is missing or malformed.",
    Fault.FORGED: "No secret of this address gives the signature.",
    Fault.OLD: "The signature holds, but was made at another time.",
}


class Taken(StrEnum):
    """What became of a delivery."""

    ACCEPTED = "accepted"  # it is looked at
    DUPLICATE = "duplicate"  # it came before
    IGNORED = "ignored"  # it is of another type, or the trigger is paused


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A request whose signature holds. `ident` names its address to whoever counts requests."""

    endpoint: FoundEndpoint
    trigger: WebhookTrigger
    signed: Signed
    maker_id: UUID

    @property
    def ident(self) -> str:
        """Return what requests to the same address have in common."""
        return f"hook:{self.endpoint.workflow_id}:{self.endpoint.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenDelivery:
    """The id of a delivery, as its sender knows it, and what became of it."""

    id: str
    status: Taken


def check_delivery(
    *,
    project_slug: str,
    workflow_slug: str,
    name: str,
    headers: Mapping[str, str],
    body: bytes,
    source_address: str,
    request_id: str,
) -> Delivery:
    """Return a delivery whose signature holds; what is refused goes on the workflow's record.

    An address that leads nowhere is refused like a wrong signature, so that nobody learns by it
    which workflows there are.
    Transaction: one of its own, for a refusal.

    Raises:
        HookRefusedError: whatever the reason; only who knows the secret learns that time is it.
        UnsealError: the platform cannot read the secret.
    """
    endpoint = endpoints.find(project_slug=project_slug, workflow_slug=workflow_slug, name=name)
    if endpoint is None:
        raise HookRefusedError
    trigger = _trigger_of(endpoint)
    found = check_signature(
        provider=trigger.provider,
        headers=headers,
        body=body,
        secrets=[secret.text for secret in endpoint.secrets],
        now=endpoint.now,
    )
    if isinstance(found, Signed):
        maker_id = endpoint.secrets[found.secret_index].made_by_id
        return Delivery(endpoint=endpoint, trigger=trigger, signed=found, maker_id=maker_id)
    origin = Origin(
        actor=ENGINE_ORIGIN.actor,
        via=Via.API,
        request_id=request_id,
        source_address=source_address,
    )
    _refuse(endpoint, found, origin)
    raise HookRefusedError(_MESSAGES[found] if found is Fault.OLD else "")


def take_delivery(*, delivery: Delivery, data: Json) -> TakenDelivery:
    """Pull the trigger of a delivery, once, whatever its sender repeats.

    Idempotent on the delivery's key within its address, for `limits.HOOK_RETENTION`.
    Transaction: one of its own; a worker is hinted after the commit.

    Raises:
        HookInvalidError: the body is no JSON map, or holds what no record can keep.
        HookTooLargeError: it is over its bound once it is written out.
    """
    endpoint, trigger, signed = delivery.endpoint, delivery.trigger, delivery.signed
    heard = _heard_of(delivery, data)
    value = digest(["hook", endpoint.name, trigger.provider.value, signed.key])
    seconds = limits.HOOK_RETENTION.total_seconds()
    is_wanted = not endpoint.is_paused and trigger.event in {"", heard["type"]}
    with transaction.atomic():
        # Two of one key at once: the second waits here for what becomes of the first.
        is_new = rows.open_window(workflow_id=endpoint.workflow_id, value=value, seconds=seconds)
        if is_new and is_wanted:
            source: dict[str, Json] = {"hook": endpoint.name, "maker": str(delivery.maker_id)}
            rows.add(trigger_id=endpoint.trigger_id, heard=[heard], source=source)
            after_commit_once(hint_firings)
    if not is_new:
        return TakenDelivery(id=signed.id, status=Taken.DUPLICATE)
    status = Taken.ACCEPTED if is_wanted else Taken.IGNORED
    return TakenDelivery(id=signed.id, status=status)


# --- small parts -----------------------------------------------------------------------------


def _trigger_of(endpoint: FoundEndpoint) -> WebhookTrigger:
    chosen = starting.find_chosen(version_id=endpoint.version_id)
    assert chosen is not None, "versions are never deleted"
    trigger = chosen.plan().automatic[endpoint.position]
    assert isinstance(trigger, WebhookTrigger), "only webhooks have an endpoint"
    return trigger


def _refuse(endpoint: FoundEndpoint, fault: Fault, origin: Origin) -> None:
    code = HookRefusedError.code
    log.warning("engine.hook_refused", trigger=str(endpoint.trigger_id), fault=fault.value)
    with transaction.atomic():
        seq = record_refusal(
            workflow_id=endpoint.workflow_id,
            version=endpoint.version_digest,
            data={
                "position": endpoint.position,
                "name": endpoint.name,
                "code": code,
                "fault": fault.value,
            },
            payloads={"message": _MESSAGES[fault]},
            tally=tallies.DOOR,
            origin=origin,
        )
        if seq is not None:
            rows.note_refused(trigger_id=endpoint.trigger_id, seq=seq)


def _heard_of(delivery: Delivery, data: Json) -> dict[str, Json]:
    """Return what expressions see as `event`. Raises: HookInvalidError, HookTooLargeError."""
    if not isinstance(data, dict):
        raise HookInvalidError("The body must be a JSON map.")
    told = data.get("type")
    type_ = delivery.signed.type
    if not type_ and isinstance(told, str) and told.isprintable():
        type_ = told[: limits.EVENT_TYPE_CHARS_MAX]
    at = delivery.endpoint.now.isoformat().replace("+00:00", "Z")
    heard: dict[str, Json] = {
        "id": delivery.signed.id,
        "type": type_,
        "source": f"hook:{delivery.endpoint.name}",
        "subject": "",
        "time": at,
        "data": data,
    }
    try:
        size = len(canonical_bytes(data))  # what is around it is short
    except UncanonicalError as error:
        raise HookInvalidError(error.message) from error
    if size > limits.PAYLOAD_BYTES_MAX:
        raise HookTooLargeError(
            f"Written out, the delivery has {size} bytes; at most {limits.PAYLOAD_BYTES_MAX} "
            "are recorded."
        )
    return heard
