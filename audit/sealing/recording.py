"""How acts on keys and trees get on record, in the stream `ledger`. Read `record_act`."""

from collections.abc import Mapping
from datetime import datetime

from audit import store
from audit.sealing.rows import LEDGER_STREAM
from core.identity.selectors.principals import find_by_username
from core.kernel.errors import MissingError
from core.kernel.record import SYSTEM_ACTOR, Actor, ActorKind, Draft, Origin, Via
from core.kernel.types import JsonLike
from core.toolkit.db import read_database_clock


class OperatorMissingError(MissingError):
    """A command was given the name of nobody."""

    code = "audit.operator_missing"
    title = "There is no such account."


def make_origin(*, by: str = "") -> Origin:
    """Return the origin of what somebody does on the server.

    Whoever runs commands there has proved nothing to the platform, so the platform acts, on behalf
    of the account they name; for nobody if they name none.

    Raises:
        OperatorMissingError: if there is no account of that name.
    """
    if not by:
        return Origin(actor=SYSTEM_ACTOR, via=Via.COMMAND)
    user = find_by_username(username=by)
    if user is None:
        raise OperatorMissingError(f"There is no account {by}.")
    behalf = Actor(id=str(user.pk), kind=ActorKind(user.kind))
    return Origin(actor=SYSTEM_ACTOR, via=Via.COMMAND, on_behalf_of=behalf)


def record_act(
    *,
    kind: str,
    origin: Origin,
    subject: str,
    data: Mapping[str, JsonLike],
    why: str = "",
    at: datetime | None = None,
) -> None:
    """Put one act on record. `why` is what people wrote, and can be erased. Needs a transaction."""
    store.append(
        stream=LEDGER_STREAM,
        drafts=(
            Draft(
                kind=kind,
                at=at or read_database_clock(),
                origin=origin,
                subject=subject,
                data=data,
                payloads={"why": why} if why else {},
            ),
        ),
    )
