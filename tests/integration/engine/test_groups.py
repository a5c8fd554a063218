"""Concurrency groups over a real database: turns, cancels, and nothing that leaks."""

from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from audit import store as ledger
from engine import loading, store, upkeep
from engine.domain.expressions import ExpressionError
from engine.domain.plan import AwaitEvent, Call, Concurrency, OnConflict, Plan, SetVars, Step
from engine.driver import DriveEnd
from engine.flow_control import groups, turns
from engine.models import Run, Turn, TurnChange
from engine.services.runs import cancel_run
from tests.integration.engine.threads import at_once
from tests.world import Hand, World, fold

pytestmark = pytest.mark.django_db(transaction=True)

WAITS = AwaitEvent(type="go", correlate={})


def plan(name="job", *verbs, most=1, does=OnConflict.QUEUE, group="g-${{ inputs.env }}"):
    steps = {f"s{number}": Step(id=f"s{number}", verb=verb) for number, verb in enumerate(verbs)}
    return Plan(
        name=name,
        title="t",
        inputs_schema={
            "type": "object",
            "properties": {"env": {"type": "string", "default": "test"}},
        },
        variables={"n": 0},
        steps=steps or {"s0": Step(id="s0", verb=WAITS)},
        outputs={},
        concurrency=Concurrency(group=group, run_count_max=most, on_conflict=does),
    )


@pytest.fixture
def world():
    loading.forget_all()
    world = World()
    world.user("mara", "requester", "editor", "publisher", "operator")
    return world


@pytest.fixture
def start(world):
    def begin(slug="job", **inputs):
        return world.start(slug, by="mara", inputs=inputs).run_id

    return begin


@pytest.fixture
def hand(world):
    return Hand()


@pytest.fixture
def end(world, hand):
    def cancel(run_id):
        cancel_run(principal=world.principal("mara"), run_id=run_id, reason="enough")
        assert hand.drive(run_id) is DriveEnd.CLOSED

    return cancel


def statuses(*run_ids):
    found = dict(Run.objects.values_list("pk", "status"))
    return [found[run_id] for run_id in run_ids]


def kinds(run_id):
    return [entry.kind for entry in entries_of(run_id)]


def entries_of(run_id) -> list[Any]:
    return list(ledger.read_stream(stream=run_id, limit=100))


def age_changes():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE engine_turn_change SET at = at - interval '1 minute'")


def without_looking(monkeypatch):
    monkeypatch.setattr(groups, "look", lambda **_: None)


def test_the_first_goes_on_and_the_second_waits_for_its_end(world, start, hand, end):
    world.publish(plan(), author="mara")
    first, second = start(), start()
    assert statuses(first, second) == ["READY", "WAITING"]
    assert hand.drive(first) is DriveEnd.PARKED
    assert hand.drive(second) is DriveEnd.NOT_FREE

    end(first)

    assert statuses(first, second) == ["CLOSED", "READY"]
    assert hand.drive(second) is DriveEnd.PARKED
    assert kinds(second)[:2] == ["run.started", "run.admitted"]
    assert fold(second).waiting_count == 1


def test_the_record_says_which_group_and_how(world, start):
    world.publish(plan(most=2), author="mara")

    first = entries_of(start(env="prod"))[0]

    assert first.payloads["group"] == "g-prod"
    assert first.data["group"] == {"max": 2, "on_conflict": "queue"}


def test_groups_of_other_names_do_not_wait(world, start):
    world.publish(plan(), author="mara")

    assert statuses(start(env="a"), start(env="b")) == ["READY", "READY"]


def test_workflows_of_a_project_share_a_group_and_projects_do_not(world, start):
    world.publish(plan(), author="mara")
    world.publish(plan("other"), author="mara")
    elsewhere = World(slug="emca")
    elsewhere.user("otto", "requester", "editor", "publisher", "operator")
    elsewhere.publish(plan(), author="otto")

    mine, beside = start(), start("other")
    theirs = elsewhere.start("job", by="otto").run_id

    assert statuses(mine, beside, theirs) == ["READY", "WAITING", "READY"]


