"""What an expression sees of the steps around it. Read `Scopes` first."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.domain.flow.draft import Draft, Level, LevelKind, StateDraft, StepDraft
from engine.domain.flow.graph import Order, Reach, find_reach, order_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What an expression may use at its place.

    `level` is the path of the level it is on, "" for the outermost. `step` is the step it belongs
    to, whose needs say which steps of the level have ended; `None` means that all have.
    `reads_itself`: also that step. `state` is the state whose ways out it belongs to, if any.
    `hears`: `event` is one that arrives just then, not the one that started the run. `opens`:
    `${{ secrets.NAME }}` may stand there.
    """

    names: Collection[str]
    level: str = ""
    step: StepDraft | None = None
    reads_itself: bool = False
    state: str = ""
    hears: bool = False
    opens: bool = False


class Sight(StrEnum):
    """Whether an expression sees a step, and why not."""

    SEEN = "seen"
    UNKNOWN = "unknown"  # there is no such step
    HIDDEN = "hidden"  # it is inside a step that is not around the expression
    ITSELF = "itself"
    AROUND = "around"  # it holds the expression, so it has not ended
    BESIDE = "beside"  # another branch of the same race
    NOT_BEFORE = "not-before"  # it need not have ended
    NO_WAY = "no-way"  # no way leads from that state to this one
    NO_VERB = "no-verb"  # a state that does nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was found under a name: the step, and `here`, the id of what stands beside it there."""

    sight: Sight
    step: StepDraft | None = None
    here: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scopes:
    """The order of every level of a definition, and what is seen from where."""

    draft: Draft
    orders: Mapping[str, Order]
    reach: Reach

    def look(self, name: str, *, where: Where) -> Seen:
        """Return whether a step is seen from a place, and which one it is."""
        level = self.draft.levels[where.level or self.draft.top]
        current = where.step
        while name not in level.steps:
            if not level.owner:
                return self._unseen(name)
            current = self.draft.places[level.owner]
            level = self.draft.levels[current.level]
        found = level.steps[name]
        here = current.id if current is not None else where.state
        if level.kind is LevelKind.STATES:
            sight = self._sight_of_state(found, current, where=where)
        else:
            sight = self._sight_of(found, current, level, where=where)
        return Seen(sight=sight, step=found, here=here)

    def list_after(self, step: StepDraft) -> Iterator[StepDraft]:
        """Yield the steps that come after one, those around it included, in order."""
        current: StepDraft | None = step
        while current is not None:
            level = self.draft.levels[current.level]
            if level.kind is LevelKind.STEPS:
                for later in self.orders[level.path].list_after(current.id):
                    yield level.steps[later]
                    yield from self.draft.inside(level.steps[later])
            current = self.draft.owner_of(current)

    def _unseen(self, name: str) -> Seen:
        if name in self.draft.ids:
            return Seen(sight=Sight.HIDDEN, step=self.draft.ids[name])
        return Seen(sight=Sight.NO_VERB if name in self.draft.states else Sight.UNKNOWN)

    def _sight_of_state(
        self, found: StepDraft, current: StepDraft | None, *, where: Where
    ) -> Sight:
        if current is None:  # the ways out of a state, or what is read at the run's end
            is_past = where.state in {"", found.id} or self.reach.leads(found.id, where.state)
            return Sight.SEEN if is_past else Sight.NO_WAY
        if found is current:
            return _sight_of_holder(found, where=where)
        return Sight.SEEN if self.reach.leads(found.id, current.id) else Sight.NO_WAY

    def _sight_of(
        self, found: StepDraft, current: StepDraft | None, level: Level, *, where: Where
    ) -> Sight:
        if current is None:
            return Sight.SEEN
        if found is current:
            return _sight_of_holder(found, where=where)
        if level.kind is LevelKind.RACE:
            return Sight.BESIDE
        order = self.orders[level.path]
        if found.id not in order or current.id not in order:
            return Sight.SEEN  # in or behind a circle, which is reported as such
        before = order.comes_before(found.id, current.id)
        return Sight.SEEN if before else Sight.NOT_BEFORE


def _sight_of_holder(step: StepDraft, *, where: Where) -> Sight:
    if where.step is not step:
        return Sight.AROUND
    return Sight.SEEN if where.reads_itself else Sight.ITSELF


def read_scopes(draft: Draft) -> Scopes:
    """Return the scopes of a definition."""
    orders = {
        path: order_steps(
            {
                step.id: [need for need in step.needs if need in level.steps]
                for step in level.steps.values()
            }
        )
        for path, level in draft.levels.items()
        if level.kind is LevelKind.STEPS
    }
    ways = {state.id: ways_of(state, draft.states) for state in draft.states.values()}
    return Scopes(draft=draft, orders=orders, reach=find_reach(ways))


def ways_of(state: StateDraft, states: Mapping[str, StateDraft]) -> tuple[str, ...]:
    """Return the states one leads to, as far as they exist, each once."""
    ways = [item.to for item in state.transitions] + [item.to for item in state.events]
    targets = dict.fromkeys([*ways, state.stuck_to])
    return tuple(target for target in targets if target in states)
