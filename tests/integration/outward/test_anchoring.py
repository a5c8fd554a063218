"""Tree heads kept elsewhere: folders, addresses, witnesses, and what they know that we do not."""

import stat
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import store
from audit.anchoring import anchoring, rows
from audit.anchoring.anchoring import anchor_once, list_anchor_jobs
from audit.anchoring.knowing import list_known
from audit.anchoring.verifying import verify_anchors
from audit.domain.entry import stream_id_of
from audit.domain.errors import SealRefusal, SealRefusedError
from audit.domain.merkle import tree_root
from audit.domain.notes import SigningKey, open_note
from audit.models import AnchorReceipt
from audit.outward.targets import Endpoint, FileAnchor, WebhookAnchor, WitnessAnchor
from audit.selectors.log import get_checkpoint
from core.kernel.clock import SYSTEM_CLOCK
from engine.domain.triggers import Provider
from engine.domain.webhooks import Signed, check_signature
from tests.fakes.witness import Witness
from tests.integration.outward.conftest import SECRET, cursor_of, make_due
from tests.integration.outward.log import KEY, ORIGIN, list_leaves, seal, sign_head, write
from tests.loopback import Answer
from tests.sealed import ORIGIN as SEALED_ORIGIN
from tests.sealed import SealedLog

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def folder(tmp_path, settings):
    settings.LEDGER_ORIGIN = ORIGIN
    path = tmp_path / "vault"
    settings.LEDGER_ANCHORS = [{"name": "vault", "kind": "file", "folder": str(path)}]
    return path / "countersign.example%2Fledger"


@pytest.fixture
def vault(folder):
    return FileAnchor(name="vault", folder=str(folder.parent))


@pytest.fixture
def witness(site):
    found = Witness()
    found.trust(ORIGIN, KEY.verifier)
    site.answer = found.serve
    return found


@pytest.fixture
def armory(site, authority, witness):
    endpoint = Endpoint(
        url=f"https://127.0.0.1:{site.port}/w1", is_private=True, ca_file=str(authority.file)
    )
    return WitnessAnchor(name="armory", endpoint=endpoint, vkey=witness.vkey.text)


def _recorded():
    return [
        (entry.kind, dict(entry.data))
        for entry in store.read_stream(stream=stream_id_of("ledger"), limit=50)
    ]


# --- folders -------------------------------------------------------------------------------------


def test_a_tree_head_becomes_a_file_that_is_never_written_again(folder, vault):
    write(3)
    seal()

    assert anchor_once(vault) == 1

    path = folder / "00000000000000000003.note"
    assert open_note(path.read_text(encoding="utf-8"), (KEY.verifier,)).text.startswith(ORIGIN)
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert list(folder.iterdir()) == [path], "nothing half-written stays"
    root = tree_root(list_leaves())
    assert _recorded() == [
        ("log.anchored", {"kind": "file", "size": 3, "root": root.hex()}),
    ]
    receipt = AnchorReceipt.objects.get()
    assert (receipt.tree_size, receipt.answer) == (3, path.name)


def test_a_crash_between_the_file_and_the_record_is_made_good(folder, vault, monkeypatch):
    write()
    seal()
    with monkeypatch.context() as patch:
        patch.setattr(anchoring, "_receive", _raise)
        with pytest.raises(RuntimeError):
            anchor_once(vault)
    assert not AnchorReceipt.objects.exists()

    make_due("vault")
    assert anchor_once(vault) == 1
    assert AnchorReceipt.objects.count() == 1


def _raise(*_args):
    raise RuntimeError("the power went")


def test_an_anchoring_is_no_reason_for_the_next(folder, vault):
    write()
    seal()
    anchor_once(vault)
    seal()  # which seals the entry about the anchoring
    make_due("vault")

    assert anchor_once(vault) == 0
    assert len(_recorded()) == 1

    write()
    seal()
    assert anchor_once(vault) == 1
    write()
    seal()
    assert anchor_once(vault) == 0, "not before its time"


def test_nothing_to_do_costs_one_query(folder, vault):
    write()
    seal()
    anchor_once(vault)

    with CaptureQueriesContext(connection) as queries:
        assert anchor_once(vault) == 0

    assert len(queries) == 1


def test_a_larger_tree_in_the_folder_is_an_alarm(folder, vault):
    write(2)
    seal()
    note = sign_head(5, b"\x05" * 32)
    folder.mkdir(parents=True)
    (folder / "00000000000000000005.note").write_text(note, encoding="utf-8")

    assert anchor_once(vault) == 0

    row = cursor_of("vault")
    assert (row.state, row.told_size, bytes(row.told_root)) == ("disputed", 5, b"\x05" * 32)
    assert [kind for kind, _ in _recorded()] == ["log.disputed"]
    known = {(item.size, item.root) for item in list_known(ORIGIN)}
    assert known == {(5, b"\x05" * 32)}
    make_due("vault")
    anchor_once(vault)
    assert len(_recorded()) == 1, "an alarm that goes on is on record once"


