"""`manage.py verify_ledger` on PostgreSQL: what holds passes, whatever was done to it is named."""

import json
import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils.timezone import now

from audit import registry, store
from audit.immutability import CREATE_FUNCTION
from audit.models import Entry, Leaf, Pending, Stream, TreeHead
from audit.selectors import verification
from audit.selectors.verification import verify_ledger
from core.kernel import ids
from tests.fakes.drafts import draft
from tests.integration.audit.streams import append, fill
from tests.integration.audit.tampering import restore_triggers, tamper
from tests.sealed import ORIGIN, SealedLog

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ledger():
    """Return the head of one of three streams."""
    fill()
    head = fill(entry_count=4)
    with transaction.atomic():
        store.append(stream="access", drafts=[draft(), draft()])
    return head


def run(*arguments):
    out = StringIO()
    call_command("verify_ledger", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def place_of(found):
    return (found.discrepancy.stream, found.discrepancy.seq, found.discrepancy.field)


# --- what holds ---------------------------------------------------------------------------------


def test_an_empty_ledger_verifies():
    found = verify_ledger()

    assert (found.discrepancy, found.entry_count) == (None, 0)


def test_what_was_appended_verifies_and_is_counted(ledger):
    found = verify_ledger()

    assert found.discrepancy is None
    assert (found.entry_count, found.stream_count, found.payload_count) == (9, 3, 6)
    assert (found.pending_count, found.leaf_count, found.erased_count) == (9, 0, 0)


def test_one_stream_is_verified_alone(ledger):
    tamper(f"UPDATE audit_entry SET kind = 'x.y' WHERE stream <> '{ledger.stream}'")

    found = verify_ledger(stream=ledger.stream)

    assert (found.discrepancy, found.entry_count, found.stream_count) == (None, 4, 1)
    assert verify_ledger().discrepancy is not None


def test_it_reads_one_snapshot_and_only_reads(ledger):
    seen: list[str] = []

    def note(_head):
        with connection.cursor() as cursor:
            cursor.execute("SHOW transaction_isolation")
            seen.append(cursor.fetchone()[0])
            cursor.execute("SHOW transaction_read_only")
            seen.append(cursor.fetchone()[0])

    verify_ledger(on_head=note)

    assert set(seen) == {"repeatable read", "on"}
    with pytest.raises(RuntimeError), transaction.atomic():
        verify_ledger()


def test_it_reads_through_a_cursor_and_reports_how_far_it_is(ledger, monkeypatch):
    monkeypatch.setattr(verification, "_FETCH_ROW_COUNT", 2)
    monkeypatch.setattr(verification, "_PROGRESS_ENTRY_COUNT", 4)
    seen: list[int] = []

    assert verify_ledger(on_progress=seen.append).discrepancy is None
    assert seen == [4, 8]


def test_sealed_entries_are_leaves_and_no_longer_pending(ledger, tmp_path):
    SealedLog(tmp_path).seal()
    append(ledger)

    found = verify_ledger()

    assert found.discrepancy is None
    assert (found.leaf_count, found.pending_count, found.head_count) == (10, 1, 1)
    assert found.origin == ORIGIN


def seal(*, first, start=0):
    with transaction.atomic():
        rows = list(Entry.objects.order_by("pk")[:first])
        for index, row in enumerate(rows, start=start):
            Leaf.objects.create(leaf_index=index, entry=row)
        Pending.objects.filter(entry__in=rows).delete()


# --- what does not hold -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("UPDATE audit_entry SET body = set_byte(body, 20, 63)", "body"),
        ("UPDATE audit_entry SET leaf = sha256(leaf)", "leaf"),
        ("UPDATE audit_entry SET kind = 'vote.spoilt'", "kind"),
        ("UPDATE audit_entry SET at = at + interval '1 microsecond'", "at"),
        ("UPDATE audit_entry SET actor = 'nobody'", "actor"),
        ("UPDATE audit_entry SET subject = 'x'", "subject"),
        ("UPDATE audit_entry SET scope = NULL", "scope"),
        ("UPDATE audit_entry SET id = id + 1000000", None),
        ("DELETE FROM audit_entry", None),
    ],
)
def test_a_changed_entry_is_named(ledger, change, field):
    tamper(f"{change} WHERE stream = '{ledger.stream}' AND seq = 2")

    found = verify_ledger()

    if field is not None:
        assert place_of(found) == (str(ledger.stream), 2, field)
    assert found.discrepancy is not None


