"""A run's time, from its events."""

from datetime import timedelta

import pytest

from engine.domain.keys import step_key
from engine.domain.plan import Backoff, Retry
from engine.portal.timeline import Doing, make_timeline
from tests.plans import approval, boom, plan, undoable, uses
from tests.pure_run import START, FailsError, PureRun

MINUTE = timedelta(minutes=1)


class Played(PureRun):
    """A run whose actions take minutes."""

    def takes(self, step, minutes, *, fails=0):
        left = [fails]

        def action(_):
            self.now += minutes * MINUTE
            if left[0]:
                left[0] -= 1
                raise FailsError("transient")
            return {}

        self.actions[step] = action
        return self

    def later(self, minutes):
        self.now += minutes * MINUTE
        return self

    def drive(self) -> "Played":
        super().drive()
        return self

    def timeline(self):
        needs = {
            step_key(step.id): [step_key(need) for need in step.needs]
            for step in self.plan.steps.values()
        }
        return make_timeline(self.events, needs=needs, now=self.now)


def _rows(timeline):
    return [(row.key, row.attempt) for row in timeline.rows]


def _minutes(row):
    return [(bar.doing, bar.seconds / 60) for bar in row.bars]


def test_no_events_give_an_empty_timeline():
    timeline = make_timeline([], needs={"a#1": []}, now=START)

    assert (timeline.rows, timeline.ticks, timeline.now_x) == ((), (), None)


def test_work_is_measured_step_by_step():
    run = Played(plan(uses("a"), uses("b", "a"))).takes("a", 2).takes("b", 6)

    timeline = run.drive().timeline()

    assert [_minutes(row) for row in timeline.rows] == [[(Doing.WORK, 2)], [(Doing.WORK, 6)]]
    first, second = (row.bars[0] for row in timeline.rows)
    assert (first.x, first.width, second.x, second.width) == (0, 25, 25, 75)
    assert timeline.total_seconds == 8 * 60
    assert timeline.now_x is None


def test_waiting_for_people_is_told_from_work():
    run = Played(plan(uses("a"), approval("gate", "a"), uses("b", "gate"))).takes("a", 3)
    run.takes("b", 1).drive().later(5)
    run.resolve("gate", "approved")

    timeline = run.timeline()

    assert _minutes(timeline.rows[1])[0][0] is Doing.PEOPLE
    assert timeline.people_seconds == pytest.approx(5 * 60 + 1)
    assert timeline.total_seconds == pytest.approx(9 * 60 + 1)


def test_people_who_are_waited_for_at_once_count_once():
    run = Played(plan(approval("one"), approval("two"))).drive().later(10)
    run.resolve("one", "approved").later(10)

    timeline = run.timeline()

    assert timeline.people_seconds == pytest.approx(20 * 60 + 1)
    assert timeline.rows[0].seconds < timeline.rows[1].seconds
    assert [bar.is_open for row in timeline.rows for bar in row.bars] == [False, True]


def test_an_open_run_has_a_line_for_now_and_room_behind_it():
    timeline = Played(plan(approval("gate"))).drive().later(47).timeline()

    assert 80 < timeline.now_x < 95
    assert timeline.rows[0].bars[0].x + timeline.rows[0].bars[0].width == timeline.now_x
    assert [tick.seconds / 60 for tick in timeline.ticks] == [0, 10, 20, 30, 40, 50]


def test_every_retry_has_a_row_with_its_queue():
    retry = Retry(retries_max=2, backoff=Backoff.FIXED, initial_seconds=60, jitter=False)
    run = Played(plan(uses("a", retry=retry))).takes("a", 2, fails=1)

    timeline = run.drive().timeline()

    assert _rows(timeline) == [("a#1", 1), ("a#1", 2)]
    assert [row.failed for row in timeline.rows] == [True, False]
    assert [row.is_last for row in timeline.rows] == [False, True]
    assert _minutes(timeline.rows[1]) == [(Doing.QUEUE, 1), (Doing.WORK, 2)]


def test_a_retry_that_is_put_off_queues_until_now():
    retry = Retry(retries_max=2, backoff=Backoff.FIXED, initial_seconds=600, jitter=False)
    run = Played(plan(uses("a", retry=retry))).takes("a", 2, fails=1)
    run.move(run._execute(run.claim().begun[0].key))

    timeline = run.later(4).timeline()

    assert _rows(timeline) == [("a#1", 1), ("a#1", 2)]
    assert _minutes(timeline.rows[1]) == [(Doing.QUEUE, 4)]
    assert timeline.rows[1].bars[0].is_open
    assert timeline.rows[1].seconds is None


def test_a_step_that_could_begin_queues_from_the_end_of_its_last_need():
    run = Played(plan(uses("a"), uses("b", "a")), capacity=1)
    run.takes("a", 3).drive()

    queued = Played(plan(*(uses(f"s{n}") for n in range(3))), capacity=1)
    queued.takes("s0", 5).takes("s1", 5).takes("s2", 5).drive()

    assert [bar.doing for row in run.timeline().rows for bar in row.bars] == [
        Doing.WORK,
        Doing.WORK,
    ]
    assert _minutes(queued.timeline().rows[-1]) == [(Doing.QUEUE, 10), (Doing.WORK, 5)]


def test_what_has_not_begun_stands_last_without_bars():
    timeline = Played(plan(uses("z", "gate"), approval("gate"))).timeline()

    assert _rows(timeline) == [("gate#1", 1), ("z#1", 0)]
    assert timeline.rows[1].bars == ()


def test_a_skipped_step_has_no_bars_and_ends_what_others_wait_for():
    run = Played(plan(uses("a", condition="false"), uses("b", "a"))).drive()

    assert all(row.bars == () for row in run.timeline().rows)


def test_a_compensation_is_a_row_of_its_own():
    run = Played(plan(undoable("a"), uses("b", "a")), actions={"b": boom()}).takes("a", 1)

    assert ("compensate/a#1", 1) in _rows(run.drive().timeline())


@pytest.mark.parametrize("minutes", [0, 0.001, 1, 59, 1_440, 60 * 24 * 400])
def test_an_axis_has_few_marks_however_long_a_run_takes(minutes):
    timeline = Played(plan(approval("gate"))).drive().later(minutes).timeline()

    assert 1 <= len(timeline.ticks) <= 13
    assert all(0 <= tick.x <= 100 for tick in timeline.ticks)
    assert all(0 <= bar.x <= bar.x + bar.width <= 100 for row in timeline.rows for bar in row.bars)


def test_a_clock_that_went_back_draws_nothing_outside():
    run = Played(plan(approval("gate"))).drive()
    run.now -= timedelta(hours=1)

    timeline = run.timeline()

    assert timeline.total_seconds == 0
    assert all(bar.width >= 0 for row in timeline.rows for bar in row.bars)
