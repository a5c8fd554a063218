"""A run that waits for its turn: nothing of it begins, and time does not count."""

from datetime import timedelta

import pytest

from core.kernel.types import Json
from engine.domain.errors import UnexpectedEventError
from engine.domain.events import Event, EventKind
from engine.domain.plan import On, Transition
from engine.domain.state import RunStatus
from tests.constructs import check, check_open, event, final, machine, ran, state
from tests.plans import plan, uses
from tests.pure_run import PureRun

TURN: dict[str, Json] = {"max": 1, "on_conflict": "queue"}
DAG = plan(uses("a"), uses("b", "a"))
MACHINE = machine(
    state("draft", Transition(on=On.AFTER, to="done", seconds=60.0)),
    final("done"),
)


def queued(of):
    return PureRun(of, facts={"group": TURN})


def admit(run):
    run.outside(Event(kind=EventKind.RUN_ADMITTED, at=run.now))
    return run.drive()


@pytest.mark.parametrize("of", [DAG, MACHINE])
def test_nothing_begins_before_its_turn(of):
    run = queued(of)

    move = run.claim()

    assert move.status is RunStatus.WAITING
    assert (move.begun, move.wake_at, run.state.is_queued) == ((), None, True)
    check_open(run)


def test_with_its_turn_it_goes_on_to_its_end():
    run = admit(queued(DAG))

    assert ran(run) == ["a#1", "b#1"]
    check(run, "succeeded")


def test_a_machine_enters_its_first_state_with_its_turn():
    run = queued(MACHINE)
    run.now += timedelta(hours=1)

    admit(run)

    assert run.now >= run.events[1].at + timedelta(seconds=60)
    check(run, "succeeded")


@pytest.mark.parametrize("of", [DAG, MACHINE])
def test_cancelled_before_its_turn_it_ends_without_having_begun(of):
    run = queued(of)

    run.cancel()
    run.drive()

    assert ran(run) == []
    check(run, "cancelled")


def test_a_turn_comes_once():
    run = admit(queued(plan(event("e"))))

    with pytest.raises(UnexpectedEventError, match="waits for no turn"):
        run.outside(Event(kind=EventKind.RUN_ADMITTED, at=run.now))


def test_a_run_that_has_part_in_a_turn_begins_at_once():
    run = PureRun(DAG, facts={"group": {**TURN, "with": "other"}}).drive()

    check(run, "succeeded")
