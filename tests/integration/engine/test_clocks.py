"""Whose clock an entry's instant comes from, and when that clock is read."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, connections, transaction

from audit import store as ledger
from engine import loading
from engine.domain.decider import Decider
from engine.domain.plan import Plan, Step, Uses
from engine.services.waits import lock_run
from tests.processes import eventually
from tests.world import Hand, World

pytestmark = pytest.mark.django_db(transaction=True)

PLAN = Plan(
    name="clock",
    title="Clock",
    inputs_schema={"type": "object"},
    variables={},
    steps={
        "a": Step(
            id="a",
            verb=Uses(action="python/call@1", arguments={"function": "t.ok"}),
            condition="true",
        )
    },
    outputs={},
)


class SlowEvaluator:
    """An evaluator that takes its time, and notes the database's clock afterwards."""

    def __init__(self) -> None:
        self.looked_at = datetime.max.replace(tzinfo=UTC)

    def __getattr__(self, name):
        return getattr(loading.EVALUATOR, name)

    def condition(self, expression, variables):
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            pass
        self.looked_at = database_clock()
        return loading.EVALUATOR.condition(expression, variables)


def database_clock():
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


@pytest.fixture
def world():
    loading.forget_all()
    world = World()
    world.user("mara", "requester", "editor", "publisher", "operator")
    return world


def test_the_time_that_folding_takes_passes_on_a_drivers_clock_too(world, calls):
    version = world.publish(PLAN, author="mara")
    run_id = world.start("clock", by="mara").run_id
    hand = Hand()
    hand.driver._claim(run_id)
    hand.die()
    loading.forget_state(run_id=run_id)
    rules = loading.get_rules(version_id=version.pk)
    slow = SlowEvaluator()
    decider = Decider(plan=PLAN, evaluator=slow, verbs={})
    loading._rules.keep(version.pk, replace(rules, decider=decider))

    Hand().driver._claim(run_id)

    claimed = ledger.read_stream(stream=run_id, limit=10)[2]
    assert claimed.kind == "run.owned"
    # Half a round trip is all that may be missing.
    assert claimed.at >= slow.looked_at - timedelta(seconds=0.1)


def test_whoever_locks_a_run_reads_the_clock_when_the_lock_is_held(world):
    world.publish(PLAN, author="mara")
    run_id = world.start("clock", by="mara").run_id
    waiting = threading.Event()
    backends = []

    def lock():
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_backend_pid()")
                    backends.append(cursor.fetchone()[0])
                waiting.set()
                return lock_run(run_id=run_id).at
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            lock_run(run_id=run_id)
            locking = pool.submit(lock)
            assert waiting.wait(10)
            eventually(lambda: is_blocked(backends[0]))
            before_release = database_clock()
        locked_at = locking.result(10)

    assert locked_at > before_release


def is_blocked(backend):
    with connection.cursor() as cursor:
        cursor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [backend])
        return cursor.fetchone()[0]