def test_an_entry_moved_to_another_number_is_named(ledger):
    tamper(f"UPDATE audit_entry SET seq = 9 WHERE stream = '{ledger.stream}' AND seq = 4")

    assert place_of(verify_ledger()) == (str(ledger.stream), 9, "seq")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("UPDATE audit_payload SET value = '\"no\"' WHERE name = 'comment'", "payload comment"),
        ("UPDATE audit_payload SET salt = sha256(salt) WHERE name = 'form'", "payload form"),
        ("UPDATE audit_payload SET name = 'zzz' WHERE name = 'form'", "payload zzz"),
        ("UPDATE audit_payload SET salt = NULL, value = NULL WHERE name = 'form'", "payload form"),
        ("DELETE FROM audit_payload WHERE name = 'form'", "payload form"),
    ],
)
def test_a_changed_payload_is_named(ledger, change, field):
    wanted = Entry.objects.get(stream=ledger.stream, seq=2).pk
    tamper(f"{change} AND entry_id = {wanted}")

    assert place_of(verify_ledger()) == (str(ledger.stream), 2, field)


def test_a_cut_off_end_is_named(ledger):
    last = Entry.objects.get(stream=ledger.stream, seq=4).pk
    tamper(
        f"DELETE FROM audit_pending WHERE entry_id = {last}",
        f"DELETE FROM audit_payload WHERE entry_id = {last}",
        f"DELETE FROM audit_entry WHERE id = {last}",
    )

    assert place_of(verify_ledger()) == (str(ledger.stream), 4, "entry")


def test_a_rewritten_guard_row_is_named(ledger):
    tamper(f"UPDATE audit_stream SET head = sha256('x') WHERE id = '{ledger.stream}'")

    assert place_of(verify_ledger()) == (str(ledger.stream), 4, "head")


def test_a_guard_row_with_another_name_is_named(ledger):
    tamper(f"UPDATE audit_stream SET name = 'elsewhere' WHERE id = '{ledger.stream}'")

    assert place_of(verify_ledger()) == (str(ledger.stream), 4, "name")


def test_a_stream_without_a_guard_row_is_named(ledger):
    tamper(f"DELETE FROM audit_stream WHERE id = '{ledger.stream}'")

    assert place_of(verify_ledger()) == (str(ledger.stream), 0, "head")


def test_a_guard_row_of_an_upper_package_is_followed(ledger):
    registered = dict(registry.stream_heads())
    other = ids.uuid7()
    try:
        registry.register_stream_head("thing", f"SELECT '{other}'::uuid, 1::bigint, sha256('')")
        assert place_of(verify_ledger()) == (str(other), 1, "entry")
    finally:
        registry._heads.clear()
        registry._heads.update(registered)

    assert verify_ledger().discrepancy is None


def test_a_thief_of_the_queue_is_caught(ledger):
    stolen = Entry.objects.get(stream=ledger.stream, seq=3).pk
    tamper(f"DELETE FROM audit_pending WHERE entry_id = {stolen}")

    found = verify_ledger()

    assert place_of(found) == (str(ledger.stream), 3, "audit_pending")
    assert found.discrepancy is not None
    assert found.discrepancy.found == "neither"


def test_an_entry_both_queued_and_sealed_is_caught(ledger):
    row = Entry.objects.get(stream=ledger.stream, seq=1)
    Leaf.objects.create(leaf_index=0, entry=row)

    found = verify_ledger()

    assert place_of(found) == (str(ledger.stream), 1, "audit_pending")
    assert found.discrepancy is not None
    assert found.discrepancy.found == "both"


