"""How wide a text is drawn, so that the server can cut it to fit a node. Read `fit` first.

SVG text neither wraps nor clips by itself. Widths are those of Inter at weight 580, rounded up, in
hundredths of the font size; lighter text is a little narrower. A cut text must stay reachable
elsewhere in full (the node's `<title>`).
"""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

_WIDTHS: Final = {
    26: " ijl",
    28: "I",
    32: "!,.:;'·",
    36: '"()/[]\\`t|°',
    40: "fr",
    44: "1{}",
    50: "-_^“”\u2013",
    54: "*",
    56: "?s",
    58: "7JLakxz",
    60: "Fcevy",
    62: "5Ehnou",
    64: "23689bdgpq",
    66: "#$0BPRSTZ",
    68: "&+4<=>~",
    72: "KXY",
    74: "ACDUV",
    76: "GHN",
    78: "OQ",
    84: "w",
    90: "m",
    94: "M",
    98: "…",
    100: "@—",
    102: "%W",
}
_BY_CHARACTER: Final = {
    character: width for width, characters in _WIDTHS.items() for character in characters
}
_WIDE: Final = 125  # emoji, and ideographs with a margin
_OTHER: Final = 78  # scripts the table does not know; fonts differ, so rather too much
_INVISIBLE: Final = frozenset({"Mn", "Me", "Cf"})  # drawn onto the character before, or not at all
_JOINER: Final = "\u200d"
_SKIN_TONES: Final = range(0x1F3FB, 0x1F400)
_ELLIPSIS: Final = "…"


def measure(text: str, *, size: float) -> float:
    """Return about how many pixels wide a line of text is.

    Args:
        text: one line.
        size: the font's size in pixels.
    """
    return sum(_width(cluster) for cluster in _clusters(text)) * size / 100


def fit(text: str, *, width: float, size: float) -> str:
    """Return a text, cut with an ellipsis where it is wider than `width` pixels.

    What is drawn as one character stays whole. Line breaks and runs of spaces become one space.
    """
    line = " ".join(text.split())
    room = width * 100 / size
    clusters = list(_clusters(line[: int(room) + 1]))
    if len(line) <= room and sum(map(_width, clusters)) <= room:
        return line
    room -= _width(_ELLIPSIS)
    kept: list[str] = []
    for cluster in clusters:
        room -= _width(cluster)
        if room < 0:
            break
        kept.append(cluster)
    return "".join(kept).rstrip() + _ELLIPSIS


def _clusters(text: str) -> Iterator[str]:
    """Yield what is drawn as one character each: a base with its marks, an emoji of several."""
    cluster = ""
    for character in text:
        if cluster and not _extends(cluster, character):
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster


def _extends(cluster: str, character: str) -> bool:
    return (
        cluster.endswith(_JOINER)
        or unicodedata.category(character) in _INVISIBLE
        or ord(character) in _SKIN_TONES
    )


def _width(cluster: str) -> int:
    """Return the width of a cluster in hundredths: that of its first character."""
    return _width_of_character(cluster[0])


@lru_cache(maxsize=2048)
def _width_of_character(character: str) -> int:
    known = _BY_CHARACTER.get(character)
    if known is not None:
        return known
    if unicodedata.category(character) in _INVISIBLE:
        return 0
    if unicodedata.east_asian_width(character) in {"W", "F"}:
        return _WIDE
    base = unicodedata.normalize("NFD", character)[0]  # é is as wide as e
    return _BY_CHARACTER.get(base, _OTHER)
