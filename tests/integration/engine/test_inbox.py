"""Events and the waits they are for, over a real database: whichever comes first."""

import json
from functools import partial

import pytest
from django.db import connection, transaction

from audit import store as ledger
from core.kernel import ids
from engine import inbox, loading, store
from engine.domain.errors import EventInvalidError, EventReusedError, UnexpectedEventError
from engine.inbox import Awaited
from engine.models import Delivery, Inbox, Run, Wait
from engine.services import events, outside
from engine.services.events import Emitted
from tests.integration.engine.plans import plan_of_one_step
from tests.integration.engine.threads import at_once
from tests.world import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world():
    loading.forget_all()
    world = World()
    world.user("mara", "requester", "editor", "publisher", "operator")
    world.publish(plan_of_one_step(), author="mara")
    return world


def waiting_run(world):
    """Return a run that waits for something outside, as its row says."""
    run_id = world.start("job", by="mara").run_id
    Run.objects.filter(pk=run_id).update(status="WAITING", wake_at=None)
    return run_id


def wait_for(world, run_id, *, key="w#1", event_type="order.paid", correlate=None):
    wait = Awaited(key=key, type=event_type, correlate=correlate or {})
    with transaction.atomic():
        store.lock_run(run_id=run_id)
        events.exchange(run_id=run_id, project_id=world.project.pk, awaited=[wait], emitted=[])


def send(world, data=None, *, event_type="order.paid", event_id=None):
    return events.publish(
        project_id=world.project.pk,
        event_type=event_type,
        data=data or {},
        origin=world.principal("mara").origin,
        event_id=event_id,
    )


def received(run_id):
    """Return (key, data) of every event the run has had, in order."""
    entries = ledger.read_stream(stream=run_id, limit=1000)
    return [
        (entry.data["key"], entry.payloads["data"])
        for entry in entries
        if entry.kind == "event.received"
    ]


def is_clean():
    return not Delivery.objects.exists()


def test_an_event_wakes_the_run_that_waits_for_it(world):
    run_id, other = waiting_run(world), waiting_run(world)
    wait_for(world, run_id, correlate={"order": 17})
    wait_for(world, other, correlate={"order": 18})

    send(world, {"order": 17, "amount": "9.90"})

    assert received(run_id) == [("w#1", {"order": 17, "amount": "9.90"})]
    assert received(other) == []
    assert Run.objects.get(pk=run_id).status == "READY"
    assert Run.objects.get(pk=other).status == "WAITING"
    assert list(Wait.objects.values_list("run_id", flat=True)) == [other]
    assert is_clean()


def test_an_event_that_came_first_is_found_by_the_wait(world):
    run_id = waiting_run(world)
    send(world, {"order": 17})

    wait_for(world, run_id, correlate={"order": 17})

    assert received(run_id) == [("w#1", {"order": 17})]
    assert is_clean()


def test_an_event_from_before_the_run_is_not_for_it(world):
    send(world, {"order": 17})
    run_id = waiting_run(world)

    wait_for(world, run_id, correlate={"order": 17})

    assert received(run_id) == []


def test_a_run_has_an_event_once_and_a_wait_gets_one(world):
    run_id = waiting_run(world)
    wait_for(world, run_id, key="a#1")
    wait_for(world, run_id, key="b#1")

    send(world, {"number": 1})
    assert received(run_id) == [("a#1", {"number": 1})]
    send(world, {"number": 2})
    assert received(run_id) == [("a#1", {"number": 1}), ("b#1", {"number": 2})]
    send(world, {"number": 3})
    wait_for(world, run_id, key="a#1")

    assert received(run_id)[2:] == [("a#1", {"number": 3})]
    assert is_clean()


def test_one_event_reaches_every_run_that_waits_for_it(world):
    run_ids = [waiting_run(world) for _ in range(3)]
    for run_id in run_ids:
        wait_for(world, run_id)

    send(world, {"number": 1})

    assert [received(run_id) for run_id in run_ids] == [[("w#1", {"number": 1})]] * 3