@pytest.mark.parametrize("table", ["audit_pending", "audit_leaf"])
def test_a_place_without_an_entry_is_caught(ledger, table):
    columns = "(entry_id)" if table == "audit_pending" else "(leaf_index, entry_id)"
    values = "(999999)" if table == "audit_pending" else "(0, 999999)"
    tamper(f"INSERT INTO {table} {columns} VALUES {values}")

    assert place_of(verify_ledger()) == ("", 0, table)


@pytest.mark.parametrize("start", [1, 5])
def test_leaf_indexes_are_dense_from_zero(ledger, start):
    seal(first=2, start=start)

    assert place_of(verify_ledger()) == ("", 0, "audit_leaf")


def test_a_tree_head_nobody_can_have_made_is_caught(ledger):
    TreeHead.objects.create(tree_size=0, root=bytes(32), note="forged", at=now())

    assert place_of(verify_ledger()) == ("", 0, "tree head 0, root")


# --- triggers -----------------------------------------------------------------------------------


@pytest.fixture
def mended():
    """Put triggers, function and sequence back as the migrations made them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'audit_entry_no_update'"
        )
        (definition,) = cursor.fetchone()
    yield
    with connection.cursor() as cursor:
        cursor.execute(CREATE_FUNCTION.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
        cursor.execute("DROP TRIGGER IF EXISTS audit_entry_no_update ON audit_entry")
        cursor.execute(definition)
        cursor.execute("ALTER SEQUENCE audit_entry_id_seq CACHE 1")
    restore_triggers()


ENABLE = "ALTER TABLE audit_entry ENABLE {} TRIGGER audit_entry_no_update"
RECREATE = (
    "DROP TRIGGER audit_entry_no_update ON audit_entry;"
    "CREATE TRIGGER audit_entry_no_update BEFORE {} ON audit_entry FOR EACH ROW {}"
    f" EXECUTE FUNCTION {{}}(); {ENABLE.format('ALWAYS')}"
)
IDLE = "suppress_redundant_updates_trigger"
LET_THROUGH = """CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger
LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"""


@pytest.mark.parametrize(
    ("weakening", "found"),
    [
        ("DROP TRIGGER audit_entry_no_update ON audit_entry", "none"),
        ("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_no_update", "tgenabled D"),
        (ENABLE.format(""), "tgenabled O"),
        (ENABLE.format("REPLICA"), "tgenabled R"),
        (RECREATE.format("DELETE", "", "audit_refuse_change"), "tgtype 11"),
        (RECREATE.format("UPDATE", "WHEN (OLD.seq > 9)", "audit_refuse_change"), "a condition"),
        (RECREATE.format("UPDATE", "", IDLE), f"another function, {IDLE}"),
        (LET_THROUGH, "another function, audit_refuse_change"),
    ],
)
def test_a_weakened_trigger_is_named(mended, weakening, found):
    assert verify_ledger().discrepancy is None
    with connection.cursor() as cursor:
        cursor.execute(weakening)

    discrepancy = verify_ledger().discrepancy

    assert discrepancy is not None
    assert discrepancy.found == found
    assert discrepancy.field.startswith("trigger ")


def test_the_triggers_of_upper_packages_are_looked_for_too():
    tables = {table.name for table in registry.append_only_tables()}

    assert {"engine_version", "approvals_vote"} <= tables


def test_a_sequence_with_a_cache_is_named(mended):
    with connection.cursor() as cursor:
        cursor.execute("ALTER SEQUENCE audit_entry_id_seq CACHE 20")

    assert place_of(verify_ledger()) == ("", 0, "audit_entry.id")


# --- the command --------------------------------------------------------------------------------


def test_the_command_says_what_it_checked(ledger):
    text = run()

    assert text.startswith("The ledger verifies: 9 entries in 3 streams, 6 payloads; 0 are")
    assert re.search(r"[0-9,]+ entries a second", text)


def test_the_command_ends_with_1_and_names_the_first_discrepancy(ledger):
    tamper(f"UPDATE audit_entry SET kind = 'x.y' WHERE stream = '{ledger.stream}' AND seq = 2")

    with pytest.raises(CommandError) as caught:
        run()

    assert caught.value.returncode == 1
    assert str(caught.value) == (
        f"The ledger does not verify: stream {ledger.stream}, entry 2, kind:"
        " expected vote.cast, found x.y."
    )


def test_the_command_speaks_json(ledger):
    good = json.loads(run("--json"))
    tamper(f"UPDATE audit_entry SET kind = 'x.y' WHERE stream = '{ledger.stream}' AND seq = 2")
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("verify_ledger", "--json", stdout=out)
    bad = json.loads(out.getvalue())

    assert (good["verified"], good["entries"], good["discrepancy"]) == (True, 9, None)
    assert bad["verified"] is False
    assert bad["discrepancy"] == {
        "stream": str(ledger.stream),
        "seq": 2,
        "field": "kind",
        "expected": "vote.cast",
        "found": "x.y",
    }


def test_the_command_takes_a_stream_by_id_or_name(ledger):
    assert run("--stream", str(ledger.stream)).startswith("The ledger verifies: 4 entries in 1")
    assert run("--stream", "access").startswith("The ledger verifies: 2 entries in 1")


@pytest.mark.parametrize(
    "text", ["No Name", "identity", "run:0198c0de-0000-7000-8000-000000000001"]
)
def test_the_command_refuses_a_stream_that_is_not_there(ledger, text):
    with pytest.raises(CommandError) as caught:
        run("--stream", text)

    assert caught.value.returncode == 2


def test_an_empty_stream_with_a_guard_row_is_there():
    stream = ids.uuid7()
    Stream.objects.create(id=stream, name=f"project:{stream}")

    assert run("--stream", f"project:{stream}").startswith("The ledger verifies: 0 entries")


def test_the_command_reports_progress(ledger, monkeypatch):
    monkeypatch.setattr(verification, "_PROGRESS_ENTRY_COUNT", 5)

    assert "5 entries hold so far" in run()


# --- heads kept elsewhere -----------------------------------------------------------------------


@pytest.fixture
def kept(ledger, tmp_path):
    """Return a file with the heads as they are now."""
    path = tmp_path / "heads.txt"
    path.write_text(run("--heads"), encoding="utf-8")
    return path


def test_the_heads_are_printed(ledger, kept):
    lines = kept.read_text(encoding="utf-8").splitlines()

    assert f"{ledger.stream} 4 {ledger.head.hex()}" in lines
    assert len(lines) == 5  # with the summary, and that nobody seals


def test_a_ledger_that_only_grew_still_has_the_heads_kept_elsewhere(ledger, kept):
    append(ledger)

    assert run("--against", str(kept)).startswith("The ledger verifies: 10 entries")


def test_a_ledger_rewritten_without_a_trace_lacks_a_head_kept_elsewhere(ledger, kept):
    tamper(
        "TRUNCATE audit_entry, audit_payload, audit_pending, audit_leaf",
        "DELETE FROM audit_stream",
    )
    again = fill(entry_count=4)

    assert run().startswith("The ledger verifies")
    with pytest.raises(CommandError) as caught:
        run("--against", str(kept))

    assert caught.value.returncode == 1
    assert "found none" in str(caught.value)
    assert again.seq == ledger.seq


@pytest.mark.parametrize("content", [None, b"", b"nothing here\n", b"\xff\xfe"])
def test_a_file_without_heads_proves_nothing_and_is_refused(ledger, tmp_path, content):
    path = tmp_path / "heads.txt"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(CommandError) as caught:
        run("--against", str(path))

    assert caught.value.returncode == 2
