"""From text to a week. Read `parse_week` first.

hours  = rule (";" rule)*
rule   = days (" " spans | " closed")
days   = day ("-" day)? ("," day ("-" day)?)*      "Mo-Fr", "Sa,Su", "Fr-Mo"
spans  = time "-" time ("," time "-" time)*        "09:00-12:30, 13:30-18:00"
"""

import re
from itertools import pairwise

from tidyhours.week import DAY_MINUTES, Day, Span, Week

_RULE = re.compile(r"(?P<days>[A-Za-z]{2}(?:\s*[-,]\s*[A-Za-z]{2})*)\s+(?P<rest>.+)")
_TIME = re.compile(r"(\d{1,2})(?::(\d{2}))?")
_DAYS = {day.name: day for day in Day}


class HoursError(ValueError):
    """The text is not opening hours; the message quotes what was not understood."""


def parse_week(text: str) -> Week:
    """Read opening hours.

    Raises:
        HoursError: for anything that is not understood, and for spans of a day that overlap.
    """
    days: dict[Day, tuple[Span, ...]] = {}
    for rule in text.split(";"):
        if not rule.strip():
            continue
        match = _RULE.fullmatch(rule.strip())
        if match is None:
            raise HoursError(f"{rule.strip()!r} is not a rule such as 'Mo-Fr 09:00-17:00'")
        spans = _parse_spans(match["rest"])
        for day in _parse_days(match["days"]):
            days[day] = spans
    return Week(days)


def _parse_days(text: str) -> list[Day]:
    found: list[Day] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        start = _parse_day(first)
        end = _parse_day(last) if last else start
        # "Fr-Mo" goes on over the end of the week.
        found += [Day((start + step) % 7) for step in range((end - start) % 7 + 1)]
    return found


def _parse_day(text: str) -> Day:
    day = _DAYS.get(text.strip().upper())
    if day is None:
        raise HoursError(f"{text.strip()!r} is not a day such as 'Mo'")
    return day


def _parse_spans(text: str) -> tuple[Span, ...]:
    if text.strip().lower() in {"closed", "off"}:
        return ()
    spans = sorted(_parse_span(part) for part in text.split(","))
    for earlier, later in pairwise(spans):
        if later.start < earlier.end:
            raise HoursError(f"two spans of {text.strip()!r} overlap")
    return tuple(spans)


def _parse_span(text: str) -> Span:
    first, dash, last = text.partition("-")
    if not dash:
        raise HoursError(f"{text.strip()!r} is not a span such as '09:00-17:00'")
    start, end = _parse_time(first), _parse_time(last)
    if start == DAY_MINUTES:
        raise HoursError(f"{text.strip()!r} begins at the end of the day")
    return Span(start, end if end > start else end + DAY_MINUTES)


def _parse_time(text: str) -> int:
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise HoursError(f"{text.strip()!r} is not a time such as '09:00'")
    minutes = int(match[1]) * 60 + int(match[2] or 0)
    if int(match[2] or 0) > 59 or minutes > DAY_MINUTES:
        raise HoursError(f"{text.strip()!r} is not a time of a day")
    return minutes
