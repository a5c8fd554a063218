"""Each process under its own role of the database: it can do its work, and nothing to evidence."""

import io
from contextlib import contextmanager

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.db.backends.signals import connection_created

from approvals.models import Vote
from audit import registry, roles
from audit.anchoring.anchoring import anchor_once
from audit.anchoring.knowing import list_known
from audit.domain.rights import DatabaseRole
from audit.forwarding.forwarder import forward_once
from audit.models import Entry, Payload, Pending
from audit.outward.targets import FileAnchor
from audit.sealing import doctor
from audit.selectors.verification import verify_ledger
from engine.models import Run
from tests.certificates import make_authority
from tests.integration.audit.streams import fill
from tests.integration.engine.living import ended, opened_place
from tests.integration.outward.conftest import make_https_sink
from tests.integration.outward.log import ORIGIN, seal, write
from tests.loopback import serve
from tests.sealed import SealedLog

pytestmark = pytest.mark.django_db(transaction=True)

FLOW = """
schema: flow/v1
kind: dag
name: gated
title: Gated
steps:
  ask:
    approval:
      title: May it?
      subject: {count: "'two'"}
      stages: [{id: ops, approvers: {groups: [engineers]}, quorum: {count: 1}}]
      expires: {after: P1D, then: reject}
  wait: {needs: [ask], wait: {timer: PT1H}}
"""
EVIDENCE = [table.name for table in registry.append_only_tables()]


