"""A sealer that dies in each of the gaps of a batch, and several at once."""

from typing import Any

import pytest
from django.db import OperationalError, connection

from audit.domain.checkpoints import parse_checkpoint
from audit.domain.notes import parse_note
from audit.models import Leaf, Pending, TreeHead
from audit.sealing.sealer import seal_batch
from audit.selectors.verification import verify_ledger
from tests.integration.audit.streams import append, fill, open_stream
from tests.sealed import SealedLog

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def log(tmp_path):
    log = SealedLog(tmp_path)
    fill()
    log.seal()
    append(open_stream())
    return log


@pytest.fixture
def dying():
    """Return a way to have the connection die at the next COMMIT: before it, or after.

    That is what the server sees of a killed process.
    """
    link: Any = connection

    def arrange(*, after):
        def around(commit):
            link.commit_wrapper = None
            if after:
                commit()
            link.connection.close()
            raise OperationalError

        link.commit_wrapper = around

    yield arrange
    link.commit_wrapper = None
    connection.close()


def last_signed(log):
    return parse_checkpoint(parse_note(log.folder.read_last_signed()).text).size


def newest():
    return TreeHead.objects.latest("pk").tree_size


def test_before_the_commit_nothing_has_happened(log, dying):
    size = newest()
    dying(after=False)

    with pytest.raises(OperationalError):
        seal_batch(folder=log.folder, origin=log.origin)

    connection.close()
    assert (newest(), Leaf.objects.count(), last_signed(log)) == (size, size, size)
    assert Pending.objects.count() == 1
    append(open_stream())
    assert log.seal() == 2, "what it signed nobody saw, and another tree of that size is no lie"
    assert verify_ledger().discrepancy is None


def test_after_the_commit_the_next_look_remembers_what_was_signed(log, dying):
    size = newest()
    dying(after=True)

    with pytest.raises(OperationalError):
        seal_batch(folder=log.folder, origin=log.origin)

    connection.close()
    assert newest() == size + 1
    assert last_signed(log) == size
    assert log.seal() == 0
    assert last_signed(log) == size + 1
    assert verify_ledger().discrepancy is None


def test_memory_never_goes_back(log):
    older = log.folder.read_last_signed()
    log.seal()
    newer = log.folder.read_last_signed()

    log.folder.write_last_signed(older)

    assert log.folder.read_last_signed() == newer


def test_a_file_that_was_half_written_counts_for_nothing(log):
    (log.folder.path / ".last-signed.1.new").write_text("half")
    (log.folder.path / ".0badc0de.key.1.new").write_text("half")

    assert log.seal() == 1


def test_of_sealers_at_once_one_seals_and_the_others_let_it(log, at_once):
    for _ in range(20):
        append(open_stream())

    results = at_once(*(lambda: seal_batch(folder=log.folder, origin=log.origin) for _ in range(6)))

    assert sum(done.count for done in results) == 21
    assert verify_ledger().discrepancy is None
    assert last_signed(log) == newest()


def test_two_folders_with_the_same_key_take_turns(log, tmp_path):
    other = SealedLog.__new__(SealedLog)
    other.origin, other.clock = log.origin, log.clock
    other.folder = type(log.folder)(tmp_path / "copy")
    other.folder.path.mkdir(mode=0o700)
    for path in log.folder.path.iterdir():
        copy = other.folder.path / path.name
        copy.touch(mode=0o600)
        copy.write_bytes(path.read_bytes())

    for turn in range(4):
        append(open_stream())
        assert (log, other)[turn % 2].seal() >= 1

    assert last_signed(log) == newest() - 1
    assert last_signed(other) == newest()
    assert verify_ledger().discrepancy is None


def test_a_sealer_whose_connection_is_cut_goes_on(log, at_once):
    sealer = log.sealer()
    sealer._round(1.0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()

    def cut():
        append(open_stream())
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", (pid,))

    at_once(cut)
    sealer._round(1.0)
    sealer._round(1.0)

    assert not Pending.objects.exists()
    assert verify_ledger().discrepancy is None
