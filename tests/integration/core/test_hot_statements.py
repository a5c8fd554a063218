"""The short way to the database: what it returns, and that it is as careful as Django's."""

import threading

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.db.transaction import TransactionManagementError
from django.db.utils import DatabaseError
from django.test.utils import CaptureQueriesContext

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
