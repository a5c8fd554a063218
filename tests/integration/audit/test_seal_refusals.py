"""When the sealer refuses: a database set back, a folder that forgot, heads that are not ours."""

from contextlib import contextmanager

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from audit.domain.checkpoints import Checkpoint
from audit.domain.entry import read_entry
from audit.domain.errors import (
    RestoreRefusedError,
    SealRefusal,
    SealRefusedError,
    SigningKeyError,
)
from audit.domain.notes import SigningKey, VerifierKey, open_note
from audit.models import Entry, Key, Leaf, TreeHead
from audit.sealing import guarding
from audit.sealing.doctor import examine
from audit.sealing.guarding import KnownHead
from audit.sealing.keys import KeyFolder, sign_checkpoint
from audit.sealing.recording import make_origin
from audit.sealing.registering import ensure_key, retire_key, rotate_key
from audit.sealing.restoring import accept_restore, adopt_head
from audit.selectors.verification import verify_ledger
from core.kernel import ids
from tests.integration.audit.streams import append, fill, open_stream
from tests.integration.audit.tampering import tamper
from tests.sealed import ORIGIN, SealedLog

pytestmark = pytest.mark.django_db(transaction=True)

OTHER = "other.example.org/ledger"


@pytest.fixture
def log(tmp_path):
    log = SealedLog(tmp_path)
    fill()
    log.seal()
    return log


def refusal_of(log):
    with pytest.raises(SealRefusedError) as caught:
        log.seal()
    return caught.value.reason


def grow(log):
    append(open_stream())
    return log.seal()


def codes(log, *, origin=ORIGIN):
    return [finding.code for finding in examine(folder=log.folder, origin=origin)]


@contextmanager
def restored_afterwards():
    """Copy the database, and put the copy in its place at the end: a restore, as they happen."""
    name = connection.settings_dict["NAME"]
    copy = f"{name}_{ids.uuid7().hex[-12:]}"
    connection.close()
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{name}"')
    yield
    connection.close()
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        cursor.execute(f'ALTER DATABASE "{copy}" RENAME TO "{name}"')


# --- a database that was set back ---------------------------------------------------------------


def test_below_what_was_signed_nothing_is_signed(log):
    with restored_afterwards():
        grow(log)
    append(open_stream())
    before = TreeHead.objects.count()

    assert refusal_of(log) is SealRefusal.BEHIND_LAST_SIGNED
    assert TreeHead.objects.count() == before
    assert codes(log) == ["behind_last_signed", "late"]


def test_another_history_of_the_same_size_is_not_signed(log):
    with restored_afterwards():
        grow(log)
    impostor = SealedLog.__new__(SealedLog)
    impostor.origin, impostor.clock, impostor.folder = log.origin, log.clock, log.folder
    note = log.folder.read_last_signed()
    # Somebody with the key but without its memory goes on from the older state.
    (log.folder.path / "last-signed").unlink()
    adopt_head(folder=log.folder, name=ORIGIN, origin=make_origin(), why="forgot")
    grow(impostor)
    (log.folder.path / "last-signed").write_text(note)

    assert refusal_of(log) is SealRefusal.DIFFERS_FROM_LAST_SIGNED


def test_a_refusal_is_on_record_once_and_sealing_goes_on_by_itself(log):
    with restored_afterwards():
        grow(log)
    sealer = log.sealer()

    for _ in range(3):
        assert sealer._round(1.0) == 5.0

    entries = Entry.objects.filter(kind="seal.refused")
    assert [read_entry(bytes(entry.body)).data["reason"] for entry in entries] == [
        "behind_last_signed"
    ]
    (log.folder.path / "last-signed").write_text(TreeHead.objects.latest("pk").note)
    assert sealer._round(1.0) == 1.0
    assert Leaf.objects.filter(entry__kind="seal.refused").exists()


def test_an_accepted_restore_ends_the_log_and_begins_another(log):
    with restored_afterwards():
        grow(log)
        grow(log)
    kept = TreeHead.objects.latest("pk").tree_size

    done = accept_restore(folder=log.folder, name=OTHER, origin=make_origin(), why="disk lost")

    assert (done.before, done.now, done.signed_size, done.kept_size) == (
        ORIGIN,
        OTHER,
        kept + 2,
        kept,
    )
    other = SealedLog.__new__(SealedLog)
    other.origin, other.clock, other.folder = OTHER, log.clock, log.folder
    assert other.seal() > 0
    found = verify_ledger()
    assert (found.discrepancy, found.origin) == (None, OTHER)
    newest = TreeHead.objects.latest("pk")
    names = {key.name for key in Key.objects.all()}
    assert names == {ORIGIN, OTHER}
    signed = open_note(newest.note, [VerifierKey.parse(key.vkey) for key in Key.objects.all()])
    assert {item.key.name for item in signed.signed} == {OTHER}, "the old log's key signs no more"
    entry = read_entry(bytes(Entry.objects.get(kind="log.restored").body))
    assert (entry.data["from"], entry.data["to"], entry.data["signed"]) == (ORIGIN, OTHER, kept + 2)


