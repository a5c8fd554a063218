"""Files made to harm or to mislead: each is refused with a code of its own, never a traceback."""

import dataclasses
import hashlib
import io
import json
import re
import struct
import tracemalloc
import zlib

import pytest

from countersign import verify as verifier
from countersign.verify import (
    DiscrepancyError,
    Request,
    UnusableError,
    parse_key,
    verify,
)
from tests.architecture.sources import ROOT
from tests.fakes.bundles import (
    Sealed,
    canonical,
    leaf_hash,
    make_manifest,
    make_members,
    pack,
    write_archive,
    write_bundle,
    write_receipt,
)
from tests.fakes.ledgers import LOG, a_ledger, seal

KEYS = [parse_key(LOG.vkey)]


def refusal(raw, *, keys=KEYS):
    """Return what is wrong with a file."""
    with pytest.raises((DiscrepancyError, UnusableError)) as caught:
        verify(io.BytesIO(raw), Request(keys=keys))
    return caught.value


def with_members(change, **manifest):
    """Return a bundle whose members were changed, under a manifest that says so."""
    contents = a_ledger().contents()
    members = change(make_members(contents))
    return write_archive(members, {**make_manifest(contents, members), **manifest})


def renamed(name, other):
    """Return a change that gives a member another name."""
    return lambda members: [
        dataclasses.replace(member, name=other) if member.name == name else member
        for member in members
    ]


def replaced(name, content):
    """Return a change that gives a member another content."""
    return lambda members: [
        dataclasses.replace(member, content=content) if member.name == name else member
        for member in members
    ]


def with_lines(*bodies):
    """Return a bundle whose entries are these bytes, properly sealed and signed."""
    return write_bundle(seal([(body, ()) for body in bodies]).contents())


def patched(raw, find, offset, value):
    """Return an archive with bytes of every header that begins so set to a value."""
    data = bytearray(raw)
    at = data.find(find)
    while at >= 0:
        data[at + offset : at + offset + len(value)] = value
        at = data.find(find, at + 4)
    return bytes(data)


@pytest.mark.parametrize(
    "name",
    ["../checkpoint", "/checkpoint", "entries/../../x", "C:\\x", "..\\x", "entries\\000000.jsonl"],
)
def test_a_name_that_leads_out_of_the_bundle_is_refused(name):
    problem = refusal(with_members(renamed("checkpoint", name)))

    assert (problem.code, problem.where.member) == ("manifest.unsafe_name", "manifest.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda members: [members[0], *members],
        lambda members: members[1:],
        lambda members: members[::-1],
        lambda members: members[:-1],
        renamed("proof", "proofs"),
        renamed("entries/000000.jsonl", "entries/000001.jsonl"),
        renamed("payloads/000000.jsonl", "payloads/000001.jsonl"),
        lambda members: [*members, dataclasses.replace(members[0], name="older")],
    ],
    ids=["doubled", "gone", "order", "no proof", "unknown", "number", "no part", "older alone"],
)
def test_members_that_are_not_those_of_a_bundle_are_refused(change):
    assert refusal(with_members(change)).code == "manifest.members"


def test_an_encrypted_member_is_refused():
    bundle = write_bundle(a_ledger().contents())
    encrypted = patched(patched(bundle, b"PK\x03\x04", 6, b"\x01\x00"), b"PK\x01\x02", 8, b"\x01")

    assert refusal(encrypted).code == "archive.encrypted"


def test_a_symbolic_link_is_refused():
    linked = patched(
        write_bundle(a_ledger().contents()), b"PK\x01\x02", 38, struct.pack("<I", 0o120777 << 16)
    )

    assert refusal(linked).code == "archive.symlink"


def test_zip64_is_refused():
    bundle = write_bundle(a_ledger().contents())
    in_end = patched(bundle, b"PK\x05\x06", 16, b"\xff" * 4)
    in_header = patched(bundle, b"PK\x03\x04", 18, b"\xff" * 8)

    assert refusal(in_end).code == refusal(in_header).code == "archive.zip64"


def test_a_bundle_cut_short_anywhere_is_refused():
    bundle = write_bundle(a_ledger().contents())

    codes = {refusal(bundle[:length]).code for length in range(2, len(bundle))}

    assert codes <= {"archive.end", "note.form", "note.utf8"}


@pytest.mark.parametrize("more", [b"\x00", b"\n", b"PK\x05\x06", b"x" * 93])
def test_bytes_behind_or_before_a_bundle_are_refused(more):
    bundle = write_bundle(a_ledger().contents())

    assert refusal(bundle + more).code == "archive.end"
    assert refusal(more + bundle).code == "archive.header"


