"""When a schedule is due. Read `Schedule` and `find_due`. All instants are aware.

Cron is Debian's: five fields, and where clocks change, jobs of a fixed time run once. One in the
hour that is skipped runs right after it; one in the hour that comes twice runs in the first.
Source: cron(8) of Debian; the library `cronsim` follows it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from core.kernel import limits

_FIELD_COUNT = 5
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class CatchUp(StrEnum):
    """What becomes of instants nobody was there for."""

    NONE = "none"  # they are skipped
    LAST = "last"  # only the newest is made up for
    ALL = "all"  # all are, up to a bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When something is due: a cron expression in a time zone."""

    cron: str
    timezone: str = "UTC"
    catch_up: CatchUp = CatchUp.LAST


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is due by now: `instants`, oldest first, how many were left out, and the next one.

    `next_at` is `None` when there is none within fifty years.
    """

    instants: tuple[datetime, ...]
    skipped_count: int
    next_at: datetime | None


def find_schedule_fault(schedule: Schedule) -> tuple[str, str] | None:
    """Return the key that is wrong and a sentence about it, `None` when nothing is."""
    if len(schedule.cron.split()) != _FIELD_COUNT:
        return "cron", "A cron expression has five fields: minute, hour, day, month, weekday."
    try:
        CronSim(schedule.cron, _EPOCH)
    except CronSimError as error:
        return "cron", f"The cron expression cannot be read: {error}."
    if find_zone(schedule.timezone) is None:
        return "timezone", f"There is no time zone `{schedule.timezone}`; write `Europe/Berlin`."
    if next_due(schedule, after=_EPOCH) is None:
        return "cron", "There is no such day within fifty years, so this is never due."
    return None


def find_zone(name: str) -> ZoneInfo | None:
    """Return the time zone of a name of the tz database, or `None`."""
    try:
        return ZoneInfo(name)  # which keeps those it has read
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def next_due(schedule: Schedule, *, after: datetime) -> datetime | None:
    """Return the first instant after one, in UTC; `None`: none within fifty years."""
    found = next(CronSim(schedule.cron, _in_zone(schedule, after)), None)
    return found.astimezone(UTC) if found is not None else None


def list_between(
    schedule: Schedule, *, start: datetime, end: datetime, count_max: int
) -> tuple[datetime, ...]:
    """Return the instants from `start` on and before `end`, oldest first, at most so many."""
    found: list[datetime] = []
    before = _in_zone(schedule, start - timedelta(seconds=1))
    for instant in islice(CronSim(schedule.cron, before), count_max):
        at = instant.astimezone(UTC)
        if at >= end:
            break
        found.append(at)
    return tuple(found)


def find_due(schedule: Schedule, *, next_at: datetime, now: datetime) -> Due:
    """Return what is due at `now` of a schedule whose next instant was to be `next_at`.

    The newest instant counts as missed once it is older than `limits.CATCH_UP_GRACE`. Of `all`, at
    most `limits.CATCH_UP_COUNT_MAX` are made up for, the newest; the others are skipped. Of more
    than `limits.CATCH_UP_WALK_COUNT_MAX` missed instants only those of the last
    `limits.CATCH_UP_SPAN` are looked at and counted.
    """
    found = _walk(schedule, next_at, now=now)
    if found.count > limits.CATCH_UP_WALK_COUNT_MAX:
        since = now - limits.CATCH_UP_SPAN
        found = _walk(schedule, next_due(schedule, after=since), now=now)
    kept = _kept(schedule.catch_up, found.newest, now=now)
    return Due(instants=kept, skipped_count=found.count - len(kept), next_at=found.next_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Passed:
    """How many instants have passed, the newest of them, and the next one."""

    count: int
    newest: Sequence[datetime]
    next_at: datetime | None


def _walk(schedule: Schedule, first: datetime | None, *, now: datetime) -> _Passed:
    newest: deque[datetime] = deque(maxlen=limits.CATCH_UP_COUNT_MAX)
    count, upcoming = 0, first
    walk = CronSim(schedule.cron, _in_zone(schedule, first or now))
    while upcoming is not None and upcoming <= now:
        count += 1
        if count > limits.CATCH_UP_WALK_COUNT_MAX:
            break
        newest.append(upcoming)
        found = next(walk, None)
        upcoming = found.astimezone(UTC) if found is not None else None
    return _Passed(count=count, newest=list(newest), next_at=upcoming)


def _in_zone(schedule: Schedule, at: datetime) -> datetime:
    zone = find_zone(schedule.timezone)
    assert zone is not None, "checked when the definition was published"
    return at.astimezone(zone)


def _kept(policy: CatchUp, passed: Sequence[datetime], *, now: datetime) -> tuple[datetime, ...]:
    if policy is CatchUp.ALL or not passed:
        return tuple(passed)
    newest = passed[-1]
    is_missed = now - newest > limits.CATCH_UP_GRACE
    return () if is_missed and policy is CatchUp.NONE else (newest,)
