"""Runs that events and the clock start, on a real database. Time is moved by hand."""

from typing import Any

import pytest
from django.db import connection

from audit import store as ledger
from core.kernel import ids, limits
from engine import starting
from engine.models import Firing, Inbox, Run, Trigger, Window, Workflow
from engine.services import events
from engine.triggers.firing import fire_due
from tests.integration.engine.living import opened_place
from tests.integration.engine.threads import at_once
from tests.simulation.clockwork import SEARCH_PATH
from tests.world import fold

pytestmark = pytest.mark.django_db(transaction=True)

HEARS = """
schema: flow/v1
kind: dag
name: hears
title: "${{ event.data.service }} at ${{ event.source }}"
inputs:
  type: object
  additionalProperties: false
  required: [service]
  properties: {service: {type: string}, level: {type: integer, default: 1}}
triggers:
- event:
    type: alert.fired
    filter: "event.data.level > 1"
    inputs: {service: event.data.service, level: event.data.level}
steps:
  note: {set: {seen: "event.data.service + inputs.service"}}
vars: {seen: "", first: "${{ event.type }}"}
outputs: {seen: vars.seen, first: vars.first}
"""

DEDUPES = """
schema: flow/v1
kind: dag
name: dedupes
triggers: [{event: {type: alert.fired, dedupe: event.data.fingerprint, window: PT10M}}]
steps: {note: {emit: {type: alert.noted, data: {by: "${{ run.number }}"}}}}
"""


@pytest.fixture
def place(monkeypatch):
    with opened_place(monkeypatch) as place:
        yield place


def runs():
    return list(Run.objects.order_by("number"))


def recorded(slug, kind):
    """Return data and payloads of a workflow's entries of a kind."""
    workflow = Workflow.objects.get(slug=slug)
    entries = ledger.read_verified(stream=workflow.pk, limit=1_000)
    assert entries[-1].leaf == bytes(workflow.head)
    return [(item.data, item.payloads) for item in entries if item.kind == kind]


def fire_here():
    """Look at what is due over a connection of a thread's own, in the place's time."""
    with connection.cursor() as cursor:
        cursor.execute(SEARCH_PATH)
    return fire_due()


# --- events ----------------------------------------------------------------------------------


def test_an_event_starts_a_run_that_reads_it(place):
    place.publish_text(HEARS)

    place.send("alert.fired", service="shop", level=2)

    (run,) = runs()
    assert (run.outcome, run.title) == ("succeeded", "shop at ")
    closing = fold(run.pk).closing
    assert closing is not None
    assert closing.outputs == {"seen": "shopshop", "first": "alert.fired"}
    assert run.initiator.username == "mara"
    first = ledger.read_stream(stream=run.pk, limit=1)[0]
    cause: Any = first.data["trigger"]
    heard: Any = first.payloads["event"]
    assert (cause["kind"], cause["position"]) == ("event", 0)
    assert heard["id"] == cause["event"]
    assert first.payloads["inputs"] == {"service": "shop", "level": 2}
    assert not Firing.objects.exists()
    trigger = Trigger.objects.get()
    assert (trigger.fired_count, trigger.fired_at is not None) == (1, True)


def test_what_the_filter_lets_not_through_starts_nothing(place):
    place.publish_text(HEARS)

    place.send("alert.fired", service="shop", level=1)
    place.send("alert.other", service="shop", level=2)

    assert runs() == []
    assert recorded("hears", "trigger.refused") == []
    assert not Firing.objects.exists()


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        ({"service": "shop"}, "engine.expression_failed", "there is no key 'level'"),
        ({"service": 7, "level": 2}, "engine.inputs_invalid", ""),
    ],
)
def test_what_cannot_start_is_on_the_workflows_record(place, data, code, words):
    place.publish_text(HEARS)

    place.send("alert.fired", **data)

    assert runs() == []
    ((told, payloads),) = recorded("hears", "trigger.refused")
    assert (told["code"], told["position"]) == (code, 0)
    assert words in payloads["message"]
    assert told["type"] == "alert.fired"
    assert Inbox.objects.get(pk=told["event"]).data == data
    assert not Firing.objects.exists()


