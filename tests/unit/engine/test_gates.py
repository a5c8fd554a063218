"""What holds a step back: mutexes, rates, circuits, the cache, queues and priorities."""

from datetime import timedelta

import pytest

from core.kernel.types import JsonLike
from engine.domain.errors import UnexpectedEventError
from engine.domain.events import Event, EventKind
from engine.domain.moving import EffectKind, lose
from engine.domain.plan import AfterError, Cache, Circuit, OnError, Rate, Retry
from engine.domain.state import RunStatus
from tests.constructs import check, check_open, drive, each, event, group, loop, ran
from tests.plans import approval, boom, failing, plan, undoable, uses
from tests.pure_run import START, PureRun

RATE = Rate(key="api", limit=1, seconds=10)
CIRCUIT = Circuit(key="api", failures=3, window_seconds=60, cooldown_seconds=60)
CACHE = Cache(key="k-${{ inputs.n }}", ttl_seconds=60)
GATES = [{"rate": RATE}, {"circuit": CIRCUIT}, {"cache": CACHE}]


def held(run):
    return list(run.decider.to_admit(run.state, at=run.now))


def released(run):
    return [
        (item.key, item.body["mutex"]) for item in run.effects if item.kind is EffectKind.RELEASE
    ]


def reuse(run, key, result):
    event = Event(
        kind=EventKind.STEP_REUSED, at=run.now, data={"key": key}, payloads={"result": result}
    )
    return run.move(event)


# --- attempts that are let through ---------------------------------------------------------------


@pytest.mark.parametrize("gate", GATES)
def test_an_attempt_begins_only_once_it_is_let_through(gate):
    run = PureRun(plan(uses("a", **gate)), inputs={"n": 1})
    move = run.claim()

    assert (move.begun, run.status, held(run)) == ((), RunStatus.RUNNING, ["a#1"])
    assert [item.key for item in run.move(run.admit("a#1")).begun] == ["a#1"]
    run.move(run._execute("a#1"))
    check(run, "succeeded")


def test_an_attempt_may_be_let_through_for_later():
    run = PureRun(plan(uses("a", rate=RATE)))
    run.claim()
    move = run.move(run.admit("a#1", delay=7))

    assert (move.begun, move.status) == ((), RunStatus.WAITING)
    assert move.wake_at == START + timedelta(seconds=7)
    run.now += timedelta(seconds=7)
    assert held(run) == []  # it has been let through already
    assert [item.key for item in run.claim().begun] == ["a#1"]
    run.move(run._execute("a#1"))
    check(run, "succeeded")


def test_each_attempt_is_let_through_anew():
    retry = Retry(retries_max=2, initial_seconds=5, jitter=False)
    run = drive(uses("a", rate=RATE, retry=retry), actions={"a": failing(2)})

    admitted = [item for item in run.events if item.kind == EventKind.STEP_ADMITTED]
    assert [item.data["gate"] for item in admitted] == ["attempt"] * 3
    check(run, "succeeded")


def test_a_lost_attempt_begins_again_as_it_was():
    run = PureRun(plan(uses("a", rate=RATE)))
    run.claim()
    run.move(run.admit("a#1"))
    run.move(lose(run.decider, run.state, "a#1", at=run.now))

    assert dict(run.state.running) == {"a#1": 2}
    run.move(run._execute("a#1"))
    check(run, "succeeded")


def test_what_is_not_held_back_cannot_be_let_through():
    run = drive(uses("a", rate=RATE), event("e"))

    with pytest.raises(UnexpectedEventError, match="a#1 is ended"):
        run.move(run.admit("a#1"))


def test_a_result_is_reused_instead_of_executing():
    step = uses("a", cache=CACHE, outputs={"n": "result.n"})
    run = PureRun(
        plan(step, uses("b", "a", arguments={"n": "${{ steps.a.outputs.n }}"})), inputs={"n": 1}
    )
    run.claim()
    run.work(list(reuse(run, "a#1", {"n": 5}).begun))

    assert run.executed == [("b#1", 1, {"n": 5})]
    check(run, "succeeded")


