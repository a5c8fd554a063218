"""The difference between "somebody was faster" and a bug. Read `refusing_duplicate`."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError, transaction
from psycopg.errors import UniqueViolation

from core.kernel.errors import PlatformError


@contextmanager
def refusing_duplicate(*, table: str, error: PlatformError) -> Iterator[None]:
    """Raise an anticipated error instead of the violation of a unique constraint of one table.

    Violations of other constraints are bugs and stay what they are. Transaction: needs one; what
    the block did is undone.
    """
    try:
        with transaction.atomic():
            yield
    except IntegrityError as violation:
        cause = violation.__cause__
        if isinstance(cause, UniqueViolation) and cause.diag.table_name == table:
            raise error from violation
        raise
