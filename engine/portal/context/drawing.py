"""Steps as nodes and edges for the template `engine/_graph.html`. Read `draw` first.

A level is laid out from the inside: what a container holds is drawn first, then the container is a
node as large as that needs, among the steps beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from engine.domain.keys import is_undo, parent_of, path_of, undone_by
from engine.portal.context.group_nodes import group_facts, name_of, rest_facts
from engine.portal.context.link_labels import Label, Link, label_size, make_label
from engine.portal.context.nodes import (
    HEAD_HEIGHT,
    PADDING,
    Edge,
    Node,
    StepFacts,
    View,
    head_width,
    make_box,
    make_node,
    node_id,
    px,
)
from engine.portal.folding import WHOLE_COUNT_MAX, Folded, FoldStep, Group, fold
from engine.portal.graph import GraphStep, PlacedNode, lay_out, lay_out_grid
from engine.portal.machine_graph import Way, lay_out_machine

__all__ = [
    "Drawing",
    "StepFacts",
    "View",
    "draw",
    "node_id",
]

INSTANCE_COUNT_MAX: Final = 6  # of a map that are drawn beside each other; more are counted
_NODE_COUNT_MAX: Final = 600  # nodes of one drawing; more are neither seen nor quickly sent
_ROW_COUNT: Final = 3  # instances below each other before there are two columns
_REPEATING: Final = frozenset({"map", "matrix"})
_URGENCY: Final = ("failed", "rejected", "expired", "waiting", "running", "cancelled", "pending")
_QUIET: Final = frozenset({"", "approved", "pending", "skipped", "cancelled"})
_ENDED: Final = frozenset({"approved", "failed", "rejected", "expired"})
_ACTIVE: Final = frozenset({"waiting", "running", "failed", "rejected", "expired", "approved"})

_RETURN_ROOM: Final = 22  # below the turn of a loop, for the way back to its begin
_RETURN_SIDE: Final = 8
_RETURN_BEND: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGroup:
    """A group whose members are drawn one by one, and where it is closed again."""

    name: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A graph. A box comes before the nodes inside it, whose edges it has.

    `focus` is the id of the node to begin at. `folded_count` steps are not drawn one by one.
    `refused_count`: there are so many nodes that none is drawn.
    """

    width: str
    height: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    focus: str
    folded_count: int
    opened: tuple[OpenGroup, ...]
    labels: tuple[Label, ...] = ()
    refused_count: int = 0

    @property
    def has_ends(self) -> bool:
        """Say whether any edge has an arrow head."""
        inner = (edge for node in self.nodes for edge in node.edges)
        return any(edge.has_end for edge in (*self.edges, *inner))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """A step at its place in a level; `held` is what is inside it, moved by (right, down)."""

    facts: StepFacts
    x: float
    y: float
    width: float
    height: float
    is_group: bool = False
    held: "_Level | None" = None
    right: float = 0.0
    down: float = 0.0


@dataclass(slots=True, kw_only=True)
class _Level:
    """Steps that are drawn beside each other with all that is inside them, from (0, 0)."""

    width: float = 0.0
    height: float = 0.0
    items: list[_Item] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)


class _TooManyError(Exception):
    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


def draw(steps: Sequence[StepFacts], view: View, *, links: Sequence[Link] | None = None) -> Drawing:
    """Return steps as a drawing.

    Args:
        steps: in an order in which needs come first, and containers before what is inside them.
        view: how they are looked at.
        links: of a state machine, the ways between the outermost steps, which are its states; the
            first of them is where it begins.
    """
    artist = _Artist(steps, view)
    try:
        return artist.draw(links)
    except _TooManyError as error:
        return Drawing(
            width="0",
            height="0",
            nodes=(),
            edges=(),
            focus="",
            folded_count=0,
            opened=(),
            refused_count=error.count,
        )