def test_the_queue_goes_by_priority_then_by_start(world, start, end):
    world.publish(plan(), author="mara")
    first, second, third = start(), start(), start()
    Turn.objects.filter(run_id=third).update(priority=5)

    end(first)
    assert statuses(second, third) == ["WAITING", "READY"]
    end(third)

    assert statuses(second) == ["READY"]


def test_a_late_run_is_cancelled_with_the_reason_on_record(world, start, hand):
    world.publish(plan(does=OnConflict.CANCEL_NEWEST), author="mara")
    first, second = start(), start()

    assert hand.drive(second) is DriveEnd.CLOSED

    row = Run.objects.get(pk=second)
    cancelled = entries_of(second)[1]
    assert row.outcome == "cancelled"
    assert cancelled.data["cause"] == {"kind": "cancel-newest", "run": str(first)}
    assert "The group “g-test” has no room for it" in cancelled.payloads["reason"]
    assert statuses(first) == ["READY"]
    assert not Turn.objects.filter(run_id=second).exists()


def test_a_run_in_progress_is_cancelled_and_the_new_one_goes_on_when_it_has_closed(
    world, start, hand
):
    world.publish(plan(does=OnConflict.CANCEL_IN_PROGRESS), author="mara")
    first = start()
    hand.drive(first)

    second, third = start(), start()
    assert statuses(first, second, third) == ["READY", "READY", "WAITING"]
    assert hand.drive(second) is DriveEnd.CLOSED
    assert statuses(third) == ["WAITING"]
    assert hand.drive(first) is DriveEnd.CLOSED

    assert statuses(third) == ["READY"]
    asked = [item for item in entries_of(first) if item.kind == "run.cancel_requested"]
    assert [item.data["cause"] for item in asked] == [
        {"kind": "cancel-in-progress", "run": str(second)}
    ]


def test_runs_of_another_workflow_are_not_cancelled(world, start):
    world.publish(plan(), author="mara")
    world.publish(plan("other", does=OnConflict.CANCEL_IN_PROGRESS), author="mara")

    first, second = start(), start("other")

    assert statuses(first, second) == ["READY", "WAITING"]
    assert "run.cancel_requested" not in kinds(first)


def test_a_queued_run_can_be_cancelled(world, start, end):
    world.publish(plan(), author="mara")
    first, second, third = start(), start(), start()

    end(second)
    end(first)

    assert Run.objects.get(pk=second).outcome == "cancelled"
    assert statuses(third) == ["READY"]


def test_a_group_without_a_name_refuses_the_start(world, start):
    world.publish(plan(group="${{ inputs.env }}"), author="mara")

    with pytest.raises(ExpressionError, match="names nothing") as caught:
        start(env=" ")

    assert caught.value.code == "engine.expression_failed"
    assert not Run.objects.exists()


def test_a_name_that_is_too_long_refuses_the_start(world, start):
    world.publish(plan(group="${{ inputs.env }}"), author="mara")

    with pytest.raises(ExpressionError, match="201 characters"):
        start(env="x" * 201)


def test_one_key_starts_one_run_and_takes_one_turn(world):
    world.publish(plan(), author="mara")

    started = at_once(*[lambda: world.start("job", by="mara", key="k").run_id] * 4)

    assert len(set(started)) == 1
    assert Turn.objects.count() == 1


def test_many_starts_at_once_let_no_more_go_on_than_there_may(world):
    world.publish(plan(most=2), author="mara")

    started = at_once(*[lambda: world.start("job", by="mara").run_id] * 8)

    assert sorted(statuses(*started)) == ["READY"] * 2 + ["WAITING"] * 6
    assert Turn.objects.filter(granted_at__isnull=False).count() == 2
    assert not TurnChange.objects.exists()


def test_what_a_dead_process_left_is_found_by_the_sweep(world, start, end, monkeypatch):
    world.publish(plan(), author="mara")
    with monkeypatch.context() as patch:
        without_looking(patch)
        first, second = start(), start()
    assert statuses(first, second) == ["WAITING", "WAITING"]
    assert upkeep.keep_up() == 0  # it may be looked at just now
    age_changes()

    assert upkeep.keep_up() == 1
    assert statuses(first, second) == ["READY", "WAITING"]
    with monkeypatch.context() as patch:
        without_looking(patch)
        end(first)
    age_changes()
    upkeep.keep_up()

    assert statuses(second) == ["READY"]
    assert not TurnChange.objects.exists()


