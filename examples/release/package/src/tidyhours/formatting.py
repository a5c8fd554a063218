"""From a week back to text."""

from tidyhours.summing import count_minutes
from tidyhours.week import DAY_MINUTES, Day, Span, Week


def format_week(week: Week) -> str:
    """Write a week as a table with a line for each day and a sum."""
    cells = {day: ", ".join(map(format_span, week.spans(day))) or "closed" for day in Day}
    width = max(map(len, cells.values()))
    lines = []
    for day, cell in cells.items():
        minutes = count_minutes(week, day)
        total = f"  {format_minutes(minutes):>8}" if minutes else ""
        lines.append(f"{day.short}  {cell:<{width}}{total}".rstrip())
    lines.append(f"week{'':<{width}}  {format_minutes(count_minutes(week)):>8}")
    return "\n".join(lines)


def format_span(span: Span) -> str:
    """Write a span as `09:00-17:30`."""
    return f"{_format_time(span.start)}-{_format_time(span.end)}"


def format_minutes(minutes: int) -> str:
    """Write a duration as `8 h 30`."""
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest:02}"


def _format_time(minute: int) -> str:
    # The end of the day is 24:00, not 00:00 of the next.
    within = minute if minute <= DAY_MINUTES else minute - DAY_MINUTES
    return f"{within // 60:02}:{within % 60:02}"
