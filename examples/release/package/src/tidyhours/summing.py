"""What a week adds up to."""

from tidyhours.week import DAY_MINUTES, Day, Week


def count_minutes(week: Week, day: Day | None = None) -> int:
    """Return the open minutes of a day, or of the whole week.

    What passes midnight counts for the day on which it begins.
    """
    days = Day if day is None else (day,)
    return sum(span.minutes for each in days for span in week.spans(each))


def is_open(week: Week, day: Day, minute: int) -> bool:
    """Say whether it is open at a minute after midnight of a day."""
    if any(span.start <= minute < span.end for span in week.spans(day)):
        return True
    before = Day((day - 1) % 7)
    return any(minute + DAY_MINUTES < span.end for span in week.spans(before))
