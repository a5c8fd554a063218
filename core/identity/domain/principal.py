"""Who is asking, as a value. Read `Principal` first."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from core.kernel.record import Actor, ActorKind, Origin, Via

SYSTEM_ID: Final = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenGrant:
    """What a token lets through of its owner's access; it never adds any.

    `permissions` is `None` for all of them, `project_id` is `None` for every project.
    """

    id: UUID
    permissions: frozenset[str] | None
    project_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An account that asks to act, and how it came in.

    `person_id` is the human behind the account: the person itself, or the owner of a service
    account or agent; separation of duties is by person. A principal is a snapshot: `authorize`
    asks the database again whether the account and the token still stand.
    """

    user_id: UUID
    person_id: UUID
    username: str
    name: str
    kind: ActorKind
    is_active: bool
    origin: Origin
    token: TokenGrant | None = None


def make_system_principal(*, via: Via = Via.COMMAND) -> Principal:
    """Return the principal of whoever runs commands on the server.

    It may set up who may do what (`permissions.SYSTEM_PERMISSIONS`) and nothing else: it cannot
    trigger, publish or decide. No account can turn into it, because accounts are of other kinds.
    """
    actor = Actor(id="system", kind=ActorKind.SYSTEM)
    return Principal(
        user_id=SYSTEM_ID,
        person_id=SYSTEM_ID,
        username="system",
        name="The platform",
        kind=ActorKind.SYSTEM,
        is_active=True,
        origin=Origin(actor=actor, via=via),
    )