def test_a_folder_with_another_tree_of_the_same_size_is_an_alarm(folder, vault):
    write(2)
    seal()
    folder.mkdir(parents=True)
    path = folder / "00000000000000000002.note"
    path.write_text(sign_head(2, b"\x02" * 32), encoding="utf-8")

    assert anchor_once(vault) == 0

    row = cursor_of("vault")
    assert (row.state, row.told_size, bytes(row.told_root)) == ("disputed", 2, b"\x02" * 32)
    assert "root" in _recorded()[0][1]


def test_a_file_that_is_not_ours_is_no_alarm_and_is_left_alone(folder, vault):
    write(2)
    seal()
    folder.mkdir(parents=True)
    stranger = SigningKey.generate(ORIGIN, seed=b"x" * 32)
    for size, key in ((2, stranger), (7, stranger)):
        path = folder / f"{size:020d}.note"
        path.write_text(sign_head(size, b"\x02" * 32, key=key), encoding="utf-8")

        assert anchor_once(vault, is_forced=True) == 0

        row = cursor_of("vault")
        assert row.state == "going"
        assert "not ours" in row.last_error
    assert list(list_known(ORIGIN)) == []


def test_kept_notes_are_compared_with_the_log_as_it_is(folder, vault):
    for _ in range(3):
        write(3)
        seal()
        assert anchor_once(vault, is_forced=True) == 1
    out = StringIO()

    call_command("ledger", "anchor", "--verify", stdout=out)

    assert out.getvalue() == "vault: 3 tree heads hold\n"


def test_the_first_fork_is_named(folder, vault):
    write(3)
    seal()
    anchor_once(vault)
    note = sign_head(2, b"\x02" * 32)
    (folder / "00000000000000000002.note").write_text(note, encoding="utf-8")

    found = verify_anchors()

    assert found.fault is not None
    assert "00000000000000000002.note is a fork: its tree of 2 entries" in found.fault


def test_a_note_that_is_gone_is_named(folder, vault):
    write(3)
    seal()
    anchor_once(vault)
    (folder / "00000000000000000003.note").unlink()

    assert "is gone" in (verify_anchors().fault or "")


def test_a_folder_that_cannot_be_written_is_said_and_tried_again(tmp_path):
    write()
    seal()
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    anchor = FileAnchor(name="vault", folder=str(tmp_path / "file"))

    assert anchor_once(anchor) == 0

    row = cursor_of("vault")
    assert (row.state, row.attempt_count) == ("going", 1)
    assert "Not a directory" in row.last_error


# --- addresses -----------------------------------------------------------------------------------


def test_a_webhook_gets_the_note_as_it_was_signed(site, authority):
    write(2)
    seal()
    endpoint = Endpoint(
        url=f"https://127.0.0.1:{site.port}/heads",
        is_private=True,
        ca_file=str(authority.file),
        is_signed=True,
        secret=SECRET,
    )
    anchor = WebhookAnchor(name="hook", endpoint=endpoint)

    assert anchor_once(anchor) == 1

    (received,) = site.received
    assert open_note(received.body.decode(), (KEY.verifier,)).text.split("\n")[1] == "2"
    signed = check_signature(
        provider=Provider.STANDARD,
        headers=received.headers,
        body=received.body,
        secrets=[SECRET],
        now=SYSTEM_CLOCK.now(),
    )
    assert isinstance(signed, Signed)


def test_a_webhook_that_redirects_or_fails_has_nothing(site, authority):
    write()
    seal()
    endpoint = Endpoint(
        url=f"https://127.0.0.1:{site.port}/heads",
        is_private=True,
        ca_file=str(authority.file),
        is_signed=True,
        secret=SECRET,
    )
    anchor = WebhookAnchor(name="hook", endpoint=endpoint)
    for status in (302, 400, 500):
        site.answer = lambda _, status=status: Answer(status=status, headers={"Location": "/"})

        assert anchor_once(anchor, is_forced=True) == 0

        assert f"answered {status}" in cursor_of("hook").last_error
    assert not AnchorReceipt.objects.exists()


# --- witnesses -----------------------------------------------------------------------------------


def test_a_witness_cosigns_each_tree_and_its_line_is_kept(armory, witness):
    write(5)
    seal()
    assert anchor_once(armory) == 1
    write(300)
    seal()
    make_due("armory")
    assert anchor_once(armory) == 1

    assert witness.state[ORIGIN] == (306, tree_root(list_leaves())), "300 and one anchoring"
    (receipt,) = rows.list_receipts(origin=ORIGIN, tree_size=306)
    standing = rows.read_standing(name="armory")
    assert standing is not None
    note = standing.head.note
    opened = open_note(note + receipt.answer, (KEY.verifier, witness.vkey))
    assert [signed.key.name for signed in opened.signed] == [ORIGIN, "witness.example/w1"]
    assert opened.signed[1].at == witness.now


