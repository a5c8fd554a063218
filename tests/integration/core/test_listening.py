"""A worker's process hears of hints itself, one after another, until it is told to stop."""

import os
import threading
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery import signals
from django.conf import settings
from django.db import InterfaceError, close_old_connections, connection

from core import listening
from core.celery import app
from core.kernel import limits
from core.kernel.clock import FakeClock
from core.toolkit import hint_list, queue
from core.toolkit.breaker import Breaker

pytestmark = pytest.mark.django_db(transaction=True)

_TASK = "engine.drive"
_PATIENCE = 20.0


@pytest.fixture(autouse=True)
def breaker(monkeypatch):
    monkeypatch.setattr(queue, "BREAKER", Breaker(clock=FakeClock()))
    hint_list.forget(_TASK)
    yield
    hint_list.forget(_TASK)


class _Told:
    """A task that notes what it is called with, and does what it is told to."""

    def __init__(self, act=lambda: None):
        self.seen = []
        self.called = threading.Condition()
        self._act = act

    def __call__(self, **kwargs):
        with self.called:
            self.seen.append(kwargs)
            self.called.notify_all()
        self._act()

    def wait_for(self, count):
        with self.called:
            assert self.called.wait_for(lambda: len(self.seen) >= count, timeout=_PATIENCE)


@pytest.fixture
def listen():
    """Return what starts a listener; each is stopped at the end."""
    made = []

    def start(told=None, listener=None):
        listener = listener or listening.Listener(tasks={_TASK: told})
        listener.start()
        made.append(listener)
        return listener

    yield start
    for listener in made:
        listener.stop()
        assert listener.join(seconds=_PATIENCE)


def test_hints_are_followed_in_their_order(listen):
    for number in range(3):
        queue.hint(_TASK, number=number)
    told = _Told()
    listen(told=told)
    told.wait_for(3)

    assert [kwargs["number"] for kwargs in told.seen] == [0, 1, 2]


def test_each_hint_is_followed_by_one_of_several(listen):
    told = [_Told(), _Told()]
    for each in told:
        listen(told=each)
    for number in range(20):
        queue.hint(_TASK, number=number)
    for _ in range(200):
        if hint_list.count(_TASK) == 0:
            break
        threading.Event().wait(0.02)
    threading.Event().wait(0.2)

    numbers = [kwargs["number"] for each in told for kwargs in each.seen]
    assert sorted(numbers) == list(range(20))


def test_a_task_that_fails_keeps_none_from_the_next(listen):
    def fail():
        raise ZeroDivisionError

    told = _Told(fail)
    listen(told=told)
    for number in range(3):
        queue.hint(_TASK, number=number)

    told.wait_for(3)


def test_a_broken_connection_is_replaced_after_the_task_that_met_it(listen):
    found = []

    def ask():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            found.append(cursor.fetchone()[0])
        if len(found) == 1:
            connection.connection.close()

    told = _Told(ask)
    listen(told=told)
    for number in range(3):
        queue.hint(_TASK, number=number)
    told.wait_for(3)
    for _ in range(200):
        if len(found) == 2:
            break
        threading.Event().wait(0.02)

    assert len(set(found)) == len(found) == 2  # the second call met the broken one


def test_a_listener_that_stops_ends_its_task_and_takes_no_other(listen):
    may_end = threading.Event()
    told = _Told(lambda: may_end.wait(_PATIENCE))
    listener = listen(told=told)
    queue.hint(_TASK, number=0)
    told.wait_for(1)
    queue.hint(_TASK, number=1)
    listener.stop()

    assert not listener.join(seconds=0.1)
    may_end.set()
    assert listener.join(seconds=_PATIENCE)
    assert [kwargs["number"] for kwargs in told.seen] == [0]
    assert hint_list.count(_TASK) == 1


def test_a_hint_taken_while_stopping_is_given_back(listen, monkeypatch):
    told = _Told()
    taking, take = threading.Event(), hint_list.take

    def note(tasks, *, seconds):
        taking.set()
        return take(tasks, seconds=seconds)

    monkeypatch.setattr(hint_list, "take", note)
    monkeypatch.setattr(limits, "LISTEN_SECONDS", 5)
    listener = listen(told=told)
    taking.wait(_PATIENCE)
    listener.stop()
    queue.hint(_TASK, number=0)

    assert listener.join(seconds=_PATIENCE)
    assert told.seen == []
    assert hint_list.count(_TASK) == 1