@pytest.mark.parametrize(
    ("correlate", "data", "matches"),
    [
        ({}, {}, True),
        ({"n": 1}, {"n": 1.0, "x": 2}, True),
        ({"n": 1}, {"n": "1"}, False),
        ({"n": 1}, {"n": True}, False),
        ({"n": None}, {"n": None}, False),
        ({"n": 1}, {"n": None}, False),
        ({"n": 1}, {}, False),
        ({"n": {"a": 1, "b": [1]}}, {"n": {"b": [1], "a": 1}}, True),
        ({"n": {"a": 1}}, {"n": {"a": 1, "b": 2}}, False),
        ({"n": [1]}, {"n": [1, 2]}, False),
        ({"a": 1, "b": 2}, {"a": 1, "b": 2}, True),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, False),
        ({"n": "a\x00b"}, {"n": "ab"}, False),
        ({"n": "a\\u0000b"}, {"n": "a\\u0000b"}, True),
        ({"n": 1e300}, {"n": 1e300}, True),
    ],
)
def test_matching_is_the_same_whichever_comes_first(world, correlate, data, matches):
    early, late = waiting_run(world), waiting_run(world)
    wait_for(world, early, correlate=correlate)
    send(world, data)
    wait_for(world, late, correlate=correlate)

    assert len(received(early)) == len(received(late)) == int(matches)
    assert is_clean()


def test_types_and_projects_are_kept_apart(world):
    other = World(slug="other")
    run_id = waiting_run(world)
    wait_for(world, run_id)

    send(world, event_type="order.lost")
    events.publish(
        project_id=other.project.pk,
        event_type="order.paid",
        data={},
        origin=world.principal("mara").origin,
    )

    assert received(run_id) == []


def test_the_same_id_is_one_event(world):
    run_id, event_id = waiting_run(world), ids.uuid7()
    wait_for(world, run_id)

    assert send(world, {"n": 1}, event_id=event_id).replayed is False
    assert send(world, {"n": 1.0}, event_id=event_id).replayed is True
    with pytest.raises(EventReusedError):
        send(world, {"n": 2}, event_id=event_id)

    assert len(received(run_id)) == Inbox.objects.count() == 1


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("", {}),
        ("x" * 201, {}),
        ("a\nb", {}),
        ("a", {"n": "x" * 300_000}),
        ("a", {"n": "\x00"}),
        ("a", {"n": float("nan")}),
        ("a", {"n": 2**60}),
        ("a", {"n": 1e17}),
    ],
)
def test_an_event_that_cannot_be_kept_is_refused(world, event_type, data):
    with pytest.raises(EventInvalidError):
        send(world, data, event_type=event_type)
    assert not Inbox.objects.exists()


def test_the_entry_says_who_sent_the_event(world):
    run_id = waiting_run(world)
    wait_for(world, run_id)
    published = send(world, {"n": 1})

    entry = ledger.read_stream(stream=run_id, limit=10)[-1]

    assert entry.data["event"] == str(published.event_id)
    assert entry.data["type"] == "order.paid"
    assert str(world.users["mara"].pk).encode() in entry.body


def test_a_withdrawn_wait_gets_nothing(world):
    run_id = waiting_run(world)
    wait_for(world, run_id, key="a#1")
    wait_for(world, run_id, key="b#1", event_type="other")
    events.withdraw_waits(run_id=run_id, keys=["a#1"])

    send(world)

    assert received(run_id) == []
    events.withdraw_waits(run_id=run_id, keys=None)
    assert not Wait.objects.exists()


def test_a_run_sends_to_others_and_to_itself_in_its_own_transaction(world):
    sender, listener = waiting_run(world), waiting_run(world)
    wait_for(world, listener)
    wait = Awaited(key="w#1", type="order.paid", correlate={})

    def exchange():
        item = Emitted(id=ids.uuid7(), key="e#1", type="order.paid", data={"n": 1})
        store.lock_run(run_id=sender)
        events.exchange(run_id=sender, project_id=world.project.pk, awaited=[wait], emitted=[item])

    with transaction.atomic():
        exchange()
        transaction.set_rollback(True)  # as if the process had died before the commit
    assert (Inbox.objects.count(), Delivery.objects.count(), Wait.objects.count()) == (0, 0, 1)

    with transaction.atomic():
        exchange()
    assert received(sender) == received(listener) == [("w#1", {"n": 1})]


def test_a_delivery_nobody_made_is_made_by_the_sweep(world, monkeypatch):
    run_id = waiting_run(world)
    wait_for(world, run_id)
    monkeypatch.setattr(events, "_deliver_soon", lambda *_: None)
    send(world, {"n": 1})
    assert events.sweep_events() == 0  # whoever sent it may be about to
    Delivery.objects.update(due_at="2020-01-01T00:00Z")

    assert events.sweep_events() == 1

    assert received(run_id) == [("w#1", {"n": 1})]
    assert is_clean()


