"""Drawing many parallel equal steps as one node. Read `fold` first.

Steps are equal if they need the same, are needed by the same, and are of the same kind. Small
graphs are drawn whole.
"""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from engine.portal.graph import GraphStep

WHOLE_COUNT_MAX: Final = 60  # steps that are drawn one by one
_GROUP_COUNT_MIN: Final = 3  # fewer than this are no clearer as one
_PREFIX = "group:"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldStep:
    """A step that may be folded. `kind` says what it does: only equal kinds fold together."""

    key: str
    needs: tuple[str, ...]
    kind: Hashable


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Steps that are drawn as one. `key` stays the same from page to page; members are in order."""

    key: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What is left to draw: steps and groups, needs first; and the groups that are opened."""

    steps: tuple[GraphStep, ...]
    groups: tuple[Group, ...]
    opened: tuple[Group, ...] = ()


def fold(steps: Sequence[FoldStep], *, opened: Collection[str] = (), whole: bool = False) -> Folded:
    """Return the steps to draw, with groups of parallel equal ones folded.

    Args:
        steps: in an order in which needs come first.
        opened: keys of groups, or of steps inside them, that are not folded.
        whole: fold nothing.
    """
    found = () if whole or len(steps) <= WHOLE_COUNT_MAX else _groups(steps)
    open_groups = tuple(
        group for group in found if group.key in opened or not set(opened).isdisjoint(group.members)
    )
    folded = tuple(group for group in found if group not in open_groups)
    drawn_as = {member: group.key for group in folded for member in group.members}
    drawn: dict[str, GraphStep] = {}
    for step in steps:
        key = drawn_as.get(step.key, step.key)
        if key not in drawn:
            needs = dict.fromkeys(drawn_as.get(need, need) for need in step.needs)
            drawn[key] = GraphStep(key=key, needs=tuple(needs))
    return Folded(steps=tuple(drawn.values()), groups=folded, opened=open_groups)


def name_group(names: Sequence[str]) -> str:
    """Return what a group's members have in common by name, or the first name and an ellipsis."""
    shared = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    common = "".join(letters[0] for letters in shared).rstrip(" 0123456789_-.")
    return common if len(common) > 1 else f"{names[0]} …"


def _groups(steps: Sequence[FoldStep]) -> tuple[Group, ...]:
    dependents: dict[str, list[str]] = {step.key: [] for step in steps}
    for step in steps:
        for need in step.needs:
            dependents[need].append(step.key)
    alike: dict[Hashable, list[str]] = {}
    for step in steps:
        trait = (frozenset(step.needs), frozenset(dependents[step.key]), step.kind)
        alike.setdefault(trait, []).append(step.key)
    return tuple(
        Group(key=f"{_PREFIX}{members[0]}", members=tuple(members))
        for members in alike.values()
        if len(members) >= _GROUP_COUNT_MIN
    )
