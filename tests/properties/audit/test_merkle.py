"""Merkle proofs for any tree and any leaves, against the RFC's own recursion."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.domain.errors import ProofInvalidError
from audit.domain.merkle import (
    EMPTY_ROOT,
    Frontier,
    Tree,
    check_batch,
    check_consistency,
    check_inclusion,
    tree_root,
)
from tests.fakes import merkle as plain

_SIZES = st.integers(1, 700)  # past two levels of tiles
LEAVES = plain.leaves_of(700)


def _tree(size):
    return Tree(size=size, read=plain.reader_of(LEAVES))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=_SIZES)
def test_any_leaf_of_any_tree_is_proved(data, size):
    index = data.draw(st.integers(0, size - 1))
    tree, leaves = _tree(size), LEAVES[:size]

    path = tree.inclusion_path(index)

    assert path == plain.path(index, leaves)
    good = {"leaf": leaves[index], "index": index, "size": size, "path": path, "root": tree.root()}
    check_inclusion(**good)
    other = data.draw(st.integers(0, size).filter(lambda number: number != index))
    with pytest.raises(ProofInvalidError):
        check_inclusion(**{**good, "index": other})
    for forged in _mutations(data, path):
        with pytest.raises(ProofInvalidError):
            check_inclusion(**{**good, "path": forged})


@settings(max_examples=60, deadline=None)
@given(data=st.data(), second=_SIZES)
def test_any_older_tree_is_proved(data, second):
    first = data.draw(st.integers(1, second))
    tree, leaves = _tree(second), LEAVES[:second]

    path = tree.consistency_path(first)

    assert path == plain.proof(first, leaves)
    good = {
        "first": first,
        "first_root": tree_root(leaves[:first]),
        "second": second,
        "second_root": tree_root(leaves),
        "path": path,
    }
    check_consistency(**good)
    for forged in _mutations(data, path):
        with pytest.raises(ProofInvalidError):
            check_consistency(**{**good, "path": forged})


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=st.integers(0, 300))
def test_any_set_of_leaves_is_proved_at_once(data, size):
    known = sorted(data.draw(st.sets(st.integers(0, size - 1)))) if size else []
    ranges = [(index, index + 1) for index in known]
    if data.draw(st.booleans()):  # neighbours may come as one range or as several
        ranges = _join(ranges)
    tree, leaves = _tree(size), LEAVES[:size]

    path = tree.batch_path(ranges)

    assert path == plain.batch(set(known), leaves)
    good = {
        "leaves": [leaves[index] for index in known],
        "ranges": ranges,
        "size": size,
        "path": path,
        "root": tree_root(leaves),
    }
    check_batch(**good)
    for forged in _mutations(data, path):
        with pytest.raises(ProofInvalidError):
            check_batch(**{**good, "path": forged})
    if known:
        place = data.draw(st.integers(0, len(known) - 1))
        wrong = [*good["leaves"]]
        wrong[place] = plain.leaf_of("x")
        with pytest.raises(ProofInvalidError):
            check_batch(**{**good, "leaves": wrong})


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(0, 200), max_size=4))
def test_a_frontier_that_stops_and_goes_on_anywhere_has_the_tree_s_root(sizes):
    size, frontier = 0, Frontier()
    assert frontier.root() == EMPTY_ROOT
    for count in sizes:
        count = min(count, len(LEAVES) - size)  # noqa: PLW2901 - the log ends
        for leaf in LEAVES[size : size + count]:
            frontier.append(leaf)
        size += count
        assert frontier.root() == tree_root(LEAVES[:size])
        frontier = Frontier(_tree(size))


def _mutations(data, path):
    """Yield proofs that are not the right one."""
    place = data.draw(st.integers(0, len(path)))
    yield [*path[:place], plain.leaf_of("x"), *path[place:]]
    if path:
        place = data.draw(st.integers(0, len(path) - 1))
        bit = data.draw(st.integers(0, 255))
        flipped = bytearray(path[place])
        flipped[bit // 8] ^= 1 << bit % 8
        yield [*path[:place], bytes(flipped), *path[place + 1 :]]
        yield [*path[:place], *path[place + 1 :]]


def _join(ranges):
    joined: list[tuple[int, int]] = []
    for start, end in ranges:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined
