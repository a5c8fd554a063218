"""What a week adds up to."""

import pytest

from tidyhours import Day, count_minutes, is_open, parse_week

WEEK = parse_week("Mo-Fr 09:00-12:30, 13:30-18:00; Fr 18:00-02:00; Su closed")


def test_a_day_adds_up():
    assert count_minutes(WEEK, Day.MO) == 8 * 60
    assert count_minutes(WEEK, Day.SU) == 0


def test_what_passes_midnight_counts_for_the_day_it_begins():
    assert count_minutes(WEEK, Day.FR) == 8 * 60
    assert count_minutes(WEEK, Day.SA) == 0


def test_a_week_is_the_sum_of_its_days():
    assert count_minutes(WEEK) == sum(count_minutes(WEEK, day) for day in Day) == 40 * 60


@pytest.mark.parametrize(
    ("day", "minute", "expected"),
    [
        (Day.MO, 9 * 60, True),
        (Day.MO, 9 * 60 - 1, False),
        (Day.MO, 12 * 60 + 30, False),
        (Day.FR, 23 * 60, True),
        (Day.SA, 60, True),
        (Day.SA, 2 * 60, False),
    ],
)
def test_it_is_open_from_the_first_minute_to_before_the_last(day, minute, expected):
    assert is_open(WEEK, day, minute) is expected
