"""From a week back to text, and the command line."""

import pytest

from tidyhours import Day, format_minutes, format_week, parse_week
from tidyhours.__main__ import main
from tidyhours.formatting import format_span


def test_a_week_is_a_table():
    text = format_week(parse_week("Mo-Tu 09:00-12:30, 13:30-18:00; Sa 10:00-14:00"))

    assert text.splitlines()[0] == "Mo  09:00-12:30, 13:30-18:00    8 h 00"
    assert text.splitlines()[2] == "We  closed"
    assert text.splitlines()[-1].split() == ["week", "20", "h", "00"]


@pytest.mark.parametrize("text", ["09:00-17:30", "18:00-02:00", "00:00-24:00", "18:00-24:00"])
def test_a_span_is_written_as_it_was_read(text):
    assert format_span(parse_week(f"Mo {text}").spans(Day.MO)[0]) == text


def test_minutes_are_written_as_hours():
    assert format_minutes(0) == "0 h 00"
    assert format_minutes(2645) == "44 h 05"


def test_the_command_prints_the_week(capsys):
    assert main(["Mo-Fr", "09:00-17:00"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("40 h 00")


@pytest.mark.parametrize("arguments", [[], ["whenever"]])
def test_the_command_refuses_what_it_does_not_understand(arguments, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err
