"""`manage.py check --deploy` says whether the process could rewrite its own evidence."""

import pytest
from django.db import OperationalError, connection, transaction

from audit.checks import check_evidence

ACCOUNT = "countersign_test_account"


@pytest.fixture
def account(db):
    """Be an account that may read and append, and owns nothing."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {ACCOUNT} LOGIN")
        cursor.execute(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {ACCOUNT}")
        cursor.execute(
            f"REVOKE INSERT ON audit_leaf, audit_node, audit_tree_head, audit_key FROM {ACCOUNT}"
        )
        yield cursor
        cursor.execute("RESET ROLE")
        transaction.set_rollback(True)


def found(cursor, role=ACCOUNT):
    cursor.execute(f"SET LOCAL ROLE {role}")
    messages = check_evidence(None)
    cursor.execute("RESET ROLE")
    return [(message.id, message.msg) for message in messages]


@pytest.mark.django_db
def test_a_superuser_is_warned():
    (message,) = check_evidence(None)

    assert message.id == "audit.W003"
    assert "superuser" in message.msg


def test_an_account_that_only_reads_and_appends_is_not_warned(account):
    assert found(account) == []


def test_an_owner_of_the_tables_is_warned(account):
    account.execute(f"GRANT CREATE ON SCHEMA public TO {ACCOUNT}")
    account.execute(f"ALTER TABLE audit_entry OWNER TO {ACCOUNT}")
    account.execute(f"ALTER TABLE approvals_vote OWNER TO {ACCOUNT}")

    ((code, told),) = found(account)

    assert code == "audit.W001"
    assert "owns approvals_vote, audit_entry" in told


def test_a_member_of_the_owning_role_is_warned(account):
    account.execute("CREATE ROLE countersign_test_owner")
    account.execute("ALTER TABLE audit_entry OWNER TO countersign_test_owner")
    account.execute(f"GRANT countersign_test_owner TO {ACCOUNT}")

    assert [code for code, _ in found(account)] == ["audit.W001"]


@pytest.mark.parametrize(
    ("right", "table"),
    [
        ("UPDATE", "audit_entry"),
        ("DELETE", "audit_entry"),
        ("TRUNCATE", "audit_entry"),
        ("UPDATE (body)", "audit_entry"),
        ("INSERT", "audit_tree_head"),
        ("UPDATE", "audit_payload"),
        ("DELETE", "audit_pending"),
        ("UPDATE", "approvals_vote"),
        ("DELETE", "engine_version"),
        ("TRUNCATE", "engine_version"),
    ],
)
def test_every_right_too_many_is_named(account, right, table):
    account.execute(f"GRANT {right} ON {table} TO {ACCOUNT}")

    ((code, told),) = found(account)

    assert code == "audit.W002"
    assert f"{right} on {table}" in told


@pytest.mark.parametrize(
    ("table", "trigger"),
    [
        ("audit_entry", "audit_entry_no_delete"),
        ("audit_tree_head", "audit_tree_head_no_update"),
        ("approvals_vote", "approvals_vote_no_update"),
        ("approvals_vote", "approvals_vote_no_truncate"),
        ("engine_version", "engine_version_guard_row"),
        ("engine_version", "engine_version_guard_truncate"),
    ],
)
@pytest.mark.parametrize("how", ["DISABLE TRIGGER", "ENABLE TRIGGER", "ENABLE REPLICA TRIGGER"])
def test_a_guard_that_does_not_fire_always_is_an_error(account, table, trigger, how):
    account.execute(f"ALTER TABLE {table} {how} {trigger}")

    ((code, told),) = found(account)

    assert code == "audit.E001"
    assert trigger in told


def test_a_guard_that_is_gone_is_an_error(account):
    account.execute("DROP TRIGGER engine_version_guard_row ON engine_version")

    assert [code for code, _ in found(account)] == ["audit.E001"]


@pytest.mark.django_db
def test_without_a_database_to_ask_it_says_nothing():
    def refuse(execute, sql, params, many, context):
        raise OperationalError

    with connection.execute_wrapper(refuse):
        assert check_evidence(None) == []
