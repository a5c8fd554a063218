"""Runs that other runs call: chosen, checked, started, reported and cancelled."""

import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from django.db import transaction

from audit import store as ledger
from core.kernel import ids, limits
from engine import loading, store
from engine.domain.errors import CallUnresolvedError
from engine.domain.plan import AfterError, Call, OnError, Plan, Step, Uses
from engine.gates import mutex
from engine.inbox import Awaited
from engine.models import Dedupe, Inbox, Run, Slot, Version, Wait
from engine.services import children, events, reporting
from engine.services.runs import cancel_run
from tests.integration.engine.threads import at_once
from tests.world import World, fold

pytestmark = pytest.mark.django_db(transaction=True)


def plan(name, *verbs, **fields):
    verbs = verbs or (Uses(action="python/call@1", arguments={"function": "t.ok"}),)
    given = {
        "name": name,
        "title": "Of ${{ inputs.who }}",
        "inputs_schema": {
            "type": "object",
            "required": ["who"],
            "properties": {"who": {"type": "string"}, "n": {"type": "integer", "default": 3}},
        },
        "variables": {},
        "steps": {f"s{n}": Step(id=f"s{n}", verb=verb) for n, verb in enumerate(verbs)},
        "outputs": {"who": "inputs.who"},
    }
    return Plan(**(given | fields))


@pytest.fixture
def world():
    loading.forget_all()
    world = World()
    world.user("mara", "requester", "editor", "publisher", "operator")
    return world


@pytest.fixture
def child(world):
    """Return the published version that is called."""
    return world.publish(plan("child"), author="mara")


@pytest.fixture
def parent(world, child):
    """Return a run that waits, as its row says."""
    world.publish(plan("parent"), author="mara")
    return waiting(world, "parent")


def waiting(world, slug):
    run_id = world.start(slug, by="mara", inputs={"who": "mara"}).run_id
    Run.objects.filter(pk=run_id).update(status="WAITING", wake_at=None)
    return run_id


def call(parent_id, version, *, key="c#1", detached=False, arguments=None):
    child_id = ids.uuid7()
    with transaction.atomic():
        store.lock_run(run_id=parent_id)
        children.start_child(
            parent_id=parent_id,
            key=key,
            child_id=child_id,
            version_id=version.pk,
            arguments=arguments or {"who": "kim"},
            detached=detached,
            priority=2,
        )
    return child_id


def entries_of(run_id) -> list[Any]:
    return list(ledger.read_stream(stream=run_id, limit=1000))


def refusal(run_id, version_id, arguments=None):
    answer = children.check_child(
        run_id=run_id,
        version_id=version_id,
        arguments={"who": "kim"} if arguments is None else arguments,
    )
    assert answer is not None, "the call is not refused"
    return answer


def closed(run_id):
    """Return (key, run, outcome, outputs) of every child the run was told of."""
    return [
        (*(entry.data[name] for name in ("key", "run", "outcome")), entry.payloads["outputs"])
        for entry in entries_of(run_id)
        if entry.kind == "child.closed"
    ]


def kinds(run_id):
    return [entry.kind for entry in entries_of(run_id)]


# --- choosing ------------------------------------------------------------------------------------


def test_a_start_records_the_version_of_each_call(world, child):
    newer = world.publish(plan("child"), author="mara")
    calls = [Call(workflow="child", range=text) for text in ("^1", "1.1", "*")]
    world.publish(plan("parent", *calls), author="mara")

    run_id = world.start("parent", by="mara", inputs={"who": "mara"}).run_id

    first = entries_of(run_id)[0]
    chosen = first.payloads["calls"]
    assert {key: value["version"] for key, value in chosen.items()} == {
        "child@^1": str(newer.pk),
        "child@1.1": str(child.pk),
        "child@*": str(newer.pk),
    }
    assert chosen["child@1.1"]["digest"] == bytes(child.digest).hex()
    assert chosen["child@1.1"]["label"] == "1.1.0"
    assert fold(run_id).calls == chosen


def test_a_plan_without_calls_records_none(world, parent):
    assert "calls" not in entries_of(parent)[0].payloads


@pytest.mark.parametrize(
    "verb",
    [
        Call(workflow="child", range="^2"),
        Call(workflow="gone"),
        Call(workflow="child", project="other"),
    ],
)
def test_a_start_whose_calls_nothing_fits_is_refused(world, child, verb):
    world.publish(plan("parent", verb), author="mara")

    with pytest.raises(CallUnresolvedError) as caught:
        world.start("parent", by="mara", inputs={"who": "mara"})

    assert caught.value.details["references"] == [verb.reference]
    assert not Run.objects.exists()


