"""Whose signatures let a file hold, and for which log."""

import io

import pytest

from countersign.verify import DiscrepancyError, Request, parse_key, verify
from tests.fakes.bundles import Witness, sign_checkpoint, write_bundle
from tests.fakes.ledgers import LOG, a_ledger, signed_text

KEYS = [parse_key(LOG.vkey)]


def check(raw, **request):
    """Return the report on a file."""
    return verify(io.BytesIO(raw), Request(**{"keys": KEYS, **request}))


def refusal(raw, **request):
    """Return what is wrong with a file."""
    with pytest.raises(DiscrepancyError) as caught:
        check(raw, **request)
    return caught.value


def test_the_key_of_one_log_does_not_speak_for_another():
    ledger = a_ledger()
    note = sign_checkpoint([LOG], leaves=ledger.leaves, origin="log.example/other")

    problem = refusal(write_bundle(ledger.contents(note=note)))

    assert (problem.code, problem.found) == ("note.other_log", "log.example/other")


def test_a_witness_alone_is_enough_only_for_a_log_that_is_named():
    ledger = a_ledger()
    witness = Witness(name="witness.example/w", seed=b"\x09" * 32)
    line = witness.sign_line(signed_text(ledger), at=1_767_322_800)
    bundle = write_bundle(ledger.contents(note=ledger.note() + line))
    keys = [parse_key(witness.vkey)]

    problem = refusal(bundle, keys=keys)
    named = check(bundle, keys=keys, origin=LOG.name)

    assert problem.code == "note.unknown_key"
    assert (named.checkpoint.signers, len(named.checkpoint.witnesses)) == ((), 1)
