"""Tiles: a tree cut into files that never change once they are full. Read `tile_path` first.

A tile of level L has up to 256 hashes, each the root of 256 hashes of the level below; level 0 has
the leaf hashes. Beside them are the bundles of entries. Source: C2SP tlog-tiles (v1).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from audit.domain.errors import NoteInvalidError
from audit.domain.merkle import TILE_HEIGHT, TILE_WIDTH

TILE_LEVEL_MAX: Final = 63
ENTRY_LENGTH_BYTES: Final = 2  # so an entry has at most 65,535 bytes

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/){0,5}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """Which tile: its level, its place in that level, and how many hashes it has, 1 to 256.

    A `level` of `None` means the entries themselves, 256 to a bundle.
    """

    level: int | None
    index: int
    width: int = TILE_WIDTH

    @property
    def start(self) -> int:
        """The place of its first hash in its level."""
        return self.index * TILE_WIDTH

    def is_covered(self, size: int) -> bool:
        """Return whether a tree of that size has every hash of it."""
        count = size >> (self.level or 0) * TILE_HEIGHT
        return self.start + self.width <= count


def tile_path(tile: Tile) -> str:
    """Return a tile's path below the log's prefix, such as `tile/0/x001/x234/067.p/5`."""
    level = "entries" if tile.level is None else str(tile.level)
    partial = "" if tile.width == TILE_WIDTH else f".p/{tile.width}"
    return f"tile/{level}/{_write_index(tile.index)}{partial}"


def parse_tile_path(path: str) -> Tile:
    """Return which tile a path names.

    Raises:
        NoteInvalidError: if it names none, or not in the one way there is.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise NoteInvalidError(f"{path[:80]!r} is not the path of a tile.")
    tile = Tile(
        level=None if match["level"] == "entries" else int(match["level"]),
        index=int(re.sub(r"[x/]", "", match["index"])),
        width=int(match["width"] or TILE_WIDTH),
    )
    is_in_range = (tile.level or 0) <= TILE_LEVEL_MAX and tile.width <= TILE_WIDTH
    if not is_in_range or tile_path(tile) != path:
        raise NoteInvalidError(f"{path[:80]!r} is not the path of a tile.")
    return tile


def entry_bundle(bodies: Iterable[bytes]) -> bytes:
    """Return entries as one bundle: each behind its length in two bytes, the higher one first."""
    return b"".join(len(body).to_bytes(ENTRY_LENGTH_BYTES, "big") + body for body in bodies)


def _write_index(index: int) -> str:
    """Return three digits at a time, an x before all but the last three."""
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    *firsts, last = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    return "/".join([*(f"x{group}" for group in firsts), last])
