"""The action `sql/query@1`: one statement on a named PostgreSQL connection. Read `SPEC` first."""

import base64
import json
import re
import time as clock
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, cast

import psycopg
from psycopg import errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import ExecStatus
from psycopg.types.json import Jsonb

from core.kernel.limits import (
    PAYLOAD_BYTES_MAX,
    SQL_CONNECT_SECONDS,
    SQL_ROW_COUNT_MAX,
    SQL_TEXT_CHARS_MAX,
    SQL_TIMEOUT_DEFAULT,
)
from core.kernel.types import Json, format_duration
from engine import conf
from engine.actions.contract import (
    INVALID,
    PERMANENT,
    TIMEOUT,
    TRANSIENT,
    ActionCall,
    ActionError,
    ActionSpec,
    check_arguments,
    object_schema,
    recordable,
)
from engine.conf import SqlConnection

CONSTRAINT = "constraint"  # the data broke a rule of the database

# What may pass by itself: lost connections, too many of them, restarts, deadlocks, conflicts.
_PASSING = (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable)
_PASSING_CLASSES = ("08", "53", "57P")
_KEY = "idempotency_key"
_PLACEHOLDER = re.compile(r"%(?:(%)|\((\w+)\)s|)")
_INTEGER_MAX = 2**53 - 1  # JSON keeps whole numbers up to this exactly


def run_query(call: ActionCall) -> Json:
    """Execute one statement with bound parameters, in a transaction of its own.

    The statement may name `%(idempotency_key)s`, the same for every attempt of the step, beside its
    `parameters`. A connection that is not declared `write` reads only; what a function of the
    database does outside its own session is not held back by that, so give such a connection an
    account that may only read. A write whose result cannot be recorded is rolled back.

    Returns:
        `{columns, rows, row_count}`; rows are maps by column. Numbers with decimals, integers over
        2^53-1, instants, UUIDs and intervals are texts, bytes are base64.

    Raises:
        ActionError: `invalid` for wrong arguments or a connection there is not; `timeout`;
            `transient` for what may pass; `constraint`; `permanent` for anything else the
            database refuses, for more than `SQL_ROW_COUNT_MAX` rows or `PAYLOAD_BYTES_MAX` bytes
            and for two columns of one name.
    """
    arguments = call.arguments
    check_arguments(SPEC.input_validator, arguments)
    target = _find_connection(cast("str", arguments["connection"]))
    parameters = cast("Mapping[str, Json]", arguments.get("parameters", {}))
    if _KEY in parameters:
        raise ActionError(INVALID, f"with/parameters: {_KEY} is set by the platform.")
    bound = {name: _bind(value) for name, value in parameters.items()}
    bound[_KEY] = call.attempt.idempotency_key
    text, values = _number(cast("str", arguments["statement"]), bound)
    budget = _Budget.of(call.attempt.timeout_seconds)
    try:
        return _execute(target, text, values, budget)
    except errors.QueryCanceled as error:
        raise budget.fault() from error
    except psycopg.Error as error:
        raise ActionError(_kind_of(error), _message_of(error)) from error


def find_faults(arguments: Mapping[str, Json]) -> Sequence[tuple[tuple[str | int, ...], str]]:
    """Return what is wrong with arguments: a statement is code and is written in the definition."""
    if "${{" in str(arguments["statement"]):
        message = "A statement holds no `${{ … }}`; bind values with `%(name)s` and `parameters`."
        return [(("statement",), message)]
    return []


@dataclass(frozen=True, slots=True)
class _Budget:
    """The time for all of it, connecting too. `ends` is in the seconds of the monotonic clock."""

    seconds: float
    ends: float

    @classmethod
    def of(cls, attempt_seconds: float) -> "_Budget":
        seconds = min(SQL_TIMEOUT_DEFAULT.total_seconds(), max(attempt_seconds, 0.001))
        return cls(seconds, clock.monotonic() + seconds)

    def left_ms(self) -> str:
        """Return what is left as PostgreSQL takes it, where 0 would be no limit at all."""
        left = self.ends - clock.monotonic()
        if left <= 0:
            raise self.fault()
        return str(max(1, round(left * 1000)))

    def fault(self) -> ActionError:
        return ActionError(TIMEOUT, f"The statement took over {round(self.seconds, 2):g} s.")