def test_bytes_between_members_are_refused():
    bundle = write_bundle(a_ledger().contents())
    at = bundle.find(b"PK\x01\x02")
    end = bundle.find(b"PK\x05\x06")
    (offset,) = struct.unpack("<I", bundle[end + 16 : end + 20])
    moved = bundle[end + 16 : end + 20], struct.pack("<I", offset + 1)
    gapped = bundle[:at] + b"\x00" + bundle[at:end] + bundle[end:].replace(*moved, 1)

    assert refusal(gapped).code == "manifest.digest"


@pytest.mark.parametrize(
    "tail", [b"\x00", b"\x03\x00", zlib.compress(b"hidden")], ids=["byte", "stream", "zlib"]
)
def test_bytes_hidden_behind_a_packed_member_are_refused(tail):
    contents = a_ledger().contents()
    members = make_members(contents)
    manifest = make_manifest(contents, members)
    raw = write_archive(members, manifest)
    packed = pack(members[1])
    at = raw.find(packed)
    described = dict(manifest["members"][1])
    described["packed"] += len(tail)
    described["sha256"] = hashlib.sha256(packed + tail).hexdigest()
    hidden = _archive_of(members, manifest, packed + tail, described)

    assert at > 0
    problem = refusal(hidden)

    assert (problem.code, problem.where.member) == ("member.deflate", "entries/000000.jsonl")


def test_a_packed_member_that_ends_too_early_is_refused():
    contents = a_ledger().contents()
    members = make_members(contents)
    manifest = make_manifest(contents, members)
    cut = pack(members[1])[:-3]
    described = dict(manifest["members"][1])
    described.update(packed=len(cut), sha256=hashlib.sha256(cut).hexdigest())

    problem = refusal(_archive_of(members, manifest, cut, described))

    assert (problem.code, problem.where.member) == ("member.deflate", "entries/000000.jsonl")


@pytest.mark.parametrize("content", [bytes(200_000_000), b"\n" * 100_000_000])
def test_a_bomb_is_refused_in_little_memory(content):
    bundle = with_members(replaced("entries/000000.jsonl", content))
    assert len(bundle) < 250_000
    del content
    tracemalloc.start()

    problem = refusal(bundle)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert problem.code in {"member.line", "entry.form"}
    assert peak < 20_000_000


def test_a_member_that_unpacks_to_more_than_it_says_is_refused():
    contents = a_ledger().contents()
    members = make_members(contents)
    manifest = make_manifest(contents, members)
    described = {**manifest["members"][1], "bytes": 1}

    problem = refusal(_archive_of(members, manifest, pack(members[1]), described))

    assert problem.where.member == "entries/000000.jsonl"


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "countersign-bundle/v2"},
        {"format": None},
        {"kind": "all"},
        {"kind": ["whole"]},
        {"subject": "run:1"},
        {"subject": 7},
        {"since": "2026-01-01T00:00:00.000000Z"},
        {"since": "yesterday", "until": "today"},
        {"entries": -1},
        {"entries": True},
        {"entries": "7"},
        {"entries": 2**53 - 1},
        {"size": 8},
        {"payloads": 1},
        {"entries": 6},
        {"unsealed": None},
        {"members": {}},
        {"members": [1]},
        {"members": [{"name": 1}]},
        {"more": 1},
    ],
    ids=str,
)
def test_a_manifest_that_says_what_it_cannot_say_is_refused(changes):
    problem = refusal(write_bundle(a_ledger().contents(changes=changes)))

    assert problem.code.startswith("manifest.")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("method", ["stored"]),
        ("method", "bzip2"),
        ("bytes", 2**33),
        ("bytes", 1.5),
        ("packed", 2**40),
        ("sha256", "0" * 63),
        ("name", None),
        ("name", "ch\u00e9ckpoint"),
    ],
)
def test_a_member_described_wrongly_is_refused(key, value):
    contents = a_ledger().contents()
    members = make_members(contents)
    manifest = make_manifest(contents, members)
    manifest["members"][0] = {**manifest["members"][0], key: value}

    assert refusal(write_archive(members, manifest)).code in {
        "manifest.form",
        "manifest.members",
        "archive.cut",
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        '{"format":"countersign-receipt/v1" }',
        '{"n":NaN}',
        '{"n":1.0}',
        '{"n":' + "9" * 100_000 + "}",
        '{"n":"\\ud800"}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"a":' * 150_000 + "1" + "}" * 150_000,
        '{"a":"\\u0041"}',
        '{"\u00e9":1}',
        "{",
        '{"format":"countersign-receipt/v1"}\r\n',
    ],
    ids=range(13),
)
def test_a_receipt_that_is_not_canonical_json_is_refused(text):
    assert refusal(b"{" + text[1:].encode()).code in {"receipt.form", "file.unknown"}