@pytest.fixture
def prefix():
    """Make the roles as an administrator does, and take all back: they are the whole server's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        prefix = f"{cursor.fetchone()[0].lower().replace('-', '_')[:30]}_"
    call_command("ledger", "roles", "--apply", "--prefix", prefix, stdout=io.StringIO())
    yield prefix
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
        for role in DatabaseRole:
            name = roles.role_name(role, prefix=prefix)
            cursor.execute(f'REASSIGN OWNED BY "{name}" TO CURRENT_USER')
            cursor.execute(f'DROP OWNED BY "{name}"')
            cursor.execute(f'DROP ROLE "{name}"')


@contextmanager
def acting_as(role, prefix):
    """Let every connection of this process be a member of a role and nothing else."""
    name = roles.role_name(role, prefix=prefix)

    def assume(connection, **_):
        with connection.cursor() as cursor:
            cursor.execute(f'SET ROLE "{name}"')

    connection_created.connect(assume)
    assume(connection)
    try:
        yield
    finally:
        connection_created.disconnect(assume)
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")


def test_the_main_job_needs_no_more_than_the_roles_rights(prefix, monkeypatch):
    app = roles.role_name(DatabaseRole.APP, prefix=prefix)
    with opened_place(monkeypatch) as place:
        with connection.cursor() as cursor:  # the clock of the test, not of the product
            cursor.execute(f'GRANT ALL ON SCHEMA simulation TO "{app}"')
            cursor.execute(f'GRANT ALL ON ALL TABLES IN SCHEMA simulation TO "{app}"')
            cursor.execute(f'GRANT ALL ON ALL SEQUENCES IN SCHEMA simulation TO "{app}"')
        with acting_as(DatabaseRole.APP, prefix):
            place.publish_text(FLOW)
            run = place.start("gated")
            place.decide(run, "ann")
            place.wait(hours=2)
            outcome = ended(run)
            with connection.cursor() as cursor:
                cursor.execute("SELECT current_user")
                assert cursor.fetchone()[0] == app

    assert outcome == "succeeded"
    assert (Run.objects.count(), Vote.objects.count()) == (1, 1)
    assert verify_ledger().discrepancy is None


@pytest.mark.parametrize("role", DatabaseRole.granted())
def test_no_role_can_do_anything_to_evidence(prefix, monkeypatch, role):
    with opened_place(monkeypatch) as place:
        place.publish_text(FLOW)
        run = place.start("gated")
        place.decide(run, "ann")
    harmful = [
        *(f"TRUNCATE {table} CASCADE" for table in EVIDENCE),
        *(f"ALTER TABLE {table} DISABLE TRIGGER ALL" for table in EVIDENCE),
        *(f"DROP TABLE {table} CASCADE" for table in EVIDENCE),
        *(f"DELETE FROM {table}" for table in EVIDENCE if table != "audit_pending"),
        *(
            f"CREATE TRIGGER mine BEFORE INSERT ON {table} FOR EACH ROW"
            " EXECUTE FUNCTION audit_refuse_change()"
            for table in EVIDENCE
        ),
        "UPDATE audit_entry SET kind = 'run.started'",
        "UPDATE audit_entry SET body = body",
        "UPDATE audit_leaf SET leaf_index = leaf_index + 1",
        "UPDATE audit_node SET hash = hash",
        "UPDATE audit_tree_head SET note = note",
        "UPDATE audit_key SET vkey = vkey",
        "UPDATE audit_payload SET name = name",
        "UPDATE audit_pending SET entry_id = entry_id",
        "UPDATE audit_stream SET name = name",
        "UPDATE approvals_vote SET decision = decision",
        "UPDATE engine_version SET digest = digest",
        "DROP FUNCTION audit_refuse_change() CASCADE",
        "ALTER FUNCTION audit_refuse_change() RENAME TO mine",
        f'SET ROLE "{roles.role_name(DatabaseRole.OWNER, prefix=prefix)}"',
    ]
    before = (Entry.objects.count(), Payload.objects.count(), Vote.objects.count())

    allowed = []
    for statement in harmful:
        # As an account would be: a session that was signed in as a member of that role only.
        with acting_as_member(role, prefix):
            said = attempt(statement)
        if "permission denied" not in said and "must be owner" not in said:
            allowed.append((statement, said))

    assert allowed == []
    assert (Entry.objects.count(), Payload.objects.count(), Vote.objects.count()) == before


def attempt(statement):
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except DatabaseError as error:
        return str(error)
    return "done"


@contextmanager
def acting_as_member(role, prefix):
    with connection.cursor() as cursor:
        cursor.execute(f'SET SESSION AUTHORIZATION "{roles.role_name(role, prefix=prefix)}"')
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET SESSION AUTHORIZATION")


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (DatabaseRole.APP, False),
        (DatabaseRole.SEALER, False),
        (DatabaseRole.AUDITOR, False),
        (DatabaseRole.REDACTOR, True),
    ],
)
def test_only_the_redactor_empties_values(prefix, monkeypatch, role, may):
    with opened_place(monkeypatch) as place:
        place.publish_text(FLOW)
    erase = "UPDATE audit_payload SET salt = NULL, value = NULL"

    with acting_as_member(role, prefix), connection.cursor() as cursor:
        if may:
            cursor.execute(erase)
        else:
            with pytest.raises(DatabaseError, match="permission denied"):
                cursor.execute(erase)

    assert Payload.objects.filter(value__isnull=True).exists() is may


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (DatabaseRole.APP, False),
        (DatabaseRole.REDACTOR, False),
        (DatabaseRole.AUDITOR, False),
        (DatabaseRole.SEALER, True),
    ],
)
def test_only_the_sealer_gives_entries_their_place(prefix, monkeypatch, role, may):
    with opened_place(monkeypatch) as place:
        place.publish_text(FLOW)
    seal = (
        "WITH s AS (INSERT INTO audit_leaf (leaf_index, entry_id)"
        " SELECT row_number() OVER (ORDER BY entry_id) - 1, entry_id FROM audit_pending)"
        " SELECT 1"
    )

    with acting_as_member(role, prefix), connection.cursor() as cursor:
        if may:
            cursor.execute(seal)
            cursor.execute("DELETE FROM audit_pending")
            with pytest.raises(DatabaseError, match="permission denied"):
                cursor.execute("SELECT * FROM identity_user")
        else:
            with pytest.raises(DatabaseError, match="permission denied"):
                cursor.execute(seal)

    assert Pending.objects.exists() is not may


def test_the_sealer_seals_and_doctors_under_its_role(prefix, tmp_path):
    fill()
    with acting_as_member(DatabaseRole.SEALER, prefix):
        log = SealedLog(tmp_path)  # makes a key, which is on record
        assert log.seal() > 1
        assert doctor.examine(folder=log.folder, origin=log.origin) == []

    assert not Pending.objects.exists()
    assert verify_ledger().discrepancy is None


def test_what_is_granted_by_hand_or_missing_is_found(prefix):
    app = roles.role_name(DatabaseRole.APP, prefix=prefix)
    out = io.StringIO()
    call_command("ledger", "roles", "--check", "--prefix", prefix, stdout=out)
    assert "exactly its rights" in out.getvalue()

    with connection.cursor() as cursor:
        cursor.execute(f'GRANT DELETE ON audit_entry TO "{app}"')
        cursor.execute(f'REVOKE INSERT ON engine_run FROM "{app}"')
        cursor.execute("CREATE TABLE newcomer (id int)")
    try:
        out = io.StringIO()
        with pytest.raises(SystemExit):
            call_command("ledger", "roles", "--check", "--prefix", prefix, stdout=out)

        assert f"{app} on audit_entry: may DELETE, which it must not" in out.getvalue()
        assert f"{app} on engine_run: lacks INSERT" in out.getvalue()
        assert f"{app} on newcomer: lacks DELETE, INSERT, SELECT, UPDATE" in out.getvalue()

        call_command("ledger", "roles", "--apply", "--prefix", prefix, stdout=io.StringIO())
        assert roles.compare_rights(prefix=prefix) == []
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE newcomer")


def test_the_sql_is_printed_for_an_administrator_to_read(prefix):
    out = io.StringIO()
    call_command("ledger", "roles", "--prefix", prefix, stdout=out)

    said = out.getvalue()
    assert f'GRANT INSERT, SELECT ON TABLE "audit_entry" TO "{prefix}app";' in said
    erasing = 'INSERT, SELECT, UPDATE (salt, value) ON TABLE "audit_payload"'
    assert f'GRANT {erasing} TO "{prefix}redactor";' in said
    assert "PASSWORD" not in said


def test_a_prefix_that_is_no_name_is_refused(db):
    with pytest.raises(CommandError, match="cannot begin"):
        call_command("ledger", "roles", "--prefix", 'x"; DROP')


def test_the_keeper_carries_the_ledger_out_under_its_own_role(prefix, tmp_path):
    write(3)
    seal()
    vault = FileAnchor(name="vault", folder=str(tmp_path))
    with acting_as(DatabaseRole.REDACTOR, prefix):
        assert anchor_once(vault) == 1
    with serving(tmp_path) as sink:
        with acting_as(DatabaseRole.APP, prefix), pytest.raises(DatabaseError, match="permission"):
            forward_once(sink)
        with acting_as(DatabaseRole.REDACTOR, prefix):
            assert forward_once(sink) == 3
    with acting_as(DatabaseRole.SEALER, prefix):
        assert list(list_known(ORIGIN)) == [], "the sealer may read what anchors dispute"


@contextmanager
def serving(folder):
    """Serve one collector, and name it."""
    authority = make_authority(folder)
    with contextmanager(serve)("127.0.0.1", context=authority.context("127.0.0.1")) as site:
        yield make_https_sink(url=f"https://127.0.0.1:{site.port}", ca_file=str(authority.file))
