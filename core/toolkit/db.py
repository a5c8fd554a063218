"""What services ask of the database connection itself."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import wraps
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction

from core.toolkit import prepared


def require_transaction() -> None:
    """State that the caller is inside a transaction.

    A service that locks a row outside one would hold the lock for a moment only; that is a bug of
    the caller, not an error of a user.
    """
    assert connection.in_atomic_block, "this needs an open transaction"


def after_commit(call: Callable[..., object], /, *args: object, **kwargs: object) -> None:
    """Call a function once the open transaction has committed, at once if there is none.

    What it raises is logged and goes no further: the transaction stands, and whoever committed it
    has done so. Not with `functools.partial`: Django's log line needs a function's name, and what
    was to be logged would end the caller.
    """

    @wraps(call)
    def later() -> None:
        call(*args, **kwargs)

    transaction.on_commit(later, robust=True)


def after_commit_once(call: Callable[[], object], /) -> None:
    """Call a function after the commit as `after_commit` does, once for one open transaction.

    For what is the same however often it is asked for, such as a hint that something is there.
    """
    waiting = connection.run_on_commit
    if connection.in_atomic_block and any(_calls(item[1], call) for item in waiting):
        return
    after_commit(call)


def _calls(waiting: Callable[[], object], call: Callable[[], object]) -> bool:
    return getattr(waiting, "__wrapped__", None) is call


def read_database_clock() -> datetime:
    """Return the database's time now, aware, in UTC: one clock for all machines.

    It is the time of asking, not of the transaction's start: a decision that waited for a lock is
    judged by the moment it got the lock. One query.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def fetch_rows(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Execute a hot statement that returns rows, and return them all.

    As `cursor.execute` and `cursor.fetchall`, with the same checks and errors, in a quarter of the
    time of Django's cursor, whose layers cost as much as a short statement takes: see
    `core.toolkit.prepared`. While somebody counts or wraps statements, it is Django's cursor.
    Transaction: joins one.
    """
    link = connections[DEFAULT_DB_ALIAS]
    if link.execute_wrappers or link.queries_logged:
        with link.cursor() as watched:
            watched.execute(sql, params)
            found: list[tuple[Any, ...]] = watched.fetchall()
            return found
    link.validate_thread_sharing()
    link.close_if_health_check_failed()
    link.ensure_connection()
    link.validate_no_broken_transaction()
    with link.wrap_database_errors:
        return prepared.fetch(link.connection, sql, params)
