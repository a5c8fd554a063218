"""Mutexes over a real database: one at a time, in order, and nothing leaks."""

import pytest
from django.db import OperationalError, transaction

from engine import loading, upkeep
from engine.gates import mutex
from engine.models import Run, Slot
from tests.integration.engine.plans import plan_of_one_step
from tests.integration.engine.threads import at_once
from tests.world import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world():
    loading.forget_all()
    world = World()
    world.user("mara", "requester", "editor", "publisher", "operator")
    world.publish(plan_of_one_step(), author="mara")
    return world


@pytest.fixture
def run_ids(world):
    """Return four runs that wait, as their rows say."""
    started = [world.start("job", by="mara").run_id for _ in range(4)]
    Run.objects.update(status="WAITING", wake_at=None)
    return started


@pytest.fixture
def acquire(world):
    def ask(run_id, *, key="s#1", name="m", priority=0):
        return mutex.acquire(
            project_id=world.project.pk, run_id=run_id, key=key, name=name, priority=priority
        )

    return ask


def release(run_id, *keys):
    with transaction.atomic():
        mutex.release(run_id=run_id, keys=keys or None)


def status(run_id):
    return Run.objects.get(pk=run_id).status


def holders(name="m"):
    return list(
        Slot.objects.filter(name=name, granted_at__isnull=False).values_list("run_id", flat=True)
    )


def test_the_first_gets_it_and_a_yes_stays_a_yes(acquire, run_ids):
    a, b, *_ = run_ids

    assert [acquire(a), acquire(b), acquire(a), acquire(b)] == [True, False, True, False]
    assert acquire(b, name="other") is True
    assert acquire(a, key="t#1") is False  # another step of the same run is another asker


def test_the_next_is_granted_it_and_its_run_woken(acquire, run_ids):
    a, b, c, _ = run_ids
    for run_id in (a, b, c):
        acquire(run_id)

    release(a, "s#1")

    assert holders() == [b]
    assert [status(item) for item in (a, b, c)] == ["WAITING", "READY", "WAITING"]
    assert [acquire(b), acquire(c)] == [True, False]
    release(a, "s#1")  # again: nothing happens
    assert holders() == [b]


def test_higher_priorities_come_first_and_then_who_waited_longest(acquire, run_ids):
    a, b, c, d = run_ids
    acquire(a)
    for run_id, priority in ((b, 0), (c, 5), (d, 5)):
        acquire(run_id, priority=priority)
    order = []

    for _ in range(4):
        (holder,) = holders()
        order.append(holder)
        release(holder)

    assert order == [a, c, d, b]
    assert not Slot.objects.exists()


def test_who_leaves_the_queue_is_not_granted_it(acquire, run_ids):
    a, b, c, _ = run_ids
    for run_id in (a, b, c):
        acquire(run_id)
    release(b, "s#1")
    release(a, "s#1")

    assert holders() == [c]


@pytest.mark.parametrize("standing", ["PAUSED", "HALTED", "CLOSED"])
def test_a_run_that_stands_still_is_passed_over_and_asks_again(acquire, run_ids, standing):
    a, b, c, _ = run_ids
    for run_id in (a, b, c):
        acquire(run_id)
    Run.objects.filter(pk=b).update(status=standing)

    release(a)
    assert holders() == [c]
    release(c)

    assert holders() == []
    Run.objects.filter(pk=b).update(status="WAITING")
    assert acquire(b) is True


def test_a_release_that_is_rolled_back_gives_nothing_away(acquire, run_ids):
    a, b, *_ = run_ids
    acquire(a)
    acquire(b)

    with transaction.atomic():
        mutex.release(run_id=a, keys=None)
        transaction.set_rollback(True)

    assert holders() == [a]
    assert status(b) == "WAITING"


def test_the_sweep_frees_what_closed_runs_hold_and_wakes_who_was_not_told(
    acquire, run_ids, monkeypatch
):
    a, b, c, _ = run_ids
    for run_id in (a, b, c):
        acquire(run_id)
    Run.objects.filter(pk=a).update(status="CLOSED")
    wake = mutex._wake
    monkeypatch.setattr(mutex, "_wake", lambda _: 0)  # the process dies after the commit

    assert mutex.sweep_slots() == 1
    assert (holders(), status(b)) == ([b], "WAITING")
    monkeypatch.setattr(mutex, "_wake", wake)
    assert mutex.sweep_slots() == 1
    assert status(b) == "READY"

    acquire(b)
    Run.objects.filter(pk=b).update(status="WAITING")
    assert mutex.sweep_slots() == 0  # it knows; its step may wait for something else now
    assert status(b) == "WAITING"


def test_a_wake_that_fails_does_not_fail_who_gave_back(acquire, run_ids, monkeypatch):
    a, b, _, _ = run_ids
    for run_id in (a, b):
        acquire(run_id)

    def broken(_):
        raise OperationalError

    monkeypatch.setattr(mutex, "_wake", broken)
    release(a)

    assert holders() == [b]


def test_the_sweep_forgets_who_waits_for_a_closed_run(acquire, run_ids):
    a, b, _, _ = run_ids
    for run_id in (a, b):
        acquire(run_id)
    Run.objects.filter(pk=b).update(status="CLOSED")

    assert upkeep.keep_up() == 1
    assert list(Slot.objects.values_list("run_id", flat=True)) == [a]


def test_what_was_granted_to_a_run_that_stopped_since_goes_to_the_next(acquire, run_ids):
    a, b, c, _ = run_ids
    for run_id in (a, b, c):
        acquire(run_id)
    release(a)
    Run.objects.filter(pk=b).update(status="HALTED")

    assert mutex.sweep_slots() == 2  # passed on, and woken

    assert (holders(), status(c)) == ([c], "READY")
    release(c)
    assert holders() == []
    Run.objects.filter(pk=b).update(status="WAITING")
    assert acquire(b) is True


def test_one_at_a_time_however_many_ask_and_release_at_once(acquire, run_ids):
    inside: list[object] = []
    most = []

    def work(run_id):
        done = 0
        while done < 8:
            if acquire(run_id, name="a") and acquire(run_id, key="t#1", name="b"):
                inside.append(run_id)
                most.append(len(inside))
                inside.remove(run_id)
                done += 1
                release(run_id)

    at_once(*[lambda run_id=run_id: work(run_id) for run_id in run_ids])

    assert set(most) == {1}
    assert len(most) == 32
    assert not Slot.objects.exists()


def test_runs_that_take_and_give_back_crosswise_do_not_block_each_other(acquire, run_ids):
    def work(number):
        names = ["x", "y"] if number % 2 else ["y", "x"]
        for _ in range(15):
            for place, name in enumerate(names):
                acquire(run_ids[number], key=f"s#{place}", name=name)
            with transaction.atomic():
                mutex.release(run_id=run_ids[number], keys=["s#0", "s#1"])

    at_once(*[lambda number=number: work(number) for number in range(4)])

    assert not Slot.objects.exists()
