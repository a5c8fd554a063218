"""Sending events over HTTP."""

import json
from dataclasses import replace
from functools import partial

import pytest

from core.kernel import limits
from engine.domain.cloud_events import CloudEvent
from engine.models import Inbox
from engine.services.sending import send_events
from tests.integration.engine.threads import at_once

EVENT = {"specversion": "1.0", "id": "e1", "source": "/ci", "type": "deploy.finished"}
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


@pytest.fixture
def send(town):
    """Send a body of a content type; by default the operator does."""

    def send(body, *, who="mara", kind=STRUCTURED, project=town.slug, **headers):
        return town.as_(who).client.generic(
            "POST",
            f"/api/v1/events?project={project}",
            body if isinstance(body, str) else json.dumps(body),
            content_type=kind,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    return send


def kept():
    return [(event.type, event.data) for event in Inbox.objects.order_by("received_at", "type")]


def test_an_event_is_taken_in_structured_mode(send):
    response = send({**EVENT, "data": {"ok": True}})

    assert response.status_code == 202, response.content
    (taken,) = response.json()["events"]
    assert taken["replayed"] is False
    event = Inbox.objects.get()
    assert (str(event.pk), event.type, event.data) == (taken["id"], "deploy.finished", {"ok": True})


def test_an_event_is_taken_in_binary_mode(send):
    headers = {f"ce_{name}": value for name, value in EVENT.items()}

    response = send({"ok": True}, kind="application/json", **headers)

    assert response.status_code == 202, response.content
    assert kept() == [("deploy.finished", {"ok": True})]


def test_plain_json_without_attributes_in_headers_is_a_whole_event(send):
    response = send({**EVENT, "data": {"n": 1}}, kind="application/json")

    assert response.status_code == 202, response.content
    assert kept() == [("deploy.finished", {"n": 1})]


def test_both_modes_name_the_same_event(send):
    headers = {f"ce_{name}": value for name, value in EVENT.items()}

    first = send({**EVENT, "data": {"n": 1}}).json()["events"][0]
    second = send({"n": 1}, kind="application/json; charset=utf-8", **headers).json()["events"][0]

    assert second == {"id": first["id"], "replayed": True}
    assert Inbox.objects.count() == 1


def test_a_batch_is_taken_whole_or_not_at_all(send, problem):
    batch = [{**EVENT, "id": f"e{number}", "data": {"n": number}} for number in range(3)]

    refused = problem(send([*batch, {**EVENT, "type": ""}], kind=BATCH), 422, "api.invalid_input")
    assert [item["path"] for item in refused["errors"]] == ["/3/type"]
    assert kept() == []

    response = send(batch, kind=BATCH)
    assert response.status_code == 202, response.content
    assert len(response.json()["events"]) == 3
    assert Inbox.objects.count() == 3


def test_an_event_of_the_batch_that_cannot_be_kept_keeps_out_the_others(send, problem):
    large = {**EVENT, "id": "e9", "data": {"x": "y" * (limits.EVENT_BYTES_MAX + 1)}}

    problem(send([EVENT, large], kind=BATCH), 422, "engine.event_invalid")

    assert kept() == []


def test_an_id_is_good_for_one_event(send, problem):
    send({**EVENT, "data": {"n": 1}})

    problem(send({**EVENT, "data": {"n": 2}}), 422, "engine.event_reused")
    assert send({**EVENT, "source": "/other", "data": {"n": 2}}).status_code == 202

    assert Inbox.objects.count() == 2


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        ([], BATCH, 422, "api.invalid_input"),
        ({}, BATCH, 422, "api.invalid_input"),
        ([EVENT] * (limits.EVENT_BATCH_COUNT_MAX + 1), BATCH, 422, "api.invalid_input"),
        ([EVENT], STRUCTURED, 422, "api.invalid_input"),
        ({}, "application/json", 422, "api.invalid_input"),
        ("{", STRUCTURED, 400, "api.malformed"),
        ('{"id": "a", "id": "b"}', STRUCTURED, 400, "api.malformed"),
        ("<event/>", "application/xml", 415, "api.unsupported_media_type"),
    ],
)
def test_what_is_no_event_is_refused(send, problem, body, kind, status, code):
    problem(send(body, kind=kind), status, code)

    assert kept() == []


def test_who_may_not_operate_runs_sends_nothing(send, problem, nobody, town):
    problem(send(EVENT, who="vera"), 403, "identity.forbidden")
    problem(send(EVENT, who="stan"), 404, "engine.project_missing")
    problem(send(EVENT, project="nowhere"), 404, "engine.project_missing")
    problem(nobody.post("events/", EVENT), 401, "api.not_authenticated")
    problem(town.as_("mara").post("events/", EVENT), 422, "api.invalid_input")

    assert kept() == []


@pytest.mark.django_db(transaction=True)
def test_two_batches_in_two_orders_do_not_wait_for_each_other(committed_town):
    events = [
        CloudEvent(id=name, source="/x", type=f"type.{name}", subject="", time="", data={})
        for name in ("a", "b", "c", "d")
    ]
    mara = committed_town.principal("mara")

    def send(batch, turn):
        named = [replace(event, source=f"/{turn}") for event in batch]
        return send_events(principal=mara, project_slug=committed_town.slug, events=named)

    for turn in range(10):
        at_once(
            partial(send, events, f"f{turn}"),
            partial(send, events[::-1], f"b{turn}"),
        )

    assert Inbox.objects.count() == 80
