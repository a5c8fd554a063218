"""Drawing many parallel equal steps as one node. Read `fold` first.

Steps are equal if they are of the same kind, and what they need and what needs them is equal too:
thirty equal chains are drawn as one. Small graphs are drawn whole.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from engine.portal.graph import GraphStep

WHOLE_COUNT_MAX: Final = 60  # steps that are drawn one by one
_GROUP_COUNT_MIN: Final = 3  # fewer than this are no clearer as one
_PREFIX: Final = "group:"
_ROUND_COUNT_MAX: Final = 40  # rounds of comparing neighbors; a plan that needs more is not folded


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
    alike: dict[int, list[str]] = {}
    for key, color in _colors(steps).items():
        alike.setdefault(color, []).append(key)
    return tuple(
        Group(key=f"{_PREFIX}{members[0]}", members=tuple(members))
        for members in alike.values()
        if len(members) >= _GROUP_COUNT_MIN
    )


def _colors(steps: Sequence[FoldStep]) -> dict[str, int]:
    """Return a color for each step, equal for steps that stand alike; nothing if it takes too long.

    Color refinement: colors are split by what their neighbors have until nothing changes. Steps of
    one color have needs of the same colors, so they stand in one column and folding makes no cycle.
    """
    dependents: dict[str, list[str]] = {step.key: [] for step in steps}
    for step in steps:
        for need in step.needs:
            dependents[need].append(step.key)
    colors = _number({step.key: step.kind for step in steps})
    count = len(set(colors.values()))
    for _ in range(_ROUND_COUNT_MAX):
        colors = _number(
            {
                step.key: (
                    colors[step.key],
                    tuple(sorted(colors[need] for need in step.needs)),
                    tuple(sorted(colors[key] for key in dependents[step.key])),
                )
                for step in steps
            }
        )
        before, count = count, len(set(colors.values()))
        if count == before:
            return colors
    return {}


def _number(traits: Mapping[str, Hashable]) -> dict[str, int]:
    """Return a number for each different trait."""
    numbers: dict[Hashable, int] = {}
    return {key: numbers.setdefault(trait, len(numbers)) for key, trait in traits.items()}
