"""What the engine asks of packages above it, as values and protocols. Read `WaitOpener` first."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from core.identity.domain.principal import Principal
from core.kernel.errors import Problem
from core.kernel.record import Origin
from core.kernel.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a package above may know of a run.

    `version_digest` is 32 bytes. Persons are ids of `core.identity` persons, so that two accounts
    of one human are one.
    """

    run_id: UUID
    number: int
    title: str
    workflow_id: UUID
    workflow_slug: str
    workflow_scope_id: UUID
    project_id: UUID
    project_slug: str
    version_id: UUID
    version_rev: int
    version_digest: bytes
    initiator_user_id: UUID
    initiator_person_id: UUID
    on_behalf_of_person_id: UUID | None
    rerunner_person_ids: tuple[UUID, ...]
    agent_owner_person_id: UUID | None
    version_author_person_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningWait:
    """A wait the run has reached.

    `key` is the step's scoped key in the run (`approve#1`), `body` what the verb's `prepare` made,
    `seq` and `leaf` (32 bytes) place the run's `approval.requested` entry, `at` is the database's
    clock in this transaction.
    """

    run: RunFacts
    key: str
    step: str
    body: Mapping[str, Json]
    seq: int
    leaf: bytes
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an operator says becomes of a step about which a question is open.

    `key` is the step's scoped key in the run, `choice` is `retry` or `skip`.
    """

    principal: Principal
    run_id: UUID
    key: str
    choice: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A run that has been in one state for too long.

    `key` is the visit's (`review#2`), `state` the state's name, `notify` the block of the
    definition (`{groups: [name], users: [name]}`), `since` when the visit began (`None`: not
    known), `at` the database's clock in this transaction.
    """

    run: RunFacts
    key: str
    state: str
    notify: Mapping[str, Json]
    since: datetime | None
    at: datetime


class WaitOpener(Protocol):
    """The half of a waiting verb, or of questions, that knows people and rows.

    The run's row is locked when `open`, `withdraw` and `void_all` are called.
    """

    def open(self, wait: OpeningWait) -> None:
        """Make the wait visible to those who can end it. Transaction: the caller's."""
        ...

    def list_obstacles(
        self, *, body: Mapping[str, Json], path: str, scope_id: UUID
    ) -> Sequence[Problem]:
        """Return warnings about what would keep such a wait from ending if it began today.

        Args:
            body: what the verb's `check` made of the block.
            path: the block's JSON pointer in the definition; those of the warnings begin with it.
            scope_id: the workflow's scope.
        """
        ...

    def withdraw(
        self, *, run_id: UUID, keys: Collection[str], reason: str, origin: Origin, at: datetime
    ) -> Sequence[str]:
        """Close the open waits of a run under some keys without a decision. Idempotent.

        Returns:
            Those of the keys whose waits were open. Transaction: the caller's.
        """
        ...

    def void_all(self, *, run_id: UUID, reason: str, origin: Origin, at: datetime) -> Sequence[str]:
        """Close every open wait of a run without a decision.

        Returns:
            The step keys of the waits that were open. Transaction: the caller's.
        """
        ...
