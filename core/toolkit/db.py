"""What services ask of the database connection itself."""

from datetime import datetime

from django.db import connection


def require_transaction() -> None:
    """State that the caller is inside a transaction.

    A service that locks a row outside one would hold the lock for a moment only; that is a bug of
    the caller, not an error of a user.
    """
    assert connection.in_atomic_block, "this needs an open transaction"


def read_database_clock() -> datetime:
    """Return the database's time now, aware, in UTC: one clock for all machines.

    It is the time of asking, not of the transaction's start: a decision that waited for a lock is
    judged by the moment it got the lock. One query.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now
