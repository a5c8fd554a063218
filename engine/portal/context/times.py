"""A timeline as the template draws it. Read `view_timeline` first."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from core.toolkit.portal.words import say_duration
from engine.portal.context.steps import StepWords, say_took
from engine.portal.naming import short_key
from engine.portal.timeline import Bar, Doing, Row, Timeline

_ROW_COUNT_MAX: Final = 500  # rows of one page; who looks for one step finds it by its address
_DEPTH_MAX: Final = 4  # rows deeper inside are moved in no further
_VERBS: Final = {
    Doing.QUEUE: "queued",
    Doing.WORK: "worked",
    Doing.PEOPLE: "waited for people",
    Doing.WAIT: "waited",
    Doing.INSIDE: "lasted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BarView:
    """A bar, in percent as texts: a template would write numbers in the reader's locale."""

    doing: str
    x: str
    width: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowView:
    """A row: a step, or one attempt of it. `says` is the bars in words.

    `depth` is how many containers are around it, as far as they are drawn; `around` is the title
    that stands alone, for who does not see how far the row is moved in.
    """

    id: str
    key: str
    href: str
    title: str
    attempt: str
    mark: str
    word: str
    took: str
    bars: tuple[BarView, ...]
    says: str
    depth: int = 0
    around: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TickView:
    """A mark on the axis. `is_last`: its words would stick out at the right."""

    x: str
    words: str
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineView:
    """The rows and the axis; `now_x` is "" for no now, `hidden_count` more rows are not drawn."""

    rows: tuple[RowView, ...]
    ticks: tuple[TickView, ...]
    now_x: str
    hidden_count: int


def view_timeline(
    timeline: Timeline, *, words: Sequence[StepWords], link: Callable[[str], str]
) -> TimelineView:
    """Return a timeline with the steps' names and states."""
    known = {item.key: item for item in words}
    rows = [row for row in timeline.rows if short_key(row.key) in known]
    seen: Counter[tuple[str, int]] = Counter()
    views = []
    for row in rows[:_ROW_COUNT_MAX]:
        # What began anew inside something else has counted its attempts from 1 again.
        seen[row.key, row.attempt] += 1
        place = seen[row.key, row.attempt]
        views.append(_row(row, known[short_key(row.key)], place=place, link=link))
    return TimelineView(
        rows=tuple(views),
        hidden_count=max(0, len(rows) - _ROW_COUNT_MAX),
        ticks=tuple(
            TickView(
                x=_percent(tick.x),
                words=_say_tick(tick.seconds),
                is_last=tick.x > 92,  # noqa: PLR2004  # percent
            )
            for tick in timeline.ticks
        ),
        now_x="" if timeline.now_x is None else _percent(timeline.now_x),
    )


def _row(row: Row, words: StepWords, *, place: int, link: Callable[[str], str]) -> RowView:
    failed = row.failed and not row.is_last
    again = f".{place}" if place > 1 else ""
    return RowView(
        id=f"row-{words.key.replace('/', '-')}-{row.attempt}{again}",
        key=words.key,
        href=link(words.key),
        title=words.name if words.depth and words.name else words.title,
        attempt=f"attempt {row.attempt}" if row.attempt > 1 or failed else "",
        mark="failed" if failed else words.mark,
        word="Failed" if failed else words.word,
        took=say_took(row.seconds),
        bars=tuple(_bar(bar) for bar in row.bars),
        depth=min(words.depth, _DEPTH_MAX),
        around=words.title if words.depth and words.name else "",
        says=", ".join(f"{_VERBS[bar.doing]} {say_took(bar.seconds)}" for bar in row.bars),
    )


def _bar(bar: Bar) -> BarView:
    return BarView(doing=bar.doing, x=_percent(bar.x), width=_percent(bar.width))


def _percent(share: float) -> str:
    return f"{share:.2f}".rstrip("0").rstrip(".")


def _say_tick(seconds: float) -> str:
    """Return a place on the axis in words that differ from those of its neighbors."""
    if not seconds:
        return "start"
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds % 60 and seconds < 600:  # noqa: PLR2004  # words for more would drop the seconds
        return f"{seconds:g} s"
    return say_duration(timedelta(seconds=seconds))
