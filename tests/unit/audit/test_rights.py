"""What each role of the database may do, before any database is asked."""

from audit.domain.rights import APPEND, CHANGE, READ, DatabaseRole, Evidence, plan_rights

TABLES = ["approvals_vote", "audit_leaf", "audit_payload", "django_migrations", "engine_run"]
PLAN = plan_rights(
    tables=TABLES,
    evidence=[
        Evidence(table="approvals_vote", rights={DatabaseRole.APP: APPEND}),
        Evidence(table="audit_leaf", rights={DatabaseRole.SEALER: APPEND}),
        Evidence(
            table="audit_payload",
            rights={DatabaseRole.REDACTOR: APPEND | {"UPDATE (salt, value)"}},
        ),
    ],
)


def test_the_application_changes_what_is_no_evidence():
    assert PLAN[DatabaseRole.APP] == {
        "approvals_vote": APPEND,
        "audit_leaf": READ,
        "audit_payload": READ,
        "django_migrations": READ,
        "engine_run": CHANGE,
    }


def test_the_sealer_sees_hashes_and_nothing_of_people():
    assert PLAN[DatabaseRole.SEALER] == {"audit_leaf": APPEND}


def test_only_the_redactor_empties_values():
    may = [role for role, tables in PLAN.items() if "UPDATE (salt, value)" in str(tables)]

    assert may == [DatabaseRole.REDACTOR]


def test_an_auditor_reads_the_ledger():
    assert PLAN[DatabaseRole.AUDITOR] == {"audit_leaf": READ, "audit_payload": READ}


def test_the_owner_is_granted_nothing():
    assert DatabaseRole.OWNER not in PLAN
