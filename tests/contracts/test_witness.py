"""What a witness must do, whoever runs it. Source: C2SP tlog-witness, `add-checkpoint`."""

from base64 import b64encode

import pytest

from audit.domain.checkpoints import Checkpoint, write_checkpoint
from audit.domain.notes import Note, SigningKey, open_note, write_note
from tests.fakes.merkle import leaves_of, mth, proof
from tests.fakes.witness import Witness

ORIGIN = "log.example/one"
KEY = SigningKey.generate(ORIGIN, seed=b"l" * 32)
LEAVES = leaves_of(30)


@pytest.fixture
def witness():
    found = Witness()
    found.trust(ORIGIN, KEY.verifier)
    return found


def _note(size, *, leaves=LEAVES, key=KEY, origin=ORIGIN):
    text = write_checkpoint(Checkpoint(origin=origin, size=size, root=mth(leaves[:size])))
    return write_note(Note(text=text, signatures=(key.sign(text),)))


def _ask(witness, old, size, *, path=None, **changes):
    if path is None:
        path = proof(old, changes.get("leaves", LEAVES)[:size]) if 0 < old < size else []
    lines = [f"old {old}", *(b64encode(item).decode() for item in path), "", _note(size, **changes)]
    return witness.add_checkpoint("\n".join(lines).encode())


def test_each_tree_that_continues_the_last_is_cosigned(witness):
    for old, size in ((0, 3), (3, 3), (3, 8), (8, 21), (21, 30)):
        answer = _ask(witness, old, size)

        assert answer.status == 200
        opened = open_note(_note(size) + answer.body.decode(), (witness.vkey,))
        assert opened.signed[0].at == witness.now


def test_a_rollback_and_a_stale_size_are_told_where_the_witness_is(witness):
    _ask(witness, 0, 21)

    for old, size in ((0, 30), (8, 30), (8, 20), (0, 20)):
        answer = _ask(witness, old, size)

        assert (answer.status, answer.body) == (409, b"21\n")
        assert answer.headers["Content-Type"] == "text/x.tlog.size"
    assert witness.state[ORIGIN][0] == 21


def test_a_fork_is_refused_at_the_same_size_and_at_a_larger_one(witness):
    _ask(witness, 0, 8)
    forged = [*LEAVES[:4], *leaves_of(60)[34:]]

    assert _ask(witness, 8, 8, leaves=forged).status == 409
    assert _ask(witness, 8, 21, leaves=forged).status == 422
    assert witness.state[ORIGIN] == (8, mth(LEAVES[:8]))


def test_strangers_are_refused(witness):
    other = SigningKey.generate(ORIGIN, seed=b"x" * 32)

    assert _ask(witness, 0, 3, origin="log.example/two").status == 404
    assert _ask(witness, 0, 3, key=other).status == 403
    assert _ask(witness, 9, 3).status == 400
    assert _ask(witness, 0, 3, path=[b"p" * 32]).status == 422
    assert witness.state == {}
