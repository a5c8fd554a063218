"""Bundles that hold, bundles that were tampered with, and histories that were rewritten."""

import dataclasses
import io

import pytest

from countersign.verify import DiscrepancyError, Request, UnusableError, parse_key, verify
from tests.fakes.bundles import (
    Contents,
    Opening,
    Sealed,
    Signer,
    Witness,
    consistency_path,
    make_manifest,
    make_members,
    sign_checkpoint,
    write_archive,
    write_bundle,
    write_receipt,
)
from tests.fakes.ledgers import (
    ERASED,
    LOG,
    OTHER_LOG,
    REQUEST,
    RUN,
    a_ledger,
    rechain,
    seal,
    signed_text,
)

KEYS = [parse_key(LOG.vkey)]
PERIOD = {"since": "2026-01-01T00:00:00.000000Z", "until": "2026-02-01T00:00:00.000000Z"}


def check(raw, **request):
    """Return the report on a file."""
    return verify(io.BytesIO(raw), Request(**{"keys": KEYS, **request}))


def refusal(raw, **request):
    """Return what is wrong with a file."""
    with pytest.raises(DiscrepancyError) as caught:
        check(raw, **request)
    return caught.value


def test_a_bundle_of_everything_holds_and_says_what_it_holds():
    report = check(write_bundle(a_ledger().contents()))

    assert report.counts == {
        "entries": 7,
        "streams": 3,
        "payloads": 5,
        "erased": 1,
        "hidden": 0,
        "unsealed": 0,
    }
    assert report.scope["complete"]
    assert report.checkpoint.signers == (f"{LOG.name}+{LOG.vkey.split('+')[1]}",)
    assert "Nothing is left out" in str(report)


def test_a_runs_bundle_holds_and_is_complete():
    report = check(write_bundle(a_ledger().run_contents()))

    assert report.scope["complete"]
    assert report.counts["entries"] == 5
    assert "Who had 1 of the erased payloads erased" in str(report)


@pytest.mark.parametrize("kind", ["period", "project"])
@pytest.mark.parametrize("indexes", [(), (0,), (6,), (1, 4), (0, 2, 5), (3, 4, 5, 6)])
def test_part_of_a_ledger_holds_and_does_not_claim_to_be_all(kind, indexes):
    ledger = a_ledger()
    entries = [ledger.entries[index] for index in indexes]
    subject = f"project:{RUN}" if kind == "project" else None

    report = check(
        write_bundle(ledger.contents(kind=kind, subject=subject, entries=entries, **PERIOD))
    )

    assert report.counts["entries"] == len(indexes)
    assert not report.scope["complete"]
    assert "That no entry was left out" in str(report)


def test_an_empty_log_has_a_bundle_too():
    ledger = seal([])

    report = check(write_bundle(ledger.contents()))

    assert report.counts["entries"] == 0


def test_payloads_that_a_reader_may_not_see_are_counted_as_hidden():
    ledger = a_ledger()
    entries = [dataclasses.replace(entry, openings=()) for entry in ledger.entries]

    report = check(write_bundle(ledger.contents(entries=entries)))

    assert (report.counts["payloads"], report.counts["hidden"]) == (0, 6)


def test_entries_not_sealed_yet_are_named_as_not_shown():
    report = check(write_bundle(a_ledger().contents(unsealed=3)))

    assert "3 entries that were not sealed yet." in report.not_shown


def test_an_entry_taken_out_of_a_whole_bundle_is_missed():
    ledger = a_ledger()

    problem = refusal(write_bundle(ledger.contents(entries=ledger.entries[:-1])))

    assert (problem.code, problem.where.member) == ("leaves.form", "leaves")


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_an_entry_taken_out_of_a_runs_bundle_is_missed(gone):
    ledger = a_ledger()
    entries = [entry for entry in ledger.of_stream(RUN, REQUEST) if entry.index != gone]

    problem = refusal(write_bundle(ledger.run_contents(entries=entries)))

    assert problem.code == "chain.seq"


def test_a_run_without_its_closing_entry_is_refused_unless_that_is_expected():
    ledger = a_ledger()
    entries = [entry for entry in ledger.of_stream(RUN, REQUEST) if entry.index != 5]
    bundle = write_bundle(ledger.run_contents(entries=entries))

    problem = refusal(bundle)
    report = check(bundle, may_be_open=True)

    assert (problem.code, problem.where.stream, problem.where.seq) == (
        "run.not_closed",
        str(RUN),
        2,
    )
    assert not report.scope["complete"]
    assert "How the run went on" in str(report)


