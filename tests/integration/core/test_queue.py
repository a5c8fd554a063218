"""Hints reach the broker, and a broken broker stops nobody."""

import json

import pytest
import redis
from django.conf import settings

from core.kernel import limits
from core.kernel.clock import FakeClock
from core.toolkit import hint_list, queue
from core.toolkit.breaker import Breaker


@pytest.fixture
def broker():
    client = redis.Redis.from_url(settings.REDIS_URL)
    _empty(client)
    yield client
    _empty(client)
    client.close()


@pytest.fixture
def breaker(monkeypatch):
    fresh = Breaker(clock=FakeClock())
    monkeypatch.setattr(queue, "BREAKER", fresh)
    return fresh


def _empty(client):
    for pattern in ("countersign:queue:*", "countersign:hints:*"):
        for key in client.scan_iter(pattern):
            client.delete(key)


def _waiting(client, name):
    return [json.loads(item) for item in client.lrange(f"countersign:queue:{name}", 0, -1)]


def test_a_hint_waits_in_the_queue_of_its_task_under_its_name(broker, breaker):
    queue.hint("engine.other", run_id="7")

    (message,) = _waiting(broker, "engine")
    assert message["headers"]["task"] == "engine.other"
    assert message["headers"]["kwargsrepr"] == "{'run_id': '7'}"


def test_a_hint_may_name_its_queue(broker, breaker):
    queue.hint_at("engine.gpu", "engine.execute")

    assert len(_waiting(broker, "engine.gpu")) == 1


@pytest.mark.parametrize("task", ["engine.drive", "engine.receive", "approvals.deliver_notices"])
def test_a_hint_that_people_wait_for_waits_in_a_list(broker, breaker, task):
    queue.hint(task, number=7)

    assert hint_list.count(task) == 1
    assert hint_list.take(["engine.nothing", task], seconds=1) == (task, {"number": 7})
    assert hint_list.take([task], seconds=0.1) is None


def test_hints_are_taken_in_their_order_and_the_oldest_go_first(broker, breaker, monkeypatch):
    monkeypatch.setattr(limits, "LISTED_HINT_COUNT_MAX", 3)
    for number in range(5):
        queue.hint("engine.drive", number=number)

    assert hint_list.count("engine.drive") == 3
    taken = [hint_list.take(["engine.drive"], seconds=1) for _ in range(3)]
    assert [found[1]["number"] for found in taken if found] == [2, 3, 4]


def test_a_list_can_be_emptied(broker, breaker):
    queue.hint("engine.drive", run_id="7")
    hint_list.forget("engine.drive")

    assert hint_list.count("engine.drive") == 0
