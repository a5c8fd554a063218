"""The Merkle tree: known answers, every small tree in full, and what is refused."""

from itertools import combinations
from typing import Any

import pytest

from audit.domain.entry import leaf_hash
from audit.domain.errors import ProofInvalidError
from audit.domain.merkle import (
    EMPTY_ROOT,
    TILE_WIDTH,
    Frontier,
    Tree,
    check_batch,
    check_consistency,
    check_inclusion,
    consistency_ranges,
    inclusion_ranges,
    list_reads,
    node_hash,
    split,
    tree_root,
)
from tests.fakes import merkle as plain
from tests.fakes.streams import every_flip

# The eight entries that every implementation of certificate transparency is tested with.
ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
LEAVES_HEX = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
    "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7",
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658",
    "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
    "46f6ffadd3d06a09ff3c5860d2755c8b9819db7df44251788c7d8e3180de8eb1",
]
ROOTS_HEX = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
_5F08 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
_CA85 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
_6B47 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
_0EBC = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
# (leaf index, tree size) → the published inclusion proof.
INCLUSIONS = {
    (0, 1): [],
    (0, 8): [LEAVES_HEX[1], _5F08, _6B47],
    (5, 8): [LEAVES_HEX[4], _CA85, ROOTS_HEX[4]],
    (2, 3): [ROOTS_HEX[2]],
    (1, 5): [LEAVES_HEX[0], _5F08, LEAVES_HEX[4]],
}
# (earlier size, later size) → the published consistency proof.
CONSISTENCIES = {
    (1, 1): [],
    (1, 8): [LEAVES_HEX[1], _5F08, _6B47],
    (6, 8): [_0EBC, _CA85, ROOTS_HEX[4]],
    (2, 5): [_5F08, LEAVES_HEX[4]],
    (6, 7): [_0EBC, LEAVES_HEX[6], ROOTS_HEX[4]],
}

SIZE_MAX = 130  # every tree up to here: past one full tile's half, and past 2**7
MANY = plain.leaves_of(SIZE_MAX)


def tree_of(leaves, size=None, **kwargs):
    """Return the tree of the first leaves."""
    size = len(leaves) if size is None else size
    return Tree(size=size, read=plain.reader_of(leaves, **kwargs))


def hexes(hashes):
    return [item.hex() for item in hashes]


def test_leaves_and_roots_are_the_published_ones():
    assert hexes(LEAVES) == LEAVES_HEX
    for size, expected in enumerate(ROOTS_HEX):
        assert tree_root(LEAVES[:size]).hex() == expected
        assert tree_of(LEAVES[:size]).root().hex() == expected
    assert EMPTY_ROOT.hex() == ROOTS_HEX[0]


@pytest.mark.parametrize(("index", "size"), INCLUSIONS)
def test_inclusion_paths_are_the_published_ones(index, size):
    path = tree_of(LEAVES, size).inclusion_path(index)

    assert hexes(path) == INCLUSIONS[index, size]
    check_inclusion(
        leaf=LEAVES[index], index=index, size=size, path=path, root=tree_root(LEAVES[:size])
    )


@pytest.mark.parametrize(("first", "second"), CONSISTENCIES)
def test_consistency_paths_are_the_published_ones(first, second):
    path = tree_of(LEAVES, second).consistency_path(first)

    assert hexes(path) == CONSISTENCIES[first, second]


def test_split_is_the_largest_power_of_two_below():
    assert [split(size) for size in (2, 3, 4, 5, 8, 9, 256, 257)] == [1, 2, 2, 4, 4, 8, 128, 256]


