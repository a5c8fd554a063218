"""The drawing of a proof shows the proof and nothing else."""

from hashlib import sha256

import pytest

from audit.domain.errors import ProofInvalidError
from audit.domain.merkle import Tree, tree_root
from audit.portal.proof_drawing import WIDTH, draw_proof

LEAVES = [sha256(bytes([n])).digest() for n in range(21)]


def draw(index, size):
    leaves = LEAVES[:size]
    tree = Tree(size=size, read=lambda _level, start, count: leaves[start : start + count])
    return draw_proof(
        leaf=leaves[index], index=index, size=size, path=tree.inclusion_path(index)
    ), tree_root(leaves).hex()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 21])
def test_every_leaf_is_drawn_up_to_the_root(size):
    for index in range(size):
        drawing, root = draw(index, size)

        on_top = min(drawing.nodes, key=lambda node: node.y)
        at_bottom = max(drawing.nodes, key=lambda node: (node.y, node.role == "leaf"))
        assert on_top.hex == root
        assert at_bottom.hex == LEAVES[index].hex()
        assert (on_top.role, at_bottom.role) == (("leaf" if size == 1 else "root"), "leaf")
        assert [step.result for step in drawing.steps[-1:]] in ([root], [])
        assert len(drawing.edges) == 2 * len(drawing.steps)
        assert len(drawing.nodes) == 2 * len(drawing.steps) + 1


def test_nothing_is_drawn_outside_or_upon_another():
    drawing, _ = draw(10, 21)

    corners = [(node.x, node.y) for node in drawing.nodes]
    assert len(set(corners)) == len(corners)
    assert all(0 <= x <= WIDTH - drawing.node_width for x, _ in corners)
    assert all(0 <= y <= drawing.height - drawing.node_height for _, y in corners)


def test_each_sibling_says_which_leaves_it_stands_for():
    drawing, _ = draw(5, 7)

    assert [(step.side, step.covers) for step in drawing.steps] == [
        ("left", "leaf 4"),
        ("right", "leaf 6"),
        ("left", "leaves 0 to 3"),
    ]


def test_a_leaf_that_is_not_in_the_tree_is_not_drawn():
    with pytest.raises(ProofInvalidError):
        draw_proof(leaf=LEAVES[0], index=3, size=3, path=[])
