"""The sweep of what is around runs. What each part does is in the tests of that part."""

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from engine import registry, remote, upkeep
from engine.domain.circuit import CircuitRule
from engine.gates import cache, circuit, mutex, rate
from engine.models import Cache, Circuit, Inbox, Rate, Run, Slot, Task
from engine.services import events
from engine.sweep import sweep_once
from tests.integration.engine.plans import plan_of_one_step
from tests.world import World

LONG_AGO = "2020-01-01T00:00Z"


@pytest.fixture
def run_id(world):
    world.publish(plan_of_one_step(), author="mara")
    return world.start("job", by="mara").run_id


def fill(world, run_id):
    """Make one thing of each kind that is due, and one that is not."""
    project_id = world.project.pk
    rule = CircuitRule(failures=3, window_seconds=60.0, cooldown_seconds=60.0)
    origin = world.principal("mara").origin
    for _ in range(2):
        events.publish(project_id=project_id, event_type="x", data={}, origin=origin)
    for name in ("a", "b"):
        rate.reserve(project_id=project_id, name=name, limit=1, seconds=60.0)
        circuit.note(
            project_id=project_id,
            name=name,
            rule=rule,
            run_id=run_id,
            key="s#1",
            succeeded=False,
        )
        cache.keep(
            project_id=project_id,
            key=name,
            ttl_seconds=60.0,
            result=1,
            run_id=run_id,
            step_key="s#1",
        )
    Inbox.objects.filter(pk=Inbox.objects.order_by("pk")[0].pk).update(expires_at=LONG_AGO)
    Rate.objects.filter(name="a").update(idle_at=LONG_AGO)
    Circuit.objects.filter(name="a").update(idle_at=LONG_AGO)
    Cache.objects.filter(key_digest=Cache.objects.all()[0].key_digest).update(expires_at=LONG_AGO)


def test_an_idle_round_costs_one_statement(run_id):
    with CaptureQueriesContext(connection) as queries:
        assert upkeep.keep_up() == 0

    assert len(queries) == 1


def test_a_round_does_what_is_due_and_the_next_is_idle(world, run_id):
    fill(world, run_id)

    assert upkeep.keep_up() == 4

    assert [model.objects.count() for model in (Inbox, Rate, Circuit, Cache)] == [1] * 4
    assert upkeep.keep_up() == 0


def test_it_is_part_of_every_sweep(world, run_id):
    fill(world, run_id)

    assert "upkeep" in registry.sweeps()
    assert sweep_once().others == 4


def test_what_fails_keeps_nothing_else_from_its_turn(transactional_db, monkeypatch):
    world = World()
    world.user("mara", "requester", "editor", "publisher")
    world.publish(plan_of_one_step(), author="mara")
    fill(world, world.start("job", by="mara").run_id)

    def fail():
        raise DatabaseError("away")

    broken = {**upkeep._SWEEPS, "events": fail, "rates": fail}
    monkeypatch.setattr(upkeep, "_SWEEPS", broken)

    assert upkeep.keep_up() == 2


def test_a_mutex_of_a_closed_run_is_freed_and_one_that_is_used_left_alone(world, run_id):
    other = world.start("job", by="mara").run_id
    for owner, name in ((run_id, "a"), (other, "b")):
        mutex.acquire(project_id=world.project.pk, run_id=owner, key="s#1", name=name)
    Run.objects.filter(pk=other).update(status="WAITING", wake_at=None)
    Run.objects.filter(pk=run_id).update(status="CLOSED")

    assert upkeep.keep_up() == 1
    assert upkeep.keep_up() == 0
    assert [slot.name for slot in Slot.objects.all()] == ["b"]


def test_an_attempt_nobody_took_is_hinted_again(run_id):
    task = remote.NewTask(
        key="s#1",
        attempt=1,
        queue="gpu",
        action="python/call@1",
        arguments={},
        timeout_seconds=60.0,
        heartbeat_seconds=None,
    )
    remote.publish(run_id=run_id, tasks=[task])
    assert upkeep.keep_up() == 0
    Task.objects.update(due_at=LONG_AGO)

    assert upkeep.keep_up() == 1


def test_an_end_that_was_not_reported_is_reported(world, run_id):
    child = world.start("job", by="mara").run_id
    Run.objects.filter(pk=child).update(
        status="CLOSED",
        outcome="succeeded",
        parent_id=run_id,
        parent_key="c#1",
        parent_reported=False,
        closed_at=LONG_AGO,
    )

    assert upkeep.keep_up() == 1
