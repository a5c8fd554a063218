"""Steps that workers of other labels execute."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from core.kernel.types import Json
from engine.executing import Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """An attempt to hand over."""

    key: str
    attempt: int
    queue: str
    action: str
    arguments: dict[str, Json]
    timeout_seconds: float
    heartbeat_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """How an attempt that was handed over ended; `None`: nobody knows."""

    task_id: UUID
    key: str
    attempt: int
    ended: Ended | None


def publish(*, run_id: UUID, tasks: Sequence[NewTask]) -> None:
    """Hand attempts over."""
    raise NotImplementedError(run_id, tasks)


def collect(*, run_id: UUID) -> list[Collected]:
    """Return the attempts that have ended."""
    raise NotImplementedError(run_id)


def discard(*, task_ids: Sequence[UUID]) -> None:
    """Forget attempts that have been told of."""
    raise NotImplementedError(task_ids)
