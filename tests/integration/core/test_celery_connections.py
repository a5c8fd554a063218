"""A worker keeps its database connection from task to task, and gets over a broken one."""

import pytest
from celery.fixups import django as fixups
from celery.signals import task_postrun, task_prerun
from django.db import connection

from core.celery import app
from core.settings import connections
from core.settings.env import PlanCacheMode, ProcessRole

pytestmark = pytest.mark.django_db(transaction=True)

_SETTINGS = connections.database(
    url="dbname=unused",
    role=ProcessRole.WORKER,
    plan_cache_mode=PlanCacheMode.AUTO,
    pool_size_max=2,
)
_WORKER = {name: _SETTINGS[name] for name in ("CONN_MAX_AGE", "CONN_HEALTH_CHECKS")}


@pytest.fixture
def fixup(monkeypatch):
    """Return what Celery installs in a worker, connected, with a worker's settings."""
    for name, value in _WORKER.items():
        monkeypatch.setitem(connection.settings_dict, name, value)
    connection.close()
    found = fixups.DjangoWorkerFixup(app)  # type: ignore[attr-defined]  # its stubs lack it
    task_prerun.connect(found.on_task_prerun)
    task_postrun.connect(found.on_task_postrun)
    yield found
    task_prerun.disconnect(found.on_task_prerun)
    task_postrun.disconnect(found.on_task_postrun)
    connection.close()


def _run_a_task():
    sender = app.tasks["celery.backend_cleanup"]  # any task; it is not run
    task_prerun.send(sender=sender)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (server_process,) = cursor.fetchone()
    task_postrun.send(sender=sender)
    return server_process


def test_tasks_share_a_connection(fixup):
    assert _run_a_task() == _run_a_task() == _run_a_task()


def test_a_broken_connection_is_replaced_before_the_next_task(fixup):
    before = _run_a_task()
    connection.connection.close()

    assert _run_a_task() != before
