"""Statements on a real database."""

import threading
import time

import psycopg
import pytest
from django.db import connection

from core.kernel import limits
from engine.actions.contract import ActionError
from engine.actions.sql_query import SPEC
from tests.fakes.flow import compile_with

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def url():
    """Return the address of this test's database."""
    given = connection.get_connection_params()
    return (
        f"postgresql://{given['user']}:{given.get('password', '')}@/{given['dbname']}"
        f"?host={given['host']}&port={given['port']}"
    )


@pytest.fixture
def warehouse(settings, url):
    """Name the database twice: one may write, one may not."""
    settings.SQL_CONNECTIONS = {"warehouse": {"url": url}, "writable": {"url": url, "write": True}}
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE stock (id integer PRIMARY KEY, name text NOT NULL, key text)")
        cursor.execute("INSERT INTO stock SELECT i, 'item ' || i FROM generate_series(1, 3) i")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE stock")


def test_rows_come_back_by_column(execute, warehouse):
    made = execute(
        SPEC,
        connection="warehouse",
        statement="SELECT id, name FROM stock WHERE id >= %(least)s ORDER BY id",
        parameters={"least": 2},
    )

    assert made == {
        "columns": ["id", "name"],
        "rows": [{"id": 2, "name": "item 2"}, {"id": 3, "name": "item 3"}],
        "row_count": 2,
    }


def test_parameters_are_bound_and_never_part_of_the_statement(execute, warehouse):
    hostile = "x'; DROP TABLE stock; --"

    made = execute(
        SPEC,
        connection="writable",
        statement="SELECT count(*) AS n FROM stock WHERE name = %(name)s",
        parameters={"name": hostile},
    )

    assert made["rows"] == [{"n": 0}]


def test_every_kind_of_value_comes_back_as_json(execute, warehouse):
    made = execute(
        SPEC,
        connection="warehouse",
        statement="""
            SELECT 1.10::numeric AS exact, 0.5::float8 AS inexact, NULL AS nothing, true AS yes,
                '2024-02-29T12:00:00Z'::timestamptz AT TIME ZONE 'UTC' AS instant,
                DATE '2024-02-29' AS day, INTERVAL '90 seconds' AS span, '\\x00ff'::bytea AS raw,
                '{"a": [1]}'::jsonb AS json, ARRAY[1, 2] AS list,
                '018f0000-0000-7000-8000-000000000001'::uuid AS id, %(given)s::jsonb AS given
        """,
        parameters={"given": {"b": [None]}},
    )

    assert made["rows"] == [
        {
            "exact": "1.10",
            "inexact": 0.5,
            "nothing": None,
            "yes": True,
            "instant": "2024-02-29T12:00:00",
            "day": "2024-02-29",
            "span": "PT1M30S",
            "raw": "AP8=",
            "json": {"a": [1]},
            "list": [1, 2],
            "id": "018f0000-0000-7000-8000-000000000001",
            "given": {"b": [None]},
        }
    ]


def test_a_connection_writes_only_when_it_may(execute, failure, warehouse):
    statement = "INSERT INTO stock VALUES (9, 'nine', %(idempotency_key)s) ON CONFLICT DO NOTHING"

    refused = failure(SPEC, connection="warehouse", statement=statement)
    made = execute(SPEC, connection="writable", statement=statement)

    assert refused.kind == "permanent"
    assert refused.message == "cannot execute INSERT in a read-only transaction (SQLSTATE 25006)."
    assert made == {"columns": [], "rows": [], "row_count": 1}
    with connection.cursor() as cursor:
        cursor.execute("SELECT key FROM stock WHERE id = 9")
        assert cursor.fetchone() == ("run:step#1:1",)


def test_a_read_only_connection_cannot_make_itself_writable(failure, warehouse):
    failed = failure(
        SPEC,
        connection="warehouse",
        statement="SELECT set_config('transaction_read_only', 'off', true)",
    )

    assert failed.kind == "permanent"


def stock_count():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM stock")
        return cursor.fetchone()[0]


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        ("COMMIT; DELETE FROM stock", {}),
        ("SELECT 1; COMMIT; DELETE FROM stock", {}),
        ("COMMIT; DELETE FROM stock WHERE id = %(id)s", {"id": 1}),
        ("SELECT %(id)s::int; COMMIT; BEGIN READ WRITE; DELETE FROM stock; COMMIT", {"id": 1}),
        ("COMMIT; SET default_transaction_read_only = off; DELETE FROM stock", {}),
        ("WITH gone AS (DELETE FROM stock RETURNING id) SELECT id FROM gone", {}),
        ("DO $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM stock; END $$", {}),
        ("DO $$ BEGIN COMMIT; DELETE FROM stock; END $$", {}),
        (
            """DO $$ BEGIN
                PERFORM set_config('default_transaction_read_only', 'off', false);
                COMMIT; DELETE FROM stock;
            END $$""",
            {},
        ),
    ],
)
def test_no_statement_leaves_its_read_only_transaction(failure, warehouse, statement, parameters):
    failed = failure(SPEC, connection="warehouse", statement=statement, parameters=parameters)

    assert failed.kind == "permanent", failed
    assert stock_count() == 3


