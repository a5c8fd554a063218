"""The short way to the database: what it returns, and that it is as careful as Django's."""

import threading
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.db.transaction import TransactionManagementError
from django.db.utils import DatabaseError, OperationalError
from django.test.utils import CaptureQueriesContext

from core.toolkit import prepared
from core.toolkit.db import fetch_rows

pytestmark = pytest.mark.django_db(transaction=True)

_FAIL = "INSERT INTO core_nowhere VALUES (%s) RETURNING 1"
_NULL = "INSERT INTO auth_group (name) VALUES (%s::text) RETURNING id"


def test_it_returns_all_rows_with_their_types():
    rows = fetch_rows("SELECT n, %s::text, %s::bytea FROM generate_series(1, 2) AS n", ("a", b"b"))

    assert rows == [(1, "a", b"b"), (2, "a", b"b")]


def test_it_returns_no_rows_as_an_empty_list():
    assert fetch_rows("SELECT 1 WHERE %s::bool", (False,)) == []


def test_errors_are_those_of_django():
    with pytest.raises(DatabaseError):
        fetch_rows(_FAIL, (1,))
    with pytest.raises(IntegrityError):
        fetch_rows(_NULL, (None,))


def test_it_joins_the_open_transaction():
    with transaction.atomic():
        fetch_rows(_NULL, ("hot",))
        transaction.set_rollback(True)

    assert fetch_rows("SELECT id FROM auth_group WHERE name = %s", ("hot",)) == []


def test_it_refuses_a_broken_transaction():
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(TransactionManagementError):
            fetch_rows("SELECT %s::int", (1,))


def test_whoever_counts_or_wraps_statements_sees_them():
    wrapped = []

    def wrapper(execute, sql, *rest):
        wrapped.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(wrapper), CaptureQueriesContext(connection) as queries:
        assert fetch_rows("SELECT %s::int", (7,)) == [(7,)]

    assert wrapped == ["SELECT %s::int"]
    assert len(queries) == 1


def test_it_opens_a_connection_that_was_closed():
    connection.close()

    assert fetch_rows("SELECT %s::int", (7,)) == [(7,)]


def test_a_connection_is_not_shared_between_threads():
    connection.ensure_connection()
    mine, failures = connections["default"], []

    def use():
        try:
            connections["default"] = mine
            fetch_rows("SELECT %s::int", (7,))
        except DatabaseError as error:
            failures.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()

    assert len(failures) == 1


def end_backend(pid):
    """End a connection of this process from another one."""
    settings = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port")
    parts = {name: settings[name] for name in names if settings.get(name)}
    with psycopg.connect(**parts, autocommit=True) as link:
        link.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def _use(times=5):
    return [fetch_rows("SELECT %s::text || '%%', %s::int", ("a", 7)) for _ in range(times)]


def _count_cursors(monkeypatch):
    """Return a list that grows with each statement that takes the long way."""
    taken = []
    long_way = prepared._fetch_by_cursor

    def note(link, sql, params):
        taken.append(sql)
        return long_way(link, sql, params)

    monkeypatch.setattr(prepared, "_fetch_by_cursor", note)
    return taken


def test_a_statement_that_is_prepared_takes_no_cursor_and_answers_the_same(monkeypatch):
    connection.close()
    taken = _count_cursors(monkeypatch)

    assert _use(10) == [[("a%", 7)]] * 10
    assert len(taken) == 3


def test_a_long_statement_is_short_work_too(monkeypatch):
    connection.close()
    taken = _count_cursors(monkeypatch)
    sql = "SELECT " + ", ".join(["%s::text || '%%'"] * 300)

    for _ in range(5):
        assert fetch_rows(sql, ("a",) * 300) == [("a%",) * 300]
    assert len(taken) == 3


def test_what_psycopg_forgets_is_prepared_again(monkeypatch):
    _use()
    with transaction.atomic():
        _use(1)
        transaction.set_rollback(True)
    taken = _count_cursors(monkeypatch)

    assert _use(10) == [[("a%", 7)]] * 10
    assert len(taken) == 3


def test_every_type_comes_back_as_from_a_cursor():
    sql = "SELECT %s::uuid, %s::timestamptz, %s::bytea, %s::jsonb, %s::bigint, %s::bool, %s::text[]"
    at = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    values = (UUID(int=7), at, b"\x00%s", '{"a": [1]}', 2**40, True, ["x", "%"])

    found = [fetch_rows(sql, values) for _ in range(5)]

    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        assert found == [cursor.fetchall()] * 5


def test_a_prepared_statement_fails_as_any_other_and_goes_on():
    for name in "abcd":
        fetch_rows(_NULL, (name,))
    for _ in range(2):
        with pytest.raises(IntegrityError):
            fetch_rows(_NULL, ("a",))

    assert len(fetch_rows(_NULL, ("e",))) == 1


def test_a_prepared_statement_joins_the_open_transaction():
    for name in "abcd":
        fetch_rows(_NULL, (name,))
    with transaction.atomic():
        fetch_rows(_NULL, ("e",))
        fetch_rows(_NULL, ("f",))
        transaction.set_rollback(True)

    rows = fetch_rows("SELECT name FROM auth_group WHERE name IN ('d', 'e', 'f')", ())
    assert rows == [("d",)]


def test_a_connection_that_died_says_so_and_is_replaced():
    _use()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    end_backend(pid)

    with pytest.raises(OperationalError):
        _use(1)
    connection.close()
    assert _use() == [[("a%", 7)]] * 5


def test_other_threads_run_while_one_waits():
    for _ in range(4):
        fetch_rows("SELECT 1 FROM pg_sleep(%s::float8)", (0.0,))
    waiting = threading.Event()
    counted: list[int] = []

    def count():
        waiting.wait()
        counted.extend(range(1_000))

    thread = threading.Thread(target=count)
    thread.start()
    waiting.set()
    fetch_rows("SELECT 1 FROM pg_sleep(%s::float8)", (0.3,))

    assert len(counted) == 1_000
    thread.join()
