"""Charts as SVG, drawn on the server. Pure. Read `draw_bars`, then `draw_lines`.

Geometry goes into attributes and colors are classes, so the content policy holds, a printed page
shows the same drawing, and it is complete without scripts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 720
HEIGHT: Final = 200
_LEFT: Final = 52  # the numbers of the scale
_RIGHT: Final = 8
_TOP: Final = 10
_BOTTOM: Final = 24  # the days
_BAR_WIDTH_MAX: Final = 28.0
_TICK_COUNT_MAX: Final = 8
_STEPS: Final = (1, 2, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One part of a stacked bar; `kind` names its color."""

    kind: str
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line through the buckets that have a value; `kind` names its color and dash."""

    kind: str
    points: str
    dots: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A line of the scale, or the name of a bucket, at a place."""

    at: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendItem:
    """What a color or dash means."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing with what it says in a sentence, its legend, and itself as a table."""

    title: str
    sentence: str
    width: int
    height: int
    left: str
    right: str
    base: str
    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]
    scale: tuple[Tick, ...]
    days: tuple[Tick, ...]
    legend: tuple[LegendItem, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    href: str = ""

    @property
    def is_empty(self) -> bool:
        """Say whether nothing is drawn."""
        return not self.bars and not any(line.dots for line in self.lines)


def draw_bars(
    *,
    title: str,
    sentence: str,
    days: Sequence[str],
    series: Mapping[str, tuple[str, Sequence[int]]],
    href: str = "",
) -> Chart:
    """Return stacked bars, the first series at the bottom.

    Args:
        title: what the chart is of.
        sentence: what it says, for those who do not see it.
        days: the name of each bucket.
        series: kind → (its name, a count for each bucket).
        href: where the entries behind it are.
    """
    totals = [sum(counts[place] for _, counts in series.values()) for place in range(len(days))]
    top = _round_up(max(totals, default=0))
    slot = (WIDTH - _LEFT - _RIGHT) / max(1, len(days))
    width = min(_BAR_WIDTH_MAX, slot * 0.72)
    bars = []
    for place in range(len(days)):
        base = float(HEIGHT - _BOTTOM)
        for kind, (_, counts) in series.items():
            height = counts[place] / top * _room() if top else 0.0
            if height:
                base -= height
                x = _LEFT + slot * place + (slot - width) / 2
                bars.append(
                    Bar(kind=kind, x=_px(x), y=_px(base), width=_px(width), height=_px(height))
                )
    return _chart(
        title=title,
        sentence=sentence,
        days=days,
        bars=tuple(bars),
        scale=tuple(_scale(top, str)),
        legend=tuple(LegendItem(kind=kind, text=name) for kind, (name, _) in series.items()),
        columns=("", *(name for name, _ in series.values())),
        rows=tuple(
            (day, *(str(counts[place]) for _, counts in series.values()))
            for place, day in enumerate(days)
            if totals[place]
        ),
        href=href,
    )


def draw_lines(
    *,
    title: str,
    sentence: str,
    days: Sequence[str],
    series: Mapping[str, tuple[str, Sequence[int | None]]],
    unit: tuple[str, float],
    href: str = "",
) -> Chart:
    """Return lines over buckets; a bucket without a value has no point.

    `unit` is the scale's, as its name and how many milliseconds it has.
    """
    name, size = unit
    known = [value for _, values in series.values() for value in values if value is not None]
    top = _round_up(max(known, default=0) / size)
    slot = (WIDTH - _LEFT - _RIGHT) / max(1, len(days))
    lines = []
    for kind, (_, values) in series.items():
        dots = tuple(
            (
                _px(_LEFT + slot * (place + 0.5)),
                _px(HEIGHT - _BOTTOM - value / size / top * _room()),
            )
            for place, value in enumerate(values)
            if value is not None and top
        )
        lines.append(Line(kind=kind, points=" ".join(f"{x},{y}" for x, y in dots), dots=dots))
    return _chart(
        title=title,
        sentence=sentence,
        days=days,
        lines=tuple(lines),
        scale=tuple(_scale(top, lambda text: f"{text} {name}")),
        legend=tuple(LegendItem(kind=kind, text=text) for kind, (text, _) in series.items()),
        columns=("", *(f"{text}, {name}" for text, _ in series.values())),
        rows=tuple(
            (day, *(_say(values[place], size) for _, values in series.values()))
            for place, day in enumerate(days)
            if any(values[place] is not None for _, values in series.values())
        ),
        href=href,
    )


def _chart(  # noqa: PLR0913 - the parts of a drawing
    *,
    title: str,
    sentence: str,
    days: Sequence[str],
    scale: tuple[Tick, ...],
    legend: tuple[LegendItem, ...],
    columns: tuple[str, ...],
    rows: tuple[tuple[str, ...], ...],
    href: str,
    bars: tuple[Bar, ...] = (),
    lines: tuple[Line, ...] = (),
) -> Chart:
    return Chart(
        title=title,
        sentence=sentence,
        width=WIDTH,
        height=HEIGHT,
        left=_px(_LEFT),
        right=_px(WIDTH - _RIGHT),
        base=_px(HEIGHT - _BOTTOM),
        bars=bars,
        lines=lines,
        scale=scale,
        days=tuple(_name_days(days)),
        legend=legend,
        columns=columns,
        rows=rows,
        href=href,
    )


def _scale(top: int, say: Callable[[str], str]) -> list[Tick]:
    """Return the lines of a scale: 0, its top, and the middle where that is a whole number."""
    values = [0, top] if top % 2 else [0, top // 2, top]
    return [
        Tick(
            at=_px(HEIGHT - _BOTTOM - (value / top * _room() if top else 0)),
            text=say(str(value)),
        )
        for value in dict.fromkeys(values)
    ]


def _name_days(days: Sequence[str]) -> list[Tick]:
    step = max(1, -(-len(days) // _TICK_COUNT_MAX))
    slot = (WIDTH - _LEFT - _RIGHT) / max(1, len(days))
    return [
        Tick(at=_px(_LEFT + slot * (place + 0.5)), text=days[place])
        for place in range(0, len(days), step)
    ]


def _round_up(value: float) -> int:
    """Return the next number of the series 1, 2, 5, 10, 20 and so on."""
    if value <= 0:
        return 0
    power = 1
    while True:
        for step in _STEPS:
            if value <= step * power:
                return step * power
        power *= 10


def _say(value: int | None, size: float) -> str:
    return "" if value is None else f"{value / size:.1f}"


def _room() -> float:
    return float(HEIGHT - _TOP - _BOTTOM)


def _px(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
