"""Steps as nodes and edges for the template `engine/_graph.html`. Read `draw` first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.portal.folding import Folded, FoldStep, Group, fold, name_group
from engine.portal.graph import NODE_WIDTH, GraphStep, lay_out
from engine.portal.statuses import say_counts, worst_mark
from engine.portal.text_width import fit, measure

_TEXT_LEFT: Final = 38
_TEXT_RIGHT: Final = NODE_WIDTH - 14
_TITLE_SIZE: Final = 13
_DETAIL_SIZE: Final = 12
_DOT_SIZE: Final = 12  # of one quorum dot with its gap
_NODE_COUNT_MAX: Final = 600  # nodes of one drawing; more are neither seen nor quickly sent
_DOT_COUNT_MAX: Final = 5  # more are written as numbers
_GOOD: Final = frozenset({"approved"})
_ACTIVE: Final = frozenset({"waiting", "running", "failed", "rejected", "expired", "approved"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFacts:
    """What a node shows. `key` is a step's id, or `compensate/<id>` for a compensation.

    `mark` and `word` are "" where nothing has run yet: in a definition. `given` of `needed`
    decisions are drawn as dots; 0 needed draws none. `symbol` is an icon where there is no mark.
    """

    key: str
    needs: tuple[str, ...]
    kind: str
    title: str
    detail: str = ""
    right: str = ""
    mark: str = ""
    word: str = ""
    is_human: bool = False
    symbol: str = "zap"
    given: int = 0
    needed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One decision of a quorum, at x."""

    x: str
    is_given: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node as the template draws it. Texts are cut to fit; `label` is all of it in words.

    Lengths are texts: a template would write numbers in the reader's locale, and slowly.
    """

    id: str
    key: str
    x: str
    y: str
    href: str
    label: str
    title: str
    detail: str
    right: str
    mark: str
    symbol: str
    is_human: bool
    is_group: bool
    is_chosen: bool
    is_dimmed: bool
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An edge. `kind` is "taken", "open" or "skipped"."""

    path: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGroup:
    """A group whose members are drawn one by one, and where it is closed again."""

    name: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A graph.

    `focus` is the id of the node to begin at. `folded_count` steps hide in groups.
    `refused_count`: there are so many nodes that none is drawn.
    """

    width: str
    height: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    focus: str
    folded_count: int
    opened: tuple[OpenGroup, ...]
    refused_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How a graph is looked at.

    Attributes:
        chosen: the step that is looked at, "" for none.
        opened: keys of groups, or of steps in them, that are drawn one by one.
        is_whole: nothing is folded.
        only: a mark; nodes with another one are dimmed.
        link_step: where a step leads.
        link_group: where a group leads.
    """

    chosen: str
    opened: frozenset[str]
    is_whole: bool
    only: str
    link_step: Callable[[str], str]
    link_group: Callable[[str], str]


def draw(steps: Sequence[StepFacts], view: View) -> Drawing:
    """Return steps as a drawing.

    Args:
        steps: in an order in which needs come first; `needs` are keys.
        view: how they are looked at.
    """
    facts = {step.key: step for step in steps}
    folded = fold(
        [FoldStep(key=step.key, needs=step.needs, kind=step.kind) for step in steps],
        opened=view.opened,
        whole=view.is_whole,
    )
    if len(folded.steps) > _NODE_COUNT_MAX:
        return _too_many(len(folded.steps))
    groups = {group.key: group for group in folded.groups}
    shown = {
        step.key: _group_facts(step, groups[step.key], facts)
        if step.key in groups
        else facts[step.key]
        for step in folded.steps
    }
    layout = lay_out(folded.steps)
    nodes = tuple(
        _node(shown[place.key], x=place.x, y=place.y, view=view, is_group=place.key in groups)
        for place in layout.nodes
    )
    edges = tuple(
        Edge(path=edge.path, kind=_edge_kind(shown[edge.source], shown[edge.target]))
        for edge in layout.edges
    )
    return Drawing(
        width=_px(layout.width),
        height=_px(layout.height),
        nodes=nodes,
        # What was taken lies above what was not.
        edges=tuple(sorted(edges, key=lambda edge: edge.kind == "taken")),
        focus=_focus(nodes, folded, view),
        folded_count=sum(len(group.members) for group in folded.groups),
        opened=tuple(
            OpenGroup(name=_name(group, facts), count=len(group.members)) for group in folded.opened
        ),
    )