def test_a_reused_result_that_does_not_fit_fails_the_step():
    run = PureRun(plan(uses("a", cache=CACHE, outputs={"n": "result.absent"})), inputs={"n": 1})
    run.claim()
    reuse(run, "a#1", {})

    assert run.error_kind("a") == "expression"
    check(run, "failed")


def test_what_was_reused_is_not_undone_because_another_run_has_done_it():
    run = PureRun(
        plan(undoable("a", cache=CACHE), uses("b", "a")), inputs={"n": 1}, actions={"b": boom()}
    )
    run.claim()
    run.work(list(reuse(run, "a#1", {}).begun))

    assert ran(run) == ["b#1"]
    check(run, "failed")


def test_each_turn_and_each_item_is_let_through():
    body = uses("m", rate=RATE, arguments={"it": "${{ it }}"})
    run = drive(
        each("m", body),
        loop("l", uses("l", rate=RATE), until="false", turns=2),
        inputs={"items": [1, 2]},
    )

    admitted = {
        str(item.data["key"]) for item in run.events if item.kind == EventKind.STEP_ADMITTED
    }
    assert admitted == {"m#1/item#1", "m#1/item#2", "l#1/turn#1", "l#1/turn#2"}
    check(run, "failed")  # the loop's turns are over


@pytest.mark.parametrize("delay_ms", [0, 5000])
def test_a_run_that_no_gate_lets_through_waits_until_it_is_to_ask_again(delay_ms):
    run = PureRun(plan(uses("a", rate=RATE)))
    run.claim()
    data: dict[str, JsonLike] = {"keys": ["a#1"], "delay_ms": delay_ms}
    move = run.move(Event(kind=EventKind.STEP_HELD, at=run.now, data=data))

    assert move.status is RunStatus.WAITING
    assert move.wake_at == (START + timedelta(milliseconds=delay_ms) if delay_ms else None)
    assert run.claim().status is RunStatus.RUNNING  # whoever takes it asks anew
    run.work([])
    check(run, "succeeded")


# --- mutexes -------------------------------------------------------------------------------------


def test_a_mutex_is_held_from_the_start_of_a_step_to_its_end():
    run = PureRun(
        plan(group("g", uses("a"), approval("b", "a"), mutex="db-${{ inputs.n }}")), inputs={"n": 3}
    )
    run.claim()
    assert run.state.steps["g#1"].mutex == "db-3"
    assert run.state.steps["g#1"].inside is None  # nothing inside begins before
    run.work(list(run.move(run.admit("g#1")).begun))
    assert released(run) == []
    run.resolve("g#1/b#1", "approved")

    assert released(run) == [("g#1", "db-3")]
    check(run, "succeeded")


def test_a_mutex_is_kept_over_retries_and_given_back_after_a_failure():
    retry = Retry(retries_max=1, initial_seconds=5, jitter=False)
    run = drive(uses("a", mutex="m", retry=retry), actions={"a": boom("transient")})

    gates = [item.data["gate"] for item in run.events if item.kind == EventKind.STEP_ADMITTED]
    assert gates == ["mutex"]
    assert released(run) == [("a#1", "m")]
    check(run, "failed")


def test_a_mutex_comes_before_the_rate():
    run = drive(uses("a", mutex="m", rate=RATE))

    gates = [item.data["gate"] for item in run.events if item.kind == EventKind.STEP_ADMITTED]
    assert gates == ["mutex", "attempt"]
    check(run, "succeeded")


def test_who_waits_for_a_mutex_gives_up_its_place_when_cancelled():
    run = PureRun(plan(uses("a", mutex="m"), event("e")))
    run.claim()
    run.cancel()
    run.claim()

    assert released(run) == [("a#1", "m")]
    check(run, "cancelled")


