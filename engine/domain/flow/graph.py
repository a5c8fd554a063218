"""Which step comes before which. Read `order_steps` first."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The steps in an order in which needs come first, and the circles that have none.

    `order` holds no step of a circle and none behind one. A circle `(a, b)` means that `a` needs
    `b` and `b` needs `a`.
    """

    order: tuple[str, ...]
    circles: tuple[tuple[str, ...], ...]
    _index: Mapping[str, int]
    _above: Mapping[str, int]  # bit i: the step at index i comes before

    def __contains__(self, step: str) -> bool:
        return step in self._index

    def comes_before(self, earlier: str, later: str) -> bool:
        """Say whether a step has always ended when another starts. Both are in the order."""
        return bool(self._above[later] >> self._index[earlier] & 1)

    def list_after(self, step: str) -> Iterator[str]:
        """Yield the steps that come after one, in order. None for a step behind a circle."""
        for later in self.order:
            if step in self._index and self.comes_before(step, later):
                yield later


def order_steps(needs: Mapping[str, Sequence[str]]) -> Order:
    """Return the order of steps, given what each needs, all of them keys of the mapping.

    Among steps that could come next, the one written first does.
    """
    place = {step: index for index, step in enumerate(needs)}
    dependants: dict[str, list[str]] = {step: [] for step in needs}
    open_count = {step: len(set(wanted)) for step, wanted in needs.items()}
    for step, wanted in needs.items():
        for need in set(wanted):
            dependants[need].append(step)
    ready = [place[step] for step, count in open_count.items() if count == 0]
    heapq.heapify(ready)
    steps = list(needs)
    order: list[str] = []
    while ready:
        step = steps[heapq.heappop(ready)]
        order.append(step)
        for dependant in dependants[step]:
            open_count[dependant] -= 1
            if open_count[dependant] == 0:
                heapq.heappush(ready, place[dependant])
    index = {step: position for position, step in enumerate(order)}
    above: dict[str, int] = {}
    for step in order:
        above[step] = 0
        for need in needs[step]:
            above[step] |= above[need] | 1 << index[need]
    circles = tuple(_find_circles(needs, left=[step for step in needs if step not in index]))
    return Order(order=tuple(order), circles=circles, _index=index, _above=above)


def _find_circles(
    needs: Mapping[str, Sequence[str]], *, left: Sequence[str]
) -> Iterator[tuple[str, ...]]:
    """Yield circles among the steps without an order, at least one for each knot of them.

    Each of these steps needs another of them, so following one need each always ends in a circle.
    """
    unordered = set(left)
    rank = {step: index for index, step in enumerate(left)}
    seen: set[str] = set()
    for start in left:
        path: list[str] = []
        step = start
        while step not in seen:
            seen.add(step)
            path.append(step)
            step = next(need for need in needs[step] if need in unordered)
        if step in path:
            circle = path[path.index(step) :]
            first = circle.index(min(circle, key=rank.__getitem__))
            yield (*circle[first:], *circle[:first])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Which state a run may be in after which."""

    _index: Mapping[str, int]
    _before: Mapping[str, int]  # bit i: a way leads from the state at index i

    def leads(self, earlier: str, later: str) -> bool:
        """Say whether a way leads from a state to another, or back to itself."""
        return bool(self._before[later] >> self._index[earlier] & 1)


def find_reach(ways: Mapping[str, Sequence[str]]) -> Reach:
    """Return what leads where, given the states each leads to, all of them keys of the mapping."""
    index = {state: position for position, state in enumerate(ways)}
    before = dict.fromkeys(ways, 0)
    waiting = list(ways)
    while waiting:
        state = waiting.pop()
        found = before[state] | 1 << index[state]
        for after in ways[state]:
            if before[after] | found != before[after]:
                before[after] |= found
                waiting.append(after)
    return Reach(_index=index, _before=before)


def list_reached(ways: Mapping[str, Sequence[str]], *, starts: Sequence[str]) -> frozenset[str]:
    """Return the states that ways lead to from some states, those themselves included."""
    found = set(starts)
    waiting = list(starts)
    while waiting:
        for after in ways[waiting.pop()]:
            if after not in found:
                found.add(after)
                waiting.append(after)
    return frozenset(found)
