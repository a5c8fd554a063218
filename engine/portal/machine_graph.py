"""Drawing a state machine: columns as for steps, with ways back below. Read `lay_out_machine`.

Ways that lead on make the columns (see `graph`). Which ones lead back is found by going through the
machine from its first state, depth first. A way back leaves its state at the right, runs below the
states between in a lane of its own, and comes in from the left; a way from a state to itself runs
around that state. The same machine gives the same picture.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from engine.portal.graph import MARGIN, GraphStep, Layout, PlacedNode, RoutedEdge, lay_out

LEFT: Final = 72  # room for the mark where the machine begins
_GAP_MIN: Final = 64  # between columns
_GAP_PADDING: Final = 28  # beside a label
_LANE_GAP: Final = 10  # between a way back and what is above it
_FIRST_SLOT: Final = 16  # from a column to the nearest line that goes down beside it
_SLOT: Final = 8  # between such lines
_SLOT_COUNT: Final = 4  # more of them share places
_BEND: Final = 8
_SIDE: Final = 16  # below the middle of a state, where ways back leave and come in
_LOOP: Final = 10  # between a state and its way to itself
_TURNS: Final = (0.5, 0.65, 0.35, 0.8, 0.2)  # places along a curve where a label may be
_SHIFT: Final = 6
_CELL: Final = 160  # of the places by which labels are found


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way from one state to another, by key; `source` may be `target`.

    `width` and `height` are its label's in pixels; 0 for none.
    """

    source: str
    target: str
    width: float = 0.0
    height: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnWay:
    """A way with its SVG path, and the upper left corner of its label, in pixels."""

    way: Way
    path: str
    x: float
    y: float
    is_back: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLayout:
    """A drawing: where the states are, in no order, and the ways in the order they were given."""

    nodes: tuple[PlacedNode, ...]
    ways: tuple[DrawnWay, ...]
    width: float
    height: float


class _Rect(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "_Rect") -> bool:
        """Say whether two have a point in common."""
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.bottom <= other.top or other.bottom <= self.top)


class _Space:
    """Rectangles that are taken, found by where they are."""

    def __init__(self, rects: Iterable[_Rect]) -> None:
        self._cells: dict[tuple[int, int], list[_Rect]] = {}
        for rect in rects:
            self.add(rect)

    def add(self, rect: _Rect) -> None:
        """Take a rectangle."""
        for cell in _cells_of(rect):
            self._cells.setdefault(cell, []).append(rect)

    def is_free(self, rect: _Rect) -> bool:
        """Say whether a rectangle meets none that is taken."""
        cells = (self._cells.get(cell, ()) for cell in _cells_of(rect))
        return not any(rect.meets(other) for cell in cells for other in cell)