def test_a_bundle_of_a_run_that_is_not_in_it_is_refused():
    ledger = a_ledger()

    assert refusal(write_bundle(ledger.run_contents(entries=[]))).code == "run.missing"


def test_an_entry_behind_the_closing_one_is_refused():
    ledger = a_ledger()
    body = ledger.entries[5].body
    head = ledger.leaves[5].hex().encode()
    more = body.replace(b'"seq":3', b'"seq":4').replace(ledger.leaves[2].hex().encode(), head)
    longer = seal([*((entry.body, entry.openings) for entry in ledger.entries), (more, ())])

    problem = refusal(write_bundle(longer.contents()))

    assert (problem.code, problem.where.seq) == ("chain.closed", 4)


def test_an_entry_outside_the_period_is_named():
    times = {"since": "2026-01-03T00:00:00.000000Z", "until": "2026-02-01T00:00:00.000000Z"}

    problem = refusal(write_bundle(a_ledger().contents(kind="period", **times)))

    assert (problem.code, problem.where.leaf, problem.about) == ("entry.period", 0, "at")


@pytest.mark.parametrize(("one", "other"), [(0, 1), (0, 2), (1, 4), (5, 6)])
def test_entries_that_changed_places_are_found(one, other):
    ledger = a_ledger()
    entries = list(ledger.entries)
    entries[one], entries[other] = (
        dataclasses.replace(entries[other], index=one),
        dataclasses.replace(entries[one], index=other),
    )

    problem = refusal(write_bundle(ledger.contents(entries=entries)))

    assert problem.code in {"chain.seq", "proof.root", "payload.unknown"}


def test_an_entry_that_is_there_twice_is_found():
    ledger = a_ledger()
    twice = dataclasses.replace(ledger.entries[0], index=1)
    entries = [ledger.entries[0], twice, *ledger.entries[2:]]

    problem = refusal(write_bundle(ledger.contents(entries=entries)))

    assert (problem.code, problem.where.leaf) == ("chain.seq", 1)


def test_a_changed_entry_is_named_by_the_link_behind_it():
    ledger = a_ledger()
    changed = dataclasses.replace(
        ledger.entries[0], body=ledger.entries[0].body.replace(b'"rev":3', b'"rev":4')
    )

    problem = refusal(write_bundle(ledger.contents(entries=[changed, *ledger.entries[1:]])))

    assert (problem.code, problem.where.stream, problem.where.seq) == ("chain.prev", str(RUN), 2)
    assert problem.found == ledger.leaves[0].hex()


def test_a_changed_last_entry_is_found_by_the_root():
    ledger = a_ledger()
    changed = dataclasses.replace(
        ledger.entries[6], body=ledger.entries[6].body.replace(b"retention", b"detention")
    )

    problem = refusal(write_bundle(ledger.contents(entries=[*ledger.entries[:6], changed])))

    assert (problem.code, problem.about) == ("proof.root", "root")


def test_a_history_chained_anew_without_the_key_is_found():
    ledger = a_ledger()
    forged = rechain(ledger, lambda value: {**value, "reason": "none"})

    problem = refusal(write_bundle(forged.contents(note=ledger.note())))

    assert problem.code in {"proof.root", "payload.commitment"}


def test_a_history_chained_anew_with_the_key_of_another_log_is_found():
    forged = rechain(a_ledger(), lambda value: value, signer=OTHER_LOG)

    problem = refusal(write_bundle(forged.contents()))

    assert (problem.code, problem.about) == ("note.unknown_key", "signatures")


def test_a_history_rewritten_with_the_logs_own_key_is_found_by_a_checkpoint_that_was_kept():
    kept = a_ledger().note().encode()
    forged = a_ledger(reason="changed")
    bundle = write_bundle(forged.contents())

    check(bundle)
    problem = refusal(bundle, older=kept)

    assert (problem.code, problem.about) == ("older.fork", "root")


def test_a_longer_history_that_was_rewritten_is_found_by_a_checkpoint_that_was_kept():
    kept = a_ledger().note(4).encode()
    forged = a_ledger(reason="changed")

    problem = refusal(write_bundle(forged.contents()), older=kept)

    assert (problem.code, problem.about) == (
        "older.inconsistent",
        "root of the first 4 entries",
    )


