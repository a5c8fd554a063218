"""Times, amounts and names in the portal's words."""

from datetime import UTC, datetime, timedelta

import pytest

from core.toolkit.portal import words

NOW = datetime(2026, 11, 21, 15, 37, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.04, "0 s"),
        (0.44, "0.4 s"),
        (1, "1 s"),
        (59, "59 s"),
        (60, "1 min"),
        (95, "1 min"),
        (3600, "1 h"),
        (5640, "1 h 34 min"),
        (86_400, "1 d"),
        (90_000, "1 d 1 h"),
        (-5640, "1 h 34 min"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds, text):
    assert words.say_duration(timedelta(seconds=seconds)) == text


def test_a_deadline_says_how_long_is_left_and_how_long_it_is_over():
    assert words.say_due(NOW + timedelta(minutes=25), now=NOW) == "in 25 min"
    assert words.say_due(NOW - timedelta(minutes=38), now=NOW) == "38 min overdue"
    assert words.grade_due(NOW + timedelta(minutes=61), now=NOW) == ""
    assert words.grade_due(NOW + timedelta(minutes=60), now=NOW) == "soon"
    assert words.grade_due(NOW, now=NOW) == "over"


def test_an_instant_nearby_is_now():
    assert words.say_ago(NOW, now=NOW) == "now"
    assert words.say_ago(NOW - timedelta(minutes=9), now=NOW) == "9 min ago"


def test_the_day_is_said_where_it_is_not_today():
    assert words.say_clock(NOW, now=NOW) == "15:37 UTC"
    assert words.say_clock(NOW + timedelta(days=3), now=NOW) == "24 Nov 15:37 UTC"


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(8425000, "EUR", "84,250.00 EUR"), (500, "JPY", "500 JPY"), (1234, "KWD", "1.234 KWD")],
)
def test_money_has_the_minor_digits_of_its_currency(minor, currency, text):
    assert words.say_money(minor, currency) == text


@pytest.mark.parametrize(
    ("name", "initials"),
    [
        ("Ada Demir", "AD"),
        ("madonna", "M"),
        ("Anna Maria van der Berg", "AB"),
        ("李 小龙", "李小"),
        ("محمد علي", "مع"),
        ("🎉🎉", "?"),
        ("", "?"),
        ("_ -", "?"),
    ],
)
def test_initials_come_from_names_of_any_script(name, initials):
    assert words.find_initials(name) == initials


def test_a_name_has_the_same_color_everywhere():
    assert words.pick_hue("Ada Demir") == words.pick_hue("Ada Demir")
    assert {words.pick_hue(f"name {index}") for index in range(100)} == set(range(words.HUE_COUNT))