def test_a_turn_that_was_granted_but_not_told_is_told_by_the_next_look(world, start, end):
    world.publish(plan(), author="mara")
    first, second = start(), start()
    with transaction.atomic():
        Turn.objects.filter(run_id=first).delete()
        turns.grant(run_ids=[second])

    groups.look(project_id=world.project.pk, name="g-test")
    groups.look(project_id=world.project.pk, name="g-test")

    assert kinds(second) == ["run.started", "run.admitted"]


def test_a_start_that_is_rolled_back_leaves_no_turn(world, start):
    world.publish(plan(), author="mara")

    def fail():
        with transaction.atomic():
            start()
            raise OperationalError

    with pytest.raises(OperationalError):
        fail()

    assert not Turn.objects.exists()
    assert not TurnChange.objects.exists()


def test_a_halted_run_keeps_its_turn_until_it_is_cancelled(world, start, end, hand):
    world.publish(plan(), author="mara")
    first, second = start(), start()
    hand.drive(first)
    Run.objects.filter(pk=first).update(status="HALTED")
    groups.look(project_id=world.project.pk, name="g-test")
    assert statuses(second) == ["WAITING"]

    cancel_run(principal=world.principal("mara"), run_id=first, reason="enough")
    age_changes()
    upkeep.keep_up()

    assert statuses(first, second) == ["CLOSED", "READY"]


def test_a_run_that_stands_still_is_passed_over(world, start, end):
    world.publish(plan(), author="mara")
    first, second, third = start(), start(), start()
    Run.objects.filter(pk=second).update(status="HALTED")

    end(first)

    assert statuses(second, third) == ["HALTED", "READY"]


def test_a_called_run_is_part_of_the_turn_of_the_run_that_awaits_it(world, start, hand):
    world.publish(plan("child", SetVars(values={"n": "1"})), author="mara")
    call = Call(workflow="child", arguments={})
    world.publish(plan("parent", call), author="mara")
    parent = start("parent")
    waiting = start("child")

    hand.drive(parent)

    child = Run.objects.get(parent_id=parent)
    assert (child.status, child.concurrency_key) == ("READY", "g-test")
    assert entries_of(child.pk)[0].data["group"]["with"] == str(parent)
    assert hand.drive(child.pk) is DriveEnd.CLOSED
    assert statuses(waiting) == ["WAITING"]
    assert hand.drive(parent) is DriveEnd.CLOSED
    assert statuses(waiting) == ["READY"]


def test_a_run_nobody_awaits_waits_for_its_own_turn(world, start, hand):
    world.publish(plan("child", SetVars(values={"n": "1"})), author="mara")
    call = Call(workflow="child", arguments={}, detached=True)
    world.publish(plan("parent", call, WAITS), author="mara")
    parent = start("parent")

    hand.drive(parent)

    child = Run.objects.get(parent_id=parent)
    assert child.status == "WAITING"


def test_a_driver_that_finds_a_queued_run_ready_parks_it_again(world, start, hand):
    world.publish(plan(), author="mara")
    start()
    second = start()
    Run.objects.filter(pk=second).update(status="READY")

    assert hand.drive(second) is DriveEnd.PARKED

    assert fold(second).is_queued
    assert statuses(second) == ["WAITING"]


def test_who_was_passed_over_and_goes_on_waiting_is_looked_at_again(world, start, hand):
    world.publish(plan(), author="mara")
    first, second = start(), start()
    Run.objects.filter(pk=second).update(status="PAUSED")
    Run.objects.filter(pk=first).update(status="CLOSED")
    with transaction.atomic():
        turns.leave(run_id=first)
    groups.look(project_id=world.project.pk, name="g-test")
    assert not Turn.objects.filter(granted_at__isnull=False).exists()
    Run.objects.filter(pk=second).update(status="READY")

    assert hand.drive(second) is DriveEnd.PARKED

    assert statuses(second) == ["READY"]
    assert store.read_run(run_id=second) is not None