def _number(statement: str, bound: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Return a statement with `$1` for `%(name)s`, and the values in that order."""
    names: list[str] = []

    def replace(found: re.Match[str]) -> str:
        percent, name = found.groups()
        if percent:
            return "%"
        if name is None:
            raise ActionError(INVALID, "with/statement: write `%(name)s`, or `%%` for a percent.")
        if name not in bound:
            raise ActionError(INVALID, f"with/parameters: the parameter {name} is missing.")
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    text = _PLACEHOLDER.sub(replace, statement)
    return text, [bound[name] for name in names]


def _connect(target: SqlConnection, budget: _Budget) -> psycopg.Connection[tuple[Any, ...]]:
    """Return a connection whose limits are the session's, so that no statement ends them."""
    given = str(conninfo_to_dict(target.url).get("options") or "")
    options = f"{given} -c statement_timeout={budget.left_ms()}"
    if not target.write:
        options += " -c default_transaction_read_only=on"
    connection = psycopg.connect(
        target.url,
        connect_timeout=max(1, round(min(SQL_CONNECT_SECONDS, budget.seconds))),
        application_name="countersign sql/query",
        client_encoding="utf8",
        options=options.strip(),
        cursor_factory=psycopg.RawCursor,
    )
    connection.read_only = not target.write
    return connection


def _execute(target: SqlConnection, statement: str, values: Sequence[Any], budget: _Budget) -> Json:
    with _connect(target, budget) as connection, connection.cursor() as cursor:
        # Also the first query of the transaction: after it nothing makes it writable any more.
        _allow_what_is_left(cursor, budget)
        columns = _describe(connection, statement, values)
        _allow_what_is_left(cursor, budget)
        if not columns:
            # Prepared, so that it is sent with the protocol that takes no more than one statement.
            cursor.execute(statement.encode(), values, prepare=True)
            result: dict[str, Json] = {"columns": [], "rows": [], "row_count": cursor.rowcount}
        else:
            rows = _read_rows(cursor, statement, values, columns)
            result = {"columns": list(columns), "rows": rows, "row_count": len(rows)}
        # Before the commit: what cannot be recorded must not have happened either.
        return recordable(result)


def _allow_what_is_left(cursor: psycopg.Cursor[Any], budget: _Budget) -> None:
    cursor.execute("SELECT set_config('statement_timeout', $1, true)", [budget.left_ms()])


def _describe(
    connection: psycopg.Connection[Any], statement: str, values: Sequence[Any]
) -> list[str]:
    """Let the database parse a statement, and return the columns it gives; none if no rows.

    PostgreSQL parses no more than one statement at a time this way.
    """
    transformer = Transformer(connection)
    transformer.dump_sequence(values, [PyFormat.AUTO] * len(values))
    pgconn = connection.pgconn
    made = pgconn.prepare(b"", statement.encode(), transformer.types or None)
    if made.status == ExecStatus.COMMAND_OK:
        made = pgconn.describe_prepared(b"")
    if made.status != ExecStatus.COMMAND_OK:
        raise errors.error_from_result(made, encoding="utf-8")
    columns = [(made.fname(place) or b"").decode() for place in range(made.nfields)]
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise ActionError(
            PERMANENT, f"The statement gives two columns named {twice[0]!r}; tell them apart by AS."
        )
    return columns


def _read_rows(
    cursor: psycopg.Cursor[Any], statement: str, values: Sequence[Any], columns: Sequence[str]
) -> list[Json]:
    """Read rows one at a time, and stop at the first that is too much."""
    rows: list[Json] = []
    byte_count = 0
    with closing(cursor.stream(statement.encode(), values)) as stream:  # type: ignore[type-var]  # a generator
        for found in stream:
            row = {name: _to_json(item) for name, item in zip(columns, found, strict=True)}
            rows.append(row)
            byte_count += len(
                json.dumps(row, ensure_ascii=False, separators=(",", ":"))
            )  # no more than will be recorded
            if len(rows) > SQL_ROW_COUNT_MAX:
                raise ActionError(
                    PERMANENT, f"The statement gave over {SQL_ROW_COUNT_MAX} rows; add a LIMIT."
                )
            if byte_count > PAYLOAD_BYTES_MAX:
                raise ActionError(
                    PERMANENT, f"The statement gave over {PAYLOAD_BYTES_MAX} bytes; ask for less."
                )
    return rows


def _find_connection(name: str) -> SqlConnection:
    known = conf.sql_connections()
    if name not in known:
        raise ActionError(
            INVALID,
            f"There is no connection {name!r}; SQL_CONNECTIONS of the deployment names them.",
        )
    return known[name]


def _bind(value: Json) -> Any:
    return Jsonb(value) if isinstance(value, dict | list) else value


def _to_json(value: Any) -> Json:
    """Return a value of a row as JSON that loses nothing."""
    if isinstance(value, int) and abs(value) > _INTEGER_MAX:
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _to_json(item) for key, item in value.items()}
    return _to_text(value)


def _to_text(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, datetime | date | time):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta) and value >= timedelta(0):
        return format_duration(value)
    return str(value)  # exact decimals, UUIDs, addresses, ranges


def _kind_of(error: psycopg.Error) -> str:
    state = error.sqlstate
    if state is None:  # it did not come from the database
        return TRANSIENT if isinstance(error, psycopg.OperationalError) else INVALID
    if isinstance(error, errors.IntegrityError):
        return CONSTRAINT
    is_passing = isinstance(error, _PASSING) or state.startswith(_PASSING_CLASSES)
    return TRANSIENT if is_passing else PERMANENT


def _message_of(error: psycopg.Error) -> str:
    """Return the database's own sentence: no statement, no parameters, no address."""
    primary = error.diag.message_primary
    if primary is not None:
        return f"{primary} (SQLSTATE {error.sqlstate})."
    if isinstance(error, psycopg.OperationalError):
        return "The database cannot be reached."
    return f"{error}."


SPEC = ActionSpec(
    name="sql/query",
    version=1,
    input_schema=object_schema(
        {
            "connection": {"type": "string", "minLength": 1, "maxLength": 64},
            "statement": {
                "type": "string",
                "minLength": 1,
                "maxLength": SQL_TEXT_CHARS_MAX,
                "pattern": "^[^\\x00]*\\Z",
            },
            "parameters": {
                "type": "object",
                "propertyNames": {"pattern": "^[a-z][a-z0-9_]{0,63}$"},
            },
        },
        required=("connection", "statement"),
    ),
    output_schema=object_schema(
        {
            "columns": {"type": "array", "items": {"type": "string"}},
            "rows": {"type": "array", "items": {"type": "object"}},
            "row_count": {"type": "integer", "minimum": -1},
        },
        required=("columns", "rows", "row_count"),
    ),
    # A statement that writes is repeated after a crash; `%(idempotency_key)s` is for that.
    idempotent=False,
    pure=False,
    execute=run_query,
    find_faults=find_faults,
)
