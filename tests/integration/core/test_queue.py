"""Hints reach the broker, and a broken broker stops nobody."""

import json

import pytest
import redis
from django.conf import settings

from core.kernel.clock import FakeClock
from core.toolkit import queue
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
    for key in client.scan_iter("countersign:queue:*"):
        client.delete(key)


def _waiting(client, name):
    return [json.loads(item) for item in client.lrange(f"countersign:queue:{name}", 0, -1)]


def test_a_hint_waits_in_the_engine_queue_under_its_name(broker, breaker):
    queue.hint("engine.drive", run_id="7")

    (message,) = _waiting(broker, "engine")
    assert message["headers"]["task"] == "engine.drive"
    assert message["headers"]["kwargsrepr"] == "{'run_id': '7'}"


def test_a_delivery_waits_in_a_queue_of_its_own(broker, breaker):
    queue.hint("approvals.deliver", limit=5)

    assert _waiting(broker, "engine") == []
    assert len(_waiting(broker, "mail")) == 1
