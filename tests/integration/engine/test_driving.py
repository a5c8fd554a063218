"""The driver against a real database, in the test's own thread."""

from dataclasses import replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import store as ledger
from core.kernel import ids, limits
from engine import loading
from engine.domain.decider import Decider
from engine.domain.errors import NondeterministicError
from engine.domain.plan import Compensation, OnError, Plan, Retry, Step, Uses
from engine.driver import DriveEnd
from engine.models import Run
from engine.services.runs import cancel_run
from engine.session import TakenOverError
from tests.world import Hand, fold


def step(step_id, *needs, function="t.ok", arguments=None, **fields):
    verb = Uses(action="python/call@1", arguments={"function": function, **(arguments or {})})
    return Step(id=step_id, verb=verb, needs=needs, **fields)


def plan(*steps, name="job"):
    return Plan(
        name=name,
        title="Job ${{ run.number }}",
        inputs_schema={"type": "object"},
        variables={},
        steps={item.id: item for item in steps},
        outputs={},
    )


def chain(length):
    return plan(step("s0"), *(step(f"s{i}", f"s{i - 1}") for i in range(1, length)))


def test_a_run_executes_its_steps_and_closes(world, hand, calls):
    world.publish(chain(3), author="mara")
    run_id = world.start("job", by="mara").run_id

    assert hand.drive(run_id) is DriveEnd.CLOSED

    run = Run.objects.get(pk=run_id)
    assert (run.status, run.outcome, run.worker) == ("CLOSED", "succeeded", None)
    assert run.closed_at is not None
    assert [name for name, _, _ in calls] == ["ok", "ok", "ok"]
    assert fold(run_id).closed


def test_a_run_of_k_steps_costs_at_most_k_plus_2_statements(world, hand, calls):
    world.publish(chain(10), author="mara")
    hand.drive(world.start("job", by="mara").run_id)  # rules are loaded once a process
    run_id = world.start("job", by="mara").run_id

    with CaptureQueriesContext(connection) as queries:
        hand.drive(run_id)

    assert len(queries) <= 10 + 2, [query["sql"][:90] for query in queries]


def test_a_claim_reads_a_run_and_what_it_does_not_know_of_it_in_one_statement(world, hand, calls):
    world.publish(chain(2), author="mara")
    hand.drive(world.start("job", by="mara").run_id)
    run_id = world.start("job", by="mara").run_id

    with CaptureQueriesContext(connection) as queries:
        loaded = loading.load_run(run_id=run_id)
        assert loaded is not None
        decider = loading.get_rules(version_id=loaded.row.version_id).decider
        state, head = loaded.fold(decider)

    assert len(queries) == 1
    assert (head.seq, head.head) == (loaded.row.seq, loaded.row.head)
    assert state == fold(run_id)


@pytest.mark.parametrize("most", [0, 1, 2, 64])
def test_a_long_tail_is_read_to_its_end(world, hand, calls, monkeypatch, most):
    monkeypatch.setattr(limits, "TAIL_ENTRY_COUNT_MAX", most)
    world.publish(chain(5), author="mara")
    run_id = world.start("job", by="mara").run_id
    hand.drive(run_id)
    loading.forget_all()

    loaded = loading.load_run(run_id=run_id)
    assert loaded is not None
    state, head = loaded.fold(loading.get_rules(version_id=loaded.row.version_id).decider)

    assert head.seq == loaded.row.seq > 2
    assert state == fold(run_id)


def test_no_run_is_loaded_where_there_is_none(world):
    assert loading.load_run(run_id=ids.uuid7()) is None


def test_starting_costs_a_constant_number_of_statements(world, calls):
    world.publish(chain(1), author="mara")
    world.start("job", by="mara")

    with CaptureQueriesContext(connection) as queries:
        world.start("job", by="mara")

    assert len(queries) <= 5, [query["sql"][:90] for query in queries]


def test_the_idempotency_key_handed_out_is_the_same_for_every_attempt(world, hand, calls):
    retry = Retry(retries_max=2, initial_seconds=0.0)
    world.publish(
        plan(step("a", function="t.flaky", arguments={"times": 2}, retry=retry)), author="mara"
    )
    run_id = world.start("job", by="mara").run_id

    hand.drive(run_id)

    assert {key for _, key, _ in calls} == {f"{run_id}:a#1:1"}
    assert [number for _, _, number in calls] == [1, 2, 3]
    assert Run.objects.get(pk=run_id).outcome == "succeeded"


def test_a_retry_parks_the_run_until_it_is_due(world, hand, calls):
    retry = Retry(retries_max=2, initial_seconds=3600)
    world.publish(
        plan(step("a", function="t.flaky", arguments={"times": 1}, retry=retry)), author="mara"
    )
    run_id = world.start("job", by="mara").run_id

    assert hand.drive(run_id) is DriveEnd.PARKED
    run = Run.objects.get(pk=run_id)
    assert (run.status, run.worker) == ("WAITING", None)
    assert run.wake_at is not None
    assert hand.drive(run_id) is DriveEnd.NOT_FREE  # not due: no spinning


