"""Drafts for tests, the same every time."""

from datetime import UTC, datetime
from itertools import count
from uuid import UUID

from core.kernel.record import Actor, ActorKind, Draft, Origin, Via

STREAM = UUID("0198c0de-0000-7000-8000-000000000001")
SCOPE = UUID("0198c0de-0000-7000-8000-0000000000aa")
AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
PERSON = Actor(id="0198c0de-0000-7000-8000-0000000000bb", kind=ActorKind.PERSON)
ORIGIN = Origin(actor=PERSON, via=Via.API, auth="token", request_id="req-1")


def counting_salts():
    """Return a source of salts that a test can predict: 32 bytes of 0, then of 1, and so on."""
    numbers = count()
    return lambda: bytes([next(numbers) % 256]) * 32


def draft(**changes):
    """Return a small draft, changed as the test says."""
    fields = {"kind": "vote.cast", "at": AT, "origin": ORIGIN}
    return Draft(**{**fields, **changes})