BODY = a_ledger().entries[0].body


@pytest.mark.parametrize(
    ("body", "code", "about"),
    [
        (BODY.replace(b'"v":1', b'"v":2'), "entry.version", "v"),
        (BODY.replace(b'"v":1', b'"v":10'), "entry.version", "v"),
        (BODY + b"\r", "entry.crlf", ""),
        (BODY.replace(b"run.started", b"run.\xff"), "entry.utf8", ""),
        (BODY.replace(b'"data":{', b'"data":{"n":1.5,'), "entry.form", "data"),
        (BODY.replace(b'"data":{', b'"data":{"n":NaN,'), "entry.form", "data"),
        (BODY.replace(b'"data":{', b'"data":{"n":9007199254740992,'), "entry.form", "data"),
        (BODY.replace(b'"data":{', b'"data":{"a":1,"a":1,'), "entry.form", "data"),
        (BODY.replace(b'"data":{', b'"data":{"\xc3\xa9":1,'), "entry.form", "data"),
        (BODY.replace(b'"data":{', b'"data":{"a":"\\ud800",'), "entry.form", "data"),
        (BODY.replace(b'"data":{', b'"data":{"a":' + b"[" * 9000), "entry.form", "data"),
        (
            BODY.replace(b'"data":{', b'"data":{"a":' + b"[" * 201 + b"]" * 201 + b","),
            "entry.form",
            "data",
        ),
        (BODY.replace(b'"reason":null', b'"reason":""'), "entry.form", "reason"),
        (BODY.replace(b'"reason":null', b'"reason":"\\/"'), "entry.form", "reason"),
        (BODY.replace(b'"seq":1', b'"seq":0'), "entry.form", "seq"),
        (BODY.replace(b'"at":"2026-01-02', b'"at":"2026-02-30'), "entry.form", "at"),
        (BODY.replace(b'"auth"', b'"author"'), "entry.form", "auth"),
        (BODY.replace(b'"actor":', b'"actor": '), "entry.form", "actor"),
        (BODY.replace(b'"via":"api"', b'"via":"api","w":1'), "entry.form", "end"),
        (BODY + b" ", "entry.form", "end"),
        (BODY[:-1], "entry.form", "via"),
        (b"", "entry.form", "actor"),
        (b"[]", "entry.form", "actor"),
        (BODY.replace(b"run.started", b"run." + b"x" * 65_000), "entry.too_large", ""),
    ],
    ids=range(24),
)
def test_an_entry_in_another_form_is_refused_although_it_was_signed(body, code, about):
    problem = refusal(with_lines(body))

    assert (problem.code, problem.about) == (code, about)
    assert (problem.where.member, problem.where.leaf) == ("entries/000000.jsonl", 0)


def test_a_line_without_its_line_feed_is_refused():
    content = b"".join(entry.body + b"\n" for entry in a_ledger().entries)[:-1]

    problem = refusal(with_members(replaced("entries/000000.jsonl", content)))

    assert (problem.code, problem.where.member) == ("member.line_feed", "entries/000000.jsonl")


@pytest.mark.parametrize(
    "leaves",
    [b"", b"0 6\n", b"0 8\n", b"1 6\n", b"0 3\n3 4\n", b"0 7\r\n", b"00 7\n", b"x\n", b"0 7"],
)
def test_leaves_that_a_whole_log_cannot_have_are_refused(leaves):
    problem = refusal(with_members(replaced("leaves", leaves)))

    assert problem.code in {"leaves.form", "manifest.count", "member.line_feed", "proof.length"}


@pytest.mark.parametrize(
    "proof", [b"00" * 32 + b"\n", b"zz\n", b"A" * 64 + b"\n", b"00" * 32 + b"\r\n"]
)
def test_a_proof_that_does_not_fit_is_refused(proof):
    problem = refusal(with_members(replaced("proof", proof)))

    assert problem.code in {"proof.length", "proof.form", "member.line"}


