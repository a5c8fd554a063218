"""When schedules are due, also where clocks change. Instants are written in UTC."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from core.kernel import limits
from engine.domain.schedules import (
    CatchUp,
    Schedule,
    find_due,
    find_schedule_fault,
    list_between,
    next_due,
)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def days(schedule, start, count):
    found, instant = [], at(start)
    for _ in range(count):
        following = next_due(schedule, after=instant)
        assert following is not None
        instant = following
        found.append(instant.strftime("%m-%d %H:%M"))
    return found


# ruff: noqa: E501 - one case is one line
# Clocks go forward at 02:00 local (01:00 UTC) on 2024-03-31 in Berlin, at 02:00 local (07:00 UTC) on
# 2024-03-10 in New York, and by half an hour at 02:00 local (15:30 UTC) on Lord Howe on 2024-10-05.
# fmt: off - the table, and what is left of the file is short
@pytest.mark.parametrize(
    ("zone", "cron", "start", "expected"),
    [
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2024-03-29T12:00",
            ["03-30 01:30", "03-31 01:00", "04-01 00:30"],
        ),
        (
            "America/New_York",
            "30 2 * * *",
            "2024-03-08T12:00",
            ["03-09 07:30", "03-10 07:00", "03-11 06:30"],
        ),
        (
            "Australia/Lord_Howe",
            "15 2 * * *",
            "2024-10-04T12:00",
            ["10-04 15:45", "10-05 15:30", "10-06 15:15"],
        ),
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2024-10-25T12:00",
            ["10-26 00:30", "10-27 00:30", "10-28 01:30"],
        ),
        (
            "America/New_York",
            "30 1 * * *",
            "2024-11-01T12:00",
            ["11-02 05:30", "11-03 05:30", "11-04 06:30"],
        ),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            "2024-04-05T12:00",
            ["04-05 14:45", "04-06 14:45", "04-07 15:15"],
        ),
    ],
)
def test_a_daily_job_runs_once_a_day_when_clocks_change(zone, cron, start, expected):
    assert days(Schedule(cron=cron, timezone=zone), start, 3) == expected


@pytest.mark.parametrize(
    ("zone", "start", "end", "count"),
    [
        ("Europe/Berlin", "2024-03-31T00:00", "2024-03-31T04:00", 4),
        ("Europe/Berlin", "2024-10-27T00:00", "2024-10-27T04:00", 4),
        ("America/New_York", "2024-11-03T04:00", "2024-11-03T08:00", 4),
    ],
)
def test_an_hourly_job_runs_each_hour_that_passes(zone, start, end, count):
    found = list_between(
        Schedule(cron="0 * * * *", timezone=zone), start=at(start), end=at(end), count_max=100
    )

    assert len(found) == count
    assert all(b - a == timedelta(hours=1) for a, b in pairwise(found))


def test_a_leap_day_is_every_fourth_year():
    schedule = Schedule(cron="0 12 29 2 *")

    first = next_due(schedule, after=at("2023-01-01T00:00"))
    assert first is not None
    second = next_due(schedule, after=first)

    assert [first, second] == [at("2024-02-29T12:00"), at("2028-02-29T12:00")]


@pytest.mark.parametrize(
    ("policy", "due", "skipped_count"),
    [
        (CatchUp.NONE, [], 7),
        (CatchUp.LAST, ["2024-05-08T06:00"], 6),
        (CatchUp.ALL, [f"2024-05-0{day}T06:00" for day in range(2, 9)], 0),
    ],
)
def test_a_week_without_anybody_is_made_up_for_as_the_policy_says(policy, due, skipped_count):
    schedule = Schedule(cron="0 8 * * *", timezone="Europe/Berlin", catch_up=policy)

    found = find_due(schedule, next_at=at("2024-05-02T06:00"), now=at("2024-05-08T12:00"))

    assert list(found.instants) == [at(text) for text in due]
    assert found.skipped_count == skipped_count
    assert found.next_at == at("2024-05-09T06:00")


@pytest.mark.parametrize("policy", CatchUp)
def test_an_instant_that_is_only_late_is_due_whatever_the_policy(policy):
    schedule = Schedule(cron="* * * * *", catch_up=policy)
    next_at = at("2024-05-02T06:00")

    found = find_due(schedule, next_at=next_at, now=next_at + timedelta(seconds=59))

    assert (found.instants, found.skipped_count) == ((next_at,), 0)
    assert found.next_at == at("2024-05-02T06:01")


def test_nothing_is_due_before_its_time():
    next_at = at("2024-05-02T06:00")

    found = find_due(
        Schedule(cron="0 6 * * *"), next_at=next_at, now=next_at - timedelta(seconds=1)
    )

    assert (found.instants, found.skipped_count, found.next_at) == ((), 0, next_at)


def test_making_up_is_bounded_and_what_is_left_out_is_counted():
    schedule = Schedule(cron="* * * * *", catch_up=CatchUp.ALL)
    now = at("2024-05-09T06:00")

    found = find_due(schedule, next_at=now - timedelta(days=7), now=now)

    assert len(found.instants) == limits.CATCH_UP_COUNT_MAX
    assert found.skipped_count == 7 * 24 * 60 + 1 - limits.CATCH_UP_COUNT_MAX
    assert found.instants[-1] == now


def test_after_a_year_only_the_last_month_is_counted():
    schedule = Schedule(cron="* * * * *", catch_up=CatchUp.LAST)
    now = at("2024-05-09T06:00")

    found = find_due(schedule, next_at=now - timedelta(days=365), now=now)

    assert found.instants == (now,)
    assert found.skipped_count == limits.CATCH_UP_SPAN.days * 24 * 60 - 1
    assert found.next_at == now + timedelta(minutes=1)


def test_a_rare_job_is_made_up_for_however_long_ago_it_was():
    schedule = Schedule(cron="0 0 1 1 *", catch_up=CatchUp.LAST)

    found = find_due(schedule, next_at=at("2024-01-01T00:00"), now=at("2024-11-01T00:00"))

    assert found.instants == (at("2024-01-01T00:00"),)
    assert found.next_at == at("2025-01-01T00:00")


def test_a_period_is_half_open_and_bounded():
    schedule = Schedule(cron="0 0 * * *")
    start, end = at("2024-01-01T00:00"), at("2024-01-04T00:00")

    assert list_between(schedule, start=start, end=end, count_max=10) == tuple(
        at(f"2024-01-0{day}T00:00") for day in (1, 2, 3)
    )
    assert len(list_between(schedule, start=start, end=end, count_max=2)) == 2


@pytest.mark.parametrize(
    ("cron", "zone", "key", "words"),
    [
        ("* * * *", "UTC", "cron", "five fields"),
        ("0 * * * * *", "UTC", "cron", "five fields"),
        ("", "UTC", "cron", "five fields"),
        ("@daily", "UTC", "cron", "five fields"),
        ("61 * * * *", "UTC", "cron", "cannot be read: Bad minute"),
        ("0 0 30 2 *", "UTC", "cron", "Bad day-of-month"),
        ("0 0 * * *", "Mars/Olympus", "timezone", "no time zone `Mars/Olympus`"),
        ("0 0 * * *", "../../etc/passwd", "timezone", "no time zone"),
        ("0 0 * * *", "", "timezone", "no time zone"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(cron, zone, key, words):
    found = find_schedule_fault(Schedule(cron=cron, timezone=zone))

    assert found is not None
    assert (found[0], words in found[1]) == (key, True), found


@pytest.mark.parametrize(
    "cron", ["*/5 9-17 * * MON-FRI", "0 0 L * *", "0 0 * * 5#1", "0 12 29 2 *"]
)
def test_what_cron_can_say_is_accepted(cron):
    assert find_schedule_fault(Schedule(cron=cron)) is None
