"""A run's time, from its events."""

from datetime import timedelta

import pytest

from engine.domain.keys import step_key
from engine.domain.plan import AfterError, Backoff, On, OnError, Retry, Transition
from engine.portal.timeline import Doing, make_timeline
from tests.constructs import (
    CHILD,
    call,
    each,
    emit,
    event,
    final,
    group,
    machine,
    state,
    timer,
)
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


# --- constructs ----------------------------------------------------------------------------------


def times(run, **sleepers):
    """Return the rows of any run, as (key, what it did)."""
    needs = {
        step_key(step.id): [step_key(need) for need in step.needs]
        for step in run.plan.steps.values()
    }
    timeline = make_timeline(run.events, needs=needs, sleepers=sleepers, now=run.now)
    return [(row.key, [bar.doing for bar in row.bars]) for row in timeline.rows]


def test_what_is_inside_stands_after_its_container_however_late_it_began():
    run = Played(plan(group("a", uses("x"), uses("y", "x")), uses("b"))).takes("x", 5)
    run.drive()

    rows = times(run)

    assert [key for key, _ in rows] == ["a#1", "a#1/x#1", "a#1/y#1", "b#1"]
    assert rows[0][1] == [Doing.INSIDE]


def test_a_container_lasts_as_long_as_what_is_inside_it():
    run = Played(plan(each("m", uses("item"))), inputs={"items": [1, 2]}).takes("m", 4)
    run.drive()

    row = run.timeline().rows[0]

    assert (row.key, row.seconds, row.bars[0].is_open) == ("m#1", 480.0, False)


def test_waiting_for_an_event_a_run_or_time_is_neither_work_nor_people():
    run = Played(plan(event("hear"), call("child"), timer("rest", lasts="PT2M")), calls=CHILD)
    run.skips_time = True
    run.drive()
    rows = dict(times(run, **{"rest#1": None}))

    assert rows == {"hear#1": [Doing.WAIT], "child#1": [Doing.WAIT], "rest#1": [Doing.WAIT]}
    timeline = make_timeline(run.events, needs={"rest#1": []}, now=run.now)
    assert timeline.people_seconds == 0
    slept = next(row for row in timeline.rows if row.key == "rest#1")
    assert (slept.seconds, slept.bars[0].is_open) == (120.0, False)


def test_a_step_that_sleeps_now_waits_since_it_began_to():
    run = Played(plan(uses("a"), timer("rest", "a", lasts="PT9M"))).takes("a", 1)
    run.work(list(run.claim().begun))
    run.later(2)

    timeline = make_timeline(
        run.events,
        needs={"a#1": [], "rest#1": ["a#1"]},
        sleepers={"rest#1": START + MINUTE},
        now=run.now,
    )
    (row,) = [row for row in timeline.rows if row.key == "rest#1"]

    assert [(bar.doing, bar.seconds, bar.is_open) for bar in row.bars] == [
        (Doing.WAIT, 120.0, True)
    ]


def test_a_question_is_time_of_people_after_the_attempt():
    run = Played(plan(uses("a", on_error=OnError(then=AfterError.ASK)))).takes("a", 1, fails=1)
    run.drive()
    run.later(3).choose("a#1", "skip")

    (row,) = run.timeline().rows

    assert _minutes(row)[:2] == [(Doing.WORK, 1.0), (Doing.PEOPLE, 3 + 1 / 60)]


def test_a_machine_shows_each_visit_until_it_is_left():
    run = Played(
        machine(
            state("wait", Transition(on=On.AFTER, seconds=60.0, to="work")),
            state("work", Transition(on=On.SUCCESS, to="done"), step=uses("work")),
            final("done"),
        )
    ).takes("work", 2)
    run.drive()

    timeline = run.timeline()

    assert [(row.key, row.seconds) for row in timeline.rows][:2] == [
        ("wait#1", 60.0),
        ("work#1", 120.0),
    ]


def test_what_was_sent_or_taken_over_takes_no_time():
    run = Played(plan(emit("send"))).drive()

    (row,) = run.timeline().rows

    assert (row.seconds, row.bars[0].is_open) == (0.0, False)