def test_the_served_checkpoint_has_the_cosignatures(armory, witness, settings):
    write(2)
    seal()
    before = get_checkpoint(principal=None, is_public=True)
    anchor_once(armory)

    after = get_checkpoint(principal=None, is_public=True)

    assert after.startswith(before)
    opened = open_note(after, (witness.vkey,))
    assert [signed.key for signed in opened.signed] == [witness.vkey]


def test_the_sealer_refuses_while_a_witness_disputes(armory, witness, tmp_path):
    log = SealedLog(tmp_path)
    write(2)
    log.seal()
    (verifier,) = [key.verifier for key in log.folder.list_keys()]
    witness.trust(SEALED_ORIGIN, verifier)
    assert anchor_once(armory) == 1
    size, root = witness.state[SEALED_ORIGIN]
    witness.state[SEALED_ORIGIN] = (size + 7, b"\x07" * 32)
    write()

    assert anchor_once(armory, is_forced=True) == 0
    with pytest.raises(SealRefusedError) as caught:
        log.seal()
    assert caught.value.reason is SealRefusal.BEHIND_ANCHOR

    witness.state[SEALED_ORIGIN] = (size, root)
    anchor_once(armory, is_forced=True)
    assert log.seal() > 0


def test_a_witness_that_is_elsewhere_says_where_to_go_on(armory, witness):
    write(4)
    seal()
    witness.state[ORIGIN] = (2, tree_root(list_leaves()[:2]))

    assert anchor_once(armory) == 1
    assert witness.state[ORIGIN][0] == 4


def test_a_witness_that_knows_a_larger_tree_raises_the_alarm(armory, witness):
    write(2)
    seal()
    witness.state[ORIGIN] = (9, b"\x09" * 32)

    assert anchor_once(armory) == 0

    row = cursor_of("armory")
    assert (row.state, row.told_size) == ("disputed", 9)
    assert _recorded() == [("log.disputed", {"kind": "witness", "size": 9})]
    (known,) = list_known(ORIGIN)
    assert (known.size, known.root) == (9, None)


@pytest.mark.parametrize("size", [2, 3])
def test_a_witness_that_knows_another_tree_raises_the_alarm(armory, witness, size):
    write(3)
    seal()
    witness.state[ORIGIN] = (size, b"\x01" * 32)

    assert anchor_once(armory) == 0

    row = cursor_of("armory")
    assert (row.state, row.told_size) == ("disputed", size)
    (known,) = list_known(ORIGIN)
    assert known.root == bytes(32), "no tree of ours has this root, so the sealer stops"


def test_an_alarm_ends_when_the_witness_agrees_again(armory, witness):
    write(2)
    seal()
    root = tree_root(list_leaves())
    witness.state[ORIGIN] = (9, b"\x09" * 32)
    anchor_once(armory)
    witness.state[ORIGIN] = (2, root)
    make_due("armory")

    anchor_once(armory)

    assert cursor_of("armory").state == "going"
    assert list(list_known(ORIGIN)) == []


def test_a_new_keeper_asks_what_the_witness_knows_though_nothing_is_new(
    armory, witness, settings, site, authority
):
    write(2)
    seal()
    anchor_once(armory)
    settings.LEDGER_ANCHORS = [
        {
            "name": "armory",
            "kind": "witness",
            "url": armory.endpoint.url,
            "vkey": armory.vkey,
            "private": True,
            "ca_file": str(authority.file),
        }
    ]
    witness.state[ORIGIN] = (9, b"\x09" * 32)  # as after a restore of this database
    (job,) = list_anchor_jobs()

    job.run_once()

    assert cursor_of("armory").state == "disputed"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda _: Answer(body=b"nothing"), "does not hold"),
        (lambda answer: Answer(body=answer.body.replace(b"w1 ", b"w2 ")), "does not hold"),
        (lambda answer: Answer(body=answer.body[:-9] + b"AAAAAAA=\n"), "does not hold"),
        (lambda _: Answer(body=b"\xff"), "is no text"),
        (lambda _: Answer(status=404), "does not know the log"),
        (lambda _: Answer(status=403), "does not know the key"),
        (lambda _: Answer(status=503, headers={"Retry-After": "60"}), "answered 503"),
        (lambda _: Answer(status=409, body=b"many"), "answered 409"),
    ],
)
def test_only_a_cosignature_that_holds_is_believed(armory, witness, site, spoil, reason):
    write()
    seal()
    site.answer = lambda received: spoil(witness.serve(received))

    assert anchor_once(armory) == 0

    row = cursor_of("armory")
    assert reason in row.last_error
    assert row.state == "going"
    assert not AnchorReceipt.objects.exists()
