"""Where a definition's values stand in its text. Read `Places` first.

A position is (line, column), both counted from 1, columns in characters. Places form a tree like
the value's, because a map from pointers would take quadratic memory for long keys.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

Position: TypeAlias = tuple[int, int]

_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(slots=True, kw_only=True)
class Place:
    """Where a value starts, where its key does, and the places of what is inside it."""

    value: Position
    key: Position | None = None
    inside: dict[str, "Place"] = field(default_factory=dict)  # list items under "0", "1", …


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The positions of a whole definition."""

    root: Place = field(default_factory=lambda: Place(value=(1, 1)))

    def find(self, path: str, *, key: bool = False) -> Position:
        """Return the position of the value at a JSON pointer, or of its key.

        A path that leads out of the definition has the position of the last part that exists.
        """
        place = self.root
        for part in split_pointer(path):
            inner = place.inside.get(part)
            if inner is None:
                return place.value
            place = inner
        return place.key if key and place.key is not None else place.value


def pointer(parts: Iterable[str | int], *, base: str = "") -> str:
    """Return the JSON pointer (RFC 6901) of some parts below a base pointer."""
    return base + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def split_pointer(path: str) -> list[str]:
    """Return the parts of a JSON pointer, the inverse of `pointer`."""
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def position_after(text: str) -> Position:
    """Return the position of the character that follows some text."""
    lines = _LINE_END.split(text)
    return len(lines), len(lines[-1]) + 1
