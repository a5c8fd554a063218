"""Tiles: the specification's paths and sizes, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.domain.errors import NoteInvalidError
from audit.domain.tiles import Tile, entry_bundle, parse_tile_path, tile_path

PATHS = {
    "tile/0/000": Tile(level=0, index=0),
    "tile/0/x001/x234/067": Tile(level=0, index=1234067),
    "tile/0/x001/x234/067.p/1": Tile(level=0, index=1234067, width=1),
    "tile/63/999.p/255": Tile(level=63, index=999, width=255),
    "tile/1/x001/000": Tile(level=1, index=1000),
    "tile/entries/x273/456.p/112": Tile(level=None, index=273456, width=112),
    "tile/entries/001": Tile(level=None, index=1),
}


@pytest.mark.parametrize("path", PATHS)
def test_paths_are_those_of_the_specification(path):
    assert parse_tile_path(path) == PATHS[path]
    assert tile_path(PATHS[path]) == path


@given(
    tile=st.builds(
        Tile,
        level=st.none() | st.integers(0, 63),
        index=st.integers(0, 10**18 - 1),
        width=st.integers(1, 256),
    )
)
def test_every_path_says_one_tile(tile):
    assert parse_tile_path(tile_path(tile)) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/99/000",
        "tile/100/000",
        "tile/-1/000",
        "tile/data/000",
        "tile/Entries/000",
        "tile/0/x000/001",
        "tile/0/001/001",
        "tile/0/x001",
        "tile/0/x001/",
        "tile/0/X001/001",
        "tile/0/x01/001",
        "tile/0/x001/x001/x001/x001/x001/x001/001",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/257",
        "tile/0/000.p/999",
        "tile/0/000.p/-1",
        "tile/0/000.p/1/",
        "tile/0/000.P/1",
        "tile/0/\u0661\u0661\u0661",
        "tile/0/000\n",
        "/tile/0/000",
        "tile//000",
        "tile/0/../000",
        "log/tile/0/000",
    ],
)
def test_what_is_no_path_of_a_tile_is_refused(path):
    with pytest.raises(NoteInvalidError):
        parse_tile_path(path)


def test_a_tree_of_70000_has_the_tiles_the_specification_counts():
    size = 70_000
    covered = {
        Tile(level=0, index=272): True,
        Tile(level=0, index=273): False,
        Tile(level=0, index=273, width=112): True,
        Tile(level=0, index=273, width=113): False,
        Tile(level=1, index=0): True,
        Tile(level=1, index=1, width=17): True,
        Tile(level=1, index=1, width=18): False,
        Tile(level=2, index=0, width=1): True,
        Tile(level=2, index=0, width=2): False,
        Tile(level=3, index=0, width=1): False,
        Tile(level=63, index=0, width=1): False,
        Tile(level=None, index=273, width=112): True,
        Tile(level=None, index=273, width=113): False,
    }

    assert {tile: tile.is_covered(size) for tile in covered} == covered
    assert Tile(level=0, index=0).is_covered(256)
    assert Tile(level=1, index=0, width=1).is_covered(256)
    assert not Tile(level=0, index=0, width=1).is_covered(0)
    assert Tile(level=0, index=2).start == 512


def test_a_bundle_is_each_entry_behind_its_length():
    longest = b"x" * 65_535

    assert entry_bundle([]) == b""
    assert entry_bundle([b"ab", b"", longest]) == b"\x00\x02ab\x00\x00\xff\xff" + longest
    with pytest.raises(OverflowError):
        entry_bundle([longest + b"x"])
