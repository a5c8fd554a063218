"""The tests' own database backend empties protected tables, and leaves them protected."""

import pytest
from django.core.management.color import no_style
from django.db import DatabaseError, connection, transaction

from core.identity.models import Role, Scope
from core.identity.seed import GLOBAL_SCOPE_ID

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def protected_table():
    """A table that refuses to be emptied, by a trigger that fires always."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE probe (number int)")
        cursor.execute("INSERT INTO probe VALUES (1)")
        cursor.execute(
            "CREATE FUNCTION probe_refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'append-only'; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER probe_guard BEFORE TRUNCATE ON probe EXECUTE FUNCTION probe_refuse()"
        )
        cursor.execute("ALTER TABLE probe ENABLE ALWAYS TRIGGER probe_guard")
    yield "probe"
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE probe")
        cursor.execute("DROP FUNCTION probe_refuse")


def _flush(table):
    connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), [table]))


def _count(table):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return cursor.fetchone()[0]


def _truncate(table):
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {table}")


def test_without_it_the_table_refuses(protected_table):
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        _truncate(protected_table)

    assert _count(protected_table) == 1


def test_the_flush_empties_the_table_and_protects_it_again(protected_table):
    _flush(protected_table)

    assert _count(protected_table) == 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgenabled FROM pg_trigger WHERE tgname = 'probe_guard'")
        assert cursor.fetchall() == [("A",)]
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        _truncate(protected_table)


def test_what_every_installation_starts_with_is_there_after_a_flush(protected_table):
    Scope.objects.filter(pk=GLOBAL_SCOPE_ID).delete()

    _flush(protected_table)

    assert Scope.objects.filter(pk=GLOBAL_SCOPE_ID).exists()
    assert Role.objects.filter(builtin=True).exists()
