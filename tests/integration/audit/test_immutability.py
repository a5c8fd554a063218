"""The tables of evidence refuse change, even of a superuser who silences ordinary triggers."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.migrations.state import ProjectState
from django.utils.timezone import now

from audit.immutability import MakeAppendOnly, only_changes, trigger_names
from audit.models import Entry, Leaf, Payload, Pending, Stream, TreeHead
from tests.fakes.drafts import draft
from tests.integration.audit.streams import append, open_stream

pytestmark = pytest.mark.django_db

CHANGES = {
    "audit_entry": "kind = 'x.y'",
    "audit_leaf": "leaf_index = 7",
    "audit_tree_head": "note = 'x'",
    "audit_payload": "value = '2'",
    "audit_pending": "entry_id = entry_id",
    "audit_stream": "name = 'x'",
}
DELETABLE = {"audit_pending"}
ROLES = pytest.mark.parametrize("role", ["origin", "local", "replica"])


@pytest.fixture(autouse=True)
def rows():
    """Put a row into every table, so that row triggers have something to fire on."""
    append(open_stream(), draft(payloads={"a": 1}))
    entry = Entry.objects.get()
    Leaf.objects.create(leaf_index=0, entry=entry)
    TreeHead.objects.create(tree_size=1, root=bytes(32), note="n", at=now())
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return entry


def execute(statement, *, role="origin"):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL session_replication_role = {role}")
        cursor.execute(statement)
        return cursor.rowcount


@ROLES
@pytest.mark.parametrize("table", sorted(CHANGES))
def test_an_update_is_refused(table, role):
    with pytest.raises(IntegrityError, match=f"{table} is append-only: UPDATE is refused"):
        execute(f"UPDATE {table} SET {CHANGES[table]}", role=role)


@ROLES
@pytest.mark.parametrize("table", sorted(CHANGES.keys() - DELETABLE))
def test_a_delete_is_refused(table, role):
    with pytest.raises(IntegrityError, match=f"{table} is append-only: DELETE is refused"):
        execute(f"DELETE FROM {table}", role=role)


@ROLES
@pytest.mark.parametrize("table", sorted(CHANGES))
def test_a_truncate_is_refused(table, role):
    with pytest.raises(IntegrityError, match="append-only: TRUNCATE is refused"):
        execute(f"TRUNCATE {table} CASCADE", role=role)


@pytest.mark.parametrize("table", sorted(CHANGES))
def test_the_same_change_passes_where_the_triggers_are_off(table):
    for name in trigger_names(table):
        execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}")

    assert execute(f"UPDATE {table} SET {CHANGES[table]}") == 1


def test_inserting_stays_possible():
    head, count = append(open_stream())

    assert (head.seq, count) == (1, 1)


@ROLES
def test_a_payload_can_be_erased_and_in_no_other_way_changed(role):
    for change in (
        "value = NULL",
        "salt = NULL",
        "salt = NULL, value = NULL, name = 'b'",
        "salt = sha256(salt)",
    ):
        with pytest.raises(IntegrityError):
            execute(f"UPDATE audit_payload SET {change}", role=role)

    assert execute("UPDATE audit_payload SET salt = NULL, value = NULL", role=role) == 1
    assert Payload.objects.get().value is None


@ROLES
def test_an_entry_leaves_the_queue_only_once_it_has_a_leaf(role):
    append(open_stream())

    with pytest.raises(IntegrityError, match="only once it has a leaf"):
        execute("DELETE FROM audit_pending", role=role)
    assert Pending.objects.count() == 2

    sealed = "DELETE FROM audit_pending WHERE entry_id IN (SELECT entry_id FROM audit_leaf)"
    assert execute(sealed, role=role) == 1
    assert Pending.objects.count() == 1


def test_the_sealer_may_take_an_entry_and_give_it_a_leaf_in_one_statement():
    append(open_stream())

    taken = execute(
        """WITH gone AS (DELETE FROM audit_pending
                         WHERE entry_id NOT IN (SELECT entry_id FROM audit_leaf) RETURNING entry_id)
        INSERT INTO audit_leaf (leaf_index, entry_id) SELECT 1, entry_id FROM gone"""
    )

    assert taken == 1


@ROLES
def test_a_stream_only_grows(role):
    for change in ("seq = seq", "seq = seq - 1", "seq = seq + 1, name = 'x'", "head = sha256('')"):
        with pytest.raises(IntegrityError):
            execute(f"UPDATE audit_stream SET {change}", role=role)

    assert execute("UPDATE audit_stream SET seq = seq + 1, head = sha256('')", role=role) == 1


ENTRY = "INSERT INTO audit_entry (stream, seq, kind, at, actor, subject, leaf, body)"
PAYLOAD = "INSERT INTO audit_payload (entry_id, name, salt, value)"
STREAM = "INSERT INTO audit_stream (id, name, seq, head)"
SMALL = "gen_random_uuid(), {}, 'a.b', now(), 'x', '', sha256('x'::bytea)"


@pytest.mark.parametrize(
    "statement",
    [
        f"{ENTRY} VALUES ({SMALL.format(0)}, '{{}}')",
        f"{ENTRY} VALUES ({SMALL.format(1).replace('sha256', '')}, '{{}}')",
        f"{ENTRY} VALUES ({SMALL.format(1)}, convert_to(repeat('x', 65536), 'UTF8'))",
        f"{PAYLOAD} SELECT max(id), 'x', '\\x00', '1' FROM audit_entry",
        f"{PAYLOAD} SELECT max(id), 'x', NULL, '1' FROM audit_entry",
        f"{STREAM} VALUES (gen_random_uuid(), 'x', 0, '\\x00')",
        f"{STREAM} VALUES (gen_random_uuid(), 'x', -1, sha256('x'))",
        "INSERT INTO audit_tree_head (tree_size, root, note, at) VALUES (2, '\\x00', '', now())",
    ],
)
def test_values_of_a_wrong_size_are_refused(statement):
    with pytest.raises(IntegrityError, match="check"):
        execute(statement)


def test_the_same_values_of_the_right_size_are_taken():
    assert execute(f"{ENTRY} VALUES ({SMALL.format(1)}, '{{}}')") == 1


def test_ids_come_from_a_sequence_without_cache():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seqcache FROM pg_sequence"
            " WHERE seqrelid = pg_get_serial_sequence('audit_entry', 'id')::regclass"
        )
        assert cursor.fetchone() == (1,)


class TestMakeAppendOnly:
    """The migration operation, on a table of its own."""

    @pytest.fixture(autouse=True)
    def table(self):
        execute("CREATE TABLE thing (id int PRIMARY KEY, status text, content text)")
        execute("INSERT INTO thing VALUES (1, 'draft', 'a'), (2, 'published', 'b')")

    @staticmethod
    def apply(operation, *, backwards=False):
        state = ProjectState()
        with connection.schema_editor() as editor:
            move = operation.database_backwards if backwards else operation.database_forwards
            move("audit", editor, state, state)

    def test_without_options_nothing_changes(self):
        self.apply(MakeAppendOnly("thing"))

        for statement in ("UPDATE thing SET status = 'x'", "DELETE FROM thing", "TRUNCATE thing"):
            with pytest.raises(IntegrityError, match="thing is append-only"):
                execute(statement, role="replica")

    def test_some_columns_and_rows_may_be_let_through(self):
        operation = MakeAppendOnly(
            "thing", update_allowed=only_changes("status"), delete_allowed="OLD.status = 'draft'"
        )
        self.apply(operation)

        assert execute("UPDATE thing SET status = 'draft' WHERE id = 1") == 1
        assert execute("DELETE FROM thing WHERE id = 1") == 1
        for statement in (
            "UPDATE thing SET content = 'x'",
            "UPDATE thing SET status = 'x', content = 'x'",
            "DELETE FROM thing",
            "TRUNCATE thing",
        ):
            with pytest.raises(IntegrityError):
                execute(statement)

    def test_a_condition_that_is_null_lets_nothing_through(self):
        self.apply(MakeAppendOnly("thing", update_allowed="NULL", delete_allowed="NULL"))

        for statement in ("UPDATE thing SET status = 'x'", "DELETE FROM thing"):
            with pytest.raises(IntegrityError):
                execute(statement)

    def test_it_can_be_taken_back(self):
        operation = MakeAppendOnly("thing")
        self.apply(operation)
        self.apply(operation, backwards=True)

        assert execute("UPDATE thing SET status = 'x'") == 2

    def test_it_describes_and_rebuilds_itself(self):
        operation = MakeAppendOnly("thing", update_allowed="TRUE")

        name, args, options = operation.deconstruct()
        again = MakeAppendOnly(*args, **options)

        assert name == "MakeAppendOnly"
        assert again.sql == operation.sql
        assert again.reverse_sql == operation.reverse_sql
        assert operation.describe() == "Make thing append-only"


def test_a_guard_rows_name_is_given_once():
    Stream.objects.create(id="0198c0de-0000-7000-8000-0000000000ff", name="once")

    with pytest.raises(IntegrityError), transaction.atomic():
        Stream.objects.create(id="0198c0de-0000-7000-8000-0000000000fe", name="once")
