"""Finding the run that an idempotency key has started. Read `find_started`."""

from dataclasses import dataclass
from uuid import UUID

from core.kernel import limits
from engine.domain.errors import KeyReusedError, KeyTooLongError
from engine.models import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedRun:
    """A run that was asked for; `replayed` if the idempotency key had started it before."""

    run_id: UUID
    number: int
    replayed: bool


def find_started(
    *, workflow_id: UUID, idempotency_key: str, request_digest: bytes
) -> StartedRun | None:
    """Return the run that a key has started, `None` if there is none.

    Raises:
        KeyTooLongError: the key is over its bound.
        KeyReusedError: the key was used with another request.
    """
    if not idempotency_key:
        return None
    if len(idempotency_key) > limits.IDEMPOTENCY_KEY_CHARS_MAX:
        raise KeyTooLongError
    known = Run.objects.filter(workflow_id=workflow_id, idempotency_key=idempotency_key)
    row = known.values_list("id", "number", "request_digest").first()
    if row is None:
        return None
    if bytes(row[2]) != request_digest:
        raise KeyReusedError(idempotency_key=idempotency_key)
    return StartedRun(run_id=row[0], number=row[1], replayed=True)
