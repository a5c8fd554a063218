"""Locks on names that have no row of their own. Read `lock_names`."""

from collections.abc import Iterable
from hashlib import sha256
from uuid import UUID

from django.db import connection

from core.toolkit.db import require_transaction

_LOCK = "SELECT pg_advisory_xact_lock(number) FROM unnest(%s::bigint[]) AS number"


def lock_names(*, kind: str, project_id: UUID, names: Iterable[str]) -> None:
    """Lock names of a project until the transaction ends, in an order everybody keeps.

    Args:
        kind: what the names are of, such as "event": equal names of two kinds are not one.
        project_id: whose names.
        names: any number, in any order; equal ones count once. Call it once a transaction for each
            kind, and for "event" before "mutex": a second call could close a circle.

    Transaction: needs one. One statement; none without names.
    """
    require_transaction()
    numbers = sorted({_number_of(f"{kind}\n{project_id}\n{name}") for name in names})
    if not numbers:
        return
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, (numbers,))


def _number_of(text: str) -> int:
    # Two names with one number only wait for each other.
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big", signed=True)
