"""`manage.py check --deploy` says whether the process could rewrite its own evidence."""

import pytest
from django.db import OperationalError, connection, transaction

from audit.checks import check_ownership


@pytest.fixture
def application_role(db):
    """Become a role that may read and append, and owns nothing."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE ROLE countersign_test_app NOLOGIN")
        cursor.execute("SET LOCAL ROLE countersign_test_app")
        yield
        cursor.execute("RESET ROLE")
        transaction.set_rollback(True)


@pytest.mark.django_db
def test_an_owner_of_the_tables_is_warned():
    (message,) = check_ownership(None)

    assert message.id == "audit.W001"
    assert "audit_entry" in message.msg
    assert "approvals_vote" in message.msg


def test_a_role_that_owns_nothing_is_not_warned(application_role):
    assert check_ownership(None) == []


@pytest.mark.django_db
def test_a_member_of_the_owning_role_is_warned(application_role):
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
        cursor.execute("SELECT format('GRANT %I TO countersign_test_app', current_user)")
        cursor.execute(cursor.fetchone()[0])
        cursor.execute("SET LOCAL ROLE countersign_test_app")

    assert [message.id for message in check_ownership(None)] == ["audit.W001"]


@pytest.mark.django_db
def test_without_a_database_to_ask_it_says_nothing():
    def refuse(execute, sql, params, many, context):
        raise OperationalError

    with connection.execute_wrapper(refuse):
        assert check_ownership(None) == []
