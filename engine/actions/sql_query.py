"""The action `sql/query@1`: one statement on a named PostgreSQL connection. Read `SPEC` first."""

import base64
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, cast

import psycopg
from psycopg import errors
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from core.kernel.limits import (
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


def run_query(call: ActionCall) -> Json:
    """Execute one statement with bound parameters, in a transaction of its own.

    The statement may name `%(idempotency_key)s`, the same for every attempt of the step, beside its
    `parameters`. A connection that is not declared `write` is read-only.

    Returns:
        `{columns, rows, row_count}`; rows are maps by column. Numbers with decimals, instants,
        UUIDs and intervals are texts, bytes are base64.

    Raises:
        ActionError: `invalid` for wrong arguments or a connection there is not; `timeout`;
            `transient` for what may pass; `constraint`; `permanent` for anything else the
            database refuses and for more than `SQL_ROW_COUNT_MAX` rows.
    """
    arguments = call.arguments
    check_arguments(SPEC.input_validator, arguments)
    target = _find_connection(cast("str", arguments["connection"]))
    parameters = cast("Mapping[str, Json]", arguments.get("parameters", {}))
    if _KEY in parameters:
        raise ActionError(INVALID, f"with/parameters: {_KEY} is set by the platform.")
    bound = {name: _bind(value) for name, value in parameters.items()}
    bound[_KEY] = call.attempt.idempotency_key
    seconds = min(SQL_TIMEOUT_DEFAULT.total_seconds(), max(call.attempt.timeout_seconds, 0.001))
    try:
        return recordable(_execute(target, cast("str", arguments["statement"]), bound, seconds))
    except errors.QueryCanceled as error:
        raise ActionError(TIMEOUT, f"The statement took over {seconds:g} s.") from error
    except psycopg.Error as error:
        raise ActionError(_kind_of(error), _message_of(error)) from error


def find_faults(arguments: Mapping[str, Json]) -> Sequence[tuple[tuple[str | int, ...], str]]:
    """Return what is wrong with arguments: a statement is code and is written in the definition."""
    if "${{" in str(arguments["statement"]):
        message = "A statement holds no `${{ … }}`; bind values with `%(name)s` and `parameters`."
        return [(("statement",), message)]
    return []


def _execute(
    target: SqlConnection, statement: str, bound: Mapping[str, Any], seconds: float
) -> dict[str, Json]:
    with psycopg.connect(
        target.url,
        connect_timeout=max(1, round(min(SQL_CONNECT_SECONDS, seconds))),
        application_name="countersign sql/query",
        row_factory=dict_row,
    ) as connection:
        connection.read_only = not target.write
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('statement_timeout', %s, true)", [f"{seconds * 1000:.0f}"]
            )
            # One statement: the extended protocol, which parameters need, takes no more than one.
            cursor.execute(statement.encode(), bound, prepare=False)
            if cursor.description is None:
                return {"columns": [], "rows": [], "row_count": cursor.rowcount}
            rows = cursor.fetchmany(SQL_ROW_COUNT_MAX + 1)
            if len(rows) > SQL_ROW_COUNT_MAX:
                raise ActionError(
                    PERMANENT, f"The statement gave over {SQL_ROW_COUNT_MAX} rows; add a LIMIT."
                )
            return {
                "columns": [column.name for column in cursor.description],
                "rows": [{name: _to_json(item) for name, item in row.items()} for row in rows],
                "row_count": len(rows),
            }


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