def test_of_equal_events_only_the_first_in_the_window_starts_a_run(place):
    place.publish_text(DEDUPES)

    for fingerprint in ("a", "a", "b", "a"):
        place.send("alert.fired", fingerprint=fingerprint)
    assert len(runs()) == 2

    place.wait(minutes=9)
    place.send("alert.fired", fingerprint="a")
    assert len(runs()) == 2

    place.wait(minutes=2)
    assert not Window.objects.exists()
    place.send("alert.fired", fingerprint="a")
    assert len(runs()) == 3
    numbers = [run.number for run in runs()]
    assert numbers == list(range(numbers[0], numbers[0] + 3)), "none was drawn in vain"


def test_publishing_again_forgets_no_value_that_keeps_others_out(place):
    place.publish_text(DEDUPES)
    place.send("alert.fired", fingerprint="a")

    place.publish_text(DEDUPES.replace("name: dedupes", "name: dedupes\ntitle: again"))
    place.send("alert.fired", fingerprint="a")
    place.send("alert.fired", fingerprint="b")

    assert [run.version.rev for run in runs()] == [1, 2]


def test_a_number_that_the_database_writes_in_digits_is_read_as_it_came(place):
    place.publish_text(HEARS)

    place.send("alert.fired", service="shop", level=2, size=1e300)

    (run,) = runs()
    event: Any = fold(run.pk).event
    assert event["data"]["size"] == 1e300
    assert isinstance(event["data"]["size"], float)


def test_what_goes_wrong_with_one_firing_keeps_no_other_from_its_turn(place, monkeypatch):
    place.publish_text(HEARS)
    place.publish_text(DEDUPES.replace("alert.fired", "other.fired"))
    place.send_quietly("alert.fired", service="shop", level=2)
    place.send_quietly("other.fired", fingerprint="a")
    check = starting.check_rendering

    def breaks(chosen, inputs, *, heard=None):
        if chosen.workflow_slug == "hears":
            raise RecursionError
        check(chosen, inputs, heard=heard)

    monkeypatch.setattr(starting, "check_rendering", breaks)
    place.settle()

    assert [run.workflow.slug for run in runs()] == ["dedupes"]
    assert Firing.objects.get().attempt_count == 1


def test_runs_that_start_each_other_come_to_an_end(place, monkeypatch):
    monkeypatch.setattr(limits, "TRIGGER_DEPTH_MAX", 3)
    place.publish_text(DEDUPES.replace(", dedupe: event.data.fingerprint, window: PT10M", ""))
    place.publish_text(
        """
schema: flow/v1
kind: dag
name: again
triggers: [{event: {type: alert.noted}}]
steps: {note: {emit: {type: alert.fired}}}
"""
    )

    place.send("alert.fired", fingerprint="a")

    assert [run.workflow.slug for run in runs()] == ["dedupes", "again", "dedupes", "again"]
    ((told, _),) = recorded("dedupes", "trigger.refused")
    assert told["code"] == "engine.trigger_loop"


def test_an_event_that_comes_twice_starts_one_run(place):
    place.publish_text(HEARS)
    event_id = ids.uuid7()

    for _ in range(2):
        place.send_quietly("alert.fired", event_id=event_id, service="shop", level=2)
    place.settle()

    assert len(runs()) == 1


def test_an_event_that_a_run_sends_starts_another_in_the_name_of_who_started_the_first(place):
    place.publish_text(DEDUPES)
    place.publish_text(
        """
schema: flow/v1
kind: dag
name: after
title: "${{ event.source }}"
triggers: [{event: {type: alert.noted}}]
steps: {note: {emit: {type: end.noted}}}
"""
    )

    place.send("alert.fired", fingerprint="a")

    first, second = runs()
    assert second.title == f"run:{first.pk}"
    assert second.initiator.username == "mara"
    assert second.workflow.slug == "after"


def test_a_new_version_brings_its_own_triggers_and_what_was_pulled_keeps_its_version(place):
    place.publish_text(HEARS)
    place.send_quietly("alert.fired", service="shop", level=2)
    place.publish_text(HEARS.replace("alert.fired", "alert.raised"))
    place.send_quietly("alert.fired", service="late", level=2)
    place.send_quietly("alert.raised", service="new", level=2)

    place.settle()

    started = {(run.title, run.version.rev) for run in runs()}
    assert started == {("shop at ", 1), ("new at ", 2)}
    place.wait(hours=2)
    assert [trigger.version.rev for trigger in Trigger.objects.all()] == [2]