def test_after_a_restore_the_old_name_is_refused(log):
    with restored_afterwards():
        grow(log)
    accept_restore(folder=log.folder, name=OTHER, origin=make_origin(), why="disk lost")
    other = SealedLog.__new__(SealedLog)
    other.origin, other.clock, other.folder = OTHER, log.clock, log.folder
    other.seal()

    assert refusal_of(log) is SealRefusal.ORIGIN_CHANGED


def test_a_second_restore_to_before_the_first_is_refused_and_can_be_accepted(log):
    third = "third.example.org/ledger"
    with restored_afterwards():
        grow(log)
        append(open_stream())
        with restored_afterwards():
            grow(log)
            grow(log)
        accept_restore(folder=log.folder, name=OTHER, origin=make_origin(), why="disk lost")
        other = SealedLog.__new__(SealedLog)
        other.origin, other.clock, other.folder = OTHER, log.clock, log.folder
        other.seal()

    assert refusal_of(other) in {SealRefusal.ORIGIN_CHANGED, SealRefusal.KEY_UNREGISTERED}
    accept_restore(folder=log.folder, name=third, origin=make_origin(), why="again")
    last = SealedLog.__new__(SealedLog)
    last.origin, last.clock, last.folder = third, log.clock, log.folder
    assert last.seal() > 0
    assert verify_ledger().discrepancy is None


def test_nothing_is_accepted_where_nothing_is_lost(log):
    with pytest.raises(RestoreRefusedError, match="nothing is lost"):
        accept_restore(folder=log.folder, name=OTHER, origin=make_origin(), why="a whim")


def test_the_name_of_a_log_is_used_once(log):
    with restored_afterwards():
        grow(log)

    with pytest.raises(RestoreRefusedError, match="used already"):
        accept_restore(folder=log.folder, name=ORIGIN, origin=make_origin(), why="disk lost")


# --- what is known outside ----------------------------------------------------------------------


@pytest.fixture
def witness(monkeypatch):
    """Return a list of heads that somebody outside remembers."""
    known: list[KnownHead] = []
    monkeypatch.setattr(guarding, "_witnesses", [])
    guarding.register_witness_of_size(lambda origin: [k for k in known if k.origin == origin])
    return known


def test_an_anchor_that_knows_more_stops_the_sealer(log, witness):
    size = TreeHead.objects.latest("pk").tree_size
    witness.append(KnownHead(origin=ORIGIN, size=size + 1, root=None, where="the file anchor"))

    assert refusal_of(log) is SealRefusal.BEHIND_ANCHOR
    assert codes(log) == ["behind_anchor"]


def test_an_anchor_that_knows_otherwise_stops_the_sealer(log, witness):
    size = TreeHead.objects.latest("pk").tree_size
    witness.append(KnownHead(origin=ORIGIN, size=size, root=bytes(32), where="the witness"))

    assert refusal_of(log) is SealRefusal.DIFFERS_FROM_ANCHOR


def test_an_anchor_that_knows_the_same_or_another_log_stops_nobody(log, witness):
    head = TreeHead.objects.latest("pk")
    witness.append(KnownHead(origin=ORIGIN, size=head.tree_size, root=bytes(head.root), where="a"))
    witness.append(KnownHead(origin=OTHER, size=10**9, root=bytes(32), where="b"))

    assert grow(log) == 1


# --- the database says otherwise -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE audit_tree_head SET note = replace(note, '—', '-')", SealRefusal.HEAD_UNVERIFIED),
        ("UPDATE audit_tree_head SET root = sha256(root)", SealRefusal.HEAD_UNVERIFIED),
        ("UPDATE audit_entry SET leaf = sha256(leaf)", SealRefusal.TREE_DAMAGED),
        ("DELETE FROM audit_leaf WHERE leaf_index = 1", SealRefusal.TREE_DAMAGED),
        (
            "INSERT INTO audit_leaf SELECT 4, max(entry_id) FROM audit_pending",
            SealRefusal.TREE_DAMAGED,
        ),
        ("DELETE FROM audit_tree_head", SealRefusal.BEHIND_LAST_SIGNED),
    ],
)
def test_what_was_tampered_with_is_not_built_on(log, statement, reason):
    append(open_stream())
    tamper(statement)
    before = Leaf.objects.count(), TreeHead.objects.count()

    assert refusal_of(log) is reason
    assert (Leaf.objects.count(), TreeHead.objects.count()) == before


