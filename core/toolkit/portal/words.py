"""Times, amounts and names in the portal's words. Pure. Read `say_duration` first."""

import re
import unicodedata
import zlib
from datetime import UTC, datetime, timedelta
from typing import Final

HUE_COUNT: Final = 8  # the avatars' fixed colors
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_MINOR_DIGITS: Final = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "BHD": 3, "KWD": 3}
_WORD: Final = re.compile(r"[^\W_]+")
_SOON: Final = timedelta(hours=1)


def say_duration(duration: timedelta) -> str:
    """Return a duration in its two largest units: "1 h 34 min"; under a second "0.4 s"."""
    seconds = abs(duration.total_seconds())
    if seconds < 1:
        return f"{seconds:.1f} s" if seconds >= 0.05 else "0 s"  # noqa: PLR2004 - rounds to 0.1
    rest = int(seconds)
    for index, (unit, size) in enumerate(_UNITS):
        count, below = divmod(rest, size)
        if not count:
            continue
        text = f"{count} {unit}"
        if index + 1 < len(_UNITS) and unit != "min":
            next_unit, next_size = _UNITS[index + 1]
            more = below // next_size
            return f"{text} {more} {next_unit}" if more else text
        return text
    return "0 s"


def say_ago(instant: datetime, *, now: datetime) -> str:
    """Return how long ago or ahead an instant is: "9 min ago", "in 25 min", "now"."""
    distance = instant - now
    if abs(distance) < timedelta(seconds=1):
        return "now"
    text = say_duration(timedelta(seconds=int(abs(distance).total_seconds())))
    return f"in {text}" if distance > timedelta() else f"{text} ago"


def say_due(instant: datetime, *, now: datetime) -> str:
    """Return a deadline: "in 25 min", or "38 min overdue"."""
    if instant > now:
        return say_ago(instant, now=now)
    return f"{say_duration(now - instant)} overdue"


def grade_due(instant: datetime, *, now: datetime) -> str:
    """Return how pressing a deadline is: "over", "soon" (within the hour) or ""."""
    if instant <= now:
        return "over"
    return "soon" if instant - now <= _SOON else ""


def say_instant(instant: datetime) -> str:
    """Return an instant in full, in UTC: "2026-11-21 16:02:11 UTC"."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def say_exactly(at: datetime) -> str:
    """Return an instant to the millisecond, in UTC: "2026-11-21 16:02:11.482 UTC"."""
    there = at.astimezone(UTC)
    return f"{there:%Y-%m-%d %H:%M:%S}.{there.microsecond // 1000:03d} UTC"


def say_clock(instant: datetime, *, now: datetime) -> str:
    """Return an instant to stand beside a relative one: "16:02 UTC", with the day if not today."""
    there = instant.astimezone(UTC)
    day = "" if there.date() == now.astimezone(UTC).date() else f"{there:%-d %b} "
    return f"{day}{there:%H:%M} UTC"


def say_money(minor: int, currency: str) -> str:
    """Return an amount of minor units with its currency: "84,250.00 EUR"."""
    digits = _MINOR_DIGITS.get(currency, 2)
    return f"{minor / 10**digits:,.{digits}f} {currency}"


def find_initials(name: str) -> str:
    """Return up to two initials of a name in any script; "?" for a name without letters."""
    words = _WORD.findall(unicodedata.normalize("NFC", name))
    chosen = words[:1] + words[-1:] if len(words) > 1 else words
    return "".join(word[0] for word in chosen).upper()[:3] or "?"


def pick_hue(name: str) -> int:
    """Return the number, from 0, of the color a name has on every page."""
    return zlib.crc32(name.encode()) % HUE_COUNT


def say_count(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun: "1 approval", "3 approvals"."""
    return f"{count} {noun}" if count == 1 else f"{count} {plural or noun + 's'}"
