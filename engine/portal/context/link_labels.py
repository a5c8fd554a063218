"""What ways between the states of a machine are called. Read `Link`, then `make_label`."""

from dataclasses import dataclass
from typing import Final

from engine.portal.context.nodes import px
from engine.portal.text_width import fit, measure

_LABEL_SIZE: Final = 11
_LABEL_WIDTH_MAX: Final = 132
_LABEL_HEIGHT: Final = 16  # of one line
_LABEL_LEFT: Final = 20  # its icon
_LABEL_PADDING: Final = 6
_LABEL_LINE_COUNT_MAX: Final = 3  # more are only in the words


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLine:
    """One thing that takes a machine from a state to another: an icon, a few words, all of it."""

    icon: str
    text: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A way between two states of a machine, by their nodes' keys."""

    source: str
    target: str
    lines: tuple[LinkLine, ...]
    is_taken: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelLine:
    """A line of a label: an icon at `icon_y` and a text at `text_y`."""

    icon: str
    icon_y: str
    text: str
    text_y: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a way between states is called: its texts cut to fit, and all of them as `words`."""

    x: str
    y: str
    width: str
    height: str
    lines: tuple[LabelLine, ...]
    words: str
    is_taken: bool


def label_size(link: Link) -> tuple[float, float]:
    """Return the width and height of a way's label in pixels; zeros for none."""
    lines = _shown_lines(link)
    if not lines:
        return 0.0, 0.0
    widest = max(measure(text, size=_LABEL_SIZE) for _, text in lines)
    width = min(_LABEL_LEFT + widest + _LABEL_PADDING, _LABEL_WIDTH_MAX)
    return float(round(width)), float(len(lines) * _LABEL_HEIGHT)


def make_label(link: Link, *, x: float, y: float) -> Label:
    """Return a way's label with its upper left corner at a place."""
    width, height = label_size(link)
    room = width - _LABEL_LEFT - _LABEL_PADDING + 1
    return Label(
        x=px(x),
        y=px(y),
        width=px(width),
        height=px(height),
        lines=tuple(
            LabelLine(
                icon=icon,
                icon_y=px(number * _LABEL_HEIGHT + 2),
                text=fit(text, width=room, size=_LABEL_SIZE),
                text_y=px(number * _LABEL_HEIGHT + 12),
            )
            for number, (icon, text) in enumerate(_shown_lines(link))
        ),
        words="; ".join(line.words for line in link.lines),
        is_taken=link.is_taken,
    )


def _shown_lines(link: Link) -> list[tuple[str, str]]:
    """Return the lines of a label as (icon, text), the last of which may count the others."""
    lines = [(line.icon, line.text) for line in link.lines]
    if len(lines) <= _LABEL_LINE_COUNT_MAX:
        return lines
    kept = lines[: _LABEL_LINE_COUNT_MAX - 1]
    return [*kept, ("ellipsis", f"{len(lines) - len(kept)} more")]
