"""A plan's tree, indexed. Read `Node` and `Tree`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.kernel.types import Json
from engine.domain import external
from engine.domain.keys import BODIES
from engine.domain.mentions import mentioned
from engine.domain.plan import (
    AwaitEvent,
    Call,
    Emit,
    Group,
    Kind,
    Loop,
    Map,
    Matrix,
    Plan,
    SetVars,
    Step,
    Timer,
    Uses,
    Wait,
    inner_steps,
    roots,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A step at its place.

    `parent` is the path of its container ("" at the top), `depth` how many containers are around
    it, `dependents` the names of the siblings that need it, `reads` the ids its expressions may
    read.
    """

    step: Step
    path: str
    parent: str
    depth: int
    dependents: tuple[str, ...]
    reads: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Every step of a plan by path, and where each id is. `ids` has no bodies of containers."""

    nodes: Mapping[str, Node]
    ids: Mapping[str, str] = field(default_factory=dict)  # id → path

    def steps(self) -> Iterator[Step]:
        """Yield every step."""
        return (node.step for node in self.nodes.values())

    @property
    def has_priorities(self) -> bool:
        """Say whether any step begins before others."""
        return any(node.step.priority for node in self.nodes.values())

    @property
    def has_queues(self) -> bool:
        """Say whether workers of a label, or programs outside, execute any step."""
        return any(node.step.queue or _is_external(node.step) for node in self.nodes.values())


def index_plan(plan: Plan) -> Tree:
    """Return the tree of a plan."""
    ids = {path.rpartition("/")[2]: path for path in _paths(roots(plan), "")}
    ids = {name: path for name, path in ids.items() if name not in BODIES}
    nodes: dict[str, Node] = {}
    ordered = plan.kind != Kind.STATES
    _add(nodes, roots(plan), parent="", ids=frozenset(ids), ordered=ordered)
    return Tree(nodes=nodes, ids=ids)


def _is_external(step: Step) -> bool:
    """Say whether programs outside execute a step, or what undoes it."""
    undo = step.compensate.uses if step.compensate is not None else None
    return any(
        isinstance(item, Uses) and item.action == external.ACTION for item in (step.verb, undo)
    )


def _paths(steps: Mapping[str, Step], base: str) -> list[str]:
    found: list[str] = []
    for name, step in steps.items():
        path = f"{base}{name}"
        found += [path, *_paths(inner_steps(step), f"{path}/")]
    return found


def _add(
    nodes: dict[str, Node],
    steps: Mapping[str, Step],
    *,
    parent: str,
    ids: frozenset[str],
    ordered: bool,
) -> None:
    dependents: dict[str, list[str]] = {name: [] for name in steps}
    for name, step in steps.items() if ordered else ():
        for need in step.needs:
            dependents[need].append(name)
    for name, step in steps.items():
        path = f"{parent}/{name}" if parent else name
        nodes[path] = Node(
            step=step,
            path=path,
            parent=parent,
            depth=path.count("/"),
            dependents=tuple(dependents[name]),
            reads=mentioned(_expressions(step), ids=ids),
        )
        inside = isinstance(step.verb, Group)
        _add(nodes, inner_steps(step), parent=path, ids=ids, ordered=inside)


def _expressions(step: Step) -> Json:
    """Return every expression and template of a step itself, as one JSON value."""
    undo: Json = dict(step.compensate.uses.arguments) if step.compensate else None
    gates: list[Json] = [item.key for item in (step.rate, step.circuit, step.cache) if item]
    return [_of_verb(step), undo, step.condition, dict(step.outputs or {}), step.mutex, gates]


def _of_verb(step: Step) -> Json:
    verb = step.verb
    read = _READ.get(type(verb))
    return read(verb) if read is not None else None


# Verb → what of it may hold expressions. A group and a race hold only steps.
_READ: Mapping[type, Callable[[Any], Json]] = {
    Uses: lambda verb: dict(verb.arguments),
    Call: lambda verb: dict(verb.arguments),
    Wait: lambda verb: dict(verb.body),
    Timer: lambda verb: [verb.duration, verb.until],
    AwaitEvent: lambda verb: dict(verb.correlate),
    Emit: lambda verb: [verb.type, dict(verb.data)],
    SetVars: lambda verb: dict(verb.values),
    Map: lambda verb: verb.items,
    Matrix: lambda verb: dict(verb.axes),
    Loop: lambda verb: [verb.until, verb.condition],
}