def test_an_older_head_shown_as_newer_is_found():
    ledger = a_ledger()
    shorter = seal([(entry.body, entry.openings) for entry in ledger.entries[:6]])
    bundle = write_bundle(shorter.contents(unsealed=1))

    problem = refusal(bundle, older=ledger.note().encode())

    assert (problem.code, problem.expected, problem.found) == ("older.larger", "at most 6", "7")


@pytest.mark.parametrize("size", range(8))
def test_a_kept_checkpoint_of_any_size_is_shown_to_be_the_beginning(size):
    ledger = a_ledger()

    report = check(write_bundle(ledger.contents()), older=ledger.note(size).encode())

    assert f"the {size} entries of the older checkpoint that you kept" in str(report)


@pytest.mark.parametrize("size", range(1, 7))
def test_the_path_in_a_bundle_links_a_kept_checkpoint(size):
    ledger = a_ledger()
    kept = ledger.note(size)
    contents = ledger.run_contents(older=kept, older_size=size)

    report = check(write_bundle(contents), older=kept.encode())

    assert f"the {size} entries of the older checkpoint that you kept" in str(report)


def test_a_given_path_links_a_kept_checkpoint_and_a_wrong_one_does_not():
    ledger = a_ledger()
    path = "".join(f"{item.hex()}\n" for item in consistency_path(ledger.leaves, 3)).encode()
    bundle, kept = write_bundle(ledger.run_contents()), ledger.note(3).encode()

    check(bundle, older=kept, consistency=path)
    problem = refusal(bundle, older=kept, consistency=path[65:])

    assert problem.code == "older.inconsistent"


def test_without_a_path_nothing_is_said_about_a_kept_checkpoint():
    ledger = a_ledger()

    with pytest.raises(UnusableError) as caught:
        check(write_bundle(ledger.run_contents()), older=ledger.note(3).encode())

    assert caught.value.code == "older.no_path"


def test_a_bundle_of_another_log_is_refused_by_its_name():
    problem = refusal(write_bundle(a_ledger().contents()), origin="log.example/other")

    assert (problem.code, problem.about) == ("note.other_log", "origin")


def test_several_keys_and_witnesses_are_named():
    ledger = a_ledger()
    witness = Witness(name="witness.example/w", seed=b"\x09" * 32)
    note = sign_checkpoint([LOG, OTHER_LOG], leaves=ledger.leaves)
    note += witness.sign_line(signed_text(ledger), at=1_767_322_800)
    keys = [parse_key(signer.vkey) for signer in (LOG, OTHER_LOG, witness)]
    bundle = write_bundle(ledger.contents(note=note))

    report = check(bundle, keys=keys)
    partly = check(bundle, keys=keys[:1])

    assert len(report.checkpoint.signers) == 2
    assert report.checkpoint.witnesses[0].endswith("at 2026-01-02T03:00:00Z")
    assert partly.checkpoint.unknown_count == 2


def test_a_cosignature_is_of_its_time_too():
    ledger = a_ledger()
    witness = Witness(name="witness.example/w", seed=b"\x09" * 32)
    line = witness.sign_line("another text\n", at=1_767_322_800)
    bundle = write_bundle(ledger.contents(note=ledger.note() + line))

    problem = refusal(bundle, keys=[*KEYS, parse_key(witness.vkey)])

    assert problem.code == "note.bad_signature"


def test_a_signature_that_does_not_fit_is_refused_although_another_one_does():
    ledger = a_ledger()
    bad = OTHER_LOG.sign_line("another text\n")
    keys = [*KEYS, parse_key(OTHER_LOG.vkey)]

    problem = refusal(write_bundle(ledger.contents(note=ledger.note() + bad)), keys=keys)

    assert problem.code == "note.bad_signature"


def test_a_key_of_another_name_has_signed_nothing():
    stranger = Signer(name="log.example/stranger", seed=b"\x03" * 32)

    problem = refusal(write_bundle(a_ledger().contents()), keys=[parse_key(stranger.vkey)])

    assert problem.code == "note.unknown_key"


def _opened(ledger, index, openings):
    entries = list(ledger.entries)
    entries[index] = dataclasses.replace(entries[index], openings=openings)
    return ledger.contents(entries=entries)


