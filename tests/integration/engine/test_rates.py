"""Rate limits over a real database: exact, however many ask."""

from datetime import timedelta

import pytest

from core.toolkit.db import read_database_clock
from engine.gates import rate
from engine.models import Rate
from tests.integration.engine.threads import at_once
from tests.world import World

SPAN = timedelta(seconds=60)


@pytest.fixture
def reserve(db):
    project = World().project

    def ask(*, name="api", limit=3, seconds=60.0):
        return rate.reserve(project_id=project.pk, name=name, limit=limit, seconds=seconds)

    return ask


def test_as_many_as_the_limit_begin_at_once_and_the_rest_a_window_later(reserve):
    instants = [reserve() for _ in range(8)]
    now = read_database_clock()

    assert all(item <= now for item in instants[:3])
    assert [later - earlier for earlier, later in zip(instants, instants[3:], strict=False)] == [
        SPAN
    ] * 5
    assert len(Rate.objects.get().instants) == 3


def test_names_and_limits_are_kept_apart(reserve):
    first = [reserve(name="a", limit=1) for _ in range(2)]
    other = reserve(name="b", limit=1)

    assert first[1] - first[0] == SPAN
    assert other <= read_database_clock()


def test_a_limit_that_changes_holds_from_then_on(reserve):
    for _ in range(3):
        reserve(limit=3)
    lower = [reserve(limit=1) for _ in range(2)]
    assert lower[1] - lower[0] == SPAN

    higher = [reserve(limit=5) for _ in range(4)]

    assert higher[0] == lower[1]  # there are not five yet
    assert higher == sorted(higher)


def test_a_high_limit_is_kept_in_each_part_of_its_time(reserve):
    instants = [reserve(limit=2_000, seconds=10.0) for _ in range(1_001)]

    assert instants[1_000] - instants[0] == timedelta(seconds=5)
    assert len(Rate.objects.get().instants) == 1_000


def test_a_limit_nobody_feels_any_more_is_swept(reserve):
    reserve()
    assert rate.sweep_rates() == 0
    Rate.objects.update(idle_at="2020-01-01T00:00Z")

    assert rate.sweep_rates() == 1


@pytest.mark.django_db(transaction=True)
def test_no_window_holds_more_than_the_limit_when_many_ask_at_once(transactional_db):
    project = World().project

    def ask():
        return [
            rate.reserve(project_id=project.pk, name="api", limit=5, seconds=60.0)
            for _ in range(20)
        ]

    instants = sorted(item for found in at_once(*[ask] * 4) for item in found)

    assert len(instants) == 80
    assert all(
        later - earlier >= SPAN for earlier, later in zip(instants, instants[5:], strict=False)
    )
