"""The decider, construct by construct."""

from dataclasses import replace
from datetime import timedelta

import pytest

from core.kernel import limits
from engine.domain.errors import NondeterministicError, UnexpectedEventError
from engine.domain.events import Event, EventKind
from engine.domain.plan import (
    AfterError,
    Backoff,
    Compensation,
    Join,
    OnError,
    Retry,
    Uses,
)
from engine.domain.state import RunState, RunStatus
from tests.plans import approval, boom, failing, plan, undoable, uses
from tests.pure_run import PureRun


def test_steps_run_in_the_order_of_their_needs():
    run = PureRun(plan(uses("a"), uses("b", "a"), uses("c", "b"))).drive()

    assert [key for key, _, _ in run.executed] == ["a#1", "b#1", "c#1"]
    assert run.closed == "succeeded"
    assert run.status is RunStatus.CLOSED


def test_an_empty_plan_closes_at_once():
    assert PureRun(plan()).drive().closed == "succeeded"


def test_parallel_steps_begin_together_within_capacity():
    run = PureRun(plan(*(uses(f"s{number}") for number in range(12))), capacity=5)

    assert len(run.claim().begun) == 5


def test_outputs_flow_into_arguments_and_the_result():
    run = PureRun(
        plan(
            uses("a", outputs={"double": "result.value * 2"}),
            uses(
                "b",
                "a",
                arguments={"n": "${{ steps.a.outputs.double }}", "t": "x${{ run.number }}"},
            ),
            outputs={"answer": "steps.b.outputs.result.n"},
        ),
        actions={"a": lambda _: {"value": 21}, "b": lambda given: {"n": given["n"]}},
    ).drive()

    assert run.executed[1][2] == {"n": 42, "t": "x1"}
    assert run.outputs == {"answer": 42}


def test_a_false_if_skips_the_step_and_what_needs_it():
    run = PureRun(
        plan(uses("a", condition="inputs.go"), uses("b", "a")), inputs={"go": False}
    ).drive()

    assert (run.outcome("a"), run.outcome("b"), run.closed) == ("skipped", "skipped", "succeeded")


def test_a_step_with_its_own_if_decides_about_a_skipped_need():
    steps = (
        uses("a", condition="false"),
        uses("b", "a", condition="steps.a.outcome == 'skipped'", reads=("a",)),
    )

    assert PureRun(plan(*steps)).drive().outcome("b") == "succeeded"


def test_a_skipped_need_makes_an_approval_unreached_whatever_its_if():
    run = PureRun(
        plan(uses("a", condition="false"), approval("gate", "a", condition="true"))
    ).drive()

    assert run.outcome("gate") == "unreached"


@pytest.mark.parametrize("outcome", ["rejected", "expired", "withdrawn", "voided"])
def test_a_bad_end_makes_everything_downstream_unreached_whatever_its_if(outcome):
    run = PureRun(
        plan(
            approval("gate"), uses("b", "gate", condition="true"), uses("c", "b", condition="true")
        )
    ).drive()
    assert run.status is RunStatus.WAITING

    run.resolve("gate", outcome)

    assert (run.outcome("b"), run.outcome("c")) == ("unreached", "unreached")
    assert run.executed == []


@pytest.mark.parametrize(
    ("outcome", "closed"),
    [
        ("approved", "succeeded"),
        ("overridden", "succeeded"),
        ("rejected", "rejected"),
        ("expired", "expired"),
        ("withdrawn", "cancelled"),
        ("voided", "cancelled"),
        ("failed", "failed"),
    ],
)
def test_an_approvals_end_decides_the_runs(outcome, closed):
    run = PureRun(plan(approval("gate"), uses("after", "gate"))).drive()

    run.resolve("gate", outcome)

    assert run.closed == closed
    assert bool(run.executed) == (closed == "succeeded")


def test_an_error_in_the_if_of_an_approval_keeps_the_gate():
    run = PureRun(plan(approval("gate", condition="inputs.absent == 1"), uses("b", "gate"))).drive()

    assert run.status is RunStatus.WAITING
    assert run.outcome("gate") == "waiting"
    assert run.executed == []


@pytest.mark.parametrize("condition", ["inputs.absent == 1", "'yes'", "1"])
def test_an_error_in_the_if_of_a_step_fails_it(condition):
    run = PureRun(plan(uses("a", condition=condition))).drive()

    assert (run.outcome("a"), run.closed) == ("failed", "failed")
    assert run.error_kind("a") == "expression"
    assert run.events[1].payloads["notes"][0]["key"] == "a#1"


def test_an_error_in_the_arguments_fails_the_step_without_executing_it():
    run = PureRun(plan(uses("a", arguments={"x": "${{ inputs.absent }}"}))).drive()

    assert (run.closed, run.executed) == ("failed", [])


