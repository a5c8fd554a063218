"""The log over HTTP: heads, proofs and receipts, for those who may read the ledger."""

import json
from base64 import b64decode
from hashlib import sha256

import pytest
from django.db import connection

from approvals.models import Vote
from audit.anchoring import rows
from audit.anchoring.rows import NewestHead
from audit.domain.entry import commitment, leaf_hash, read_entry
from audit.domain.merkle import check_consistency, check_inclusion
from audit.domain.notes import open_note
from audit.models import Entry, Key, Leaf, Payload
from audit.outward.models import OutwardCursor
from audit.selectors.proofs import latest_head
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.roles import assign_role
from core.kernel.canonical import canonical_bytes
from countersign import verify as verifier
from tests.fakes.drafts import AT, draft
from tests.fakes.witness import cosigned
from tests.integration.audit import logs
from tests.integration.audit.streams import append, open_stream


@pytest.fixture
def auditor(town):
    """Return the client of somebody who may read everything."""
    town.user("ada")
    assign_role(
        principal=town.system,
        role="auditor",
        scope_id=GLOBAL_SCOPE_ID,
        user_id=town.users["ada"].pk,
    )
    return town.as_("ada")


@pytest.fixture
def entry(auditor):
    """Return a sealed entry with payloads, behind all that founding a town wrote."""
    drafts = [draft(payloads={"comment": "größer", "form": {"a": 1}}), draft()]
    head, _ = append(open_stream(), *drafts)
    logs.seal()
    return Entry.objects.get(stream=head.stream, seq=1)


def test_the_state_of_the_log_says_what_is_signed_and_what_waits(auditor, entry):
    Key.objects.create(
        key_id="0a0b0c0d", name="old.example", vkey=logs.KEY.verifier.text, added_at=AT
    )
    append(open_stream(), draft(), draft())

    answer = auditor.get("ledger/log/").json()

    assert answer["origin"] == logs.ORIGIN
    assert answer["head"]["size"] == Leaf.objects.count()
    opened = open_note(answer["head"]["note"], [logs.KEY.verifier])
    assert str(answer["head"]["size"]) in opened.text
    assert answer["pending_count"] == 2
    assert answer["pending_seconds"] > 0
    assert [key["vkey"] for key in answer["keys"]] == [logs.KEY.verifier.text]
    assert answer["anchors"] == []


def test_the_state_of_the_log_says_how_far_its_anchors_are(
    town, auditor, entry, tmp_path, settings
):
    settings.LEDGER_ORIGIN = logs.ORIGIN
    settings.LEDGER_ANCHORS = [{"name": "shelf", "kind": "file", "folder": str(tmp_path)}]
    OutwardCursor.objects.create(
        role="anchor", name="shelf", origin=logs.ORIGIN, position=7, state="going", next_at=AT
    )
    town.user("paul", "auditor")  # of the project

    [anchor] = auditor.get("ledger/log/").json()["anchors"]

    assert anchor == {"name": "shelf", "kind": "file", "size": 7, "state": "going"}
    assert town.as_("paul").get("ledger/log/").json()["anchors"] is None


def test_a_receipt_brings_what_witnesses_signed(auditor, entry, tmp_path):
    head = latest_head()
    assert head is not None
    text = open_note(head.note, [logs.KEY.verifier]).text
    witness, line = cosigned(text, at=1_800_000_000)
    newest = NewestHead(size=head.size, root=head.root, note=head.note, origin=logs.ORIGIN)
    rows.add_receipt(anchor="w1", kind="witness", head=newest, answer=line)

    found = auditor.get(f"ledger/entries/{entry.pk}/receipt/")

    opened = open_note(found.json()["checkpoint"], [logs.KEY.verifier, witness])
    assert [item.at for item in opened.signed] == [None, 1_800_000_000]
    file = tmp_path / "receipt.json"
    file.write_bytes(found.content)
    for key in (logs.KEY.verifier, witness):
        keys = verifier.read_keys([key.text], [])
        verifier.verify_path(file, verifier.Request(keys=keys, origin=logs.ORIGIN))


def test_a_log_without_heads_says_so(auditor):
    answer = auditor.get("ledger/log/").json()

    assert (answer["origin"], answer["head"]) == ("", None)
    assert answer["pending_count"] > 0


