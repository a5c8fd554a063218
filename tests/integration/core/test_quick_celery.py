"""Quick hints are Celery's messages: the same fields, and a worker that takes them."""

import base64
import json

import pytest
import redis
from celery import Celery
from django.conf import settings

from core.celery import app

_OWN = {"id", "root_id", "origin", "correlation_id", "reply_to", "delivery_tag"}


@pytest.fixture
def broker():
    client = redis.Redis.from_url(settings.REDIS_URL)
    _empty(client)
    yield client
    _empty(client)
    client.close()


def _empty(client):
    for key in client.scan_iter("countersign:queue:*"):
        client.delete(key)


def _take(client, queue):
    (message,) = [json.loads(item) for item in client.lrange(f"countersign:queue:{queue}", 0, -1)]
    _empty(client)
    return message


def _without_own(fields):
    return {name: value for name, value in fields.items() if name not in _OWN}


@pytest.mark.parametrize(
    ("task", "options", "queue"),
    [
        ("engine.drive", {"kwargs": {"run_id": "7"}}, "engine"),
        ("approvals.deliver", {"kwargs": {"limit": 5}}, "mail"),
        ("engine.execute", {"kwargs": {}, "queue": "engine.gpu"}, "engine.gpu"),
    ],
)
def test_the_message_is_the_one_celery_sends(broker, task, options, queue):
    plain = {"retry": False, "ignore_result": True, **options}
    Celery.send_task(app, task, **plain)
    celerys = _take(broker, queue)

    app.send_task(task, **plain)

    ours = _take(broker, queue)
    assert ours.keys() == celerys.keys()
    assert json.loads(base64.b64decode(ours["body"])) == json.loads(
        base64.b64decode(celerys["body"])
    )
    for part in ("headers", "properties"):
        assert ours[part].keys() == celerys[part].keys()
        assert _without_own(ours[part]) == _without_own(celerys[part])
    assert ours["headers"]["id"] == ours["headers"]["root_id"]
    assert ours["headers"]["id"] == ours["properties"]["correlation_id"]
    assert [ours[name] for name in ("content-encoding", "content-type")] == [
        celerys[name] for name in ("content-encoding", "content-type")
    ]


def test_every_message_has_an_id_and_a_tag_of_its_own(broker):
    sent = []
    for _ in range(2):
        app.send_task("engine.drive", kwargs={"run_id": "7"}, retry=False, ignore_result=True)
        sent.append(_take(broker, "engine"))

    assert sent[0]["headers"]["id"] != sent[1]["headers"]["id"]
    assert sent[0]["properties"]["delivery_tag"] != sent[1]["properties"]["delivery_tag"]


def test_what_is_not_plain_goes_celerys_way(broker):
    found = app.send_task("engine.drive", kwargs={"run_id": "7"}, countdown=60)

    assert found.id == _take(broker, "engine")["headers"]["id"]
