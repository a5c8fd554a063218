"""Prepared statements without a cursor, for the few that run thousands of times. Read `fetch`.

A cursor costs psycopg 60 microseconds a statement, as much as the server needs for a short one: it
asks the adapters for every value, looks for its prepared statement, and waits in steps. Here libpq
sends and waits in one call (other threads run meanwhile). Psycopg goes on deciding what is prepared
and what is forgotten, and the values go through its adapters, so what is sent and returned is the
same.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from psycopg import Connection, Error, OperationalError
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus

Row = tuple[Any, ...]

_PLACEHOLDER = re.compile(r"%([s%])")
_TEXT_COUNT_MAX = 512


def fetch(link: "Connection[Any]", sql: str, params: Sequence[Any]) -> list[Row]:
    """Execute a statement that returns rows, and return them all.

    As `link.execute(sql, params).fetchall()`; and that is what it does for a statement that is not
    prepared yet, or that would open a transaction.

    Args:
        link: used by no other thread meanwhile.
        sql: with `%s` for each parameter, and `%%` for a percent sign.
        params: the parameters' values, in order.

    Raises:
        psycopg.Error: as a cursor would.
    """
    pgconn = link.pgconn
    opens = not link.autocommit and pgconn.transaction_status == TransactionStatus.IDLE
    if opens or pgconn.status != ConnStatus.OK:
        return _fetch_by_cursor(link, sql, params)
    values = Transformer(link)
    sent = values.dump_sequence(params, _formats(len(params)))
    key = (_numbered(sql), values.types or ())
    names = link._prepared._names  # noqa: SLF001 - held by tests/integration/core/test_hot_statements
    name = names.get(key)
    if name is None:
        return _fetch_by_cursor(link, sql, params)
    names.move_to_end(key)  # psycopg forgets what was used least recently
    with link.lock:
        # Its annotation forgets that a value may be NULL.
        result = pgconn.exec_prepared(name, sent, values.formats)  # type: ignore[arg-type]
    if result.status != ExecStatus.TUPLES_OK:
        raise _error_of(link, result)
    values.set_pgresult(result)
    return values.load_rows(0, result.ntuples, tuple)


def _fetch_by_cursor(link: "Connection[Any]", sql: str, params: Sequence[Any]) -> list[Row]:
    return link.cursor().execute(sql, params).fetchall()


def _error_of(link: "Connection[Any]", result: Any) -> Error:
    if link.pgconn.status != ConnStatus.OK:  # libpq's own words, without a code
        return OperationalError(result.get_error_message(link.info.encoding))
    return error_from_result(result, encoding=link.info.encoding)


@lru_cache(maxsize=_TEXT_COUNT_MAX)
def _numbered(sql: str) -> bytes:
    """Return a text as psycopg prepares it, with PostgreSQL's own placeholders: `$1` and so on."""
    count = 0

    def number(match: re.Match[str]) -> str:
        nonlocal count
        if match[1] == "%":
            return "%"
        count += 1
        return f"${count}"

    return _PLACEHOLDER.sub(number, sql).encode()


@lru_cache(maxsize=_TEXT_COUNT_MAX)
def _formats(count: int) -> tuple[PyFormat, ...]:
    return (PyFormat.AUTO,) * count