class _Artist:
    """One drawing while it is made."""

    def __init__(self, steps: Sequence[StepFacts], view: View) -> None:
        self._facts = {step.key: step for step in steps}
        self._view = view
        self._inside: dict[str, list[StepFacts]] = {}
        for step in steps:
            self._inside.setdefault(step.parent, []).append(step)
        self._is_crowded = not view.is_whole and self._estimate("") > WHOLE_COUNT_MAX
        self._count = 0
        self._hidden_count = 0
        self._folded: list[Group] = []
        self._opened: list[OpenGroup] = []

    def draw(self, links: Sequence[Link] | None) -> Drawing:
        """Return the drawing. Raises: _TooManyError."""
        outermost = self._inside.get("", [])
        level = self._level(outermost) if links is None else self._machine(outermost, links)
        shown = self._shown_as(level)
        nodes = tuple(self._node(item, is_chosen=item.facts.key == shown) for item in level.items)
        return Drawing(
            width=px(level.width),
            height=px(level.height),
            nodes=nodes,
            edges=_layered(level.edges),
            focus=node_id(shown or self._group_of(self._view.chosen)) if nodes else "",
            folded_count=self._hidden_count,
            opened=tuple(self._opened),
            labels=tuple(level.labels),
        )

    # --- levels ----------------------------------------------------------------------------------

    def _level(self, steps: Sequence[StepFacts], *, margin: float | None = None) -> _Level:
        """Return steps that need each other."""
        here = {step.key for step in steps}
        folded = fold(
            [
                FoldStep(
                    key=step.key,
                    needs=tuple(need for need in step.needs if need in here),
                    kind=f"{step.container} {step.key}" if step.container else step.kind,
                )
                for step in steps
            ],
            opened=self._view.opened,
            whole=self._view.is_whole,
        )
        self._note(folded)
        groups = {group.key: group for group in folded.groups}
        shown = {
            step.key: group_facts(step, groups[step.key], self._facts)
            if step.key in groups
            else self._facts[step.key]
            for step in folded.steps
        }
        inner, sized = self._sized(folded.steps, shown)
        layout = lay_out(sized) if margin is None else lay_out(sized, margin=margin)
        level = _Level(width=layout.width, height=layout.height)
        for edge in layout.edges:
            kind = _edge_kind(shown[edge.source], shown[edge.target])
            level.edges.append(
                Edge(source=edge.source, target=edge.target, path=edge.path, kind=kind)
            )
        self._fill(level, layout.nodes, shown, inner, groups=frozenset(groups))
        return level

    def _grid(self, steps: Sequence[StepFacts]) -> _Level:
        """Return instances, which are equal and need nothing of each other."""
        shown = {step.key: step for step in steps}
        inner, sized = self._sized([GraphStep(key=step.key) for step in steps], shown)
        columns = 1 if len(steps) <= _ROW_COUNT else 2
        layout = lay_out_grid(sized, column_count=columns, margin=PADDING)
        level = _Level(width=layout.width, height=layout.height)
        self._fill(level, layout.nodes, shown, inner)
        return level

    def _machine(self, states: Sequence[StepFacts], links: Sequence[Link]) -> _Level:
        shown = {state.key: state for state in states}
        inner, sized = self._sized([GraphStep(key=state.key) for state in states], shown)
        known = [link for link in links if link.source in shown and link.target in shown]
        sizes = [label_size(link) for link in known]
        drawn = lay_out_machine(
            sized,
            [
                Way(source=link.source, target=link.target, width=width, height=height)
                for link, (width, height) in zip(known, sizes, strict=True)
            ],
        )
        level = _Level(width=drawn.width, height=drawn.height)
        for link, way in zip(known, drawn.ways, strict=True):
            kind = "taken" if link.is_taken else "open"
            level.edges.append(
                Edge(
                    source=link.source,
                    target=link.target,
                    path=way.path,
                    kind=kind,
                    has_end=True,
                    is_back=way.is_back,
                )
            )
            if link.lines:
                level.labels.append(make_label(link, x=way.x, y=way.y))
        self._fill(level, drawn.nodes, shown, inner)
        return level

    def _turn(self, step: StepFacts) -> _Level:
        """Return the one turn of a loop that is drawn, with its way back to the begin."""
        level = self._level([step], margin=PADDING)
        item = level.items[0]
        middle, bottom = item.y + item.height / 2, item.y + item.height
        bend, low = _RETURN_BEND, bottom + _RETURN_ROOM / 2
        right, left = item.x + item.width + _RETURN_SIDE, item.x - _RETURN_SIDE
        path = (
            f"M{px(item.x + item.width)} {px(middle)}H{px(right - bend)}"
            f"Q{px(right)} {px(middle)} {px(right)} {px(middle + bend)}V{px(low - bend)}"
            f"Q{px(right)} {px(low)} {px(right - bend)} {px(low)}H{px(left + bend)}"
            f"Q{px(left)} {px(low)} {px(left)} {px(low - bend)}V{px(middle + bend)}"
            f"Q{px(left)} {px(middle)} {px(left + bend)} {px(middle)}H{px(item.x)}"
        )
        is_first = "#" not in step.key.rpartition("/")[2]
        kind = "open" if step.mark and is_first else "taken"
        level.edges.append(
            Edge(
                source=step.key,
                target=step.key,
                path=path,
                kind=kind,
                has_end=True,
                is_back=True,
            )
        )
        level.height += _RETURN_ROOM - PADDING / 2
        return level

    def _sized(
        self, steps: Sequence[GraphStep], shown: Mapping[str, StepFacts]
    ) -> tuple[dict[str, _Level], list[GraphStep]]:
        """Return what containers hold, and the steps with the room they need."""
        self._count += len(steps)
        if self._count > _NODE_COUNT_MAX:
            raise _TooManyError(max(self._count, len(self._facts)))
        inner: dict[str, _Level] = {}
        sized = []
        for step in steps:
            level = self._held(shown[step.key])
            if level is None:
                sized.append(step)
                continue
            inner[step.key] = level
            width = max(level.width, head_width(shown[step.key]))
            sized.append(replace(step, width=width, height=level.height + HEAD_HEIGHT - PADDING))
        return inner, sized

    def _fill(
        self,
        level: _Level,
        places: Sequence[PlacedNode],
        shown: Mapping[str, StepFacts],
        inner: Mapping[str, _Level],
        *,
        groups: frozenset[str] = frozenset(),
    ) -> None:
        """Put steps, and what is inside them, where the layout has them."""
        for place in places:
            facts, held = shown[place.key], inner.get(place.key)
            right = (place.width - held.width) / 2 if held else 0.0
            down = HEAD_HEIGHT - PADDING
            level.items.append(
                _Item(
                    facts=facts,
                    x=place.x,
                    y=place.y,
                    width=place.width,
                    height=place.height,
                    is_group=place.key in groups or (held is None and self._is_closed(facts)),
                    held=held,
                    right=right,
                    down=down,
                )
            )
            for item in held.items if held else ():
                x, y = place.x + right + item.x, place.y + down + item.y
                level.items.append(replace(item, x=x, y=y))

    # --- what is inside --------------------------------------------------------------------------

    def _held(self, step: StepFacts) -> _Level | None:
        """Return what is drawn inside a step, `None` where it is drawn as one node."""
        inside = self._inside.get(step.key, [])
        if not inside:
            return None
        if self._is_closed(step):
            self._hidden_count += self._count_inside(step.key)
            return None
        if self._is_crowded and self._is_asked(step.key) and step.mark in _QUIET:
            self._opened.append(OpenGroup(name=step.title, count=len(inside)))
        if step.container == "loop":
            asked = (one for one in inside if self._is_asked(one.key))
            return self._turn(next(asked, inside[-1]))
        if step.container in _REPEATING:
            return self._grid(self._instances(step, inside))
        return self._level(inside, margin=PADDING)

    def _is_closed(self, step: StepFacts) -> bool:
        """Say whether a container is drawn as one node: in a crowd, where nothing presses."""
        inside = self._inside.get(step.key, [])
        if not inside or not self._is_crowded or self._is_asked(step.key):
            return False
        return all(one.mark in _QUIET for one in (step, *inside))

    def _estimate(self, key: str) -> int:
        """Return about how many nodes there are in a container if nothing in it is closed."""
        inside = self._inside.get(key, [])
        around = self._facts.get(key)
        if around is not None and around.container == "loop":
            inside = inside[-1:]
        elif around is not None and around.container in _REPEATING:
            inside = inside[:INSTANCE_COUNT_MAX]
        return len(inside) + sum(self._estimate(step.key) for step in inside)

    def _is_asked(self, key: str) -> bool:
        asked = {*self._view.opened, self._view.chosen}
        return any(item == key or item.startswith(f"{key}/") for item in asked)

    def _count_inside(self, key: str) -> int:
        inside = self._inside.get(key, [])
        return len(inside) + sum(self._count_inside(step.key) for step in inside)

    def _instances(self, step: StepFacts, inside: list[StepFacts]) -> list[StepFacts]:
        """Return the instances of a map that are drawn, the most urgent ones, and the rest."""
        total = max(step.done.total if step.done else 0, len(inside))
        most = WHOLE_COUNT_MAX if self._view.is_whole else INSTANCE_COUNT_MAX
        if total <= most:
            return inside
        ranks = {mark: rank for rank, mark in enumerate(_URGENCY)}
        ordered = sorted(
            range(len(inside)),
            key=lambda number: (
                not self._is_asked(inside[number].key),
                ranks.get(inside[number].mark, len(_URGENCY)),
                number,
            ),
        )
        shown = [inside[number] for number in sorted(ordered[: most - 1])]
        if not self._view.is_whole:
            self._hidden_count += total - len(shown)
        return [*shown, rest_facts(step, shown, total=total)]

    def _note(self, folded: Folded) -> None:
        self._folded += folded.groups
        self._hidden_count += sum(len(group.members) for group in folded.groups)
        self._opened += [
            OpenGroup(name=name_of(group, self._facts), count=len(group.members))
            for group in folded.opened
        ]

    # --- nodes -----------------------------------------------------------------------------------

    def _node(self, item: _Item, *, is_chosen: bool) -> Node:
        x, y, view = item.x, item.y, self._view
        if item.held is None:
            return make_node(
                item.facts, x=x, y=y, view=view, is_group=item.is_group, is_chosen=is_chosen
            )
        size = (item.width, item.height)
        box = make_box(item.facts, x=x, y=y, size=size, view=view, is_chosen=is_chosen)
        return replace(
            box,
            edges=_layered(item.held.edges),
            inner_x=px(x + item.right),
            inner_y=px(y + item.down),
        )

    def _shown_as(self, level: _Level) -> str:
        """Return the key of the node of the chosen step, or of what it is drawn in; "" for none."""
        drawn = {item.facts.key: item.facts.key for item in level.items}
        # An earlier visit to a state is shown as the state; a compensation as what it undoes.
        drawn = {path_of(key): key for key in reversed(drawn) if "/" not in key} | drawn
        key = self._view.chosen
        if is_undo(key) and key not in drawn:
            key = undone_by(key)
        while key and key not in drawn:
            key = parent_of(key) or (path_of(key) if path_of(key) in drawn else "")
        return drawn.get(key, "")

    def _group_of(self, key: str) -> str:
        """Return the folded group a step is in, the first step if it is in none."""
        group = next((one for one in self._folded if key in one.members), None)
        return group.key if group else self._inside[""][0].key


# --- edges ---------------------------------------------------------------------------------------


def _layered(edges: Sequence[Edge]) -> tuple[Edge, ...]:
    """Return edges so that what was taken lies above what was not."""
    return tuple(sorted(edges, key=lambda edge: edge.kind == "taken"))


def _edge_kind(source: StepFacts, target: StepFacts) -> str:
    if not source.mark:
        return "taken"  # a definition: nothing has run
    if "skipped" in (source.mark, target.mark):
        return "skipped"
    return "taken" if source.mark in _ENDED and target.mark in _ACTIVE else "open"
