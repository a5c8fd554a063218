"""What is understood, and what is refused."""

import pytest

from tidyhours import Day, HoursError, Span, parse_week


def test_a_range_of_days_shares_its_hours():
    week = parse_week("Mo-Fr 09:00-17:30")

    assert week.spans(Day.MO) == week.spans(Day.FR) == (Span(540, 1050),)
    assert week.spans(Day.SA) == ()


@pytest.mark.parametrize(
    "text", ["Mo,We 9-17", "mo , we 09:00 - 17:00", "Mo,We 9-17;", ";Mo,We 9-17"]
)
def test_spelling_is_forgiving(text):
    week = parse_week(text)

    assert week.days == {Day.MO: (Span(540, 1020),), Day.WE: (Span(540, 1020),)}


def test_a_range_may_pass_the_end_of_the_week():
    assert set(parse_week("Fr-Mo 10-12").days) == {Day.FR, Day.SA, Day.SU, Day.MO}


def test_a_later_rule_replaces_an_earlier_one():
    week = parse_week("Mo-Fr 09:00-17:00; We closed; Th 12:00-20:00")

    assert week.spans(Day.WE) == ()
    assert week.spans(Day.TH) == (Span(720, 1200),)
    assert week.spans(Day.TU) == (Span(540, 1020),)


def test_a_span_may_pass_midnight():
    assert parse_week("Fr 18:00-02:00").spans(Day.FR) == (Span(1080, 1560),)
    assert parse_week("Fr 18:00-24:00").spans(Day.FR) == (Span(1080, 1440),)


def test_spans_are_sorted():
    assert parse_week("Mo 14-18, 8-12").spans(Day.MO) == (Span(480, 720), Span(840, 1080))


@pytest.mark.parametrize(
    "text",
    [
        "always",
        "Xx 9-17",
        "Mo-Xx 9-17",
        "Mo",
        "Mo 9",
        "Mo 9:60-17",
        "Mo 25-26",
        "Mo 24:00-25:00",
        "Mo 24:00-02:00",
        "Mo nine-five",
        "Mo 9-12, 11-14",
        "Mo 9-17 sometimes",
    ],
)
def test_what_is_not_understood_is_refused(text):
    with pytest.raises(HoursError):
        parse_week(text)


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (1440, 1500), (60, 60), (60, 1501)])
def test_a_span_that_is_none_cannot_be_made(start, end):
    with pytest.raises(ValueError):
        Span(start, end)