def test_a_redis_that_is_gone_is_asked_again_later(listen, monkeypatch):
    refused: list[bool] = []
    take = hint_list.take

    def refuse_once(tasks, *, seconds):
        if not refused:
            refused.append(True)
            raise redis.ConnectionError
        return take(tasks, seconds=seconds)

    monkeypatch.setattr(hint_list, "take", refuse_once)
    monkeypatch.setattr(limits, "HINT_BREAKER_SECONDS", 0.05)
    told = _Told()
    listen(told=told)
    queue.hint(_TASK, number=0)

    told.wait_for(1)


@pytest.mark.parametrize("broken", ["hint", "connection"])
def test_nothing_that_breaks_makes_a_process_deaf(listen, monkeypatch, broken):
    failed = threading.Event()

    def refuse():
        failed.set()
        raise InterfaceError

    clock = FakeClock()
    monkeypatch.setattr(limits, "HINT_BREAKER_SECONDS", 0.05)
    told = _Told()
    listener = listening.Listener(tasks={_TASK: told}, clock=clock)
    if broken == "hint":
        hint_list._client().lpush(f"{hint_list._PREFIX}{_TASK}", "no JSON")
    else:
        clock.advance(timedelta(hours=1))
        monkeypatch.setattr(
            listening,
            "close_old_connections",
            lambda: close_old_connections() if failed.is_set() else refuse(),
        )
        queue.hint(_TASK, number=0)
    listen(listener=listener)
    for number in range(2):
        queue.hint(_TASK, number=number)

    told.wait_for(2)
    assert {"number": 1} in told.seen


def test_a_worker_listens_for_the_tasks_of_its_queues():
    assert listening.list_heard({"mail"}) == ["approvals.deliver_notices"]
    assert set(listening.list_heard({"engine", "engine.gpu"})) == {"engine.drive", "engine.receive"}
    assert listening.list_heard({"engine.gpu"}) == []


def test_every_listed_task_exists():
    app.loader.import_default_modules()
    assert settings.LISTED_TASKS.keys() <= app.tasks.keys()


def test_celerys_children_listen_and_drain_before_they_end(monkeypatch):
    told, drained = _Told(), []
    platform: Any = SimpleNamespace(tasks={_TASK: told})
    for name in ("celeryd_after_setup", "worker_process_init", "worker_process_shutdown"):
        monkeypatch.setattr(signals, name, type(getattr(signals, name))(name=name))
    monkeypatch.setattr(listening, "_queues", set())
    monkeypatch.setattr(listening, "_listeners", {})
    monkeypatch.setattr(listening, "_drains", [lambda: drained.append(listening.is_busy())])
    monkeypatch.setattr(settings, "LISTED_TASKS", {_TASK: "engine"})
    listening.follow_celery(platform)
    served = SimpleNamespace(app=SimpleNamespace(amqp=SimpleNamespace()))
    served.app.amqp.queues = SimpleNamespace(consume_from={"engine": None})
    signals.celeryd_after_setup.send(sender="engine@here", instance=served)
    signals.worker_process_init.send(sender=None)
    queue.hint(_TASK, number=0)
    told.wait_for(1)

    signals.worker_process_shutdown.send(sender=None, pid=os.getpid(), exitcode=0)

    assert drained == [True]
    assert not listening.is_busy()


def test_a_process_that_stops_waits_a_moment_only(monkeypatch):
    may_end = threading.Event()
    told = _Told(lambda: may_end.wait(_PATIENCE))
    monkeypatch.setattr(listening, "_listeners", {})
    monkeypatch.setattr(listening, "_drains", [])
    monkeypatch.setattr(limits, "LET_GO_SECONDS", 0.05)
    listening.start({_TASK: told})
    queue.hint(_TASK, number=0)
    told.wait_for(1)

    listening.stop()

    assert listening.is_busy()
    may_end.set()
    listening.stop()
    assert not listening.is_busy()