def test_heads_come_newest_first_by_pages(auditor, entry):
    for _ in range(3):
        append(open_stream())
        logs.seal()

    sizes = [head["size"] for page in auditor.pages("ledger/log/heads/", limit=2) for head in page]

    assert len(sizes) == 4
    assert sizes == sorted(sizes, reverse=True)


def test_an_entry_s_proof_holds(auditor, entry):
    first = Leaf.objects.count()
    append(open_stream())
    logs.seal()

    for query, size in ({}, first + 1), ({"size": first}, first):
        answer = auditor.get(f"ledger/entries/{entry.pk}/proof/", **query).json()
        assert answer["size"] == size
        assert answer["leaf"] == bytes(entry.leaf).hex()
        root = bytes.fromhex(answer["root"])
        check_inclusion(
            leaf=leaf_hash(bytes(entry.body)),
            index=answer["index"],
            size=size,
            path=[bytes.fromhex(item) for item in answer["path"]],
            root=root,
        )
        signed = open_note(answer["note"], [logs.KEY.verifier]).text.splitlines()
        assert signed[1] == str(size)


def test_proofs_that_cannot_be_are_refused(auditor, entry, problem):
    size = Leaf.objects.count()
    append(open_stream())
    waiting = Entry.objects.latest("pk")
    path = f"ledger/entries/{entry.pk}/proof/"

    problem(auditor.get(path, size=size + 1), 404, "audit.head_missing")
    for wrong in ("0", "-1", "x", 2**63, ""):
        problem(auditor.get(path, size=wrong), 422, "api.invalid_input")
    problem(auditor.get(path, length=1), 422, "api.invalid_input")
    problem(auditor.get(f"ledger/entries/{10**12}/proof/"), 404, "audit.entry_missing")
    for kind in ("proof", "receipt"):
        answer = auditor.get(f"ledger/entries/{waiting.pk}/{kind}/")
        problem(answer, 409, "audit.not_sealed")
        assert int(answer.headers["Retry-After"]) >= 1
    logs.seal()
    problem(
        auditor.get(f"ledger/entries/{waiting.pk}/proof/", size=size), 422, "audit.proof_invalid"
    )


def test_two_trees_are_proved_to_be_one_log(auditor, entry, problem):
    size = Leaf.objects.count()

    answer = auditor.get("ledger/log/consistency/", first=3, second=size).json()

    check_consistency(
        first=3,
        first_root=bytes.fromhex(answer["first_root"]),
        second=size,
        second_root=bytes.fromhex(answer["second_root"]),
        path=[bytes.fromhex(item) for item in answer["path"]],
    )
    problem(
        auditor.get("ledger/log/consistency/", first=1, second=size + 1), 404, "audit.head_missing"
    )
    problem(auditor.get("ledger/log/consistency/", first=3, second=2), 422, "audit.proof_invalid")
    problem(auditor.get("ledger/log/consistency/", first=3), 422, "api.invalid_input")


def test_a_receipt_proves_itself(auditor, entry):
    answer = auditor.get(f"ledger/entries/{entry.pk}/receipt/")

    assert answer.headers["Content-Type"] == "application/json"
    assert f"receipt-entry-{entry.pk}.json" in answer.headers["Content-Disposition"]
    assert answer.headers["Cache-Control"] == "no-store"
    found = json.loads(answer.content)
    assert canonical_bytes(found) == answer.content
    assert found["format"] == "countersign-receipt/v1"
    body = found["entry"].encode()
    _, size, root = open_note(found["checkpoint"], [logs.KEY.verifier]).text.splitlines()
    check_inclusion(
        leaf=sha256(b"\0" + body).digest(),
        index=found["index"],
        size=int(size),
        path=[bytes.fromhex(item) for item in found["path"]],
        root=b64decode(root),
    )
    view = read_entry(body)
    assert [item["name"] for item in found["payloads"]] == ["comment", "form"]
    for item in found["payloads"]:
        opened = commitment(
            stream=view.stream,
            seq=view.seq,
            name=item["name"],
            value_bytes=item["value"].encode(),
            salt=bytes.fromhex(item["salt"]),
        )
        assert opened == view.commitments[item["name"]]


