"""What those who look after the ledger see of its ways out, and what they can do about them."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from audit import store
from audit.anchoring.anchoring import anchor_once
from audit.domain.entry import stream_id_of
from audit.forwarding.forwarder import forward_once
from audit.models import OutwardCursor
from audit.outward import conf
from tests.integration.outward.conftest import cursor_of
from tests.integration.outward.log import ORIGIN, list_leaves, seal, write
from tests.loopback import Answer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sink(settings, site, authority, monkeypatch, tmp_path):
    """Configure one sink and one anchor as a deployment does."""
    secret = tmp_path / "secret"
    secret.write_text("whsec_" + "a2V5" * 8 + "\n", encoding="ascii")
    settings.LEDGER_ORIGIN = ORIGIN
    settings.LEDGER_SINKS = [
        {
            "name": "lake",
            "kind": "https",
            "url": f"https://127.0.0.1:{site.port}/in",
            "private": True,
            "ca_file": str(authority.file),
            "secret_file": str(secret),
            "format": "entry",
        }
    ]
    settings.LEDGER_ANCHORS = [{"name": "vault", "kind": "file", "folder": str(tmp_path / "v")}]
    return conf.sinks()[0]


def _run(*words):
    out = StringIO()
    try:
        call_command("ledger", *words, stdout=out, stderr=out)
    except SystemExit as end:
        return end.code, out.getvalue()
    return 0, out.getvalue()


def test_status_says_where_a_sink_is_and_what_went_wrong(sink, site):
    write(3)
    seal()
    assert _run("forward") == (0, "lake (https): going at 0, 3 behind\n")
    site.answer = lambda _: Answer(status=503)
    forward_once(sink)

    code, said = _run("forward")
    assert code == 0
    assert said.startswith("lake (https): going at 0, 3 behind; 1 attempts since: https://127")
    assert said.endswith("answered 503\n")

    site.answer = lambda _: Answer(status=401)
    OutwardCursor.objects.update(next_at="2020-01-01T00:00:00Z")
    forward_once(sink)
    code, said = _run("forward")
    assert code == 1
    assert "stopped at 0" in said


def test_a_stopped_sink_goes_on_when_somebody_says_so_and_why(sink, site):
    write(2)
    seal()
    site.answer = lambda _: Answer(status=401)
    forward_once(sink)
    site.answer = lambda _: Answer()

    assert _run("forward", "--resume", "lake")[0] == 2, "not without a reason"
    assert cursor_of("lake").state == "stopped"
    assert _run("forward", "--resume", "lake", "--reason", "new secret")[0] == 0

    assert forward_once(sink) == 2
    entries = store.read_stream(stream=stream_id_of("ledger"), limit=9)
    assert [entry.kind for entry in entries] == ["sink.stopped", "sink.resumed"]
    assert entries[1].payloads == {"reason": "new secret"}
    with pytest.raises(CommandError):
        call_command("ledger", "forward", "--resume", "lake", "--reason", "it goes already")


def test_everything_is_sent_again_from_a_leaf_on_record(sink, site):
    write(5)
    seal()
    forward_once(sink)

    assert _run("forward", "lake", "--from", "2", "--reason", "the index was lost")[0] == 0
    assert forward_once(sink) == 3

    keys = [received.headers["idempotency-key"] for received in site.received]
    assert keys == ["0-4", "2-4"]
    row = cursor_of("lake")
    assert (row.position, row.generation, bytes(row.mark)) == (5, 1, list_leaves()[4])
    (entry,) = store.read_stream(stream=stream_id_of("ledger"), limit=9)
    assert (entry.kind, entry.data) == ("sink.rewound", {"leaf": 2})
    for words in (("lake", "--from", "99"), ("none", "--from", "0")):
        with pytest.raises(CommandError):
            call_command("ledger", "forward", *words, "--reason", "r")
    assert _run("forward", "--from", "0", "--reason", "r")[0] == 2


def test_the_database_lets_no_cursor_go_back_unnoticed(sink):
    write(2)
    seal()
    forward_once(sink)
    for change in ("position = 0", "name = 'other'", "position = 0, generation = 7"):
        with (
            pytest.raises(DatabaseError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(f"UPDATE audit_outward_cursor SET {change}")
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("DELETE FROM audit_outward_cursor")


def test_status_and_verification_of_anchors_are_one_command(sink):
    write(2)
    seal()

    assert _run("anchor") == (0, "vault (file): going at 0, 2 behind\n")
    code, said = _run("anchor", "--now")
    assert code == 0
    assert said.startswith("vault (file): going at 2, 0 behind, last success 20")
    assert _run("anchor", "--verify") == (0, "vault: 1 tree heads hold\n")


def test_a_deployment_without_anchors_and_sinks_is_told_so(settings):
    settings.LEDGER_SINKS = settings.LEDGER_ANCHORS = []

    assert "LEDGER_ANCHORS is empty" in _run("anchor")[1]
    assert "LEDGER_SINKS is empty" in _run("forward")[1]


def test_receipts_never_change(sink):
    write()
    seal()
    anchor_once(conf.anchors()[0])

    for sql in ("UPDATE audit_anchor_receipt SET root = root", "DELETE FROM audit_anchor_receipt"):
        with (
            pytest.raises(DatabaseError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(sql)
