"""The nodes of a graph: what a step shows, fitted into its box. Read `StepFacts`, `make_node`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from engine.portal.graph import NODE_HEIGHT, NODE_WIDTH
from engine.portal.text_width import fit, measure
from engine.selectors.run_shapes import Progress

HEAD_HEIGHT: Final = 36  # of a box
PADDING: Final = 14  # of a box, around what is inside it
_HEAD_WIDTH_MAX: Final = 420  # a box is not made wider than this for its title
_TEXT_LEFT: Final = 38
_TEXT_RIGHT: Final = NODE_WIDTH - 14
_TITLE_SIZE: Final = 13
_DETAIL_SIZE: Final = 12
_WORD_GAP: Final = 8  # between texts of one line
_DOT_SIZE: Final = 12  # of one quorum dot with its gap
_DOT_COUNT_MAX: Final = 5  # more are written as numbers
_BADGE_SIZE: Final = 17  # of one badge with its gap
_BADGE_COUNT_MAX: Final = 4  # more are only in the words


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """What else holds for a step: an icon with its words."""

    icon: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFacts:
    """What a node shows.

    Attributes:
        key: a short key such as `scan/item#3` or `compensate/build`; in a definition, a path.
        needs: keys of the steps it comes after; only those beside it are drawn.
        kind: equal for steps that may be drawn as one.
        title: its first line.
        detail: its second line.
        right: how long it took, or the like.
        mark: its shape, "" where nothing has run yet: in a definition.
        word: what the mark means, "" where there is none.
        is_human: people end it.
        symbol: an icon, where there is no mark.
        given: decisions there are.
        needed: decisions there must be, drawn as dots; 0 draws none.
        parent: the key of the container it is in, "" for none.
        container: what it does with the steps inside it: "group", "race", "map", "matrix" or
            "loop"; "" for a step without any.
        done: of a map, matrix or loop, how far its instances have come.
        badges: what else holds for it.
        target: the key its link leads to, where that is another.
        is_planned: a run has not come to it, so that its link leads to the definition.
        ways: where a state leads, in words.
        is_here: a run is in this state now.
        is_first: a machine begins in this state.
        is_final: a machine ends in this state.
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
    parent: str = ""
    container: str = ""
    done: Progress | None = None
    badges: tuple[Badge, ...] = ()
    target: str = ""
    is_planned: bool = False
    ways: str = ""
    is_here: bool = False
    is_first: bool = False
    is_final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One decision of a quorum, at x."""

    x: str
    is_given: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnBadge:
    """A badge of a node, at x."""

    x: str
    icon: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An edge. `kind` is "taken", "open" or "skipped"; `has_end`: it has an arrow head."""

    source: str
    target: str
    path: str
    kind: str
    has_end: bool = False
    is_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node as the template draws it. Texts are cut to fit; `label` is all of it in words.

    Lengths are texts: a template would write numbers in the reader's locale, and slowly. `is_box`:
    a container whose steps are drawn after it, with their `edges` moved to (`inner_x`, `inner_y`);
    `is_group`: one node for several steps that can be opened; `is_stack`: for several of any kind.
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
    badges: tuple[DrawnBadge, ...] = ()
    is_box: bool = False
    is_stack: bool = False
    is_here: bool = False
    is_first: bool = False
    is_final: bool = False
    width: str = str(NODE_WIDTH)
    height: str = str(NODE_HEIGHT)
    middle: str = str(NODE_HEIGHT / 2)
    detail_x: str = ""
    ring_width: str = str(NODE_WIDTH + 9)
    ring_height: str = str(NODE_HEIGHT + 9)
    final_width: str = str(NODE_WIDTH - 7)
    final_height: str = str(NODE_HEIGHT - 7)
    edges: tuple[Edge, ...] = ()
    inner_x: str = ""
    inner_y: str = ""


def node_id(key: str) -> str:
    """Return the HTML id of a step's node."""
    return "node-" + key.replace("/", ".").replace(":", ".").replace("#", ".")


