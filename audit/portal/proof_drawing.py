"""An inclusion proof as a drawing: from the root down to the leaf. Pure. Read `draw_proof`.

The nodes on the way stand in one column, with what each was hashed with on its side. Sizes are in
the units of the drawing's own view box, which fits a phone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from audit.domain.merkle import inclusion_ranges, node_hash

WIDTH: Final = 340
_NODE_WIDTH: Final = 92
_NODE_HEIGHT: Final = 26
_ROW_HEIGHT: Final = 58
_CENTER: Final = WIDTH // 2
_MARGIN: Final = 8
_DIGITS: Final = 8  # of a hash that are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A hash. `x` and `y` are the corner, `text_x` and `text_y` where its text begins."""

    x: int
    y: int
    text_x: int
    text_y: int
    hex: str
    short: str
    role: str  # root, path, leaf or sibling
    covers: str  # which leaves it stands for, in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A line from a node down to one of the two it was made of."""

    x1: int
    y1: int
    x2: int
    y2: int
    is_path: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One hashing on the way up: what stands on the left and on the right, and what comes out."""

    number: int
    side: str  # of the sibling: left or right
    sibling: str
    covers: str
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Everything the template draws, and the same as steps for who does not see it."""

    width: int
    height: int
    node_width: int
    node_height: int
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    steps: tuple[Step, ...]


def draw_proof(*, leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> Drawing:
    """Return the drawing of a proof that holds. Raises: ProofInvalidError for no such leaf."""
    ranges = inclusion_ranges(index, size=size)
    nodes, edges, steps = [], [], []
    current, low, high = leaf, index, index + 1
    levels = len(ranges)
    nodes.append(_node(leaf, column=0, row=levels, role="leaf", covers=f"leaf {index}"))
    for number, (sibling, (start, end)) in enumerate(zip(path, ranges, strict=True), start=1):
        is_left = start < low
        parent_row = levels - number
        covers = _say_leaves(start, end)
        current = node_hash(sibling, current) if is_left else node_hash(current, sibling)
        low, high = min(low, start), max(high, end)
        role = "root" if number == levels else "path"
        column = -1 if is_left else 1
        nodes.append(
            _node(sibling, column=column, row=parent_row + 1, role="sibling", covers=covers)
        )
        nodes.append(
            _node(current, column=0, row=parent_row, role=role, covers=_say_leaves(low, high))
        )
        edges.append(_edge(parent_row, column=column))
        edges.append(_edge(parent_row, column=0))
        steps.append(
            Step(
                number=number,
                side="left" if is_left else "right",
                sibling=sibling.hex(),
                covers=covers,
                result=current.hex(),
            )
        )
    return Drawing(
        width=WIDTH,
        height=levels * _ROW_HEIGHT + _NODE_HEIGHT + 2 * _MARGIN,
        node_width=_NODE_WIDTH,
        node_height=_NODE_HEIGHT,
        nodes=tuple(nodes),
        edges=tuple(edges),
        steps=tuple(steps),
    )


def _node(value: bytes, *, column: int, row: int, role: str, covers: str) -> Node:
    x = _CENTER - _NODE_WIDTH // 2 + column * (_NODE_WIDTH + 20)
    y = _MARGIN + row * _ROW_HEIGHT
    text = value.hex()
    return Node(
        x=x,
        y=y,
        text_x=x + _NODE_WIDTH // 2,
        text_y=y + _NODE_HEIGHT // 2 + 4,
        hex=text,
        short=f"{text[:_DIGITS]}…",
        role=role,
        covers=covers,
    )


def _edge(row: int, *, column: int) -> Edge:
    top = _MARGIN + row * _ROW_HEIGHT
    return Edge(
        x1=_CENTER,
        y1=top + _NODE_HEIGHT,
        x2=_CENTER + column * (_NODE_WIDTH + 20),
        y2=top + _ROW_HEIGHT,
        is_path=column == 0,
    )


def _say_leaves(start: int, end: int) -> str:
    return f"leaf {start}" if end - start == 1 else f"leaves {start} to {end - 1}"
