"""An action over its time fails by itself: its worker goes on."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections

from engine.domain.plan import Plan, Step, Uses
from engine.models import Run
from engine.worker import WorkerProcess
from tests.world import World, fold

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = 1.0


@pytest.fixture
def world(settings):
    given = connection.get_connection_params()
    url = (
        f"postgresql://{given['user']}:{given.get('password', '')}@/{given['dbname']}"
        f"?host={given['host']}&port={given['port']}"
    )
    settings.SQL_CONNECTIONS = {"slow": {"url": url}}
    world = World()
    world.user("mara", "requester")
    verb = Uses(
        action="sql/query@1", arguments={"connection": "slow", "statement": "SELECT pg_sleep(30)"}
    )
    plan = Plan(
        name="slow",
        title="Slow",
        inputs_schema={"type": "object"},
        variables={},
        steps={"slow": Step(id="slow", verb=verb, timeout_seconds=SECONDS)},
        outputs={},
    )
    world.publish(plan, author="mara")
    return world


def test_a_statement_over_its_time_does_not_take_its_worker_with_it(world):
    run_id = world.start("slow", by="mara").run_id
    ended, is_over = threading.Event(), threading.Event()
    worker = WorkerProcess(name="test", on_hang=ended.set)
    worker.register()

    def watch():
        try:
            while not is_over.is_set() and worker.look():
                time.sleep(0.01)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        worker.drive(run_id=run_id)
        is_over.set()
        watching.result(10)
    worker.stop()

    assert not ended.is_set()
    error = fold(run_id).steps["slow#1"].error
    assert error is not None, "it has failed"
    assert error.kind == "timeout"
    assert error.message.startswith("The statement took over 0.")  # its own end, not the watchdog's
    assert Run.objects.get(pk=run_id).status == "CLOSED"
