"""Drawing steps that need each other: columns from left to right. Read `lay_out` first.

The classical layered method. Each step's column is its longest chain of needs; an edge over several
columns runs through invisible places in those between; the order inside columns is improved by
barycentres; then each column moves as close to its neighbours as its order allows. The same steps
always give the same picture. Source: Sugiyama, Tagawa, Toda 1981; the last part is isotonic
regression by pooling adjacent violators.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

NODE_WIDTH: Final = 206
NODE_HEIGHT: Final = 58
GAP_ALONG: Final = 42
GAP_ACROSS: Final = 20
MARGIN: Final = 24

_LANE_HEIGHT: Final = 6  # of an edge that passes a column
_LANE_GAP: Final = 14
_LANE_COUNT_MAX: Final = 3_000  # more invisible places than this cost time and show nothing
_SWEEP_COUNT: Final = 8
_ALIGN_COUNT: Final = 6
_FAN_COUNT: Final = 6  # edges that come from, or lead to, one place before they share a trunk
_TRUNK_HEIGHT: Final = 100
_TRUNK_BEND: Final = 10
_LANE_WEIGHT: Final = 3.0  # long edges are kept straight rather than nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphStep:
    """A node to draw. `needs` that name no step are not drawn. Lengths are pixels."""

    key: str
    needs: tuple[str, ...] = ()
    width: float = NODE_WIDTH
    height: float = NODE_HEIGHT


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedNode:
    """Where a node is: its upper left corner and its size in pixels. `column` counts from 0."""

    key: str
    x: float
    y: float
    column: int
    width: float = NODE_WIDTH
    height: float = NODE_HEIGHT


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedEdge:
    """An edge from a need to what needs it. `path` is the `d` of an SVG path.

    `spans` are where it crosses the gaps between columns: from (x, y) to (x, y).
    """

    source: str
    target: str
    path: str
    spans: tuple[tuple[float, float, float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A drawing, in pixels. Nodes are in the order of the steps, edges by their target."""

    width: float
    height: float
    nodes: tuple[PlacedNode, ...]
    edges: tuple[RoutedEdge, ...]


@dataclass(slots=True)
class _Place:
    """A place in a column: a node, or (`is_lane`) where an edge passes."""

    index: int
    column: int
    is_lane: bool
    width: float = NODE_WIDTH
    height: float = NODE_HEIGHT
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    y: float = 0.0  # of its middle


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where the columns are: `lefts` and `rights` in pixels."""

    lefts: tuple[float, ...]
    rights: tuple[float, ...]

    @classmethod
    def of(cls, places: Sequence[_Place], *, count: int, gap: float, left: float) -> "_Frame":
        widths = [0.0] * count
        for place in places:
            if not place.is_lane:
                widths[place.column] = max(widths[place.column], place.width)
        lefts, rights, x = [], [], left
        for width in widths:
            lefts.append(x)
            rights.append(x + width)
            x += width + gap
        return cls(tuple(lefts), tuple(rights))


def lay_out(
    steps: Sequence[GraphStep],
    *,
    gap: float = GAP_ALONG,
    margin: float = MARGIN,
    left: float | None = None,
) -> Layout:
    """Return where to draw steps and the edges between them.

    Args:
        steps: in an order in which needs come first, with unique keys.
        gap: how far columns are apart, in pixels.
        margin: the room around, in pixels.
        left: the room to the left, where that is another.
    """
    if not steps:
        return Layout(width=0, height=0, nodes=(), edges=())
    numbers = {step.key: number for number, step in enumerate(steps)}
    needs = [[numbers[need] for need in step.needs if need in numbers] for step in steps]
    columns = _columns(needs)
    places, lanes = _places(needs, columns)
    for place, step in zip(places, steps, strict=False):
        place.width, place.height = step.width, step.height
    frame = _Frame.of(
        places, count=max(columns) + 1, gap=gap, left=margin if left is None else left
    )
    order = _ordered(places, column_count=max(columns) + 1)
    _align(places, order)
    top = min(place.y - place.height / 2 for place in places)
    for place in places:
        place.y += margin - top
    nodes = tuple(
        PlacedNode(
            key=step.key,
            x=frame.lefts[columns[number]],
            y=round(places[number].y - step.height / 2, 1),
            column=columns[number],
            width=step.width,
            height=step.height,
        )
        for number, step in enumerate(steps)
    )
    edges = tuple(
        _edge(steps, places, lanes, frame, ends=(need, number))
        for number in range(len(steps))
        for need in needs[number]
    )
    return Layout(
        width=frame.rights[-1] + margin,
        height=round(max(place.y + place.height / 2 for place in places) + margin, 1),
        nodes=nodes,
        edges=edges,
    )


def lay_out_grid(
    steps: Sequence[GraphStep], *, column_count: int, margin: float = MARGIN
) -> Layout:
    """Return where to draw steps that nothing connects, in rows from left to right.

    Args:
        steps: with unique keys; their needs are not drawn.
        column_count: how many stand in a row, 1 or more.
        margin: the room around, in pixels.
    """
    rows = [steps[begin : begin + column_count] for begin in range(0, len(steps), column_count)]
    widths = [
        max(row[column].width for row in rows if column < len(row))
        for column in range(len(rows[0]) if rows else 0)
    ]
    nodes: list[PlacedNode] = []
    y = margin
    for row in rows:
        x = margin
        for column, step in enumerate(row):
            nodes.append(
                PlacedNode(
                    key=step.key, x=x, y=y, column=column, width=step.width, height=step.height
                )
            )
            x += widths[column] + GAP_ACROSS
        y += max(step.height for step in row) + GAP_ACROSS
    return Layout(
        width=2 * margin + sum(widths) + GAP_ACROSS * max(len(widths) - 1, 0) if rows else 0,
        height=y - GAP_ACROSS + margin if rows else 0,
        nodes=tuple(nodes),
        edges=(),
    )


# --- columns and the places in them --------------------------------------------------------------


def _columns(needs: Sequence[Sequence[int]]) -> list[int]:
    """Return each node's column: one behind the furthest of its needs."""
    columns: list[int] = []
    for own in needs:
        columns.append(1 + max((columns[need] for need in own), default=-1))
    return columns


