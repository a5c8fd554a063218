"""Running runs again: what is on record, who may, and what cannot be."""

from dataclasses import replace

import pytest

from audit import store as ledger
from audit.models import Payload
from core.identity.domain.errors import AccessForbiddenError
from countersign import function
from engine.domain.errors import (
    KeyReusedError,
    NothingPublishedError,
    NotRepeatableError,
    ReasonMissingError,
    RunMissingError,
    RunOpenError,
    RunRedactedError,
    StepMissingError,
)
from engine.domain.plan import Call, Compensation, Plan, Step, Uses, Wait
from engine.halting import Halter
from engine.models import Run, Version
from engine.reruns.models import Lineage, Rerunner
from engine.selectors.facts import get_run_facts
from engine.services import rerunning
from engine.services.rerunning import Wish
from engine.services.runs import cancel_run
from engine.store import read_run
from tests.world import fold

BROKEN: set[str] = set()


@function("t.may_break")
def _may_break(*, name: str, **_):
    if name in BROKEN:
        raise ValueError("it broke")
    return {"made": name}


def job(name, *needs, undo=False, **fields):
    arguments = {"function": "t.may_break", "name": name, **fields}
    compensate = Compensation(
        uses=Uses(
            action="python/call@1",
            arguments={"function": "t.ok", "undo": name},
        )
    )
    return Step(
        id=name,
        verb=Uses(action="python/call@1", arguments=arguments),
        needs=needs,
        compensate=compensate if undo else None,
    )


def flow(*steps, name="job", variables=None):
    return Plan(
        name=name,
        title="Run ${{ run.number }}",
        inputs_schema={"type": "object", "properties": {"n": {"type": "number", "default": 1}}},
        variables=variables or {},
        steps={step.id: step for step in steps},
        outputs={"made": f"steps.{steps[-1].id}.outputs.result"},
    )


@pytest.fixture(autouse=True)
def _whole():
    BROKEN.clear()
    yield
    BROKEN.clear()


@pytest.fixture
def failed(world, hand):
    """Return a run of three steps that failed in the last, which would not fail any more."""
    world.publish(flow(job("build"), job("scan", "build"), job("deploy", "scan")), author="mara")
    BROKEN.add("deploy")
    run_id = world.start("job", by="mara").run_id
    hand.drive(run_id)
    BROKEN.clear()
    assert Run.objects.get(pk=run_id).outcome == "failed"
    return run_id


def again(world, run_id, step="", *, who="mara", reason="it was the network", key="", **wish):
    return rerunning.rerun(
        principal=world.principal(who),
        run_id=run_id,
        wish=Wish(step=step, **wish),
        reason=reason,
        idempotency_key=key,
    )


def begun(run_id):
    """Return the keys of the attempts that a run's record tells of."""
    return [
        str(entry.data["key"])
        for entry in ledger.read_stream(stream=run_id, limit=100)
        if entry.kind in {"step.completed", "attempt.failed"}
    ]


def first_entry(run_id):
    return ledger.read_stream(stream=run_id, limit=1)[0]


def test_a_rerun_executes_from_the_step_on_and_replays_from_its_own_record(world, hand, failed):
    started = again(world, failed, "deploy#1")
    hand.drive(started.run_id)

    run = Run.objects.get(pk=started.run_id)
    assert (run.status, run.outcome) == ("CLOSED", "succeeded")
    assert begun(run.pk) == ["deploy#1"]
    state = fold(run.pk)
    assert state.closed
    assert state.steps["scan#1"].outputs == {"result": {"made": "scan"}}
    assert Run.objects.get(pk=failed).outcome == "failed"


