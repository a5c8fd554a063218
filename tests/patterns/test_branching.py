"""The patterns in which a run goes one way or several."""

import pytest

from tests.patterns.patterns import check, play, start
from tests.plans import boom


def test_sequence_runs_in_order():
    run = play("sequence")

    assert run.ran() == ["draft#1", "check#1", "file#1"]
    check(run, "succeeded")


def test_sequence_stops_at_a_failure():
    run = play("sequence", actions={"check": boom()})

    assert run.ran() == ["draft#1", "check#1"]
    assert run.outcome("file") == "unreached"
    check(run, "failed")


def test_parallel_split():
    run = start("parallel-split")
    begun = run.claim().begun
    run.move(run._execute(begun[0].key))

    assert run.begun() == {"invoice#1", "ship#1"}
    check(run.drive(), "succeeded")


def test_multi_choice():
    run = play("multi-choice", {"calls": ["police", "doctor"]})

    assert run.ran() == ["triage#1", "police#1", "doctor#1"]
    assert run.outcome("fire") == "skipped"
    check(run, "succeeded")


@pytest.mark.parametrize(
    ("amount", "taken", "other"), [(10, "small", "large"), (5000, "large", "small")]
)
def test_exclusive_choice(amount, taken, other):
    run = play("exclusive-choice", {"amount": amount})

    assert run.outcome(other) == "skipped"
    if taken == "large":
        assert run.ran() == []
        run.resolve("large", "approved")
    assert run.outcome(taken) in {"succeeded", "approved"}
    check(run, "succeeded")


def test_exclusive_choice_of_a_gate_that_says_no():
    run = play("exclusive-choice", {"amount": 5000}).resolve("large", "rejected")

    assert run.ran() == []
    check(run, "rejected")


@pytest.mark.parametrize(
    ("type_", "branch", "step"),
    [("offer.accepted", "accepted", "contract"), ("offer.declined", "declined", "thank")],
)
def test_deferred_choice(type_, branch, step):
    run = play("deferred-choice").receive(f"answer#1/{branch}#1", type_)

    other = ({"accepted", "declined"} - {branch}).pop()
    assert run.withdrawn() == [("event", f"answer#1/{other}#1")]
    assert run.outcome("answer#1/silent#1") == "cancelled"
    assert run.ran() == [f"{step}#1"]
    check(run, "succeeded")


def test_deferred_choice_by_nobody():
    run = play("deferred-choice").wait(14 * 86400)

    assert sorted(run.withdrawn()) == [
        ("event", "answer#1/accepted#1"),
        ("event", "answer#1/declined#1"),
    ]
    assert run.ran() == ["remind#1"]
    check(run, "succeeded")


def test_implicit_termination():
    run = start("implicit-termination")
    run.claim()
    run.work([])
    run.drive()

    assert run.ran() == ["announce#1", "archive#1"]
    assert (run.now - run.events[0].at).days == 1
    check(run, "succeeded")


def test_explicit_termination():
    run = play("explicit-termination").receive("bidding#1/event#1", "auction.stopped")

    assert sorted(run.withdrawn()) == [
        ("event", "bidding#1/first#1"),
        ("event", "bidding#1/second#1"),
    ]
    check(run, "cancelled")


def test_explicit_termination_when_its_time_is_up():
    run = play("explicit-termination").receive("bidding#1/first#1", "bid.made").wait(7 * 86400)

    assert run.outcome("bidding#1/second#1") == "cancelled"
    check(run, "expired")


def test_explicit_termination_when_all_is_done():
    run = play("explicit-termination")
    run.receive("bidding#1/first#1", "bid.made").receive("bidding#1/second#1", "bid.made")

    check(run, "succeeded")