def _places(
    needs: Sequence[Sequence[int]], columns: Sequence[int]
) -> tuple[list[_Place], dict[tuple[int, int], int]]:
    """Return the places, nodes first, and the lanes by (node, column).

    All edges of one node share its lanes, so that they leave it as one line. Where there would be
    too many lanes, long edges have none and run straight.
    """
    places = [
        _Place(index=number, column=column, is_lane=False) for number, column in enumerate(columns)
    ]
    reach = list(columns)
    for number, own in enumerate(needs):
        for need in own:
            reach[need] = max(reach[need], columns[number])
    lane_count = sum(max(0, reach[node] - columns[node] - 1) for node in range(len(columns)))
    lanes: dict[tuple[int, int], int] = {}
    if lane_count <= _LANE_COUNT_MAX:
        for node, column in enumerate(columns):
            _add_lanes(places, lanes, node=node, columns=range(column + 1, reach[node]))
    for number, own in enumerate(needs):
        for need in own:
            _link(places, lanes.get((need, columns[number] - 1), need), number)
    return places, lanes


def _add_lanes(
    places: list[_Place], lanes: dict[tuple[int, int], int], *, node: int, columns: range
) -> None:
    before = node
    for column in columns:
        lane = _Place(index=len(places), column=column, is_lane=True, height=_LANE_HEIGHT)
        places.append(lane)
        lanes[node, column] = lane.index
        _link(places, before, lane.index)
        before = lane.index


def _link(places: list[_Place], source: int, target: int) -> None:
    places[source].after.append(target)
    places[target].before.append(source)


# --- the order inside columns --------------------------------------------------------------------


def _ordered(places: Sequence[_Place], *, column_count: int) -> list[list[int]]:
    """Return the columns from top to bottom, with few crossings."""
    order: list[list[int]] = [[] for _ in range(column_count)]
    for place in places:
        order[place.column].append(place.index)
    best, fewest = [list(column) for column in order], _crossing_count(places, order)
    for sweep in range(_SWEEP_COUNT):
        if fewest == 0:
            break
        forward = sweep % 2 == 0
        _sweep(places, order, forward=forward)
        count = _crossing_count(places, order)
        if count < fewest:
            best, fewest = [list(column) for column in order], count
    return best


def _sweep(places: Sequence[_Place], order: list[list[int]], *, forward: bool) -> None:
    """Sort each column by where its neighbours on one side are, in place."""
    rank = _ranks(order)
    columns = range(1, len(order)) if forward else range(len(order) - 2, -1, -1)
    for column in columns:
        wanted = {}
        for index in order[column]:
            place = places[index]
            near = place.before if forward else place.after
            wanted[index] = (
                sum(rank[item] for item in near) / len(near) if near else float(rank[index])
            )
        order[column].sort(key=lambda index: (wanted[index], rank[index]))
        for position, index in enumerate(order[column]):
            rank[index] = position


def _ranks(order: Sequence[Sequence[int]]) -> dict[int, int]:
    return {index: position for column in order for position, index in enumerate(column)}


def _crossing_count(places: Sequence[_Place], order: Sequence[Sequence[int]]) -> int:
    """Return how many pairs of edges cross between neighbouring columns."""
    rank = _ranks(order)
    count = 0
    for column, following in pairwise(order):
        ends = [
            rank[target]
            for index in column
            for target in sorted(places[index].after, key=rank.__getitem__)
            if places[target].column == places[index].column + 1
        ]
        count += _inversion_count(ends, size=len(following))
    return count


def _inversion_count(values: Sequence[int], *, size: int) -> int:
    """Return how many pairs stand in the wrong order, with a binary indexed tree."""
    tree = [0] * (size + 1)
    count = 0
    for seen, value in enumerate(values):
        not_greater, place = 0, value + 1
        while place > 0:
            not_greater += tree[place]
            place -= place & -place
        count += seen - not_greater
        place = value + 1
        while place <= size:
            tree[place] += 1
            place += place & -place
    return count