def test_a_head_of_another_key_is_not_built_on(log):
    head = TreeHead.objects.latest("pk")
    stranger = SigningKey.generate(ORIGIN, seed=bytes(32))
    forged = sign_checkpoint(
        Checkpoint(origin=ORIGIN, size=head.tree_size, root=bytes(head.root)), keys=(stranger,)
    )
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_tree_head DISABLE TRIGGER audit_tree_head_no_update")
        cursor.execute("UPDATE audit_tree_head SET note = %s", (forged,))
        cursor.execute(
            "ALTER TABLE audit_tree_head ENABLE ALWAYS TRIGGER audit_tree_head_no_update"
        )

    assert refusal_of(log) is SealRefusal.HEAD_UNVERIFIED
    found = verify_ledger().discrepancy
    assert found is not None
    assert found.field == f"tree head {head.tree_size}, note"


def test_another_name_is_refused_without_a_restore(log):
    ensure_key(folder=log.folder, name=OTHER, origin=make_origin())
    log.origin = OTHER

    assert refusal_of(log) is SealRefusal.ORIGIN_CHANGED


# --- keys ----------------------------------------------------------------------------------------


def test_keys_are_made_for_their_owner_only(log):
    folder = log.folder.path
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (folder, *folder.iterdir())}

    assert modes.pop(folder.name) == "0o700"
    assert set(modes.values()) == {"0o600"}


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_others_may_read_does_not_sign(log, mode):
    (path,) = log.folder.path.glob("*.key")
    path.chmod(mode)

    assert refusal_of(log) is SealRefusal.KEY_FOLDER
    assert codes(log) == ["key_folder"]


def test_a_folder_others_may_enter_does_not_sign(log):
    log.folder.path.chmod(0o750)

    assert refusal_of(log) is SealRefusal.KEY_FOLDER


def test_a_folder_that_is_none_is_said_to_be_none(tmp_path, log):
    (tmp_path / "file").write_text("")
    log.folder = KeyFolder(tmp_path / "file")
    assert refusal_of(log) is SealRefusal.KEY_FOLDER
    log.folder = KeyFolder(tmp_path / "file" / "below")
    assert refusal_of(log) is SealRefusal.NO_KEY
    log.folder = KeyFolder(tmp_path / ("x" * 300))
    assert refusal_of(log) is SealRefusal.KEY_FOLDER, "whatever the system says to the path"


def test_more_keys_than_anybody_needs_do_not_sign(log):
    for _ in range(8):
        log.folder.generate(name=ORIGIN)

    assert refusal_of(log) is SealRefusal.KEY_FOLDER


@pytest.mark.parametrize("text", ["", "PRIVATE+KEY+x", "nonsense\n", "ü"])
def test_a_file_without_a_key_is_named_and_not_shown(log, text):
    (path,) = log.folder.path.glob("*.key")
    path.write_text(text)

    with pytest.raises(SealRefusedError) as caught:
        log.seal()

    assert caught.value.reason is SealRefusal.KEY_FOLDER
    assert path.name in caught.value.message


def test_without_a_key_nothing_is_sealed_and_it_is_said(log):
    (path,) = log.folder.path.glob("*.key")
    path.unlink()

    assert refusal_of(log) is SealRefusal.NO_KEY
    assert codes(log) == ["no_key"]


def test_a_key_nobody_put_on_record_does_not_sign(log):
    log.folder.generate(name=ORIGIN)

    assert refusal_of(log) is SealRefusal.KEY_UNREGISTERED
    ensure_key(folder=log.folder, name=ORIGIN, origin=make_origin())
    assert log.seal() == 1


def test_a_folder_that_forgot_does_not_sign_until_somebody_says_so(log):
    (log.folder.path / "last-signed").unlink()

    assert refusal_of(log) is SealRefusal.LAST_SIGNED_MISSING
    head = adopt_head(folder=log.folder, name=ORIGIN, origin=make_origin(), why="new disk")
    assert head.size == TreeHead.objects.latest("pk").tree_size
    assert log.seal() == 1
    assert Entry.objects.filter(kind="head.adopted").count() == 1