def test_who_ran_it_again_and_why_is_on_record(world, failed):
    boss = world.user("otto", "requester", "operator")
    before = Run.objects.get(pk=failed)

    started = again(world, failed, "deploy", who="otto", reason="the mirror is back")

    entry = first_entry(started.run_id)
    assert entry.data["rerun"] == {
        "of": str(failed),
        "number": before.number,
        "seq": before.seq,
        "head": bytes(before.head).hex(),
        "step": "deploy",
        "fork": False,
        "rerunner": str(boss.person_id),
    }
    assert entry.payloads["reason"] == "the mirror is back"
    run = Run.objects.get(pk=started.run_id)
    assert run.initiator_id == before.initiator_id
    assert run.rerunner_id == boss.person_id
    lineage = Lineage.objects.get(run=run)
    assert (lineage.origin_id, lineage.from_key, lineage.is_fork) == (failed, "deploy", False)


def test_everybody_who_ran_it_again_stays_known_as_such(world, hand, failed):
    people = {world.user(name, "requester", "operator").person_id for name in ("otto", "ann")}
    second = again(world, failed, "deploy", who="otto").run_id
    hand.drive(second)
    third = again(world, second, "deploy", who="ann").run_id

    assert set(get_run_facts(run_id=third).rerunner_person_ids) == people
    assert Rerunner.objects.filter(run_id=third).count() == 2


def test_runs_that_a_rerun_calls_know_who_ran_it_again(world, hand):
    world.publish(flow(job("inner"), name="child"), author="mara")
    call = Step(id="call", verb=Call(workflow="child"))
    world.publish(flow(call, job("deploy", "call")), author="mara")
    first = world.start("job", by="mara").run_id
    boss = world.user("otto", "requester", "operator")
    hand.drive(first)
    cancel_run(principal=world.principal("mara"), run_id=first, reason="")
    hand.drive(first)

    started = again(world, first, "call", who="otto")
    hand.drive(started.run_id)

    child = Run.objects.get(parent_id=started.run_id)
    assert get_run_facts(run_id=child.pk).rerunner_person_ids == (boss.person_id,)


def test_a_preview_says_the_same_and_starts_nothing(world, failed):
    count = Run.objects.count()
    foreseen = rerunning.foresee(
        principal=world.principal("mara"), run_id=failed, wish=Wish(step="deploy")
    )

    assert [item.key for item in foreseen.rerun.taken] == ["build#1", "scan#1"]
    assert [item.key for item in foreseen.rerun.again] == ["deploy#1"]
    assert Run.objects.count() == count


def test_one_key_runs_it_again_once(world, failed):
    first = again(world, failed, "deploy", key="k")
    second = again(world, failed, "deploy", key="k")

    assert (second.run_id, second.replayed) == (first.run_id, True)
    with pytest.raises(KeyReusedError):
        again(world, failed, "scan", key="k")


@pytest.mark.parametrize("roles", [("requester",), ("operator",), ("viewer",)])
def test_it_needs_the_right_to_start_and_the_right_to_operate(world, failed, roles):
    world.user("vera", *roles)

    with pytest.raises(AccessForbiddenError):
        again(world, failed, "deploy", who="vera")
    with pytest.raises(AccessForbiddenError):
        rerunning.foresee(principal=world.principal("vera"), run_id=failed, wish=Wish())


def test_a_stranger_sees_no_run(world, failed):
    world.user("nobody")

    with pytest.raises(RunMissingError):
        again(world, failed, "deploy", who="nobody")


def test_an_open_run_is_not_run_again(world):
    world.publish(flow(job("build")), author="mara")
    run_id = world.start("job", by="mara").run_id

    with pytest.raises(RunOpenError):
        again(world, run_id, "build")


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_reason_is_needed(world, failed, reason):
    with pytest.raises(ReasonMissingError):
        again(world, failed, "deploy", reason=reason)


def test_a_step_that_is_not_there_is_refused(world, failed):
    with pytest.raises(StepMissingError):
        again(world, failed, "moon")


def test_a_run_whose_payloads_were_erased_says_so(world, failed):
    found = Payload.objects.filter(entry__stream=failed, entry__seq=1, name="inputs")
    assert found.update(value=None, salt=None) == 1

    for step in ("deploy", ""):
        with pytest.raises(RunRedactedError, match="inputs was erased"):
            again(world, failed, step)