def _cells_of(rect: _Rect) -> Iterator[tuple[int, int]]:
    for column in range(int(rect.left // _CELL), int(rect.right // _CELL) + 1):
        for row in range(int(rect.top // _CELL), int(rect.bottom // _CELL) + 1):
            yield column, row


def lay_out_machine(states: Sequence[GraphStep], ways: Sequence[Way]) -> MachineLayout:
    """Return where to draw states and the ways between them.

    Args:
        states: the first is where the machine begins; keys are unique.
        ways: between those states, no two between the same two in the same direction.
    """
    order, back = _sort(states, ways)
    room = {way.source: _room_of(way) for way in ways if way.source == way.target}
    layout = _lay_out_columns({state.key: state for state in states}, order, ways, back, room)
    nodes = tuple(_without(node, room.get(node.key, 0.0)) for node in layout.nodes)
    artist = _Artist(nodes)
    edges = {(edge.source, edge.target): edge for edge in layout.edges}
    drawn: dict[Way, DrawnWay] = {}
    for way in sorted(back, key=artist.length_of):
        drawn[way] = artist.draw_back(way)
    for way in ways:
        if way not in drawn:
            drawn[way] = artist.draw_on(way, edges[way.source, way.target])
    return MachineLayout(
        nodes=nodes,
        ways=tuple(drawn[way] for way in ways),
        width=max(layout.width, artist.right + MARGIN),
        height=max(layout.height, artist.bottom + MARGIN),
    )


def _lay_out_columns(
    states: Mapping[str, GraphStep],
    order: Sequence[str],
    ways: Sequence[Way],
    back: frozenset[Way],
    room: Mapping[str, float],
) -> Layout:
    """Return the states in columns, with the ways that lead on as edges."""
    needs: dict[str, list[str]] = {key: [] for key in states}
    for way in ways:
        if way not in back:
            needs[way.target].append(way.source)
    slots = _FIRST_SLOT + _SLOT * min(len(back), _SLOT_COUNT)
    widest = max((way.width for way in ways if way not in back), default=0.0)
    return lay_out(
        [
            replace(
                states[key],
                needs=tuple(needs[key]),
                height=states[key].height + 2 * room.get(key, 0.0),
            )
            for key in order
        ],
        gap=max(_GAP_MIN, widest + _GAP_PADDING, 2 * slots),
        left=LEFT,
    )


def _room_of(way: Way) -> float:
    """Return how much room a way of a state to itself takes below it; its line is in the middle."""
    return _LOOP + max(way.height, 2 * _BEND)


def _without(node: PlacedNode, room: float) -> PlacedNode:
    return replace(node, y=node.y + room, height=node.height - 2 * room) if room else node


def _sort(states: Sequence[GraphStep], ways: Sequence[Way]) -> tuple[list[str], frozenset[Way]]:
    """Return the states so that ways on lead from earlier to later ones, and the ways back."""
    out: dict[str, list[Way]] = {state.key: [] for state in states}
    for way in ways:
        out[way.source].append(way)
    finished: list[str] = []
    is_inside: dict[str, bool] = {}  # of states that were met: whether the search is below them
    back: set[Way] = set()
    for state in states:
        if state.key in is_inside:
            continue
        is_inside[state.key] = True
        stack = [(state.key, iter(out[state.key]))]
        while stack:
            key, left = stack[-1]
            found = next(left, None)
            if found is None:
                is_inside[key] = False
                finished.append(key)
                stack.pop()
            elif found.target not in is_inside:
                is_inside[found.target] = True
                stack.append((found.target, iter(out[found.target])))
            elif is_inside[found.target]:
                back.add(found)
    return finished[::-1], frozenset(back)


@dataclass(slots=True)
class _Slots:
    """Places for lines that go down beside a column, one for each state they belong to."""

    taken: dict[int, list[str]] = field(default_factory=dict)

    def find(self, column: int, key: str) -> float:
        """Return how far from the column a state's line is."""
        keys = self.taken.setdefault(column, [])
        if key not in keys:
            keys.append(key)
        return _FIRST_SLOT + _SLOT * (keys.index(key) % _SLOT_COUNT)


class _Artist:
    """One drawing while its ways are drawn. `right` and `bottom` are how far they reach."""

    def __init__(self, nodes: Sequence[PlacedNode]) -> None:
        self._nodes = {node.key: node for node in nodes}
        self._lefts: dict[int, float] = {}
        self._rights: dict[int, float] = {}
        self._bottoms: dict[int, float] = {}
        for node in nodes:
            column, right, bottom = node.column, node.x + node.width, node.y + node.height
            self._lefts[column] = min(self._lefts.get(column, node.x), node.x)
            self._rights[column] = max(self._rights.get(column, right), right)
            self._bottoms[column] = max(self._bottoms.get(column, bottom), bottom)
        self._taken = _Space(
            _Rect(node.x, node.y, node.x + node.width, node.y + node.height) for node in nodes
        )
        self._loops: list[_Rect] = []  # labels of ways from a state to itself
        self._lanes: list[_Rect] = []
        self._going_out, self._coming_in = _Slots(), _Slots()
        self.right = self.bottom = 0.0

    def length_of(self, way: Way) -> tuple[int, float, str, str]:
        """Return by what ways back are sorted: short ones run nearest to the states."""
        source, target = self._nodes[way.source], self._nodes[way.target]
        return source.column - target.column, source.y, way.source, way.target

    def draw_back(self, way: Way) -> DrawnWay:
        """Return a way that leads to an earlier state, or to its own."""
        source, target = self._nodes[way.source], self._nodes[way.target]
        begin = (source.x + source.width, source.y + source.height / 2 + _SIDE)
        end = (target.x, target.y + target.height / 2 + _SIDE)
        if way.source == way.target:
            right, left = begin[0] + _LOOP, end[0] - _LOOP
            y = source.y + source.height + (_room_of(way) + _LOOP) / 2
        else:
            right = self._rights[source.column] + self._going_out.find(source.column, way.source)
            left = self._lefts[target.column] - self._coming_in.find(target.column, way.target)
            y = self._find_lane(way, left=left, right=right)
        self.right = max(self.right, right)
        middle, half = (left + right) / 2, max(way.height / 2, _BEND)
        self.bottom = max(self.bottom, y + half)
        label = _Rect(middle - way.width / 2, y - half, middle + way.width / 2, y + half)
        self._taken.add(label)
        if way.source == way.target:
            self._loops.append(label)
        return DrawnWay(
            way=way,
            path=_around(begin, end, right=right, left=left, y=y),
            x=label.left,
            y=y - way.height / 2,
            is_back=True,
        )

    def draw_on(self, way: Way, edge: RoutedEdge) -> DrawnWay:
        """Return a way that leads to a later state, its label in a gap where there is room."""
        label = self._find_room(way, edge)
        self._taken.add(label)
        self.bottom = max(self.bottom, label.bottom)
        return DrawnWay(way=way, path=edge.path, x=label.left, y=label.top, is_back=False)

    def _find_lane(self, way: Way, *, left: float, right: float) -> float:
        """Return the height of a free lane below all states from one column to another."""
        first, last = self._nodes[way.target].column, self._nodes[way.source].column
        half = max(way.height / 2, _BEND)
        lowest = max(bottom for column, bottom in self._bottoms.items() if first <= column <= last)
        loops = [rect.bottom for rect in self._loops if rect.left < right and left < rect.right]
        top, height = max([lowest, *loops]) + _LANE_GAP / 2, 2 * half + _LANE_GAP
        beside = [lane for lane in self._lanes if lane.left < right and left < lane.right]
        for lane in sorted(beside, key=lambda lane: lane.top):
            if lane.top >= top + height:
                break
            top = max(top, lane.bottom)
        self._lanes.append(_Rect(left, top, right, top + height))
        return top + height / 2

    def _find_room(self, way: Way, edge: RoutedEdge) -> _Rect:
        places = [_label_at(way, span, turn) for span in reversed(edge.spans) for turn in _TURNS]
        for place in places:
            if self._taken.is_free(place):
                return place
        place = places[0]
        while not self._taken.is_free(place):
            place = _Rect(place.left, place.top + _SHIFT, place.right, place.bottom + _SHIFT)
        return place


def _label_at(way: Way, span: tuple[float, float, float, float], turn: float) -> _Rect:
    """Return a label around a place of a curve, 0 its begin and 1 its end, inside the gap."""
    x, y, x_to, y_to = span
    share = turn * turn * (3 - 2 * turn)
    room = max(x_to - x - way.width, 0.0) / 2
    middle = (x + x_to) / 2 + min(max((x_to - x) * (turn - 0.5), -room), room)
    height = y + (y_to - y) * share
    return _Rect(
        middle - way.width / 2,
        height - way.height / 2,
        middle + way.width / 2,
        height + way.height / 2,
    )


def _around(
    begin: tuple[float, float], end: tuple[float, float], *, right: float, left: float, y: float
) -> str:
    """Return a line that goes right, down, left, up, and right again, with round corners."""
    (begin_x, begin_y), (end_x, end_y) = begin, end
    return "".join(
        (
            f"M{_px(begin_x)} {_px(begin_y)}H{_px(right - _BEND)}",
            f"Q{_px(right)} {_px(begin_y)} {_px(right)} {_px(begin_y + _BEND)}",
            f"V{_px(y - _BEND)}",
            f"Q{_px(right)} {_px(y)} {_px(right - _BEND)} {_px(y)}H{_px(left + _BEND)}",
            f"Q{_px(left)} {_px(y)} {_px(left)} {_px(y - _BEND)}V{_px(end_y + _BEND)}",
            f"Q{_px(left)} {_px(end_y)} {_px(left + _BEND)} {_px(end_y)}H{_px(end_x)}",
        )
    )


def _px(length: float) -> str:
    return f"{length:.1f}".removesuffix(".0")