def test_a_version_without_triggers_ends_those_before_it(place):
    place.publish_text(HEARS)
    place.publish_text("schema: flow/v1\nkind: dag\nname: hears\nsteps: {a: {emit: {type: x.y}}}\n")

    place.send("alert.fired", service="shop", level=2)
    place.wait(hours=2)

    assert runs() == []
    assert not Trigger.objects.exists()


def test_an_archived_workflow_starts_nothing(place):
    place.publish_text(HEARS)
    Workflow.objects.update(archived_at=place.clock.now())

    place.send("alert.fired", service="shop", level=2)

    assert (runs(), Firing.objects.count()) == ([], 0)


def test_two_workers_start_each_run_once(place):
    place.publish_text(HEARS)
    for number in range(20):
        place.send_quietly("alert.fired", service=f"s{number}", level=2)

    counts = at_once(fire_here, fire_here, fire_here)

    assert sum(counts) == 20
    assert sorted(run.title for run in runs()) == sorted(f"s{number} at " for number in range(20))


def test_two_equal_events_at_once_start_one_run(place):
    place.publish_text(DEDUPES)
    for _ in range(6):
        place.send_quietly("alert.fired", fingerprint="a")

    at_once(fire_here, fire_here, fire_here)

    assert len(runs()) == 1


def test_a_start_that_breaks_is_tried_again_and_leaves_nothing_behind(place, monkeypatch):
    place.publish_text(DEDUPES)
    place.send_quietly("alert.fired", fingerprint="a")
    insert = starting.insert

    def breaks(*arguments, **named):
        insert(*arguments, **named)
        raise ValueError("a bug")

    monkeypatch.setattr(starting, "insert", breaks)
    place.settle()
    assert (runs(), Window.objects.count(), Firing.objects.get().attempt_count) == ([], 0, 1)

    monkeypatch.setattr(starting, "insert", insert)
    place.wait(seconds=limits.FIRING_RETRY_DELAY.total_seconds())

    assert len(runs()) == 1
    assert not Firing.objects.exists()


def test_a_start_that_always_breaks_ends_on_record(place, monkeypatch):
    place.publish_text(HEARS)
    place.send_quietly("alert.fired", service="shop", level=2)

    def breaks(*_, **__):
        raise ValueError("a bug")

    monkeypatch.setattr(starting, "insert", breaks)
    for _ in range(limits.FIRING_ATTEMPT_COUNT_MAX):
        place.wait(hours=1)

    ((told, payloads),) = recorded("hears", "trigger.failed")
    assert told["code"] == "engine.firing_failed"
    assert payloads["message"] == "ValueError: a bug"
    assert (runs(), Firing.objects.count()) == ([], 0)


def test_publishing_an_event_that_pulls_nothing_costs_one_statement_more(
    place, django_assert_num_queries
):
    def send():
        events.publish(
            project_id=place.world.project.pk,
            event_type="no.body",
            data={},
            origin=place.principals["mara"].origin,
        )

    send()
    # BEGIN, the lock, the event, what waits for it, the triggers, COMMIT, what is to be delivered.
    with django_assert_num_queries(7):
        send()


def test_an_event_out_of_order_goes_to_a_person_who_sees_it(place):
    place.publish_text(
        """
schema: flow/v1
kind: dag
name: orders
triggers: [{event: {type: order.moved}}]
steps:
  odd:
    if: "event.data.seq != 1"
    approval:
      title: "${{ event.data.order }} came as number ${{ event.data.seq }}"
      subject: {event: event}
      stages: [{id: ops, approvers: {groups: [engineers]}, quorum: {count: 1}}]
      expires: {after: P1D, then: reject}
  book:
    needs: [odd]
    if: "steps.odd.outcome in ['approved', 'overridden', 'skipped']"
    emit: {type: order.booked}
"""
    )

    place.send("order.moved", order="A1", seq=1)
    place.send("order.moved", order="A1", seq=3)

    in_order, odd = runs()
    assert in_order.outcome == "succeeded"
    request = place.request(odd)
    assert request.title == "A1 came as number 3"
    place.decide(odd, "ann")
    odd.refresh_from_db()
    assert odd.outcome == "succeeded"
