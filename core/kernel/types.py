"""Types every package shares: JSON values and ISO 8601 durations."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TypeAlias

# What `json.loads` returns.
Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
# What may be read as JSON: also tuples and any mapping.
JsonLike: TypeAlias = (
    "bool | int | float | str | Sequence[JsonLike] | Mapping[str, JsonLike] | None"
)

_DURATION = re.compile(
    r"P(?!$)(?:(?P<weeks>\d{1,6})W|"
    r"(?:(?P<days>\d{1,6})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,6})M)?"
    r"(?:(?P<seconds>\d{1,9}(?:\.\d{1,6})?)S)?)?)"
)


def parse_duration(text: str) -> timedelta | None:
    """Read an ISO 8601 duration of weeks, or of days, hours, minutes and seconds.

    Years and months are refused, because their length depends on the calendar.

    Returns:
        The duration, or `None` if the text is not one.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    parts = {name: float(value) for name, value in match.groupdict(default="0").items()}
    return timedelta(**parts)


def format_duration(value: timedelta) -> str:
    """Write a duration as ISO 8601, the inverse of `parse_duration` to the microsecond."""
    assert value >= timedelta(0), "durations are never negative"
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{value.microseconds:06d}".rstrip("0") if value.microseconds else ""
    time_part = (
        (f"{hours}H" if hours else "")
        + (f"{minutes}M" if minutes else "")
        + (f"{seconds}{fraction}S" if seconds or fraction else "")
    )
    day_part = f"{value.days}D" if value.days else ""
    if not day_part and not time_part:
        return "PT0S"
    return f"P{day_part}" + (f"T{time_part}" if time_part else "")