def test_a_crash_between_the_statements_of_a_delivery_leaves_it_to_be_made(world, monkeypatch):
    run_id = waiting_run(world)
    wait_for(world, run_id)
    append = outside.append

    def crash(**_):
        raise UnexpectedEventError(kind="event.received", reason="a crash")

    monkeypatch.setattr(outside, "append", crash)
    send(world, {"n": 1})  # the sender is not told: it has done its part
    assert (received(run_id), Wait.objects.count(), Delivery.objects.count()) == ([], 1, 1)
    assert events.sweep_events() == 0  # postponed, so that it does not keep others waiting

    monkeypatch.setattr(outside, "append", append)
    assert events.deliver_run(run_id=run_id) == 1
    assert received(run_id) == [("w#1", {"n": 1})]


def test_a_closed_run_gets_nothing_and_its_waits_go(world):
    run_id = waiting_run(world)
    wait_for(world, run_id)
    Run.objects.filter(pk=run_id).update(status="CLOSED")

    send(world)

    assert received(run_id) == []
    assert not Wait.objects.exists()
    assert is_clean()


def test_old_events_are_deleted_and_matched_no_more(world):
    run_id = waiting_run(world)
    send(world, {"n": 1})
    Inbox.objects.update(expires_at="2020-01-01T00:00Z")
    wait_for(world, run_id)
    assert received(run_id) == []

    assert events.sweep_events() == 1

    assert not Inbox.objects.exists()


def test_no_event_is_lost_or_doubled_when_waits_and_events_meet_at_once(world):
    run_ids = [waiting_run(world) for _ in range(12)]

    for number, run_id in enumerate(run_ids):
        same = {"n": run_id.hex}
        at_once(
            partial(wait_for, world, run_id, key="a#1", correlate=same),
            partial(wait_for, world, run_id, key="b#1", correlate=same),
            partial(send, world, {**same, "i": 1}),
            partial(send, world, {**same, "i": 2}),
        )
        got = received(run_id)
        assert sorted(key for key, _ in got) == ["a#1", "b#1"], number
        assert sorted(data["i"] for _, data in got) == [1, 2]
    assert is_clean()


def test_runs_that_send_and_wait_crosswise_do_not_block_each_other(world):
    run_ids = [waiting_run(world) for _ in range(4)]

    def meet(number):
        names = ["x", "y"] if number % 2 else ["y", "x"]
        for turn in range(10):
            run_id = run_ids[number]
            wait = Awaited(key=f"w#{turn}", type=names[0], correlate={})
            item = Emitted(id=ids.uuid7(), key="e#1", type=names[1], data={})
            with transaction.atomic():
                store.lock_run(run_id=run_id)
                events.exchange(
                    run_id=run_id, project_id=world.project.pk, awaited=[wait], emitted=[item]
                )

    at_once(*[lambda number=number: meet(number) for number in range(4)])
    for run_id in run_ids:
        events.deliver_run(run_id=run_id)

    assert is_clean()
    # Each type was sent 20 times; a run that waits 10 times for it has 10 of them.
    assert [len(received(run_id)) for run_id in run_ids] == [10] * 4


def test_ten_thousand_waits_of_a_type_are_matched_by_the_index(world):
    run_id = waiting_run(world)
    wait_for(world, run_id, correlate={"order": 0})
    row = Wait.objects.get()
    event_id = send(world, event_type="order.lost").event_id
    arrival = (inbox._SHAPES, (row.project_id, row.type) * 2)
    matching = (
        inbox._DELIVER_NEW,
        (event_id, [row.shape], [row.match], row.project_id, row.type, None, None),
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO engine_wait (run_id, key, project_id, type, correlate, shape, match,"
            " created_at) SELECT w.run_id, 'x' || n, w.project_id, w.type,"
            " jsonb_build_object('order', n), w.shape, sha256(n::text::bytea), w.created_at"
            " FROM engine_wait w, generate_series(1, 10000) AS n"
        )
        cursor.execute("ANALYZE engine_wait")
        for statement, params in (arrival, matching):
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", params)
            plan = json.dumps(cursor.fetchone()[0])
            assert "engine_wait_match" in plan
            assert "Seq Scan" not in plan.replace("engine_delivery", "")
        cursor.execute("DELETE FROM engine_delivery")

    send(world, {"order": 0})

    assert received(run_id) == [("w#1", {"order": 0})]