def test_every_leaf_of_every_tree_is_proved_as_the_rfc_says():
    for size in range(1, SIZE_MAX + 1):
        leaves = MANY[:size]
        tree, root = tree_of(MANY, size), plain.mth(leaves)
        assert tree.root() == root == tree_root(leaves)
        for index in range(size):
            path = tree.inclusion_path(index)
            if size < 40 or index in {0, size // 2, size - 1}:  # the RFC's own way takes a while
                assert path == plain.path(index, leaves)
            check_inclusion(leaf=leaves[index], index=index, size=size, path=path, root=root)


def test_every_pair_of_trees_is_proved_as_the_rfc_says():
    roots = [plain.mth(MANY[:size]) for size in range(SIZE_MAX + 1)]
    for second in range(SIZE_MAX + 1):
        tree = tree_of(MANY, second)
        for first in range(second + 1):
            path = tree.consistency_path(first)
            if first > 0 and (second < 40 or first in {1, second // 2, second - 1}):
                assert path == plain.proof(first, MANY[:second])
            check_consistency(
                first=first,
                first_root=roots[first],
                second=second,
                second_root=roots[second],
                path=path,
            )


def test_another_leaf_place_size_or_root_is_refused():
    for size in range(1, 20):
        leaves = MANY[:size]
        tree, root = tree_of(MANY, size), plain.mth(leaves)
        for index in range(size):
            good = {
                "leaf": leaves[index],
                "index": index,
                "size": size,
                "path": tree.inclusion_path(index),
                "root": root,
            }
            forged = [{"leaf": MANY[size]}, {"root": plain.mth(MANY[: size + 1])}]
            forged += [{"index": other} for other in range(size) if other != index]
            forged += [{"index": -1}, {"index": size}, {"size": 0}]
            for change in forged:
                with pytest.raises(ProofInvalidError):
                    check_inclusion(**{**good, **change})


def test_an_older_tree_of_another_size_or_root_is_refused():
    for second in range(2, 20):
        tree, root = tree_of(MANY, second), plain.mth(MANY[:second])
        for first in range(1, second):
            good = {
                "first": first,
                "first_root": plain.mth(MANY[:first]),
                "second": second,
                "second_root": root,
                "path": tree.consistency_path(first),
            }
            forged = [
                {"first_root": plain.leaf_of("x")},
                {"second_root": plain.leaf_of("x")},
                {"first": second + 1},
                {"first": -1},
                {"path": []},
                {"path": good["path"][::-1] if len(good["path"]) > 1 else [plain.leaf_of("x")]},
            ]
            forged += [{"first": other} for other in range(1, second + 1) if other != first]
            for change in forged:
                with pytest.raises(ProofInvalidError):
                    check_consistency(**{**good, **change})


def test_trees_of_one_size_need_one_root_and_no_path():
    root, other = plain.mth(MANY[:5]), plain.mth(MANY[:6])
    same = {"first": 5, "first_root": root, "second": 5, "second_root": root}
    empty = {"first": 0, "first_root": EMPTY_ROOT, "second": 5, "second_root": root}

    check_consistency(**same, path=[])
    check_consistency(**empty, path=[])
    for change in ({"first_root": other}, {"path": [root]}):
        for good in (same, empty):
            with pytest.raises(ProofInvalidError):
                check_consistency(**{**good, "path": [], **change})
    with pytest.raises(ProofInvalidError, match="leads to"):
        check_consistency(first=0, first_root=EMPTY_ROOT, second=0, second_root=root, path=[])


def test_every_bit_of_a_proof_counts():
    size = 11
    tree, root, leaves = tree_of(MANY, size), plain.mth(MANY[:size]), MANY[:size]
    count = 0
    for index in range(size):
        path = tree.inclusion_path(index)
        for forged in _flips(path):
            count += 1
            with pytest.raises(ProofInvalidError, match="leads to"):
                check_inclusion(leaf=leaves[index], index=index, size=size, path=forged, root=root)
    for first in range(1, size):
        path = tree.consistency_path(first)
        for forged in _flips(path):
            count += 1
            with pytest.raises(ProofInvalidError, match="leads to"):
                check_consistency(
                    first=first,
                    first_root=plain.mth(MANY[:first]),
                    second=size,
                    second_root=root,
                    path=forged,
                )
    assert count > 15_000


def test_paths_of_another_length_are_refused():
    for size in range(1, 34):
        tree, root = tree_of(MANY, size), plain.mth(MANY[:size])
        for index in range(size):
            path = tree.inclusion_path(index)
            good = {"leaf": MANY[index], "index": index, "size": size, "root": root}
            for forged in _lengths(path):
                with pytest.raises(ProofInvalidError):
                    check_inclusion(**good, path=forged)
        for first in range(1, size):
            path = tree.consistency_path(first)
            older = plain.mth(MANY[:first])
            for forged in _lengths(path):
                with pytest.raises(ProofInvalidError):
                    check_consistency(
                        first=first, first_root=older, second=size, second_root=root, path=forged
                    )


def test_hashes_of_another_length_are_refused_although_they_add_up():
    left, right = MANY[:2]
    root = node_hash(left, right)

    for forged_leaf, sibling in ((left + right[:1], right[1:]), (left[:-1], left[-1:] + right)):
        assert node_hash(forged_leaf, sibling) == root  # so only the lengths tell
        with pytest.raises(ProofInvalidError, match="32 bytes"):
            check_inclusion(leaf=forged_leaf, index=0, size=2, path=[sibling], root=root)
        with pytest.raises(ProofInvalidError, match="32 bytes"):
            check_consistency(
                first=1, first_root=forged_leaf, second=2, second_root=root, path=[sibling]
            )
        with pytest.raises(ProofInvalidError, match="32 bytes"):
            check_batch(leaves=[forged_leaf], ranges=[(0, 1)], size=2, path=[sibling], root=root)


def test_a_tree_proves_nothing_it_does_not_hold():
    tree = tree_of(MANY, 7)

    for index in (-1, 7):
        with pytest.raises(ProofInvalidError, match="no leaf"):
            tree.inclusion_path(index)
    for first in (-1, 8):
        with pytest.raises(ProofInvalidError, match="does not contain"):
            tree.consistency_path(first)


def test_a_tree_that_lacks_hashes_says_which():
    tree = Tree(size=5, read=lambda *place: [bytes(32)] * (place[2] - 1))

    with pytest.raises(ProofInvalidError, match="Of level 0, 5 hashes from 0"):
        tree.root()


def test_hashes_are_read_in_whole_tiles_and_each_tile_once():
    leaves = plain.leaves_of(1000)
    reads: list[tuple[int, int, int]] = []
    tree = tree_of(leaves, reads=reads)

    path = tree.inclusion_path(300)
    tree.consistency_path(700)
    tree.root()

    assert len(path) == 10
    assert sorted(reads) == [(0, 256, 256), (0, 512, 256), (0, 768, 232), (1, 0, 3)]


def test_what_will_be_read_is_known_before():
    leaves = plain.leaves_of(1100)
    for size in (1, 2, 255, 256, 257, 600, 1024, 1100):
        for index in {0, size // 3, size - 1}:
            reads: list[tuple[int, int, int]] = []
            tree_of(leaves, size, reads=reads).inclusion_path(index)
            told = list_reads(inclusion_ranges(index, size=size), size=size)
            assert told == sorted(reads)
            reads.clear()
            tree_of(leaves, size, reads=reads).consistency_path(index + 1)
            told = list_reads(consistency_ranges(index + 1, size=size), size=size)
            assert told == sorted(reads)
        reads = []
        tree_of(leaves, size, reads=reads).root()
        assert list_reads([(0, size)], size=size) == sorted(reads)


def test_every_set_of_leaves_of_a_small_tree_is_proved_at_once():
    for size in range(11):
        leaves = MANY[:size]
        tree, root = tree_of(MANY, size), plain.mth(leaves)
        for count in range(size + 1):
            for known in combinations(range(size), count):
                ranges = _runs(known)
                path = tree.batch_path(ranges)
                assert path == plain.batch(known, leaves)
                check_batch(
                    leaves=[leaves[index] for index in known],
                    ranges=ranges,
                    size=size,
                    path=path,
                    root=root,
                )


def test_one_leaf_alone_has_the_hashes_of_its_inclusion_path():
    for size in (1, 2, 7, 64, 100):
        tree = tree_of(MANY, size)
        for index in range(size):
            assert sorted(tree.batch_path([(index, index + 1)])) == sorted(
                tree.inclusion_path(index)
            )


def test_a_forged_batch_is_refused():
    size, ranges = 9, [(1, 3), (6, 7)]
    tree, root = tree_of(MANY, size), plain.mth(MANY[:size])
    path = tree.batch_path(ranges)
    leaves = [MANY[1], MANY[2], MANY[6]]
    good = {"leaves": leaves, "ranges": ranges, "size": size, "path": path, "root": root}
    check_batch(**good)

    forged: list[dict[str, Any]] = [
        {"leaves": leaves[::-1]},
        {"leaves": leaves[:-1]},
        {"leaves": [*leaves, MANY[7]]},
        {"ranges": [(1, 3), (5, 6)]},
        {"ranges": [(1, 2), (2, 3), (7, 8)]},
        {"ranges": [(6, 7), (1, 3)]},
        {"ranges": [(1, 3), (2, 3)]},
        {"ranges": [(1, 1), (1, 3), (6, 7)]},
        {"ranges": [(1, 3), (9, 10)]},
        {"ranges": [(-1, 1), (6, 7)]},
        {"size": 8},  # that of 10 would pass: what signs the root says the size
        {"path": path[:-1]},
        {"path": [*path, path[-1]]},
        {"path": path[::-1]},
        {"root": plain.mth(MANY[:8])},
    ]
    forged += [{"path": flipped} for flipped in _flips(path)]
    for change in forged:
        with pytest.raises(ProofInvalidError):
            check_batch(**{**good, **change})
    with pytest.raises(ProofInvalidError):
        tree.batch_path([(8, 10)])


def test_a_frontier_grows_as_the_tree_does():
    frontier = Frontier()
    completed = {}
    leaves = plain.leaves_of(3 * TILE_WIDTH + 5)
    for size, leaf in enumerate(leaves, start=1):
        completed.update({(level, index): hash_ for level, index, hash_ in frontier.append(leaf)})
        assert frontier.size == size
        if size % 97 == 0 or size % TILE_WIDTH in {0, 1, 255}:
            assert frontier.root() == tree_root(leaves[:size])

    assert completed == {
        (1, index): tree_root(leaves[index * TILE_WIDTH : (index + 1) * TILE_WIDTH])
        for index in range(3)
    }
    assert Frontier().root() == EMPTY_ROOT


def test_a_frontier_goes_on_from_any_tree():
    for size in range(SIZE_MAX):
        frontier = Frontier(tree_of(MANY, size))
        assert frontier.root() == plain.mth(MANY[:size])
        frontier.append(MANY[size])
        assert frontier.root() == plain.mth(MANY[: size + 1])


def test_a_frontier_completes_two_levels_with_one_leaf():
    hash_ = plain.leaf_of("tile")  # as if every tile below had this root
    size = TILE_WIDTH**2 - 1

    def read(level, start, count):
        return [hash_] * count

    frontier = Frontier(Tree(size=size, read=read))
    added = frontier.append(hash_)

    assert [(level, index) for level, index, _ in added] == [(1, TILE_WIDTH - 1), (2, 0)]


def _flips(path):
    """Yield the path with each of its bits changed, one at a time."""
    for place, item in enumerate(path):
        for flipped in every_flip(item):
            yield [*path[:place], flipped, *path[place + 1 :]]


def _lengths(path):
    """Yield the path with one hash more and one less, at every place."""
    for place in range(len(path) + 1):
        yield [*path[:place], plain.leaf_of("x"), *path[place:]]
        if place < len(path):
            yield [*path[:place], *path[place + 1 :]]
            yield [*path[:place], path[place], *path[place:]]
            yield [*path[:place], path[place][:-1], *path[place + 1 :]]
            yield [*path[:place], path[place] + b"\0", *path[place + 1 :]]


def _runs(known):
    """Return ascending indexes as half-open ranges."""
    ranges: list[tuple[int, int]] = []
    for index in known:
        if ranges and ranges[-1][1] == index:
            ranges[-1] = (ranges[-1][0], index + 1)
        else:
            ranges.append((index, index + 1))
    return ranges
