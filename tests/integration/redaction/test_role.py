"""The keeper erases every copy under its own role of the database, and needs no more."""

import io

import pytest
from django.core.management import call_command
from django.db import ProgrammingError, connection, transaction

from audit import roles
from audit.domain.redaction import Target, TargetKind
from audit.domain.rights import DatabaseRole
from audit.services import erasing
from audit.services.redactions import approve_redaction
from tests.integration.redaction.conftest import find_marker

PREFIX = "cs_redaction_test_"  # roles of a transaction that is rolled back


@pytest.fixture
def ordered(archive):
    """Have an approved order about a run, and the roles made."""
    run = archive.play()
    made = archive.order(Target(kind=TargetKind.RUN, id=run.pk))
    approve_redaction(principal=archive.principal("ross"), redaction_id=made)
    with connection.cursor() as cursor:
        # Constraints that wait for the commit keep tables from changing hands.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    call_command("ledger", "roles", "--apply", "--prefix", PREFIX, stdout=io.StringIO())


def become(role):
    with connection.cursor() as cursor:
        cursor.execute(f'SET LOCAL ROLE "{roles.role_name(role, prefix=PREFIX)}"')


def test_under_the_keepers_role_every_copy_goes(ordered):
    become(DatabaseRole.REDACTOR)

    assert erasing.execute_orders() == 1

    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
    assert find_marker() == {}


def test_under_the_applications_role_nothing_goes(ordered):
    before = find_marker()
    with transaction.atomic():
        become(DatabaseRole.APP)
        with pytest.raises(ProgrammingError, match="permission denied"):
            erasing.execute_orders()
        transaction.set_rollback(True)

    assert find_marker() == before
