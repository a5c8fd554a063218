"""What a driver does with a run that can never go on, and with errors that pass."""

import pytest
from django.db import connection

from audit import store as ledger
from audit.domain.errors import PayloadTooLargeError
from core.kernel import limits
from engine import registry
from engine.attempts import AttemptBook
from engine.domain.errors import RunTooLongError
from engine.domain.plan import Plan, Step, Uses, Wait
from engine.driver import DriveEnd, Driver
from engine.models import Run
from engine.services.runs import cancel_run
from tests.world import Hand, fold

VERB = "stubborn"


class StubbornVerb:
    """The pure half of a wait whose body names how opening it fails."""

    name = VERB

    def check(self, block, *, scope):
        raise NotImplementedError

    def prepare(self, body, *, variables, evaluator):
        del variables, evaluator
        return dict(body)


class StubbornOpener:
    """The writing half: fails as the body says."""

    def open(self, wait):
        match wait.body["failure"]:
            case "too large":
                raise PayloadTooLargeError
            case "not storable":
                with connection.cursor() as cursor:
                    cursor.execute("SELECT %s::jsonb", [r'"\u0000"'])
            case "none":
                return
            case _:
                raise ZeroDivisionError

    def list_obstacles(self, *, body, path, scope_id):
        del body, path, scope_id
        return ()

    def withdraw(self, *, run_id, keys, reason, origin, at):
        del run_id, keys, reason, origin, at
        return ()

    def void_all(self, *, run_id, reason, origin, at):
        del run_id, reason, origin, at
        return ()


@pytest.fixture
def verb():
    registry.register_verb(verb=StubbornVerb(), opener=StubbornOpener())
    yield
    del registry._VERBS[VERB]


def plan(*, failure, step_first=False):
    first = Step(id="a", verb=Uses(action="python/call@1", arguments={"function": "t.ok"}))
    gate = Step(
        id="gate",
        verb=Wait(verb=VERB, body={"failure": failure}),
        needs=("a",) if step_first else (),
    )
    steps = (first, gate) if step_first else (gate,)
    return Plan(
        name="stubborn",
        title="Stubborn",
        inputs_schema={"type": "object"},
        variables={},
        steps={step.id: step for step in steps},
        outputs={},
    )


@pytest.mark.parametrize("step_first", [False, True])
@pytest.mark.parametrize(
    ("failure", "code"),
    [("too large", PayloadTooLargeError.code), ("not storable", "engine.unrecordable")],
)
def test_a_run_whose_next_entry_can_never_be_written_is_halted(
    world, hand, calls, verb, failure, code, step_first
):
    world.publish(plan(failure=failure, step_first=step_first), author="mara")
    run_id = world.start("stubborn", by="mara").run_id

    assert hand.drive(run_id) is DriveEnd.HALTED

    run = Run.objects.get(pk=run_id)
    assert (run.status, run.worker) == ("HALTED", None)
    last = ledger.read_stream(stream=run_id, limit=100)[-1]
    assert (last.kind, last.data["code"]) == ("run.halted", code)
    assert last.payloads["difference"]
    assert fold(run_id).halted
    assert len(calls) == int(step_first)
    assert hand.drive(run_id) is DriveEnd.NOT_FREE


def test_a_claim_that_raises_leaves_no_trace_that_would_hide_an_orphan(world, calls, verb):
    world.publish(plan(failure="bug"), author="mara")
    run_id = world.start("stubborn", by="mara").run_id
    attempts = AttemptBook()
    driver = Driver(worker=Hand().worker, attempts=attempts)

    with pytest.raises(ZeroDivisionError):
        driver.drive(run_id=run_id)

    run = Run.objects.get(pk=run_id)
    assert (run.status, run.worker, run.epoch) == ("WAITING", None, 0)
    assert attempts.is_driving(run_id=run_id, epoch=1) is False


def test_a_draining_driver_takes_nothing(world, hand, calls, verb):
    world.publish(plan(failure="none"), author="mara")
    run_id = world.start("stubborn", by="mara").run_id
    before = Run.objects.get(pk=run_id).seq
    hand.driver.drain()

    assert hand.drive(run_id) is DriveEnd.NOT_FREE

    run = Run.objects.get(pk=run_id)
    assert (run.status, run.seq) == ("READY", before)
    assert Hand().drive(run_id) is DriveEnd.PARKED


@pytest.mark.parametrize("room", [1, 2, 3])
def test_a_run_is_halted_before_its_stream_is_too_long_to_be_read(
    world, hand, calls, verb, monkeypatch, room
):
    world.publish(plan(failure="none", step_first=True), author="mara")
    run_id = world.start("stubborn", by="mara").run_id
    entry_count_max = limits.OUTSIDE_ENTRY_COUNT_MAX + room
    monkeypatch.setattr(limits, "RUN_ENTRY_COUNT_MAX", entry_count_max)

    assert hand.drive(run_id) is DriveEnd.HALTED

    entries = ledger.read_stream(stream=run_id, limit=100)
    assert (entries[-1].kind, entries[-1].data["code"]) == ("run.halted", RunTooLongError.code)
    assert len(entries) <= room + 1
    assert fold(run_id).halted
    cancel_run(principal=world.principal("mara"), run_id=run_id, reason="too long")
    assert Run.objects.get(pk=run_id).status == "CLOSED"


def test_a_run_with_just_enough_room_goes_on(world, hand, calls, verb, monkeypatch):
    world.publish(plan(failure="none", step_first=True), author="mara")
    run_id = world.start("stubborn", by="mara").run_id
    entry_count_max = limits.OUTSIDE_ENTRY_COUNT_MAX + 4
    monkeypatch.setattr(limits, "RUN_ENTRY_COUNT_MAX", entry_count_max)

    assert hand.drive(run_id) is DriveEnd.PARKED
    assert Run.objects.get(pk=run_id).seq == 4


def test_a_run_that_halts_after_it_was_cancelled_can_still_be_ended(
    world, hand, calls, verb, monkeypatch
):
    world.publish(plan(failure="none", step_first=True), author="mara")
    run_id = world.start("stubborn", by="mara").run_id
    cancel_run(principal=world.principal("mara"), run_id=run_id, reason="stop")
    monkeypatch.setattr(limits, "RUN_ENTRY_COUNT_MAX", limits.OUTSIDE_ENTRY_COUNT_MAX + 3)
    assert hand.drive(run_id) is DriveEnd.HALTED

    cancel_run(principal=world.principal("mara"), run_id=run_id, reason="it has halted")

    run = Run.objects.get(pk=run_id)
    assert (run.status, run.outcome) == ("CLOSED", "cancelled")
    entries = ledger.read_verified(stream=run_id, limit=100)
    kinds = [entry.kind for entry in entries]
    assert kinds[-3:] == ["run.halted", "run.cancel_requested", "run.closed"]
    assert fold(run_id).closed