def test_the_offline_verifier_takes_a_receipt_and_no_changed_one(auditor, entry, tmp_path):
    answer = auditor.get(f"ledger/entries/{entry.pk}/receipt/")
    file = tmp_path / "receipt.json"
    wanted = verifier.Request(keys=verifier.read_keys([logs.KEY.verifier.text], []))

    file.write_bytes(answer.content)
    verifier.verify_path(file, wanted)
    for place in range(20, len(answer.content), 97):
        changed = bytearray(answer.content)
        changed[place] ^= 1
        file.write_bytes(bytes(changed))
        with pytest.raises(verifier.DiscrepancyError):
            verifier.verify_path(file, wanted)


def test_an_erased_value_is_not_in_a_receipt_and_the_rest_proves_itself(auditor, entry):
    Payload.objects.filter(entry=entry, name="comment").update(salt=None, value=None)

    found = auditor.get(f"ledger/entries/{entry.pk}/receipt/").json()

    assert [item["name"] for item in found["payloads"]] == ["form"]


def test_an_auditor_of_a_project_gets_its_proofs_and_the_heads_they_need(town, entry, problem):
    town.user("paul", "auditor")
    paul = town.as_("paul")
    head, _ = append(open_stream(), draft(scope=town.project.scope_id))
    logs.seal()
    own = Entry.objects.get(stream=head.stream)

    for path in (f"ledger/entries/{own.pk}/proof/", f"ledger/entries/{own.pk}/receipt/"):
        assert paul.get(path).status_code == 200
    for path in ("ledger/log/", "ledger/log/heads/"):
        assert paul.get(path).status_code == 200
    assert paul.get("ledger/log/consistency/", first=0, second=1).status_code == 200
    for kind in ("proof", "receipt"):
        problem(paul.get(f"ledger/entries/{entry.pk}/{kind}/"), 404, "audit.entry_missing")
    for path in ("ledger/log/", "ledger/log/heads/"):
        problem(town.as_("vera").get(path), 404, "audit.log_missing")
    problem(
        town.as_("vera").get("ledger/log/consistency/", first=0, second=1), 404, "audit.log_missing"
    )


@pytest.fixture
def vote(town, auditor):
    """Return a sealed decision with a comment, that came from an address."""
    request = town.request()
    assert town.decide(request, "ann", comment="as agreed").status_code == 200
    logs.seal()
    return Vote.objects.get(request=request)


def test_a_decision_s_receipt_opens_what_its_reader_may_see(town, vote, auditor, tmp_path):
    path = f"requests/{vote.request_id}/votes/{vote.pk}/receipt/"
    town.user("rita", "viewer", "auditor")  # of the project: sees the request and the entry

    by_reader = {name: town.as_(name).get(path) for name in ("ann", "vera", "mara", "rita")}

    for name, answer in by_reader.items():
        assert answer.status_code == 200, name
        names = [item["name"] for item in answer.json()["payloads"]]
        assert names == (["comment", "source"] if name == "rita" else ["comment"]), name
        assert read_entry(answer.json()["entry"].encode()).seq == vote.seq
        file = tmp_path / f"{name}.json"
        file.write_bytes(answer.content)
        keys = verifier.read_keys([logs.KEY.verifier.text], [])
        verifier.verify_path(file, verifier.Request(keys=keys, origin=logs.ORIGIN))


def test_a_decision_s_receipt_is_refused_to_others_and_before_it_is_sealed(town, vote, problem):
    path = f"requests/{vote.request_id}/votes/{vote.pk}/receipt/"
    problem(town.as_("stan").get(path), 404, "approvals.request_missing")
    other = town.request()
    problem(
        town.as_("ann").get(f"requests/{other.pk}/votes/{vote.pk}/receipt/"),
        404,
        "approvals.vote_missing",
    )
    assert town.decide(other, "bob").status_code == 200
    late = Vote.objects.get(request=other)
    answer = town.as_("bob").get(f"requests/{other.pk}/votes/{late.pk}/receipt/")
    problem(answer, 409, "audit.not_sealed")
    assert answer.headers["Retry-After"] == "2"


def test_a_vote_that_is_not_what_is_on_record_has_no_receipt(town, vote, problem):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE approvals_vote DISABLE TRIGGER USER")  # until it is rolled back
        cursor.execute("UPDATE approvals_vote SET leaf = %s WHERE id = %s", (bytes(32), vote.pk))

    path = f"requests/{vote.request_id}/votes/{vote.pk}/receipt/"
    problem(town.as_("ann").get(path), 404, "audit.entry_missing")
