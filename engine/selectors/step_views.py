"""The steps of a run as its state tells them, a bounded number of them. Read `StepReader` first.

Outer steps come before what is inside them, siblings in the order of the definition, instances and
visits by number, compensations last. Of what is repeated often some instances are left out, and
counted: the first ones by number stay (of turns and visits the last ones), and the urgent ones.

Earlier tries of what a person said to try again are listed, each after what counts; but they are no
instances, and no tally counts them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final
from uuid import UUID

from core.kernel import limits
from core.kernel.types import Json
from engine.domain.decider import Decider
from engine.domain.keys import (
    any_try_of,
    counted_key,
    is_earlier,
    is_undo,
    number_of,
    parent_of,
    parts_of,
    path_of,
    step_key,
    step_of,
    undone_by,
)
from engine.domain.plan import Loop, Map, Matrix, Uses, inner_steps
from engine.domain.skipping import find_skip_obstacle
from engine.domain.state import Outcome, RunState, StepState, StepStatus
from engine.domain.steering import find_retry_obstacle
from engine.domain.timers import Purpose, timer_name
from engine.selectors.run_shapes import Progress
from engine.selectors.step_waits import StepWait, WaitReader

STATE: Final = "state"  # the verb of a visit to a state that executes nothing
_URGENT: Final = frozenset({Outcome.FAILED, Outcome.REJECTED, Outcome.EXPIRED})
_IDLE: Final = frozenset({StepStatus.PENDING, StepStatus.READY})
_Rank = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """A step of a run. `undoes` is true for a compensation.

    `parent` is the key of the container it is in ("" if outermost). Of an instance of a map or
    matrix, `item` is what it is for and `total` how many there are. `progress` is a container's,
    `turns_max` a loop's. `mutex` is what it holds or waits for, `child` the run it started, `queue`
    the label of the workers that execute it. `due_at` is when it has to be done. `waits` says what
    it waits for now.
    """

    key: str
    step: str
    undoes: bool
    verb: str
    status: str
    outcome: str | None
    attempt: int
    started_at: datetime | None
    wake_at: datetime | None
    outputs: Mapping[str, Json]
    error_kind: str | None
    error_message: str | None
    why: str
    parent: str = ""
    item: Json = None
    total: int = 0
    progress: Progress | None = None
    turns_max: int = 0
    mutex: str = ""
    child: UUID | None = None
    queue: str = ""
    is_asked: bool = False
    due_at: datetime | None = None
    waits: tuple[StepWait, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many steps of a run, or instances of a container, stand so.

    `waits` is what those wait for first that others, or time, move on: "" for all others.
    """

    status: str
    outcome: str | None
    waits: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepList:
    """Steps, how many more there are, and how all of them stand that are no earlier tries."""

    steps: tuple[StepView, ...]
    hidden_count: int
    tallies: tuple[Tally, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFilters:
    """What a list of steps is narrowed to; "" means any.

    `inside` is the key of a container whose instances are wanted, without what is inside these.
    """

    inside: str = ""
    status: str = ""
    outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstancePage:
    """Instances of a container, or visits to a state, as a page of the panel.

    `number` counts pages from 1; `count` are those that match the filter, `tallies` are over all.
    """

    key: str
    steps: tuple[StepView, ...]
    number: int
    page_count: int
    count: int
    tallies: tuple[Tally, ...]


class StepReader:
    """One look at the steps of a run's state."""

    def __init__(self, decider: Decider, state: RunState) -> None:
        self._decider = decider
        self._tree = decider.definition.tree
        self._is_machine = decider.definition.is_machine
        self._state = state
        self._waits = WaitReader(decider, state)
        names = decider.plan.states if self._is_machine else decider.plan.steps
        self._top = {name: place for place, name in enumerate(names)}
        self._places: dict[str, dict[str, int]] = {}
        self._keys = self._sorted_keys()
        self._inside: dict[str, list[str]] = {}
        for key in self._keys:
            if not is_undo(key) and not is_earlier(key):
                self._inside.setdefault(self._group_of(key), []).append(key)

    # --- what may be done ----------------------------------------------------------------------

    def can_retry(self, key: str) -> bool:
        """Say whether an operator can have a step tried again, as far as the run itself tells."""
        return not find_retry_obstacle(self._decider.definition, self._state, key)

    def can_skip(self, key: str) -> bool:
        """Say whether an operator can skip a step, as far as the run itself tells."""
        return not find_skip_obstacle(self._decider.definition, self._state, key)

    # --- lists ---------------------------------------------------------------------------------

    def list_steps(self, *, keep: str = "") -> StepList:
        """Return the steps of the run; `keep` is a key that is listed whatever is left out."""
        shown = self._shown(keep)
        steps = tuple(self.view(key) for key in self._keys if key in shown)
        return StepList(
            steps=steps,
            hidden_count=len(self._keys) - len(steps),
            tallies=self._tally([key for key in self._keys if _counts(key)]),
        )

    def list_after(self, *, filters: StepFilters, after: str, limit: int) -> tuple[StepView, ...]:
        """Return all steps that match, in order, after a key ("": from the first)."""
        keys: Sequence[str] = self._keys
        if filters.inside:
            keys = [
                key for key in self._keys if _around(key) == filters.inside and not is_earlier(key)
            ]
        rank = self._rank(after) if after else None
        matching = (
            key
            for key in keys
            if self._matches(key, filters) and (rank is None or self._rank(key) > rank)
        )
        return tuple(self.view(key) for key in islice(matching, limit))

    def list_instances(self, *, key: str, number: int, filters: StepFilters) -> InstancePage | None:
        """Return a page of what a container repeats, or of visits to a state; `None`: of nothing.

        Those of a map or matrix are in order; of turns and visits the newest come first.
        """
        is_visit = self._is_machine and not parent_of(key) and not is_undo(key)
        group = f"{path_of(key)}#" if is_visit else key
        keys = self._inside.get(group, []) if is_visit or self._repeats(key) else []
        if not keys or (is_visit and len(keys) == 1):
            return None
        ordered = keys[::-1] if is_visit or self._is_loop(key) else keys
        found = [item for item in ordered if self._matches(item, filters)]
        size = limits.INSTANCE_PAGE_COUNT
        page_count = max(1, -(-len(found) // size))
        number = max(1, min(number, page_count))
        return InstancePage(
            key=key,
            steps=tuple(self.view(item) for item in found[(number - 1) * size : number * size]),
            number=number,
            page_count=page_count,
            count=len(found),
            tallies=self._tally(keys),
        )

    # --- keys ----------------------------------------------------------------------------------

    def _sorted_keys(self) -> list[str]:
        keys = [key for key in self._state.steps if path_of(key) in self._tree.nodes]
        if self._is_machine:
            known = self._state.steps
            for name, count in self._state.visits.items():
                visits = (step_key(name, number) for number in range(1, count + 1))
                keys += [key for key in visits if key not in known]
        return sorted(keys, key=self._rank)

    def _rank(self, key: str) -> tuple[bool, _Rank]:
        """Return by what a key is ordered: its place, number and try at every depth."""
        ranks: list[tuple[int, int, int]] = []
        path = ""
        for name, number, attempt in parts_of(key):
            place = self._places_in(path).get(name, -1)
            ranks.append((place, number, attempt))
            path = f"{path}/{name}" if path else name
        return is_undo(key), tuple(ranks)

    def _places_in(self, path: str) -> Mapping[str, int]:
        """Return the places of the steps inside a container of the plan, by name."""
        if not path:
            return self._top
        if path not in self._places:
            node = self._tree.nodes.get(path)
            names = inner_steps(node.step) if node is not None else ()
            self._places[path] = {name: place for place, name in enumerate(names)}
        return self._places[path]

    def _group_of(self, key: str) -> str:
        """Return what an instance is one of many of: its container, or the state it visits."""
        parent = parent_of(key)
        return f"{path_of(key)}#" if self._is_machine and not parent else parent

    def _shown(self, keep: str) -> set[str]:
        """Return the keys that are listed."""
        kept = {keep, *_all_around(undone_by(keep))} - {""}
        hidden: set[str] = set()
        for group, keys in self._inside.items():
            if len(keys) > 2 * limits.INSTANCE_PAGE_COUNT and self._is_many(group):
                hidden.update(set(keys) - self._picked(group, keys) - kept)
        shown: set[str] = set()
        for key in self._keys:
            done = undone_by(key)
            # An earlier try is left out with what it was a try of.
            around = (done, *_all_around(done))
            is_wanted = hidden.isdisjoint((*around, *map(counted_key, around)))
            if key in kept or (is_wanted and len(shown) < limits.STEP_VIEW_COUNT_MAX):
                shown.add(key)
        return shown

    def _picked(self, group: str, keys: Sequence[str]) -> set[str]:
        """Return which of many instances are listed: a page in order, and a page of urgent ones."""
        size = limits.INSTANCE_PAGE_COUNT
        is_newest = group.endswith("#") or self._is_loop(group)
        picked = set(keys[-size:] if is_newest else keys[:size])
        urgent = [key for key in keys if key not in picked and self._is_urgent(key)]
        return picked | set(urgent[-size:] if is_newest else urgent[:size])

    def _is_urgent(self, key: str) -> bool:
        step = self._state.steps.get(key)
        if step is None:
            return key == self._state.current
        if step.status is StepStatus.ENDED:
            return step.outcome in _URGENT
        return step.status not in _IDLE

    def _is_many(self, group: str) -> bool:
        return group.endswith("#") or self._repeats(group)

    def _repeats(self, key: str) -> bool:
        node = self._tree.nodes.get(path_of(key))
        return node is not None and isinstance(node.step.verb, Map | Matrix | Loop)

    def _is_loop(self, key: str) -> bool:
        node = self._tree.nodes.get(path_of(key))
        return node is not None and isinstance(node.step.verb, Loop)

    # --- standing ------------------------------------------------------------------------------

    def _stands(self, key: str) -> tuple[str, str | None]:
        step = self._state.steps.get(key)
        if step is not None:
            is_over = step.outcome is None and step.error is not None and is_earlier(key)
            return step.status, Outcome.FAILED if is_over else step.outcome
        if self._state.current == key and not self._state.closed:
            return StepStatus.OPEN, None
        return StepStatus.ENDED, self._decider.plan.states[path_of(key)].final or None

    def _matches(self, key: str, filters: StepFilters) -> bool:
        status, outcome = self._stands(key)
        return (not filters.status or status == filters.status) and (
            not filters.outcome or outcome == filters.outcome
        )

    def _tally(self, keys: Sequence[str]) -> tuple[Tally, ...]:
        counts: dict[tuple[str, str | None, str], int] = {}
        for key in keys:
            standing = (*self._stands(key), self._waits.kind_of(key))
            counts[standing] = counts.get(standing, 0) + 1
        return tuple(
            Tally(status=status, outcome=outcome, waits=waits, count=count)
            for (status, outcome, waits), count in counts.items()
        )

    # --- views ---------------------------------------------------------------------------------

    def view(self, key: str) -> StepView:
        """Return a step, a compensation, or a visit to a state."""
        step = self._state.steps.get(key)
        if step is None:
            return self._visit(key)
        undoes = is_undo(key)
        status, outcome = self._stands(key)
        verb = self._decider.uses_of(key) if undoes else self._decider.step_at(key).verb
        item, total = (None, 0) if undoes else self.find_item(key)
        return StepView(
            key=key,
            step=step_of(key),
            undoes=undoes,
            verb=verb.action if isinstance(verb, Uses) else verb.verb,
            status=status,
            outcome=outcome,
            attempt=step.attempt,
            started_at=step.started_at,
            wake_at=step.wake_at,
            outputs=step.outputs,
            error_kind=step.error.kind if step.error else None,
            error_message=step.error.message if step.error else None,
            why=step.why,
            parent="" if undoes else parent_of(key),
            item=item,
            total=total,
            progress=_progress(step),
            turns_max=0 if undoes else self._turns_max(key),
            mutex=step.mutex,
            child=UUID(step.child) if step.child else None,
            queue=step.queue,
            is_asked=step.is_asked and step.status is StepStatus.WAITING,
            due_at=self._state.timers.get(timer_name(Purpose.DEADLINE, key)),
            waits=self._waits.read(key, step),
        )

    def _visit(self, key: str) -> StepView:
        """Return a visit to a state that executes nothing."""
        status, outcome = self._stands(key)
        return StepView(
            key=key,
            step=step_of(key),
            undoes=False,
            verb=STATE,
            status=status,
            outcome=outcome,
            attempt=0,
            started_at=None,
            wake_at=None,
            outputs={},
            error_kind=None,
            error_message=None,
            why="",
            waits=self._waits.read(key, None),
        )

    def _turns_max(self, key: str) -> int:
        verb = self._decider.step_at(key).verb
        return verb.turns_max if isinstance(verb, Loop) else 0

    def find_item(self, key: str) -> tuple[Json, int]:
        """Return what an instance of a map or matrix is for, and of how many it is one.

        Of any other step `None` and 0.
        """
        around = self._state.steps.get(parent_of(key))
        if around is None or around.inside is None or not around.inside.items:
            return None, 0
        items, place = around.inside.items, number_of(key) - 1
        return items[place] if place < len(items) else None, len(items)


def _progress(step: StepState) -> Progress | None:
    inside = step.inside
    if inside is None:
        return None
    return Progress(
        total=inside.total,
        begun=inside.begun,
        open=inside.open,
        good=inside.good,
        failed=inside.failed,
    )


def _around(key: str) -> str:
    """Return the key of the container around a step; of a compensation "", as of no step."""
    return "" if is_undo(key) else parent_of(key)


def _counts(key: str) -> bool:
    """Say whether a key is of no earlier try; what such a try's compensation did counts."""
    return is_undo(key) or any_try_of(key) == key


def _all_around(key: str) -> Iterator[str]:
    """Yield the keys of the containers around an instance, from the inside."""
    while key := parent_of(key):
        yield key
