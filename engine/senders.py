"""What is kept of who sent an event, beside it in the inbox. Read `describe_sender`."""

from collections.abc import Mapping
from typing import Any

from core.kernel.record import Actor, ActorKind, Origin, Via
from core.kernel.types import Json


def describe_sender(origin: Origin) -> dict[str, Json]:
    """Return what is kept of who sent an event, the inverse of `read_sender`; never an address."""
    behalf = origin.on_behalf_of
    return {
        **({"behalf": {"id": behalf.id, "kind": behalf.kind.value}} if behalf else {}),
        "actor": origin.actor.id,
        "kind": origin.actor.kind.value,
        "via": origin.via.value,
        "auth": origin.auth,
        "request": origin.request_id,
    }


def read_sender(source: Mapping[str, Any]) -> Origin:
    """Return where an event came from; the entries it leads to say so."""
    behalf = source.get("behalf")
    return Origin(
        actor=Actor(id=source["actor"], kind=ActorKind(source["kind"])),
        via=Via(source["via"]),
        auth=source["auth"],
        on_behalf_of=Actor(id=behalf["id"], kind=ActorKind(behalf["kind"])) if behalf else None,
        request_id=source["request"],
    )
