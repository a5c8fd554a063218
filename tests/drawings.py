"""Looking at drawings by machine: points of paths, boxes, and pages' graphs. Read `read_page`."""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Self
from xml.etree import ElementTree as ET

_SVG = re.compile(r'<svg id="graph-svg".*?</svg>', re.DOTALL)
_COMMAND = re.compile(r"([MLHVCQ])([^MLHVCQ]*)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_SHIFT = re.compile(r"translate\((-?[\d.]+) (-?[\d.]+)\)")
_SAMPLES = 12
_NEAR = 1.5  # pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle with what it stands for."""

    key: str
    left: float
    top: float
    width: float
    height: float
    label: str = ""
    holds: bool = False
    is_chosen: bool = False
    href: str = ""

    @classmethod
    def of(cls, node) -> Self:
        """Return the box of anything with `key`, `x`, `y`, `width` and `height`."""
        return cls(
            key=node.key,
            left=float(node.x),
            top=float(node.y),
            width=float(node.width),
            height=float(node.height),
        )

    @property
    def right(self) -> float:
        """The right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.top + self.height

    def holds_point(self, x: float, y: float, *, inset: float = 1.0) -> bool:
        """Say whether a point is inside, and not at the very edge."""
        return (
            self.left + inset < x < self.right - inset
            and self.top + inset < y < self.bottom - inset
        )

    def holds_box(self, other: "Box") -> bool:
        """Say whether another one is inside."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and other.right <= self.right
            and other.bottom <= self.bottom
        )

    def meets(self, other: "Box") -> bool:
        """Say whether two have more than an edge in common."""
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.bottom <= other.top or other.bottom <= self.top)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An edge of a page's graph: its points, from its begin to its end."""

    points: tuple[tuple[float, float], ...]
    is_back: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A graph as a page has it. `labels` are what its ways are called, in full."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    labels: tuple[str, ...]
    source: str

    def find(self, key: str) -> Box:
        """Return the box whose id is of a key, such as `scan.item.2`."""
        return next(box for box in self.boxes if box.key == f"node-{key}")

    def inside(self, key: str) -> list[str]:
        """Return the ids of the boxes inside another one, of any depth."""
        around = self.find(key)
        return [box.key for box in self.boxes if box is not around and around.holds_box(box)]


def points_of(path: str) -> list[tuple[float, float]]:
    """Return points along an SVG path: corners, and samples of curves."""
    points: list[tuple[float, float]] = []
    x = y = 0.0
    for command, rest in _COMMAND.findall(path):
        numbers = [float(item) for item in _NUMBER.findall(rest)]
        if command == "H":
            ends = [(numbers[0], y)]
        elif command == "V":
            ends = [(x, numbers[0])]
        else:
            ends = list(zip(numbers[::2], numbers[1::2], strict=True))
        controls = [(x, y), *ends]
        if command == "M":
            points.append(ends[0])
        else:
            shares = [number / _SAMPLES for number in range(1, _SAMPLES + 1)]
            points += [_between(controls, share) for share in shares]
        x, y = ends[-1]
    return points


def _between(controls: list[tuple[float, float]], share: float) -> tuple[float, float]:
    """Return a point of a Bézier curve, by de Casteljau."""
    while len(controls) > 1:
        controls = [
            (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)
            for a, b in pairwise(controls)
        ]
    return controls[0]


def read_page(page: str) -> Picture:
    """Return the graph of a page's HTML."""
    found = _SVG.search(page)
    assert found, "the page has a graph"
    svg = ET.fromstring(found[0].replace(" data-step>", ">"))
    boxes = [_box(link) for link in svg.iter("a") if "node" in link.attrib.get("class", "").split()]
    lines = []
    for group in svg.iter("g"):
        if group.attrib.get("class") != "edges":
            continue
        x, y = _shift(group)
        for path in group.findall("path"):
            points = tuple((x + a, y + b) for a, b in points_of(path.attrib["d"]))
            is_back = "back" in path.attrib["class"].split()
            lines.append(Line(points=points, is_back=is_back))
    labels = [
        group.findtext("title", "")
        for group in svg.iter("g")
        if group.attrib.get("class", "").startswith("way")
    ]
    return Picture(boxes=tuple(boxes), lines=tuple(lines), labels=tuple(labels), source=found[0])


def check(picture: Picture) -> None:
    """Assert that nodes lie beside or inside each other, and that edges lead from one to one."""
    for number, first in enumerate(picture.boxes):
        for second in picture.boxes[number + 1 :]:
            if first.meets(second):
                assert first.holds, (first, second)
                assert first.holds_box(second), (first, second)
    for line in picture.lines:
        x, y = line.points[0]
        begins = [box for box in picture.boxes if _touches(box.right, x, box, y)]
        x, y = line.points[-1]
        ends = [box for box in picture.boxes if _touches(box.left, x, box, y)]
        assert begins, line
        assert ends, line


def _touches(edge: float, x: float, box: Box, y: float) -> bool:
    return abs(edge - x) < _NEAR and box.top - _NEAR <= y <= box.bottom + _NEAR


def _box(link: ET.Element) -> Box:
    x, y = _shift(link)
    shape = next(item for item in link.findall("rect") if item.attrib.get("class") == "box")
    return Box(
        key=link.attrib["id"],
        left=x,
        top=y,
        width=float(shape.attrib["width"]),
        height=float(shape.attrib["height"]),
        label=link.findtext("title", ""),
        holds="holds" in link.attrib["class"].split(),
        is_chosen=link.attrib.get("aria-current") == "true",
        href=link.attrib.get("href", ""),
    )


def _shift(element: ET.Element) -> tuple[float, float]:
    found = _SHIFT.match(element.attrib.get("transform", ""))
    return (float(found[1]), float(found[2])) if found else (0.0, 0.0)
