"""Read opening hours such as `Mo-Fr 09:00-17:30` and add them up. Read `parse_week` first."""

from importlib.metadata import PackageNotFoundError, version

from tidyhours.formatting import format_minutes, format_week
from tidyhours.parsing import HoursError, parse_week
from tidyhours.summing import count_minutes, is_open
from tidyhours.week import Day, Span, Week

try:
    __version__ = version("tidyhours")
except PackageNotFoundError:  # a folder of sources, not an installed release
    __version__ = "0+source"

__all__ = [
    "Day",
    "HoursError",
    "Span",
    "Week",
    "count_minutes",
    "format_minutes",
    "format_week",
    "is_open",
    "parse_week",
]
