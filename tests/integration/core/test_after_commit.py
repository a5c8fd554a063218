"""What is done once a transaction has committed."""

import contextlib

import pytest
from django.db import transaction

from core.toolkit.db import after_commit, after_commit_once

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_is_done_after_the_commit_with_its_arguments():
    done: list[int] = []

    with transaction.atomic():
        after_commit(done.append, 1)
        assert done == []

    assert done == [1]
    after_commit(done.append, 2)
    assert done == [1, 2]


def test_what_it_raises_stops_nobody():
    done: list[int] = []

    def fail(*, why):
        raise ValueError(why)

    with transaction.atomic():
        after_commit(fail, why="a bug")
        after_commit(done.append, 1)

    assert done == [1]


def test_nothing_is_done_after_a_rollback():
    done: list[int] = []

    with transaction.atomic():
        after_commit(done.append, 1)
        transaction.set_rollback(True)

    assert done == []


@pytest.mark.django_db(transaction=True)
def test_what_is_asked_for_often_is_called_once_for_a_transaction():
    done: list[int] = []

    def note() -> None:
        done.append(1)

    with transaction.atomic():
        after_commit_once(note)
        after_commit_once(note)
        assert done == []
    assert done == [1]
    with transaction.atomic():
        after_commit_once(note)
    after_commit_once(note)
    assert done == [1, 1, 1]


@pytest.mark.django_db(transaction=True)
def test_what_a_savepoint_took_back_is_asked_for_again():
    done: list[int] = []

    def note() -> None:
        done.append(1)

    with transaction.atomic():
        with contextlib.suppress(ValueError), transaction.atomic():
            after_commit_once(note)
            raise ValueError
        after_commit_once(note)
    assert done == [1]