def test_arguments_that_are_too_large_fail_the_step_without_executing_it():
    half = "x" * (limits.ARGUMENT_BYTES_MAX // 2 - 100)
    whole = {"x": "${{ inputs.x }}", "y": "${{ inputs.x }}"}
    fits = PureRun(plan(uses("a", arguments=whole)), inputs={"x": half}).drive()
    # As many characters, but more bytes.
    over = PureRun(plan(uses("a", arguments=whole)), inputs={"x": half[:-200] + "é" * 200}).drive()
    far_over = PureRun(plan(uses("a", arguments=whole)), inputs={"x": half * 2}).drive()

    assert [run.closed for run in (fits, over, far_over)] == ["succeeded", "failed", "failed"]
    for run in (over, far_over):
        assert (run.error_kind("a"), run.executed) == ("too-large", [])
        assert str(limits.ARGUMENT_BYTES_MAX) in run.events[1].payloads["notes"][0]["message"]
        assert run.replayed() == run.state


def test_a_compensation_whose_arguments_are_too_large_has_failed():
    large = "x" * (limits.ARGUMENT_BYTES_MAX + 1)
    undo = Compensation(uses=Uses(action="python/call@1", arguments={"x": "${{ inputs.x }}"}))
    run = PureRun(
        plan(uses("a", compensate=undo), uses("b", "a")),
        inputs={"x": large},
        actions={"b": boom()},
    ).drive()

    assert run.outcome("compensate/a#1") == "failed"
    assert [key for key, _, _ in run.executed] == ["a#1", "b#1"]
    assert run.closed == "failed"


def test_in_a_run_of_very_many_entries_no_step_is_tried_again():
    run = PureRun(plan(uses("a", retry=Retry(retries_max=9))), actions={"a": boom("transient")})
    run.claim()
    run.state = replace(run.state, entry_count=limits.RETRY_ENTRY_COUNT_MAX)

    run.move(run._execute("a#1"))

    assert (run.error_kind("a"), run.closed) == ("exhausted", "failed")
    assert "transient" in str(run.state.steps["a#1"].error)


def test_an_error_in_the_outputs_fails_the_step():
    run = PureRun(plan(uses("a", outputs={"x": "result.absent"}), uses("b", "a"))).drive()

    assert (run.outcome("a"), run.outcome("b"), run.closed) == ("failed", "unreached", "failed")


def test_an_error_in_the_runs_outputs_fails_the_run():
    run = PureRun(plan(uses("a"), outputs={"x": "steps.a.outputs.absent"})).drive()

    assert run.closed == "failed"
    assert "absent" in run.events[-1].payloads["why"]


def test_outputs_of_a_run_that_no_entry_can_hold_fail_it():
    large = "x" * (limits.PAYLOAD_BYTES_MAX // 2)
    half = {"x": "steps.a.outputs.result"}
    whole = half | {"y": "steps.a.outputs.result"}
    ends = [
        PureRun(plan(uses("a"), outputs=outputs), actions={"a": lambda _: large}).drive()
        for outputs in (half, whole)
    ]

    assert [run.closed for run in ends] == ["succeeded", "failed"]
    assert "bytes" in ends[1].events[-1].payloads["why"]


def test_a_transient_failure_is_retried_until_it_succeeds():
    retry = Retry(retries_max=3, initial_seconds=10, jitter=False)
    run = PureRun(plan(uses("a", retry=retry)), actions={"a": failing(2)})
    started = run.now

    run.drive()

    assert [attempt for _, attempt, _ in run.executed] == [1, 2, 3]
    assert run.now - started == timedelta(seconds=30)  # 10 s, then twice that
    assert run.closed == "succeeded"


def test_retries_end():
    run = PureRun(
        plan(uses("a", retry=Retry(retries_max=2))), actions={"a": boom("transient")}
    ).drive()

    assert len(run.executed) == 3
    assert run.closed == "failed"


def test_an_error_kind_that_is_not_named_is_not_retried():
    retry = Retry(retries_max=5, errors=("transient",))
    run = PureRun(plan(uses("a", retry=retry)), actions={"a": boom("permanent")}).drive()

    assert len(run.executed) == 1


def test_fixed_backoff_and_its_bound_hold():
    retry = Retry(
        retries_max=3,
        backoff=Backoff.EXPONENTIAL,
        initial_seconds=100,
        delay_seconds_max=150,
        jitter=False,
        errors=("*",),
    )
    run = PureRun(plan(uses("a", retry=retry)), actions={"a": failing(3, "odd")})
    started = run.now

    run.drive()

    assert run.now - started == timedelta(seconds=100 + 150 + 150)


def test_continue_absorbs_a_failure_only_for_a_dependant_that_reads_it():
    absorbed = OnError(then=AfterError.CONTINUE)
    run = PureRun(
        plan(
            uses("a", on_error=absorbed),
            uses("reads", "a", condition="steps.a.outcome == 'failed'", reads=("a",)),
            uses("ignores", "a"),
        ),
        actions={"a": boom()},
    ).drive()

    assert (run.outcome("reads"), run.outcome("ignores")) == ("succeeded", "unreached")
    assert run.closed == "succeeded"


def test_all_settled_ignores_how_its_needs_ended():
    run = PureRun(
        plan(uses("a"), uses("b"), uses("end", "a", "b", join=Join.ALL_SETTLED)),
        actions={"a": boom()},
    ).drive()

    assert (run.outcome("end"), run.closed) == ("succeeded", "failed")


def test_an_approval_is_requested_once_and_the_run_parks():
    run = PureRun(plan(uses("a"), approval("gate", "a"))).drive()

    requested = [event for event in run.events if event.kind == EventKind.APPROVAL_REQUESTED]
    assert len(requested) == 1
    assert (run.status, run.outcome("gate")) == (RunStatus.WAITING, "waiting")


def test_many_approvals_that_are_decided_one_by_one_are_no_idle_claims():
    gates = [approval(f"g{number}") for number in range(limits.IDLE_CLAIM_COUNT_MAX + 2)]
    run = PureRun(plan(*gates)).drive()

    for gate in gates:
        run.resolve(gate.id, "approved")
        assert run.state.idle_claim_count < limits.IDLE_CLAIM_COUNT_MAX

    assert run.closed == "succeeded"


def test_resolving_twice_is_refused():
    run = PureRun(plan(approval("gate"), approval("other"))).drive()
    run.resolve("gate", "approved")

    with pytest.raises(UnexpectedEventError):
        run.resolve("gate", "approved")


def test_cancelling_ends_what_has_not_begun():
    run = PureRun(plan(uses("a"), uses("b", "a"), approval("gate", "a")))
    run.claim()  # `a` executes
    run.cancel()

    run.move(run._execute("a#1"))

    assert (run.outcome("a"), run.outcome("b"), run.outcome("gate")) == (
        "succeeded",
        "cancelled",
        "cancelled",
    )
    assert run.closed == "cancelled"


def test_cancelling_stops_retries():
    run = PureRun(plan(uses("a", retry=Retry(retries_max=9))), actions={"a": boom("transient")})
    run.claim()
    run.cancel()

    run.move(run._execute("a#1"))

    assert len(run.executed) == 1
    assert (run.outcome("a"), run.closed) == ("cancelled", "cancelled")


def test_a_lost_attempt_is_begun_again():
    run = PureRun(plan(uses("a")))
    run.claim()  # its worker dies

    run.drive()

    assert [event.kind for event in run.events if "attempt" in event.kind] == ["attempt.lost"]
    assert [attempt for _, attempt, _ in run.executed] == [2]
    assert run.closed == "succeeded"


def test_a_step_that_kills_every_worker_fails():
    run = PureRun(plan(uses("a")))

    for _ in range(limits.LOST_ATTEMPT_COUNT_MAX + 2):
        run.claim()

    assert run.error_kind("a") == "lost"
    assert run.closed == "failed"


def test_an_attempt_found_past_its_timeout_failed_by_it():
    run = PureRun(plan(uses("a", timeout_seconds=60)))
    run.claim()
    run.now += timedelta(seconds=60)

    run.claim()

    assert run.error_kind("a") == "timeout"


def test_nothing_follows_the_close():
    run = PureRun(plan()).drive()

    with pytest.raises(UnexpectedEventError):
        run.cancel()


def test_a_result_of_an_attempt_that_is_over_is_refused():
    run = PureRun(plan(uses("a")))
    run.claim()
    late = run._execute("a#1")
    run.claim()  # another driver took over: attempt 2

    with pytest.raises(UnexpectedEventError):
        run.move(late)


def test_folding_the_events_gives_the_same_state():
    run = PureRun(
        plan(undoable("a"), approval("gate", "a"), uses("b", "gate")), actions={"b": boom()}
    ).drive()
    run.resolve("gate", "approved")

    assert run.replayed() == run.state
    assert run.state.entry_count == len(run.events)


def test_a_changed_plan_is_found_by_folding():
    run = PureRun(plan(uses("a"), uses("b", "a", condition="false"), uses("c", "b"))).drive()
    changed = PureRun(plan(uses("a"), uses("b", "a", condition="true"), uses("c", "b")))

    with pytest.raises((NondeterministicError, UnexpectedEventError)):
        changed.decider.fold(RunState(), run.events)


def test_changed_arguments_are_found_by_folding():
    run = PureRun(plan(uses("a", arguments={"x": 1}))).drive()
    changed = PureRun(plan(uses("a", arguments={"x": 2})))

    with pytest.raises(NondeterministicError):
        changed.decider.fold(RunState(), run.events)


def test_an_unknown_event_is_refused():
    with pytest.raises(UnexpectedEventError):
        PureRun(plan()).outside(Event(kind="run.danced", at=PureRun(plan()).now))


def test_a_driver_over_its_budget_releases_the_run():
    run = PureRun(plan(uses("a"), uses("b", "a")))
    run.claim()
    run.capacity = 0

    run.move(run._execute("a#1"))

    assert run.status is RunStatus.READY
    run.capacity = 8
    assert run.drive().closed == "succeeded"


def test_a_long_record_of_consequences_goes_into_a_payload():
    many = [uses(f"s{number}", "a", condition="false") for number in range(150)]
    run = PureRun(plan(uses("a"), *many)).drive()

    long = next(event for event in run.events if "decided" in event.payloads)
    assert "digest" in long.data["decided"]
    assert run.replayed() == run.state