# --- checking ------------------------------------------------------------------------------------


def test_a_call_that_may_be_made_has_nothing_against_it(parent, child):
    answer = children.check_child(run_id=parent, version_id=child.pk, arguments={"who": "kim"})

    assert answer is None


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({}, "invalid"),
        ({"who": 1}, "invalid"),
        ({"who": "\ud800"}, "invalid"),
        ({"who": "x" * (limits.INPUT_BYTES_MAX + 1)}, "too-large"),
    ],
)
def test_wrong_inputs_are_told_before_the_call(parent, child, arguments, kind):
    answer = refusal(parent, child.pk, arguments)

    assert answer.kind == kind
    assert answer.message.startswith("acme/child: ")


def test_who_started_the_run_must_be_allowed_to_start_the_child(world, parent):
    other = World(slug="other", users=world.users)
    elsewhere = other.publish(plan("secret"), author="mara")

    answer = refusal(parent, elsewhere.pk)

    assert (answer.kind, "other/secret" in answer.message) == ("forbidden", True)


def test_an_unknown_version_and_one_that_calls_what_is_gone_are_unresolved(world, parent, child):
    broken = world.publish(plan("broken", Call(workflow="gone")), author="mara")

    for version_id in (ids.uuid7(), broken.pk):
        answer = refusal(parent, version_id)
        assert answer.kind == "unresolved"


def test_calls_do_not_nest_without_end(world, parent, child):
    inner = parent
    for _ in range(limits.CALL_DEPTH_MAX - 1):
        arguments = {"who": "kim"}
        assert children.check_child(run_id=inner, version_id=child.pk, arguments=arguments) is None
        inner = call(inner, child)

    answer = refusal(inner, child.pk)

    assert answer.kind == "too-deep"


@pytest.mark.parametrize("is_first", [True, False])
def test_a_call_that_becomes_impossible_while_it_is_written_fails_its_step(
    world, child, hand, monkeypatch, is_first
):
    """What the called workflow calls is withdrawn between the check and the append."""
    world.publish(plan("middle", Call(workflow="child")), author="mara")
    called = Step(id="c", verb=Call(workflow="middle", arguments={"who": "kim"}))
    before = {} if is_first else {"a": plan("x").steps["s0"]}
    later = replace(called, needs=tuple(before), on_error=OnError(then=AfterError.CONTINUE))
    world.publish(plan("parent", steps={**before, "c": later}), author="mara")
    check = children.check_child

    def withdraw_after(**asked):
        answer = check(**asked)
        Version.objects.filter(workflow__slug="child").update(status="retired")
        return answer

    monkeypatch.setattr(children, "check_child", withdraw_after)
    run_id = world.start("parent", by="mara", inputs={"who": "mara"}).run_id
    hand.drive(run_id)

    run = Run.objects.get(pk=run_id)
    assert (run.status, run.outcome) == ("CLOSED", "succeeded")
    refused = [entry.data for entry in entries_of(run_id) if entry.kind == "step.refused"]
    assert [(item["key"], item["error"]) for item in refused] == [("c#1", "unresolved")]
    assert Run.objects.count() == 1


# --- starting and reporting ----------------------------------------------------------------------


def test_a_child_runs_in_the_name_of_its_parents_initiator_and_reports(world, parent, child, hand):
    child_id = call(parent, child)

    run = Run.objects.get(pk=child_id)
    assert (run.parent_id, run.parent_key, run.parent_reported) == (parent, "c#1", False)
    assert (run.initiator, run.title, run.priority) == (world.users["mara"], "Of kim", 2)
    first = entries_of(child_id)[0]
    assert first.payloads["inputs"] == {"who": "kim", "n": 3}
    assert first.data["parent"] == {"run": str(parent), "key": "c#1"}
    assert children.check_child(run_id=child_id, version_id=child.pk, arguments={}) is not None
    assert reporting.report_child(child_id=child_id) is False  # it is not over

    hand.drive(child_id)
    reporting.report_child(child_id=child_id)

    assert closed(parent) == [("c#1", str(child_id), "succeeded", {"who": "kim"})]
    assert Run.objects.get(pk=parent).status == "READY"
    assert reporting.report_child(child_id=child_id) is False
    assert len(closed(parent)) == 1