# --- heights -------------------------------------------------------------------------------------


def _align(places: Sequence[_Place], order: Sequence[Sequence[int]]) -> None:
    """Give each place its height, near its neighbours'."""
    for column in order:
        offsets = _offsets(places, column)
        for index, offset in zip(column, offsets, strict=True):
            places[index].y = offset - offsets[-1] / 2
    for sweep in range(_ALIGN_COUNT):
        forward = sweep % 2 == 0
        for column in order if forward else reversed(order):
            _align_column(places, column, near=_before if forward else _after)


def _before(place: _Place) -> list[int]:
    return place.before


def _after(place: _Place) -> list[int]:
    return place.after


def _align_column(
    places: Sequence[_Place], column: Sequence[int], *, near: Callable[[_Place], list[int]]
) -> None:
    offsets = _offsets(places, column)
    wanted, weights = [], []
    for index, offset in zip(column, offsets, strict=True):
        place = places[index]
        others = [places[item].y for item in near(place)]
        goal = sum(others) / len(others) if others else place.y
        wanted.append(goal - offset)
        weights.append(_LANE_WEIGHT if place.is_lane else 1.0)
    for index, offset, base in zip(column, offsets, _rising(wanted, weights), strict=True):
        places[index].y = base + offset


def _offsets(places: Sequence[_Place], column: Sequence[int]) -> list[float]:
    """Return how far below the column's first middle each other middle must at least be."""
    offsets = [0.0]
    for above, below in pairwise(column):
        first, second = places[above], places[below]
        gap = _LANE_GAP if first.is_lane or second.is_lane else GAP_ACROSS
        offsets.append(offsets[-1] + (first.height + second.height) / 2 + gap)
    return offsets


def _rising(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return the never falling sequence nearest to `values` by weighted squares."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, count
    for value, weight in zip(values, weights, strict=True):
        mean, total, count = value, weight, 1
        while blocks and blocks[-1][0] > mean:
            other, other_weight, other_count = blocks.pop()
            mean = (mean * total + other * other_weight) / (total + other_weight)
            total, count = total + other_weight, count + other_count
        blocks.append((mean, total, count))
    return [mean for mean, _, count in blocks for _ in range(count)]


# --- edges ---------------------------------------------------------------------------------------


def _edge(
    steps: Sequence[GraphStep],
    places: Sequence[_Place],
    lanes: Mapping[tuple[int, int], int],
    frame: _Frame,
    *,
    ends: tuple[int, int],
) -> RoutedEdge:
    """Return an edge: curves in the gaps, straight lines through columns."""
    source, target = ends
    start, end = places[source], places[target]
    x, y = frame.lefts[start.column] + start.width, start.y
    parts = [f"M{_number(x)} {_number(y)}"]
    if x < frame.rights[start.column]:  # narrower than its column
        x = frame.rights[start.column]
        parts.append(f"H{_number(x)}")
    spans: list[tuple[float, float, float, float]] = []
    for column in range(start.column + 1, end.column):
        lane = lanes.get((source, column))
        if lane is None:
            continue
        left, right = frame.lefts[column], frame.rights[column]
        spans.append((x, y, left, places[lane].y))
        parts += [_curve(*spans[-1]), f"H{_number(right)}"]
        x, y = right, places[lane].y
    last = places[lanes[source, end.column - 1]] if (source, end.column - 1) in lanes else start
    is_fan = len(last.after) > _FAN_COUNT or len(end.before) > _FAN_COUNT
    draw = _trunk if is_fan and abs(y - end.y) > _TRUNK_HEIGHT else _curve
    spans.append((x, y, frame.lefts[end.column], end.y))
    parts.append(draw(*spans[-1]))
    return RoutedEdge(
        source=steps[source].key,
        target=steps[target].key,
        path="".join(parts),
        spans=tuple(spans),
    )


def _trunk(x: float, y: float, x_to: float, y_to: float) -> str:
    """Return a line along the middle of the gap, where the many edges of a fan become one."""
    middle, way = (x + x_to) / 2, 1 if y_to > y else -1
    bend = _TRUNK_BEND
    return "".join(
        (
            f"H{_number(middle - bend)}",
            f"Q{_number(middle)} {_number(y)} {_number(middle)} {_number(y + way * bend)}",
            f"V{_number(y_to - way * bend)}",
            f"Q{_number(middle)} {_number(y_to)} {_number(middle + bend)} {_number(y_to)}",
            f"H{_number(x_to)}",
        )
    )


def _curve(x: float, y: float, x_to: float, y_to: float) -> str:
    if abs(y - y_to) < 0.5:  # noqa: PLR2004  # half a pixel is straight
        return f"L{_number(x_to)} {_number(y_to)}"
    bend = min((x_to - x) / 2, GAP_ALONG)
    points = (x + bend, y, x_to - bend, y_to, x_to, y_to)
    return "C" + " ".join(_number(point) for point in points)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