@pytest.mark.parametrize("statement", ["COMMIT", "ROLLBACK", "SET TRANSACTION READ WRITE"])
def test_a_statement_about_the_transaction_changes_nothing_of_the_next(
    execute, failure, warehouse, statement
):
    try:
        execute(SPEC, connection="warehouse", statement=statement)
    except ActionError as error:
        assert error.kind == "permanent"  # noqa: PT017  # it may or may not be refused

    assert failure(SPEC, connection="warehouse", statement="DELETE FROM stock").kind == "permanent"
    assert stock_count() == 3


@pytest.mark.parametrize("parameters", [{}, {"seconds": 30}])
def test_no_statement_ends_its_own_time_limit(failure, warehouse, parameters):
    wait = "%(seconds)s::float8" if parameters else "30"
    began = time.monotonic()

    alone = failure(
        SPEC,
        connection="writable",
        statement=f"SELECT set_config('statement_timeout', '0', false), pg_sleep({wait})",
        parameters=parameters,
        seconds=1.5,
    )
    several = failure(
        SPEC,
        connection="writable",
        statement=f"COMMIT; SET statement_timeout = 0; SELECT pg_sleep({wait})",
        parameters=parameters,
        seconds=1.5,
    )

    assert (alone.kind, several.kind) == ("timeout", "permanent")
    assert time.monotonic() - began < 20


def test_the_time_to_connect_counts(failure, warehouse, monkeypatch):
    real = psycopg.connect

    def slow(*args, **kwargs):
        time.sleep(0.6)
        return real(*args, **kwargs)

    monkeypatch.setattr(psycopg, "connect", slow)

    failed = failure(SPEC, connection="warehouse", statement="SELECT 1", seconds=0.5)

    assert (failed.kind, failed.message) == ("timeout", "The statement took over 0.5 s.")


def test_options_of_the_connection_stay(execute, settings, warehouse, url):
    settings.SQL_CONNECTIONS = {"warehouse": {"url": f"{url}&options=-c%20search_path%3Dpg_temp"}}

    made = execute(
        SPEC,
        connection="warehouse",
        statement="SELECT current_setting('search_path') AS path,"
        " current_setting('default_transaction_read_only') AS read_only",
    )

    assert made["rows"] == [{"path": "pg_temp", "read_only": "on"}]


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("'NaN'::float8 AS odd", "is not JSON"),
        ("repeat('x', 2000000) AS long", "bytes"),
        ("id, id AS id", "two columns named 'id'"),
    ],
)
def test_a_write_whose_result_cannot_be_recorded_is_rolled_back(
    failure, warehouse, returned, words
):
    failed = failure(
        SPEC, connection="writable", statement=f"DELETE FROM stock RETURNING {returned}"
    )

    assert (failed.kind, words in failed.message) == ("permanent", True), failed
    assert stock_count() == 3


def test_a_write_may_return_rows(execute, warehouse):
    made = execute(
        SPEC, connection="writable", statement="DELETE FROM stock WHERE id > 1 RETURNING id"
    )

    assert sorted(row["id"] for row in made["rows"]) == [2, 3]
    assert stock_count() == 1


def test_integers_that_json_would_round_are_texts(execute, warehouse):
    made = execute(
        SPEC,
        connection="warehouse",
        statement="""SELECT 9007199254740991 AS kept, 9007199254740992 AS over,
            -9007199254740993 AS under, '{"n": [9007199254740993]}'::jsonb AS nested""",
    )

    assert made["rows"] == [
        {
            "kept": 9007199254740991,
            "over": "9007199254740992",
            "under": "-9007199254740993",
            "nested": {"n": ["9007199254740993"]},
        }
    ]


def test_of_a_large_result_no_more_is_read_than_may_be_kept(failure, warehouse):
    began = time.monotonic()
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        " SELECT i, repeat('x', {}) AS text FROM n"
    )

    failed = [
        failure(SPEC, connection="warehouse", statement=endless.format(length))
        for length in (1, 10_000)
    ]

    assert [item.kind for item in failed] == ["permanent", "permanent"]
    assert "rows" in failed[0].message
    assert "bytes" in failed[1].message
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("SHOW server_encoding", [{"server_encoding": "UTF8"}]),
        ("VALUES (1)", [{"column1": 1}]),
        ("SELECT 5 % 3 AS rest", None),
        ("SELECT 5 %% 3 AS rest, '%%(x)s' AS text", [{"rest": 2, "text": "%(x)s"}]),
        ("SELECT id FROM stock WHERE false", []),
    ],
)
def test_statements_of_every_kind(execute, failure, warehouse, statement, rows):
    if rows is None:
        assert failure(SPEC, connection="warehouse", statement=statement).kind == "invalid"
        return
    made = execute(SPEC, connection="warehouse", statement=statement)

    assert made["rows"] == rows
    assert len(made["columns"]) >= 1