def test_parallel_steps_all_execute(world, hand, calls):
    world.publish(plan(step("a"), step("b"), step("c", "a", "b")), author="mara")
    run_id = world.start("job", by="mara").run_id

    assert hand.drive(run_id) is DriveEnd.CLOSED
    assert len(calls) == 3


def test_a_failed_run_compensates(world, hand, calls):
    undo = Compensation(
        uses=Uses(action="python/call@1", arguments={"function": "t.ok", "undo": True})
    )
    world.publish(
        plan(
            step("a", compensate=undo),
            step("b", "a", function="t.boom", on_error=OnError(compensate=("a",))),
        ),
        author="mara",
    )
    run_id = world.start("job", by="mara").run_id

    hand.drive(run_id)

    state = fold(run_id)
    assert state.steps["compensate/a#1"].outcome == "succeeded"
    assert Run.objects.get(pk=run_id).outcome == "failed"


def test_a_run_somebody_else_drives_is_left_alone(world, hand, calls):
    world.publish(chain(1), author="mara")
    run_id = world.start("job", by="mara").run_id
    Run.objects.filter(pk=run_id).update(status="RUNNING", worker=hand.worker)

    assert Hand().drive(run_id) is DriveEnd.NOT_FREE
    assert calls == []


def test_a_dead_drivers_run_is_taken_over_and_its_attempt_counted_as_lost(world, hand, calls):
    world.publish(chain(1), author="mara")
    run_id = world.start("job", by="mara").run_id
    assert hand.driver._claim(run_id) is not None  # the step has begun; then the worker dies
    hand.die()

    assert Hand().drive(run_id) is DriveEnd.CLOSED

    kinds = [entry.kind for entry in ledger.read_stream(stream=run_id, limit=100)]
    assert kinds == [
        "run.started",
        "run.owned",
        "run.owned",
        "attempt.lost",
        "step.completed",
        "run.closed",
    ]
    assert [number for _, _, number in calls] == [2]


def test_a_zombie_cannot_append(world, hand, calls):
    world.publish(chain(1), author="mara")
    run_id = world.start("job", by="mara").run_id
    zombie = hand.driver._claim(run_id)
    hand.die()
    Hand().drive(run_id)
    before = Run.objects.get(pk=run_id).seq

    with pytest.raises(TakenOverError):
        hand.driver._drive(*zombie)

    assert Run.objects.get(pk=run_id).seq == before


def test_a_worker_without_a_lease_claims_nothing(world, hand, calls):
    world.publish(chain(1), author="mara")
    run_id = world.start("job", by="mara").run_id
    hand.die()

    assert hand.drive(run_id) is DriveEnd.NOT_FREE
    assert calls == []


def test_a_cancelled_run_closes_without_executing(world, hand, calls):
    world.publish(chain(2), author="mara")
    run_id = world.start("job", by="mara").run_id

    cancel_run(principal=world.principal("mara"), run_id=run_id, reason="wrong branch")
    cancel_run(principal=world.principal("mara"), run_id=run_id, reason="wrong branch")
    hand.drive(run_id)

    assert Run.objects.get(pk=run_id).outcome == "cancelled"
    assert calls == []
    kinds = [entry.kind for entry in ledger.read_stream(stream=run_id, limit=100)]
    assert kinds.count("run.cancel_requested") == 1


def test_a_run_that_does_not_replay_is_halted_not_failed(world, hand, calls):
    version = world.publish(chain(2), author="mara")
    run_id = world.start("job", by="mara").run_id
    hand.driver._claim(run_id)
    hand.die()
    loading.forget_state(run_id=run_id)
    rules = loading.get_rules(version_id=version.pk)
    changed = plan(step("s0", function="t.boom"), step("s1", "s0"))
    decider = Decider(plan=changed, evaluator=loading.EVALUATOR, verbs={})
    # As if the installed code had changed its mind about the same version.
    loading._rules.keep(version.pk, replace(rules, decider=decider))

    assert Hand().drive(run_id) is DriveEnd.HALTED

    run = Run.objects.get(pk=run_id)
    assert (run.status, run.outcome) == ("HALTED", "")
    last = ledger.read_stream(stream=run_id, limit=100)[-1]
    assert last.kind == "run.halted"
    assert last.data["code"] == NondeterministicError.code
    assert "difference" in last.payloads

    cancel_run(principal=world.principal("mara"), run_id=run_id, reason="cannot be saved")

    run.refresh_from_db()
    assert (run.status, run.outcome) == ("CLOSED", "cancelled")
