"""Who goes on in a concurrency group."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.plan import OnConflict
from engine.domain.turns import Displaced, Turn, judge

START = datetime(2026, 1, 1, tzinfo=UTC)
QUEUE, NEWEST, IN_PROGRESS = (
    OnConflict.QUEUE,
    OnConflict.CANCEL_NEWEST,
    OnConflict.CANCEL_IN_PROGRESS,
)


def run(number):
    return UUID(int=number)


def turn(number, *, most=1, does=QUEUE, priority=0, workflow=1, granted=False, leaving=False):
    return Turn(
        run_id=run(number),
        workflow_id=run(workflow),
        run_count_max=most,
        on_conflict=does,
        priority=priority,
        since=START + timedelta(seconds=number),
        is_granted=granted,
        is_leaving=leaving,
    )


def granted(*turns):
    return judge(turns).granted


def displaced(*turns):
    return judge(turns).displaced


def test_the_first_goes_on_and_the_others_wait():
    assert granted(turn(3), turn(1), turn(2)) == (run(1),)
    assert displaced(turn(3), turn(1), turn(2)) == ()


def test_as_many_go_on_as_there_may():
    assert granted(turn(1, most=2), turn(2, most=2), turn(3, most=2)) == (run(1), run(2))
    assert granted(turn(1, most=2, granted=True), turn(2, most=2), turn(3, most=2)) == (run(2),)


def test_the_more_urgent_goes_first_and_of_equal_ones_the_earlier():
    turns = (turn(1), turn(2, priority=5), turn(3, priority=5))

    assert granted(*turns) == (run(2),)


def test_who_allows_more_does_not_go_on_beside_who_allows_less():
    assert granted(turn(1, most=1, granted=True), turn(2, most=5)) == ()
    assert granted(turn(1, most=5, granted=True), turn(2, most=1)) == ()


def test_nobody_is_overtaken_by_who_would_need_less_room():
    turns = (turn(1, most=3, granted=True), turn(2, most=1), turn(3, most=3))

    assert granted(*turns) == ()


def test_a_late_one_is_cancelled_for_who_goes_on():
    turns = (turn(1, granted=True), turn(2, does=NEWEST))

    assert judge(turns).granted == ()
    assert displaced(*turns) == (Displaced(run_id=run(2), by=run(1), is_late=True),)


def test_who_would_be_late_goes_on_where_there_is_room():
    assert displaced(turn(1, does=NEWEST)) == ()
    assert granted(turn(1, does=NEWEST)) == (run(1),)


def test_a_late_one_keeps_nobody_behind_it_waiting():
    turns = (turn(1, granted=True, most=2), turn(2, does=NEWEST, most=1), turn(3, most=2))

    assert granted(*turns) == (run(3),)
    assert [item.run_id for item in displaced(*turns)] == [run(2)]


def test_the_newest_cancels_what_goes_on_and_what_waits_before_it():
    turns = (turn(1, granted=True), turn(2), turn(3, does=IN_PROGRESS))

    assert displaced(*turns) == (
        Displaced(run_id=run(1), by=run(3)),
        Displaced(run_id=run(2), by=run(3)),
    )


def test_only_as_many_are_cancelled_as_it_takes_the_oldest_first():
    goes = [turn(number, most=2, granted=True) for number in (1, 2)]

    assert displaced(*goes, turn(3, most=2, does=IN_PROGRESS)) == (
        Displaced(run_id=run(1), by=run(3)),
    )


def test_who_is_cancelled_already_is_not_cancelled_again():
    turns = (turn(1, granted=True, leaving=True), turn(2, does=IN_PROGRESS))

    assert judge(turns) == judge(())


def test_runs_of_other_workflows_are_waited_for():
    turns = (turn(1, granted=True, workflow=2), turn(2, does=IN_PROGRESS))

    assert judge(turns) == judge(())


def test_a_newer_run_is_not_cancelled_for_an_older_one():
    turns = (turn(1, does=IN_PROGRESS), turn(2, granted=True))

    assert displaced(*turns) == ()


TURNS = st.lists(
    st.builds(
        turn,
        st.integers(1, 10**6),
        most=st.integers(1, 3),
        does=st.sampled_from(list(OnConflict)),
        priority=st.integers(0, 2),
        workflow=st.integers(1, 2),
        leaving=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda item: item.run_id,
)


@settings(max_examples=300)
@given(TURNS)
def test_a_group_never_holds_more_than_any_of_them_allows(turns):
    given_now = set(judge(turns).granted)

    going = [item for item in turns if item.run_id in given_now]
    assert len(going) <= min((item.run_count_max for item in going), default=0)
    assert not [item for item in going if item.is_leaving]


@settings(max_examples=300)
@given(TURNS)
def test_somebody_goes_on_as_long_as_anybody_waits(turns):
    open_turns = [item for item in turns if not item.is_leaving]

    assert bool(judge(turns).granted) == bool(open_turns)


@settings(max_examples=300)
@given(TURNS)
def test_nobody_is_cancelled_who_goes_on_from_now_unless_somebody_newer_displaces_it(turns):
    verdict = judge(turns)
    started = {item.run_id: item.started for item in turns}

    for item in verdict.displaced:
        if item.is_late:
            assert item.run_id not in verdict.granted
        else:
            assert started[item.run_id] < started[item.by]


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_the_rows_decides_nothing(order):
    turns = [turn(1, granted=True), turn(2, does=IN_PROGRESS), turn(3), turn(4, does=NEWEST)]

    assert judge(turns[::order]) == judge(turns)