def test_a_parents_append_that_is_rolled_back_starts_no_child(parent, child):
    with transaction.atomic():
        call(parent, child)
        transaction.set_rollback(True)

    assert Run.objects.count() == 1


def test_a_detached_child_is_not_reported(parent, child, hand):
    child_id = call(parent, child, detached=True)

    hand.drive(child_id)

    assert reporting.report_child(child_id=child_id) is False
    assert closed(parent) == []


def test_an_end_nobody_reported_is_reported_by_the_sweep(parent, child, hand):
    child_id = call(parent, child)
    hand.drive(child_id)
    Run.objects.filter(pk=child_id).update(closed_at="2020-01-01T00:00Z", parent_reported=False)
    before = len(closed(parent))

    assert reporting.sweep_children() == 1

    assert len(closed(parent)) == before + 1
    assert reporting.sweep_children() == 0


def test_a_closed_parent_is_told_nothing(parent, child, hand):
    child_id = call(parent, child)
    Run.objects.filter(pk=parent).update(status="CLOSED")
    hand.drive(child_id)

    assert reporting.report_child(child_id=child_id) is False
    assert closed(parent) == []
    assert Run.objects.get(pk=child_id).parent_reported is True


def test_an_end_reported_by_many_at_once_counts_once(parent, child, hand):
    for number in range(5):
        child_id = call(parent, child, key=f"c#{number}")
        hand.drive(child_id)
        Run.objects.filter(pk=child_id).update(parent_reported=False)
        before = len(closed(parent))
        at_once(*[lambda child_id=child_id: reporting.report_child(child_id=child_id)] * 4)
        assert len(closed(parent)) == before + 1


# --- cancelling ----------------------------------------------------------------------------------


def test_a_withdrawn_child_is_cancelled_and_not_reported(parent, child, hand):
    taken, other, detached = call(parent, child), call(parent, child, key="d#1"), None
    detached = call(parent, child, key="e#1", detached=True)

    for _ in range(2):
        with transaction.atomic():
            store.lock_run(run_id=parent)
            children.withdraw_child(run_id=parent, key="c#1")

    assert kinds(taken).count("run.cancel_requested") == 1
    assert "run.cancel_requested" not in kinds(other) + kinds(detached)
    hand.drive(taken)
    assert Run.objects.get(pk=taken).outcome == "cancelled"
    assert reporting.report_child(child_id=taken) is False
    assert closed(parent) == []


def test_cancelling_a_halted_run_takes_back_all_it_waits_for(world, parent, child):
    child_id, grandchild = call(parent, child), None
    grandchild = call(child_id, child)
    Run.objects.filter(pk__in=[parent, child_id]).update(status="HALTED")
    wait = Awaited(key="w#1", type="x", correlate={})
    with transaction.atomic():
        events.exchange(run_id=parent, project_id=world.project.pk, awaited=[wait], emitted=[])
    mutex.acquire(project_id=world.project.pk, run_id=parent, key="m#1", name="m")

    cancel_run(principal=world.principal("mara"), run_id=parent, reason="over")

    assert list(Run.objects.order_by("id").values_list("status", flat=True)) == [
        "CLOSED",
        "CLOSED",
        "READY",
    ]
    assert kinds(grandchild)[-1] == "run.cancel_requested"
    assert not Wait.objects.exists()
    assert not Slot.objects.exists()


def test_reports_and_cancels_at_once_do_not_block_each_other(world, parent, child, hand):
    for number in range(6):
        child_ids = [call(parent, child, key=f"c{n}#{number}") for n in range(3)]
        for child_id in child_ids:
            hand.drive(child_id)
        Run.objects.filter(pk__in=child_ids).update(parent_reported=False)

        def withdraw(number=number):
            with transaction.atomic():
                store.lock_run(run_id=parent)
                for n in (2, 1, 0):
                    children.withdraw_child(run_id=parent, key=f"c{n}#{number}")

        reports = [
            lambda child_id=child_id: reporting.report_child(child_id=child_id)
            for child_id in child_ids
        ]
        at_once(withdraw, *reports)

    assert not Run.objects.filter(parent=parent, parent_reported=False).exists()