def test_one_statement_at_a_time(failure, warehouse):
    failed = failure(
        SPEC,
        connection="writable",
        statement="SELECT %(a)s::int; DROP TABLE stock",
        parameters={"a": 1},
    )

    assert failed.kind == "permanent"
    assert "multiple commands" in failed.message


def test_a_slow_statement_is_ended(failure, warehouse):
    failed = failure(SPEC, connection="warehouse", statement="SELECT pg_sleep(30)", seconds=0.3)

    assert (failed.kind, failed.message) == ("timeout", "The statement took over 0.3 s.")


@pytest.mark.parametrize(
    ("statement", "kind", "words"),
    [
        ("SELECT * FROM no_such_table", "permanent", 'relation "no_such_table" does not exist'),
        ("SELEC 1", "permanent", "syntax error"),
        ("SELECT 1 / 0", "permanent", "division by zero"),
        ("INSERT INTO stock VALUES (1, 'again')", "constraint", "duplicate key value"),
        ("INSERT INTO stock VALUES (7, NULL)", "constraint", "null value in column"),
        ("SELECT %(missing)s", "invalid", "missing"),
        ("SELECT '\x00'", "invalid", "with/statement"),
    ],
)
def test_what_the_database_refuses_says_why(failure, warehouse, statement, kind, words):
    failed = failure(SPEC, connection="writable", statement=statement)

    assert (failed.kind, words in failed.message) == (kind, True), failed


def test_a_statement_that_gives_too_many_rows_fails(failure, warehouse):
    count = limits.SQL_ROW_COUNT_MAX + 1
    failed = failure(
        SPEC, connection="warehouse", statement=f"SELECT i FROM generate_series(1, {count}) i"
    )

    assert failed.kind == "permanent"
    assert "add a LIMIT" in failed.message


def test_a_deadlock_may_be_tried_again(execute, failure, warehouse, url):
    """The other side locks row 1 and wants row 2; the action has row 2 and wants row 1."""
    statement = """
        UPDATE stock SET name = name
        FROM (SELECT id, pg_sleep(0.4) FROM (SELECT id FROM stock WHERE id <= 2 ORDER BY id DESC
              FOR UPDATE) rows) slow
        WHERE stock.id = slow.id
    """
    with psycopg.connect(url) as other:
        other.execute("SET deadlock_timeout = '20s'")
        other.execute("SELECT 1 FROM stock WHERE id = 1 FOR UPDATE")
        thread = threading.Thread(
            target=lambda: other.execute("SELECT 1 FROM stock WHERE id = 2 FOR UPDATE")
        )
        timer = threading.Timer(0.5, thread.start)
        timer.start()

        failed = failure(SPEC, connection="writable", statement=statement)

        timer.join()
        thread.join()
    assert (failed.kind, "deadlock" in failed.message) == ("transient", True), failed


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("postgresql://nobody:secret@127.0.0.1:1/none", "transient"),
        ("postgresql://nobody:secret@no.such.host.invalid/none", "transient"),
    ],
)
def test_a_database_that_cannot_be_reached_is_told_without_its_address(
    failure, settings, url, kind
):
    settings.SQL_CONNECTIONS = {"gone": {"url": url}}

    failed = failure(SPEC, connection="gone", statement="SELECT 1")

    assert (failed.kind, failed.message) == (kind, "The database cannot be reached.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"statement": "SELECT 1"}, "'connection' is a required property"),
        ({"connection": "warehouse"}, "'statement' is a required property"),
        ({"connection": "nobody", "statement": "SELECT 1"}, "There is no connection 'nobody'"),
        (
            {
                "connection": "warehouse",
                "statement": "SELECT 1",
                "parameters": {"idempotency_key": "mine"},
            },
            "idempotency_key is set by the platform",
        ),
        (
            {"connection": "warehouse", "statement": "SELECT 1", "parameters": {"A b": 1}},
            "with/parameters",
        ),
    ],
)
def test_wrong_arguments_are_refused(failure, warehouse, arguments, words):
    failed = failure(SPEC, **arguments)

    assert (failed.kind, words in failed.message) == ("invalid", True), failed


def test_publishing_refuses_a_statement_made_of_data():
    found = compile_with(
        SPEC, "{connection: a, statement: \"SELECT '${{ inputs.code }}'\"}"
    ).problems

    assert [item.path for item in found] == ["/steps/s/with/statement"]
    assert "bind values" in found[0].message