@pytest.mark.parametrize(
    "name", ["${{ inputs.absent }}", "${{ ' ' }}", "${{ inputs }}", "${{ inputs.long }}"]
)
def test_a_mutex_that_names_nothing_fails_the_step(name):
    run = drive(uses("a", mutex=name), inputs={"long": "x" * 1000})

    assert run.error_kind("a") in {"expression", "too-large"}
    assert released(run) == []
    check(run, "failed")


def test_a_step_that_is_asked_about_keeps_its_mutex():
    run = drive(
        uses("a", mutex="m", on_error=OnError(then=AfterError.ASK)),
        actions={"a": failing(1, "odd")},
    )
    assert released(run) == []
    run.choose("a#1", "retry")

    assert released(run) == [("a#1", "m")]
    check(run, "succeeded")


def test_a_container_that_begins_anew_keeps_its_mutex():
    asks = OnError(then=AfterError.ASK)
    run = drive(group("g", uses("a"), mutex="m", on_error=asks), actions={"a": failing(1, "odd")})
    run.choose("g#1", "retry")

    gates = [item.data["gate"] for item in run.events if item.kind == EventKind.STEP_ADMITTED]
    assert gates == ["mutex"]
    assert released(run) == [("g#1", "m")]
    check(run, "succeeded")


# --- queues and priorities -----------------------------------------------------------------------


def test_a_step_of_another_queue_is_handed_over():
    run = PureRun(plan(uses("a", queue="gpu"), uses("b")), capacity=1)
    move = run.claim()

    assert [(item.key, item.queue) for item in move.begun] == [("a#1", "gpu"), ("b#1", "")]
    run.move(run._execute("b#1"))
    assert (run.status, dict(run.state.remote)) == (RunStatus.WAITING, {"a#1": "gpu"})
    run.claim()  # a driver that takes the run leaves it alone
    assert dict(run.state.running) == {"a#1": 1}
    run.move(run._execute("a#1"))
    check(run, "succeeded")


def test_a_driver_executes_what_its_own_labels_say():
    run = PureRun(plan(uses("a", queue="gpu")), serves=("", "gpu"))

    assert [(item.key, item.queue) for item in run.claim().begun] == [("a#1", "")]
    run.move(run._execute("a#1"))
    check(run, "succeeded")


def test_what_is_handed_over_takes_no_place_of_the_driver():
    steps = [uses(f"r{number}", queue="gpu") for number in range(5)]
    run = PureRun(plan(*steps, uses("a"), uses("b")), capacity=1)

    assert [item.key for item in run.claim().begun] == [
        *(f"r{number}#1" for number in range(5)),
        "a#1",
    ]


def test_a_handed_over_attempt_may_be_lost():
    run = PureRun(plan(uses("a", queue="gpu")))
    run.claim()
    run.lose("a#1")

    assert dict(run.state.running) == {"a#1": 2}
    run.move(run._execute("a#1"))
    check(run, "succeeded")


def test_higher_priorities_begin_first():
    steps = [uses("a"), uses("b", priority=5), uses("c", priority=9), uses("d", priority=5)]
    run = drive(*steps, capacity=1)

    assert ran(run) == ["c#1", "b#1", "d#1", "a#1"]
    check(run, "succeeded")


def test_a_retry_that_is_due_goes_by_its_priority_too():
    retry = Retry(retries_max=1, initial_seconds=0, jitter=False)
    run = drive(
        uses("a", retry=retry),
        uses("b", priority=1),
        uses("c"),
        actions={"a": failing(1)},
        capacity=1,
    )

    assert ran(run) == ["b#1", "a#1", "a#1", "c#1"]
    check(run, "succeeded")


@pytest.mark.parametrize("gate", [*GATES, {"mutex": "m"}, {"queue": "gpu"}])
def test_a_run_is_cancelled_while_a_step_is_held_back(gate):
    run = PureRun(plan(uses("a", **gate), uses("after", "a")), inputs={"n": 1})
    run.claim()
    check_open(run)
    run.cancel()
    run.claim()
    if "queue" in gate:  # an attempt that executes is waited for
        assert run.closed == ""
        run.move(run._execute("a#1"))

    check(run, "cancelled")