@pytest.mark.parametrize(
    ("openings", "code"),
    [
        ([Opening(name="title", salt=b"\x00" * 32, value='"x"')], "payload.commitment"),
        ([Opening(name="other", salt=b"\x00" * 32, value='"x"')], "payload.unknown"),
        ([Opening(name="title", salt=None), Opening(name="title", salt=None)], "payload.order"),
        ([Opening(name="title", salt=None)], "payload.erased_unrecorded"),
        ([Opening(name="ti tle", salt=None)], "payload.form"),
    ],
)
def test_an_opening_that_does_not_fit_is_named(openings, code):
    problem = refusal(write_bundle(_opened(a_ledger(), 1, openings)))

    assert problem.code == code
    if code != "payload.form":
        assert (problem.where.stream, problem.where.seq) == (str(REQUEST), 1)


def test_an_opening_of_an_entry_without_payloads_is_refused():
    problem = refusal(write_bundle(_opened(a_ledger(), 2, [Opening(name="x", salt=None)])))

    assert (problem.code, problem.where.seq) == ("payload.unknown", 2)


def test_a_record_of_another_erasure_is_none_of_this_one():
    def misnamed(value):
        if value["kind"] == "payload.redacted":
            (place,) = value["data"]["places"]
            value["data"]["places"] = [[*place[:2], "0" * 64]]
        return value

    problem = refusal(write_bundle(rechain(a_ledger(), misnamed).contents()))

    assert (problem.code, problem.about) == ("payload.erased_unrecorded", f"payload {ERASED}")


def test_an_erased_payload_without_a_record_is_only_remarked_on_while_entries_wait():
    contents = _opened(a_ledger(), 1, [Opening(name="title", salt=None)])
    contents.unsealed = 1

    report = check(write_bundle(contents))

    assert "Who had 1 of the erased payloads erased" in str(report)


def test_openings_out_of_place_are_refused():
    ledger = a_ledger()
    contents = ledger.contents()
    late = [Sealed(index=0, body=b"", openings=ledger.entries[0].openings)]
    bundle = _with_openings(contents, [*ledger.entries[1:5], *late])

    assert refusal(bundle).code == "payload.order"


def test_openings_of_no_entry_are_refused():
    ledger = a_ledger()
    stray = Sealed(index=99, body=b"", openings=[Opening(name=ERASED, salt=None)])
    bundle = _with_openings(ledger.contents(), [*ledger.entries, stray])

    assert refusal(bundle).code == "payload.order"


def _with_openings(contents: Contents, entries):
    """Return a bundle whose openings are those of other entries than its own."""
    members = make_members(contents)
    others = make_members(dataclasses.replace(contents, entries=entries))
    shown = next(member for member in others if member.name == "payloads/000000.jsonl")
    members = [shown if member.name == shown.name else member for member in members]
    return write_archive(members, make_manifest(contents, members))


def test_a_receipt_holds_and_says_which_entry_it_is():
    ledger = a_ledger()
    receipt = write_receipt(leaves=ledger.leaves, entry=ledger.entries[1], note=ledger.note())

    report = check(receipt, older=ledger.note(7).encode())

    assert report.scope == {"stream": str(REQUEST), "seq": 1, "leaf_index": 1}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"index": 2}, "proof.root"),
        ({"index": 7}, "proof.root"),
        ({"path": []}, "proof.root"),
        ({"path": ["00" * 32] * 65}, "receipt.form"),
        ({"path": ["x"]}, "proof.form"),
        ({"payloads": [{"name": "title", "salt": "00", "value": "1"}]}, "payload.form"),
        ({"payloads": {}}, "receipt.form"),
        ({"payloads": [1]}, "receipt.form"),
        ({"index": True}, "receipt.form"),
        ({"checkpoint": None}, "receipt.form"),
        ({"format": "countersign-receipt/v2"}, "receipt.format"),
        ({"more": 1}, "receipt.form"),
    ],
)
def test_a_receipt_that_was_changed_is_refused(changes, code):
    ledger = a_ledger()
    receipt = write_receipt(
        leaves=ledger.leaves, entry=ledger.entries[1], note=ledger.note(), **changes
    )

    assert refusal(receipt).code == code


def test_a_checkpoint_holds_alone_and_with_an_older_one():
    ledger = a_ledger()
    path = "".join(f"{item.hex()}\n" for item in consistency_path(ledger.leaves, 5)).encode()

    alone = check(ledger.note().encode())
    linked = check(ledger.note().encode(), older=ledger.note(5).encode(), consistency=path)

    assert alone.what == linked.what == "checkpoint"
    assert "the 5 entries of the older checkpoint that you kept" in str(linked)
