"""What one move begins, when much happens at the same instant."""

from datetime import timedelta

from tests.constructs import check
from tests.plans import plan, uses
from tests.pure_run import PureRun


def test_nothing_begins_that_its_deadline_ends_at_the_same_instant():
    run = PureRun(plan(uses("a", mutex="m", total_seconds=60.0), uses("b")))
    run.claim()
    run.now += timedelta(seconds=61)

    move = run.move(run.admit("a#1"))

    assert move.begun == ()
    assert "a#1" not in run.state.running
    run.move(run._execute("b#1"))
    check(run, "failed")
