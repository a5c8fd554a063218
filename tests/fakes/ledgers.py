"""Whole small ledgers for tests of the offline verifier. Read `a_ledger` first.

The entries are made by the server's own code, so that what the verifier accepts is what is written.
"""

import json
from dataclasses import dataclass
from uuid import UUID

from audit.domain.entry import StreamHead, extend, stream_id_of
from tests.fakes.bundles import (
    Contents,
    Opening,
    Sealed,
    Signer,
    canonical,
    checkpoint_text,
    leaf_hash,
    sign_checkpoint,
    tree_root,
)
from tests.fakes.drafts import ORIGIN, SCOPE, counting_salts, draft

RUN = UUID("0198c0de-0000-7000-8000-000000000001")
REQUEST = UUID("0198c0de-0000-7000-8000-000000000002")
LEDGER = stream_id_of("ledger")
LOG = Signer(name="log.example/ledger", seed=b"\x01" * 32)
OTHER_LOG = Signer(name="log.example/ledger", seed=b"\x02" * 32)
ERASED = "comment"  # of the request's second entry


@dataclass(slots=True, kw_only=True)
class Ledger:
    """All entries of a tree in leaf order, with their leaves and who signs."""

    entries: list[Sealed]
    leaves: list[bytes]
    signer: Signer = LOG

    def note(self, size: int | None = None) -> str:
        """Return the signed checkpoint of the first entries."""
        leaves = self.leaves if size is None else self.leaves[:size]
        return sign_checkpoint([self.signer], leaves=leaves)

    def contents(self, **changes) -> Contents:
        """Return what a bundle of everything holds, changed as the test says."""
        fields = {"note": self.note(), "leaves": self.leaves, "entries": self.entries}
        return Contents(**{**fields, **changes})

    def of_stream(self, *streams: UUID) -> list[Sealed]:
        """Return the entries of some streams."""
        names = [f'"stream":"{stream}","subject":'.encode() for stream in streams]
        return [entry for entry in self.entries if any(name in entry.body for name in names)]

    def run_contents(self, **changes) -> Contents:
        """Return what a bundle of the run and its request holds."""
        entries = self.of_stream(RUN, REQUEST)
        fields = {"kind": "run", "subject": f"run:{RUN}", "entries": entries}
        return self.contents(**{**fields, **changes})


def a_ledger(*, signer: Signer = LOG, reason: str = "") -> Ledger:
    """Return a ledger of three streams: a closed run, its request, and an erasure on record.

    `reason` stands in the run's second entry: another one makes another history.
    """
    salts = counting_salts()
    run = _make(RUN, salts, _run_drafts(reason))
    request = _make(REQUEST, salts, _request_drafts())
    committed = json.loads(request[1].body)["payloads"][ERASED]
    erased = {"stream": str(REQUEST), "places": [[2, ERASED, committed]]}
    erasing = draft(kind="payload.redacted", data=erased, reason="retention")
    record = _make(LEDGER, salts, [draft(kind="key.added"), erasing])
    order = [run[0], request[0], run[1], record[0], request[1], run[2], record[1]]
    return seal([(entry.body, _openings(entry)) for entry in order], signer=signer)


def seal(items, *, signer: Signer = LOG) -> Ledger:
    """Return a ledger of these entries, each its bytes and its openings."""
    entries = [
        Sealed(index=index, body=body, openings=openings)
        for index, (body, openings) in enumerate(items)
    ]
    return Ledger(
        entries=entries, leaves=[leaf_hash(entry.body) for entry in entries], signer=signer
    )


def signed_text(ledger: Ledger) -> str:
    """Return what the ledger's checkpoint says, unsigned."""
    root = tree_root(ledger.leaves)
    return checkpoint_text(origin=ledger.signer.name, size=len(ledger.leaves), root=root)


def rechain(ledger: Ledger, change, *, signer: Signer | None = None) -> Ledger:
    """Return the ledger as a forger makes it: entries changed, and every link after them anew.

    `change` is given each entry as a value, to change it or to return `None` for one that goes.
    """
    heads: dict[str, tuple[int, str]] = {}
    items = []
    for entry in ledger.entries:
        value = change(json.loads(entry.body))
        if value is None:
            continue
        seq, head = heads.get(value["stream"], (0, "0" * 64))
        body = canonical({**value, "seq": seq + 1, "prev": head}).encode()
        heads[value["stream"]] = (seq + 1, leaf_hash(body).hex())
        items.append((body, entry.openings))
    return seal(items, signer=signer or ledger.signer)


def _run_drafts(reason):
    return [
        draft(
            kind="run.started",
            scope=SCOPE,
            data={"key": "a", "rev": 3},
            payloads={"inputs": {"amount": 12.5, "note": "für \u20ac"}},
        ),
        draft(kind="step.completed", scope=SCOPE, data={"deep": {"list": [1, []]}}, reason=reason),
        draft(kind="run.closed", scope=SCOPE, state_to="succeeded", payloads={"outputs": {}}),
    ]


def _request_drafts():
    origin = type(ORIGIN)(actor=ORIGIN.actor, via=ORIGIN.via, source_address="192.0.2.7")
    return [
        draft(kind="request.opened", subject="request:1", payloads={"title": 'Pay "now"\n'}),
        draft(kind="vote.cast", origin=origin, payloads={ERASED: "me", "form": {"b": 1, "a": ""}}),
    ]


def _make(stream, salts, drafts):
    _, entries = extend(head=StreamHead(stream=stream), drafts=drafts, salts=salts)
    return entries


def _openings(entry):
    openings = [
        Opening(
            name=payload.name,
            salt=None if payload.name == ERASED else payload.salt,
            value="" if payload.name == ERASED else payload.value_bytes.decode(),
        )
        for payload in entry.payloads
    ]
    return sorted(openings, key=lambda opening: opening.name)
