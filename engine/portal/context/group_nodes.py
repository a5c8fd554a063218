"""Nodes that stand for several steps: equal ones, and instances that are not drawn. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from engine.portal.context.nodes import StepFacts
from engine.portal.folding import Group, name_group
from engine.portal.graph import GraphStep
from engine.portal.statuses import say_counts, worst_mark

_MORE: Final = "more:"
_OPEN: Final = frozenset({"waiting", "running", "pending"})


def rest_facts(step: StepFacts, shown: Sequence[StepFacts], *, total: int) -> StepFacts:
    """Return the node that stands for the instances that are not drawn."""
    rest = total - len(shown)
    parts = []
    if step.done is not None:
        done = step.done
        good = done.good - sum(one.mark == "approved" for one in shown)
        failed = done.failed - sum(one.mark == "failed" for one in shown)
        under_way = done.open - sum(one.mark in _OPEN for one in shown)
        counts = (
            (good, "done"),
            (failed, "failed"),
            (under_way, "under way"),
            (done.total - done.begun, "not begun"),
        )
        for count, word in counts:
            if count > 0:
                parts.append(f"{count} {word}")
    return StepFacts(
        key=f"{_MORE}{step.key}",
        needs=(),
        kind="more",
        title=f"{rest} more",
        detail=", ".join(parts),
        symbol="ellipsis",
        parent=step.key,
        target=step.key,
    )


def group_facts(step: GraphStep, group: Group, facts: Mapping[str, StepFacts]) -> StepFacts:
    """Return the node that stands for a group of equal steps."""
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
        title=f"{name_of(group, facts)}, {len(members)} steps",
        detail=", ".join(parts),
        mark=worst,
        word=next((item.word for item in members if item.mark == worst), ""),
        is_human=first.is_human,
        symbol=first.symbol,
        parent=first.parent,
    )


def name_of(group: Group, facts: Mapping[str, StepFacts]) -> str:
    """Return what the members of a group have in common by name."""
    return name_group([facts[member].title for member in group.members])