def _link_here(key: str) -> str:
    return f"#{node_id(key)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How a graph is looked at.

    Attributes:
        chosen: the step that is looked at, "" for none.
        opened: keys of groups and containers, or of steps in them, that are drawn one by one.
        is_whole: nothing is folded.
        only: a mark; nodes with another one are dimmed.
        link_step: where a step leads.
        link_group: where a group leads.
        link_plan: where a step leads that a run has not come to.
    """

    chosen: str
    opened: frozenset[str]
    is_whole: bool
    only: str
    link_step: Callable[[str], str]
    link_group: Callable[[str], str]
    link_plan: Callable[[str], str] = _link_here


def px(length: float) -> str:
    """Return a length as SVG has it, to a tenth of a pixel."""
    return f"{length:.1f}".removesuffix(".0")


def make_node(
    step: StepFacts, *, x: float, y: float, view: View, is_group: bool, is_chosen: bool
) -> Node:
    """Return a step, or several as one, as a node at a place."""
    dots = _dots(step)
    right = "" if dots else step.right or _quorum(step)
    used = len(dots) * _DOT_SIZE if dots else measure(right, size=_DETAIL_SIZE)
    room = _TEXT_RIGHT - _TEXT_LEFT
    badges = _badges(step, right=_TEXT_RIGHT)
    link = view.link_group if is_group else view.link_plan if step.is_planned else view.link_step
    return Node(
        id=node_id(step.key),
        key=step.key,
        x=px(x),
        y=px(y),
        href=link(step.target or step.key),
        label=_label(step),
        title=fit(
            step.title,
            width=room - (len(badges) * _BADGE_SIZE + 2 if badges else 0),
            size=_TITLE_SIZE,
        ),
        detail=fit(step.detail, width=room - used - (_WORD_GAP if used else 0), size=_DETAIL_SIZE),
        right=right,
        mark=step.mark,
        symbol=step.symbol,
        is_human=step.is_human,
        is_group=is_group,
        is_chosen=is_chosen,
        is_dimmed=bool(view.only) and step.mark != view.only,
        dots=dots,
        badges=badges,
        is_stack=is_group or bool(step.container),
        is_here=step.is_here,
        is_first=step.is_first,
        is_final=step.is_final,
    )


def make_box(
    step: StepFacts,
    *,
    x: float,
    y: float,
    size: tuple[float, float],
    view: View,
    is_chosen: bool,
) -> Node:
    """Return a container around what is inside it; `size` is its width and height."""
    width, height = size
    badges = _badges(step, right=width - PADDING)
    room = width - _TEXT_LEFT - PADDING - len(badges) * _BADGE_SIZE
    full = measure(step.title, size=_TITLE_SIZE)
    told = measure(step.detail, size=_DETAIL_SIZE) + _WORD_GAP
    title = fit(step.title, width=room if full + told <= room else room * 0.5, size=_TITLE_SIZE)
    begin = _TEXT_LEFT + measure(title, size=_TITLE_SIZE) + _WORD_GAP
    return Node(
        id=node_id(step.key),
        key=step.key,
        x=px(x),
        y=px(y),
        href=(view.link_plan if step.is_planned else view.link_step)(step.target or step.key),
        label=_label(step),
        title=title,
        detail=fit(step.detail, width=max(room + _TEXT_LEFT - begin, 0), size=_DETAIL_SIZE),
        right="",
        mark=step.mark,
        symbol=step.symbol,
        is_human=False,
        is_group=False,
        is_chosen=is_chosen,
        is_dimmed=False,
        dots=(),
        badges=badges,
        is_box=True,
        is_here=step.is_here,
        is_first=step.is_first,
        is_final=step.is_final,
        width=px(width),
        height=px(height),
        detail_x=px(begin),
        middle=px(height / 2),
        ring_width=px(width + 9),
        ring_height=px(height + 9),
        final_width=px(width - 7),
        final_height=px(height - 7),
    )


def head_width(step: StepFacts) -> float:
    """Return how wide a box should at least be for its title, in pixels."""
    texts = measure(step.title, size=_TITLE_SIZE) + measure(step.detail, size=_DETAIL_SIZE)
    wanted = _TEXT_LEFT + texts + _WORD_GAP + PADDING + len(step.badges) * _BADGE_SIZE + 2
    return min(wanted, _HEAD_WIDTH_MAX)


def _label(step: StepFacts) -> str:
    """Return a node in words, beginning with its status."""
    parts = (
        step.title,
        step.detail,
        _quorum(step),
        step.right,
        *(f"({badge.words})" for badge in step.badges),
        f"→ {step.ways}" if step.ways else "",
    )
    text = " ".join(part for part in parts if part)
    return f"{step.word}: {text}" if step.word else text


def _quorum(step: StepFacts) -> str:
    return f"{step.given} of {step.needed}" if step.needed else ""


def _dots(step: StepFacts) -> tuple[Dot, ...]:
    if not 0 < step.needed <= _DOT_COUNT_MAX:
        return ()
    first = _TEXT_RIGHT - step.needed * _DOT_SIZE + _DOT_SIZE / 2
    return tuple(
        Dot(x=px(first + number * _DOT_SIZE), is_given=number < step.given)
        for number in range(step.needed)
    )


def _badges(step: StepFacts, *, right: float) -> tuple[DrawnBadge, ...]:
    shown = step.badges[:_BADGE_COUNT_MAX]
    first = right - len(shown) * _BADGE_SIZE + 3
    return tuple(
        DrawnBadge(x=px(first + number * _BADGE_SIZE), icon=badge.icon, words=badge.words)
        for number, badge in enumerate(shown)
    )