@pytest.mark.parametrize(
    ("note", "code"),
    [
        (b"x" * 65_537, "note.too_large"),
        (a_ledger().note().replace("\n", "\r\n").encode(), "note.crlf"),
        (b"\xff" + a_ledger().note().encode(), "note.utf8"),
        (b"", "note.form"),
        (b"\n\n", "note.form"),
        (a_ledger().note().encode()[:-1], "note.form"),
        (a_ledger().note().encode() + b"\xe2\x80\x94 a b\n", "note.form"),
        (a_ledger().note().encode() + LOG.sign_line("x\n").encode() * 32, "note.too_large"),
        (("x\n\n" + LOG.sign_line("x\n")).encode(), "note.form"),
        (("a\n07\nAAAA\n\n" + LOG.sign_line("a\n07\nAAAA\n")).encode(), "note.form"),
        (("a\n7\nAAAA\n\n" + LOG.sign_line("a\n7\nAAAA\n")).encode(), "note.form"),
    ],
    ids=range(11),
)
def test_a_note_that_is_no_signed_checkpoint_is_refused(note, code):
    problem = refusal(with_members(replaced("checkpoint", note)))

    assert problem.code in {code, "member.too_large"}
    assert problem.where.member == "checkpoint"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "key.form"),
        ("name", "key.form"),
        ("PRIVATE+KEY+log+00000000+AA==", "key.private"),
        ("log+00000000+AA==", "key.form"),
        (LOG.vkey[:-4], "key.form"),
        (LOG.vkey.replace("+", "+0", 1), "key.id"),
        (LOG.vkey.replace("log.", "lag."), "key.id"),
        (LOG.vkey.replace("+A", "+B"), "key.form"),
        ("a " + LOG.vkey, "key.form"),
    ],
)
def test_a_key_that_is_none_is_refused(text, code):
    with pytest.raises(UnusableError) as caught:
        parse_key(text)

    assert caught.value.code == code


def test_without_a_key_nothing_is_judged():
    assert refusal(a_ledger().note().encode(), keys=[]).code == "key.none"


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x00" * 100_000, b"GIF89a", b"\n", b"PK", b"PK" + b"x" * 99, b'{"a":1}\n{"a":2}\n'],
)
def test_a_file_of_another_kind_is_refused(raw):
    assert refusal(raw).code in {"note.form", "file.unknown", "archive.end"}


def test_what_a_file_says_does_nothing_to_a_terminal():
    body = BODY.replace(b'"reason":null', b'"reason":"\x1b[31m\xe2\x80\xae"')

    said = str(refusal(with_lines(body)))

    assert said.isprintable()


def test_a_value_outside_the_canonical_form_is_refused_although_it_was_committed_to():
    ledger = a_ledger()
    value, salt = '{"b":1,"a":2}', b"\x07" * 32
    entry = json.loads(ledger.entries[1].body)
    place = f'["{entry["stream"]}",1,"title",{value}]'.encode()
    committed = hashlib.sha256(b"countersign/commit/v1\n" + salt + place).hexdigest()
    body = canonical({**entry, "payloads": {"title": committed}}).encode()
    opened = [{"name": "title", "salt": salt.hex(), "value": value}]
    forged = seal([(body, ())])

    problem = refusal(
        write_receipt(
            leaves=[leaf_hash(body)],
            entry=Sealed(index=0, body=body),
            note=forged.note(),
            payloads=opened,
        )
    )

    assert (problem.code, problem.about) == ("payload.value", "payload title")


def test_every_code_has_a_sentence_that_ends():
    assert all(sentence.endswith(".") for sentence in verifier.SENTENCES.values())


def _archive_of(members, manifest, packed, described):
    """Return an archive whose second member is packed and described as given."""
    manifest = {
        **manifest,
        "members": [manifest["members"][0], described, *manifest["members"][2:]],
    }
    raw = write_archive(members, manifest)
    old = pack(members[1])
    start = raw.find(old)
    moved = len(packed) - len(old)
    data = bytearray(raw[:start] + packed + raw[start + len(old) :])
    struct.pack_into("<I", data, start - 20 - 12, len(packed))
    struct.pack_into("<I", data, start - 20 - 8, described["bytes"])
    end = data.rfind(b"PK\x05\x06")
    (offset,) = struct.unpack_from("<I", data, end + 16)
    struct.pack_into("<I", data, end + 16, offset + moved)
    at = offset + moved
    for number in range(len(members) + 1):
        length = struct.unpack_from("<H", data, at + 28)[0]
        if number == 1:
            struct.pack_into("<II", data, at + 20, len(packed), described["bytes"])
        if number > 1:
            (header,) = struct.unpack_from("<I", data, at + 42)
            struct.pack_into("<I", data, at + 42, header + moved)
        at += 46 + length
    return bytes(data)


def test_every_code_is_in_the_auditors_page():
    page = (ROOT / "docs/how-to/verify-offline.md").read_text(encoding="utf-8")
    rows = {
        f"| `{code}` | {sentence} |".replace("<", "&lt;").replace(">", "&gt;")
        for code, sentence in verifier.SENTENCES.items()
    }

    assert rows == {line for line in page.splitlines() if re.match(r"\| `[a-z0-9]+\.", line)}