def test_memory_in_another_hand_is_not_believed(log):
    stranger = SigningKey.generate(ORIGIN, seed=bytes(32))
    note = sign_checkpoint(Checkpoint(origin=ORIGIN, size=0, root=bytes(32)), keys=(stranger,))
    (log.folder.path / "last-signed").write_text(note)

    assert refusal_of(log) is SealRefusal.LAST_SIGNED_INVALID


def test_two_keys_sign_while_they_overlap_and_the_old_one_can_be_retired(log):
    old = log.keys[0].verifier
    fresh = rotate_key(folder=log.folder, name=ORIGIN, origin=make_origin(), why="yearly").verifier
    grow(log)
    both = TreeHead.objects.latest("pk").note
    retire_key(
        folder=log.folder, name=ORIGIN, key_id=old.key_id.hex(), origin=make_origin(), why="yearly"
    )
    grow(log)
    alone = TreeHead.objects.latest("pk").note

    assert len(open_note(both, [old, fresh]).signed) == 2
    assert [item.key for item in open_note(alone, [old, fresh]).signed] == [fresh]
    assert verify_ledger().discrepancy is None, "old heads are read with the old key"
    kinds = Entry.objects.filter(kind__startswith="key.").order_by("pk")
    assert list(kinds.values_list("kind", flat=True)) == ["key.added", "key.rotated", "key.retired"]
    assert codes(log) == []


def test_the_last_key_is_not_retired(log):
    with pytest.raises(SigningKeyError, match="Nobody would sign"):
        retire_key(
            folder=log.folder,
            name=ORIGIN,
            key_id=log.keys[0].verifier.key_id.hex(),
            origin=make_origin(),
            why="",
        )

    assert grow(log) == 1


def test_a_retired_key_that_comes_back_is_found(log):
    key = log.keys[0]
    rotate_key(folder=log.folder, name=ORIGIN, origin=make_origin(), why="")
    key_id = key.verifier.key_id.hex()
    retire_key(folder=log.folder, name=ORIGIN, key_id=key_id, origin=make_origin(), why="")
    path = log.folder.path / f"{key_id}.key"
    path.write_text(f"{key.text}\n")
    path.chmod(0o600)

    assert codes(log) == ["key_retired"]
    retire_key(folder=log.folder, name=ORIGIN, key_id=key_id, origin=make_origin(), why="")
    assert codes(log) == []
    with pytest.raises(SigningKeyError, match="retired before"):
        retire_key(folder=log.folder, name=ORIGIN, key_id=key_id, origin=make_origin(), why="")
    assert Entry.objects.filter(kind="key.retired").count() == 1


# --- commands ------------------------------------------------------------------------------------


@pytest.fixture
def installed(tmp_path, settings):
    settings.LEDGER_ORIGIN = ORIGIN
    settings.LEDGER_KEYS_DIR = tmp_path / "keys"
    return KeyFolder(tmp_path / "keys")


def test_the_commands_make_a_key_seal_and_find_nothing_wrong(installed, capsys):
    call_command("ledger", "keygen")
    (line,) = capsys.readouterr().out.split()
    call_command("ledger", "keygen")
    fill()
    call_command("ledger", "seal", "--once")
    call_command("ledger", "doctor")
    call_command("ledger", "keys")
    call_command("verify_ledger", "--key", line)

    out = capsys.readouterr().out
    assert "1 keys of test.example.org/ledger sign already." in out
    assert "4 entries are sealed now." in out
    assert "Nothing is wrong with the sealing of test.example.org/ledger." in out
    assert f"{line}\n# since " in out  # a comment, so that it can be given as --key-file


def test_a_head_of_a_key_the_auditor_does_not_trust_is_named(installed, capsys):
    call_command("ledger", "keygen")
    call_command("ledger", "seal", "--once")
    stranger = SigningKey.generate(ORIGIN, seed=bytes(32)).verifier.text

    with pytest.raises(CommandError, match="None of the trusted keys"):
        call_command("verify_ledger", "--key", stranger)


def test_a_loss_is_accepted_only_by_somebody_and_for_a_reason(installed):
    call_command("ledger", "keygen")

    for arguments in (["--accept-restore", "fire"], ["--accept-restore", " ", "--by", "ada"]):
        with pytest.raises(CommandError, match="Say why"):
            call_command("ledger", "doctor", *arguments)
    with pytest.raises(CommandError, match="no account"):
        call_command("ledger", "doctor", "--accept-restore", "fire", "--by", "nobody")


def test_the_doctor_ends_with_1_and_says_what_to_do(installed, capsys):
    with pytest.raises(SystemExit) as caught:
        call_command("ledger", "doctor", "--json")

    assert caught.value.code == 1
    assert '"code": "no_key"' in capsys.readouterr().out
