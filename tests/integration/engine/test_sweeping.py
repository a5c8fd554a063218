"""In which order, and how often, the sweep hints what nobody came for."""

import pytest
from django.db import connection

from core.kernel import limits
from core.toolkit import queue
from core.toolkit.breaker import Breaker
from engine import loading, store
from engine.management.commands.sweep import Command
from engine.models import Run
from engine.sweep import sweep_once
from tests.integration.engine.plans import plan_of_one_step
from tests.world import World

pytestmark = pytest.mark.django_db(transaction=True)

_AGE = """
    UPDATE engine_run SET status = %s, priority = %s,
        wake_at = clock_timestamp() - make_interval(secs => %s)
    WHERE id = %s"""


@pytest.fixture
def world():
    loading.forget_all()
    world = World()
    world.user("mara", "requester", "editor", "publisher", "operator")
    world.publish(plan_of_one_step(), author="mara")
    return world


@pytest.fixture
def hinted(monkeypatch):
    """Return the ids of the runs that are hinted from now on."""
    told: list[str] = []
    monkeypatch.setattr(queue, "hint", lambda _, run_id: told.append(run_id))
    return told


def aged(world, hinted, *, status, ages, priorities=None):
    """Start runs that are so many seconds old; return their ids as texts."""
    run_ids = [world.start("job", by="mara").run_id for _ in ages]
    for place, run_id in enumerate(run_ids):
        priority = priorities[place] if priorities else 0
        with connection.cursor() as cursor:
            cursor.execute(_AGE, [status, priority, ages[place], run_id])
    hinted.clear()  # of the starts
    return [str(run_id) for run_id in run_ids]


@pytest.mark.parametrize("status", ["READY", "WAITING"])
def test_the_most_urgent_come_first_and_then_who_waits_longest(world, hinted, status):
    a, b, c, d = aged(world, hinted, status=status, ages=[5, 9, 7, 8], priorities=[0, 0, 5, 5])

    sweep_once()

    assert hinted == [d, c, b, a]


def test_a_round_takes_the_most_urgent_if_it_cannot_take_all(world, hinted, monkeypatch):
    monkeypatch.setattr(limits, "SWEEP_ROW_COUNT_MAX", 2)
    a, b, c = aged(world, hinted, status="READY", ages=[9, 8, 7], priorities=[0, 1, 2])

    first, second = sweep_once(), sweep_once()

    assert (first.ready, second.ready) == (2, 1)
    assert hinted == [c, b, a]


def test_what_was_hinted_is_left_alone_for_a_while(world, hinted):
    (run_id,) = aged(world, hinted, status="READY", ages=[3])

    assert [sweep_once().ready for _ in range(3)] == [1, 0, 0]
    assert store.is_sweep_needed() is False
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE engine_run SET wake_at = wake_at - make_interval(secs => %s)",
            [limits.READY_AGAIN_SECONDS + 0.1],
        )
    assert sweep_once().ready == 1
    assert hinted == [run_id, run_id]


def test_while_no_hint_gets_through_none_counts_as_sent(world, hinted, monkeypatch):
    (run_id,) = aged(world, hinted, status="READY", ages=[3])
    broken = Breaker()
    broken.record_failure()
    monkeypatch.setattr(queue, "BREAKER", broken)
    assert sweep_once().ready == 0
    broken.record_success()

    assert sweep_once().ready == 1
    assert hinted == [run_id]


def test_a_round_that_could_not_take_all_is_followed_at_once(world, hinted, monkeypatch):
    monkeypatch.setattr(limits, "SWEEP_ROW_COUNT_MAX", 2)
    aged(world, hinted, status="WAITING", ages=[9, 8, 7])

    assert [Command()._round(number) for number in (1, 2)] == [True, False]
    assert set(Run.objects.values_list("status", flat=True)) == {"READY"}
    assert len(hinted) == 3