def test_a_retired_version_is_not_run_again(world, failed):
    Version.objects.update(status="retired")

    with pytest.raises(NothingPublishedError):
        again(world, failed, "deploy")


def test_a_halted_run_is_cancelled_by_it(world, hand):
    world.publish(flow(job("build"), Step(id="ask", verb=Wait(verb="x", body={}))), author="mara")
    run_id = world.start("job", by="mara").run_id
    row = read_run(run_id=run_id)
    assert row is not None
    Halter(worker=hand.worker).halt(row, ValueError("stop"))
    assert Run.objects.get(pk=run_id).status == "HALTED"

    started = again(world, run_id)

    origin = Run.objects.get(pk=run_id)
    assert (origin.status, origin.outcome) == ("CLOSED", "cancelled")
    entry = ledger.read_stream(stream=run_id, limit=10)[-2]
    assert f"run {started.number}" in str(entry.payloads["reason"])


def test_a_record_that_does_not_replay_is_run_again_from_the_beginning_only(
    world, failed, monkeypatch
):
    read = ledger.read_verified

    def bent(**arguments):
        found = read(**arguments)
        return [
            replace(item, data={**item.data, "attempt": 7})
            if item.kind == "step.completed"
            else item
            for item in found
        ]

    monkeypatch.setattr(ledger, "read_verified", bent)
    with pytest.raises(NotRepeatableError):
        again(world, failed, "deploy")
    assert again(world, failed).number


def test_what_can_be_undone_is_handed_over_once(world, hand, calls):
    world.publish(flow(job("reserve", undo=True), job("charge", "reserve")), author="mara")
    origin = world.start("job", by="mara").run_id
    hand.drive(origin)
    BROKEN.add("charge")

    first = again(world, origin, "charge").run_id
    second = again(world, origin, "charge").run_id
    hand.drive(first)
    hand.drive(second)

    assert begun(first) == ["charge#1", "compensate/reserve#1"]
    assert begun(second) == ["reserve#1", "charge#1", "compensate/reserve#1"]
    assert len(calls) == 2


# --- forks ---------------------------------------------------------------------------------------


def test_with_other_inputs_what_reads_them_runs_again(world, hand):
    world.publish(
        flow(
            job("build"),
            job("size", "build", n="${{ inputs.n }}"),
            job("named", "build", n="${{ vars.label }}"),
            job("deploy", "size"),
            variables={"label": "release ${{ inputs.m }}", "fixed": "x"},
        ),
        author="mara",
    )
    origin = world.start("job", by="mara", inputs={"n": 1, "m": "a"}).run_id
    hand.drive(origin)

    started = again(world, origin, "deploy", inputs={"n": 2, "m": "a"})
    hand.drive(started.run_id)
    assert begun(started.run_id) == ["size#1", "deploy#1"]
    assert first_entry(started.run_id).data["rerun"]["fork"] is True

    foreseen = rerunning.foresee(
        principal=world.principal("mara"),
        run_id=origin,
        wish=Wish(step="deploy", inputs={"n": 1, "m": "b"}),
    )
    assert foreseen.changed_inputs == ("m",)
    assert foreseen.changed_steps == ("named",)
    assert [(item.key, str(item.why)) for item in foreseen.rerun.again] == [
        ("named#1", "inputs"),
        ("deploy#1", "chosen"),
    ]


def test_with_another_version_what_is_different_there_runs_again(world, hand, failed):
    world.publish(
        flow(job("build"), job("scan", "build", deep=True), job("lint"), job("deploy", "scan")),
        author="mara",
    )

    started = again(world, failed, "deploy", rev=2)
    hand.drive(started.run_id)

    assert sorted(begun(started.run_id)) == ["deploy#1", "lint#1", "scan#1"]
    assert Run.objects.get(pk=started.run_id).version.rev == 2
    assert fold(started.run_id).steps["build#1"].outputs == {"result": {"made": "build"}}
