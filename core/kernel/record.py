"""What a caller hands to the ledger: who, how, and what happened. Read `Draft` first."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from core.kernel.types import JsonLike


class ActorKind(StrEnum):
    """What kind of being acted."""

    PERSON = "person"
    SERVICE = "service"
    AGENT = "agent"
    SYSTEM = "system"


class Via(StrEnum):
    """The channel an act came through."""

    PORTAL = "portal"
    API = "api"
    EMAIL = "email"
    SLACK = "slack"
    CONSOLE = "console"
    COMMAND = "command"
    ENGINE = "engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acted: an opaque id (a person's, a service account's) and its kind."""

    id: str
    kind: ActorKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an act came from. `source_address` is recorded as a commitment, never in clear."""

    actor: Actor
    via: Via
    auth: str = ""  # how the actor proved itself: "session", "token", "" for the system
    on_behalf_of: Actor | None = None
    request_id: str = ""
    source_address: str = ""


SYSTEM_ACTOR = Actor(id="system", kind=ActorKind.SYSTEM)
ENGINE_ORIGIN = Origin(actor=Actor(id="engine", kind=ActorKind.SYSTEM), via=Via.ENGINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One ledger entry before it has a place in a stream.

    `kind` is `noun.verbed`. `data` is small, not personal, and has no floats: it becomes part of
    the hashed entry. What may be personal or large goes into `payloads` (name → JSON value), which
    the entry only commits to; the name `source` is taken by the origin's address. Digests are
    64 lower-case hex digits. `scope` is the identity scope whose readers may see the entry (a
    workflow's or a project's); without one only readers of the whole ledger see it.
    """

    kind: str
    at: datetime
    origin: Origin
    subject: str = ""
    data: Mapping[str, JsonLike] = field(default_factory=dict)
    payloads: Mapping[str, JsonLike] = field(default_factory=dict)
    version: str = ""  # digest of the workflow version concerned
    state_from: str = ""
    state_to: str = ""
    shown: str = ""  # digest of what was shown to the actor
    policy: str = ""  # what the authority check said
    reason: str = ""  # a reason code
    scope: UUID | None = None
