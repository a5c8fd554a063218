"""Every bit of what is exported, flipped one at a time: each is found and named."""

import dataclasses
import io

import pytest

from countersign.verify import DiscrepancyError, Request, UnusableError, parse_key, verify
from tests.fakes.bundles import (
    Sealed,
    make_manifest,
    make_members,
    write_archive,
    write_bundle,
    write_receipt,
)
from tests.fakes.ledgers import LOG, a_ledger
from tests.fakes.streams import every_flip

REQUEST = Request(keys=[parse_key(LOG.vkey)])
SHARDS = 8  # so that several processes share the work


def flips_that_pass(original, *, shard):
    """Return the flips that were not found, or found without being named."""
    passed = []
    for number, flipped in enumerate(every_flip(original)):
        if number % SHARDS != shard:
            continue
        try:
            verify(io.BytesIO(flipped), REQUEST)
        except (DiscrepancyError, UnusableError) as problem:
            if not str(problem.where) and not problem.about:
                passed.append(f"bit {number % 8} of byte {number // 8} is found, but not named")
        else:
            passed.append(f"bit {number % 8} of byte {number // 8}")
    return passed


@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_flipped_bit_of_a_bundle_of_everything_is_found(shard):
    ledger = a_ledger()
    bundle = write_bundle(ledger.contents(older=ledger.note(3), older_size=3))
    verify(io.BytesIO(bundle), REQUEST)

    assert flips_that_pass(bundle, shard=shard) == []


@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_flipped_bit_of_a_runs_bundle_is_found(shard):
    bundle = write_bundle(a_ledger().run_contents())
    verify(io.BytesIO(bundle), REQUEST)

    assert flips_that_pass(bundle, shard=shard) == []


def test_every_flipped_bit_of_a_receipt_is_found():
    ledger = a_ledger()
    entry = ledger.entries[4]
    shown = Sealed(
        index=entry.index,
        body=entry.body,
        openings=[opening for opening in entry.openings if opening.salt],
    )
    receipt = write_receipt(leaves=ledger.leaves, entry=shown, note=ledger.note())
    verify(io.BytesIO(receipt), REQUEST)

    assert [miss for shard in range(SHARDS) for miss in flips_that_pass(receipt, shard=shard)] == []


def test_every_flipped_bit_of_a_checkpoint_is_found():
    checkpoint = a_ledger().note().encode()
    verify(io.BytesIO(checkpoint), REQUEST)

    missed = [miss for shard in range(SHARDS) for miss in flips_that_pass(checkpoint, shard=shard)]
    assert missed == []


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_bit_flipped_before_packing_is_found_and_named(shard):
    # Packed and described anew, as somebody does who knows the format and has no key.
    contents = a_ledger().contents()
    members = make_members(contents)

    passed, codes = [], set()
    for place, member in enumerate(members):
        for at in range(shard, len(member.content), SHARDS):
            content = bytearray(member.content)
            content[at] ^= 1 << (at // SHARDS % 8)
            changed = dataclasses.replace(member, content=bytes(content))
            others = [*members[:place], changed, *members[place + 1 :]]
            try:
                verify(io.BytesIO(write_archive(others, make_manifest(contents, others))), REQUEST)
            except DiscrepancyError as problem:
                codes.add(problem.code)
                if not str(problem.where):
                    passed.append(f"byte {at} of {member.name} is found, but not named")
            else:
                passed.append(f"byte {at} of {member.name}")

    assert passed == []
    assert {"payload.commitment", "chain.prev", "entry.form"} <= codes