def test_whoever_withdraws_a_halted_child_and_another_childs_driver_wait_for_each_other_once(
    world, parent, child
):
    """Rows come before mutexes: the halted child's must not be taken between two rows."""
    halted, driven = call(parent, child), call(parent, child, key="d#1")
    Run.objects.filter(pk=halted).update(status="HALTED")
    project_id = world.project.pk
    for run_id in (halted, driven):
        mutex.acquire(project_id=project_id, run_id=run_id, key="m#1", name="m")
    has_row, has_withdrawn = threading.Event(), threading.Event()

    def withdraw():
        with transaction.atomic():
            store.lock_run(run_id=parent)
            children.withdraw_child(run_id=parent, key="c#1")
            has_withdrawn.set()
            assert has_row.wait(10)
            children.withdraw_child(run_id=parent, key="d#1")

    def drive():
        with transaction.atomic():
            store.lock_run(run_id=driven)  # as an append does
            has_row.set()
            assert has_withdrawn.wait(10)
            time.sleep(0.2)  # until the other waits for the row
            mutex.release(run_id=driven, keys=["m#1"])

    at_once(withdraw, drive)

    assert Run.objects.get(pk=halted).status == "CLOSED"
    assert not Slot.objects.exists()


# --- continuing ----------------------------------------------------------------------------------


def begun_with(run_id) -> dict[str, Any]:
    """Return what a run hands on to the one that goes on for it."""
    state = fold(run_id)
    return {"inputs": state.inputs, "calls": state.calls, "facts": state.facts}


def test_a_successor_takes_its_predecessors_place(world, parent, child):
    child_id = call(parent, child)
    origin = world.principal("mara").origin
    for number in (1, 2):
        events.publish(
            project_id=world.project.pk, event_type="x", data={"n": number}, origin=origin
        )
    first = Inbox.objects.order_by("received_at")[0]
    Dedupe.objects.create(run_id=child_id, key=f"event:{first.pk}")
    Dedupe.objects.create(run_id=child_id, key="event:" + str(ids.uuid7()))
    successor = ids.uuid7()

    with transaction.atomic():
        store.lock_run(run_id=child_id)
        children.continue_run(
            run_id=child_id,
            successor_id=successor,
            state="review",
            variables={"round": 2},
            **begun_with(child_id),
        )

    before, after = Run.objects.get(pk=child_id), Run.objects.get(pk=successor)
    assert (before.parent_reported, after.parent_reported) == (True, False)
    assert (after.parent_id, after.parent_key, after.predecessor_id) == (parent, "c#1", child_id)
    assert (after.version_id, after.initiator_id) == (before.version_id, before.initiator_id)
    assert after.events_since == before.created_at
    entry = entries_of(successor)[0]
    assert entry.data["state"] == "review"
    assert entry.data["run"]["number"] == after.number != before.number
    assert entry.payloads["vars"] == {"round": 2}
    assert entry.payloads["inputs"] == {"who": "kim", "n": 3}
    # It may have the event its predecessor has not had, and only that one.
    Run.objects.filter(pk=successor).update(status="WAITING", wake_at=None)
    waits = [Awaited(key=f"w#{n}", type="x", correlate={}) for n in (1, 2)]
    with transaction.atomic():
        store.lock_run(run_id=successor)
        events.exchange(run_id=successor, project_id=world.project.pk, awaited=waits, emitted=[])
    got = entries_of(successor)[1:]
    assert [(item.kind, item.payloads["data"]) for item in got] == [("event.received", {"n": 2})]


def test_who_goes_on_as_another_run_meanwhile_is_let_go_too(world, child, parent):
    child_id = call(parent, child, arguments={"who": "kim"})
    successor = ids.uuid7()
    is_locked, is_waiting = threading.Event(), threading.Event()

    def go_on():
        with transaction.atomic():
            store.lock_run(run_id=child_id)
            children.continue_run(
                run_id=child_id,
                successor_id=successor,
                state="review",
                variables={},
                **begun_with(child_id),
            )
            Run.objects.filter(pk=child_id).update(status="CLOSED", outcome="continued")
            is_locked.set()
            assert is_waiting.wait(10)
            time.sleep(0.5)  # until the other waits for the lock

    def let_go():
        assert is_locked.wait(10)
        with transaction.atomic():
            store.lock_run(run_id=parent)
            is_waiting.set()
            children.withdraw_child(run_id=parent, key="c#1")

    at_once(go_on, let_go)

    assert Run.objects.get(pk=successor).parent_reported
    assert entries_of(successor)[-1].kind == "run.cancel_requested"