def _too_many(count: int) -> Drawing:
    return Drawing(
        width="0",
        height="0",
        nodes=(),
        edges=(),
        focus="",
        folded_count=0,
        opened=(),
        refused_count=count,
    )


def node_id(key: str) -> str:
    """Return the HTML id of a step's node."""
    return "node-" + key.replace("/", "-").replace(":", "-")


def _group_facts(step: GraphStep, group: Group, facts: Mapping[str, StepFacts]) -> StepFacts:
    members = [facts[member] for member in group.members]
    marks = [member.mark for member in members if member.mark]
    counts = [(mark, text) for mark, _, text in say_counts(marks) if mark != "approved"]
    done = sum(mark == "approved" for mark in marks)
    parts = [f"{done} of {len(members)} done"] if marks else [f"{len(members)} steps"]
    parts += [text for mark, text in counts if mark in {"failed", "waiting", "rejected"}]
    first, worst = members[0], worst_mark(marks) if marks else ""
    return StepFacts(
        key=group.key,
        needs=step.needs,
        kind=first.kind,
        title=f"{_name(group, facts)}, {len(members)} steps",
        detail=", ".join(parts),
        mark=worst,
        word=next((item.word for item in members if item.mark == worst), ""),
        is_human=first.is_human,
        symbol=first.symbol,
    )


def _name(group: Group, facts: Mapping[str, StepFacts]) -> str:
    return name_group([facts[member].title for member in group.members])


def _node(step: StepFacts, *, x: float, y: float, view: View, is_group: bool) -> Node:
    dots = _dots(step)
    right = "" if dots else step.right or _quorum(step)
    used = len(dots) * _DOT_SIZE if dots else measure(right, size=_DETAIL_SIZE)
    room = _TEXT_RIGHT - _TEXT_LEFT
    return Node(
        id=node_id(step.key),
        key=step.key,
        x=_px(x),
        y=_px(y),
        href=view.link_group(step.key) if is_group else view.link_step(step.key),
        label=_label(step),
        title=fit(step.title, width=room, size=_TITLE_SIZE),
        detail=fit(step.detail, width=room - used - (8 if used else 0), size=_DETAIL_SIZE),
        right=right,
        mark=step.mark,
        symbol=step.symbol,
        is_human=step.is_human,
        is_group=is_group,
        is_chosen=step.key == view.chosen,
        is_dimmed=bool(view.only) and step.mark != view.only,
        dots=dots,
    )


def _label(step: StepFacts) -> str:
    """Return a node in words, beginning with its status."""
    parts = (step.title, step.detail, _quorum(step), step.right)
    text = " ".join(part for part in parts if part)
    return f"{step.word}: {text}" if step.word else text


def _quorum(step: StepFacts) -> str:
    return f"{step.given} of {step.needed}" if step.needed else ""


def _dots(step: StepFacts) -> tuple[Dot, ...]:
    if not 0 < step.needed <= _DOT_COUNT_MAX:
        return ()
    first = _TEXT_RIGHT - step.needed * _DOT_SIZE + _DOT_SIZE / 2
    return tuple(
        Dot(x=_px(first + number * _DOT_SIZE), is_given=number < step.given)
        for number in range(step.needed)
    )


def _px(length: float) -> str:
    return f"{length:.1f}".removesuffix(".0")


def _edge_kind(source: StepFacts, target: StepFacts) -> str:
    if not source.mark:
        return "taken"  # a definition: nothing has run
    if "skipped" in (source.mark, target.mark):
        return "skipped"
    is_over = source.mark in _GOOD or source.mark in {"failed", "rejected", "expired"}
    return "taken" if is_over and target.mark in _ACTIVE else "open"


def _focus(nodes: Sequence[Node], folded: Folded, view: View) -> str:
    """Return the node to begin at: the chosen one, or the group it is in."""
    for node in nodes:
        if node.key == view.chosen:
            return node.id
    for group in folded.groups:
        if view.chosen in group.members:
            return node_id(group.key)
    return nodes[0].id if nodes else ""
