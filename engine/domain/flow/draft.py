"""A definition as far as it has the right types, so that its meaning can be checked.

Read `Draft` first, then `StepDraft`; `reading` makes them. What has a wrong type or is missing
reads as empty here; `shape` has reported it already.

Steps stand on *levels*: the outermost one, the members of a group, the branches of a race. A step
is known by its `path`, the JSON pointer of where it is written, which occurs once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from core.kernel.types import Json

JsonMap = dict[str, Json]

STEP_VERBS = ("uses", "approval", "call", "wait", "emit", "race", "set", "steps")


class LevelKind(StrEnum):
    """What the steps of a level are to each other."""

    STEPS = "steps"  # they may need each other
    RACE = "race"  # they begin together and do not see each other
    STATES = "states"  # one after the other, in no fixed order


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionDraft:
    """An action with its arguments. `path` is where `uses` and `with` are."""

    path: str
    uses: str
    arguments: JsonMap
    retry: JsonMap
    timeout_seconds: float | None  # of one attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinDraft:
    """How ends are counted: `kind` is one of `plan.Join`."""

    kind: str = "all"
    count: int = 0
    cancel_rest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDraft:
    """A step, a branch of a race, or what a state does.

    `verb` is the key of its verb and `block` what stands there. `level` is the path of the level it
    is on, `inner` of the one it holds, both keys of `Draft.levels`. `value` is all of it, as
    written. `item` is what a `map` calls its items, "" without one.
    """

    id: str
    path: str
    level: str
    value: JsonMap
    verb: str
    block: Json
    action: ActionDraft | None
    inner: str
    needs: Mapping[str, str]  # id → where it is written
    condition: str | None
    join: JoinDraft
    item: str
    compensate: ActionDraft | None
    compensate_on_failure: bool
    on_error: JsonMap | None
    undoes: Mapping[str, str]  # the steps `on-error` compensates: id → where it is written
    outputs: Mapping[str, str] | None
    effect: str
    total_seconds: float | None

    @property
    def is_map(self) -> bool:
        """Say whether it is done once for each item of a list."""
        return bool(self.item)

    @property
    def is_matrix(self) -> bool:
        """Say whether it is done once for each combination of values."""
        return "strategy" in self.value and not self.is_map

    @property
    def is_loop(self) -> bool:
        """Say whether it is done turn after turn."""
        return "loop" in self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Steps that are beside each other. `owner` is the path of the step that holds them, or "".

    `names` are those expressions of the level may use beside the run's: `matrix`, the `as` of maps.
    """

    path: str
    kind: LevelKind
    owner: str
    depth: int  # how many containers are around it
    names: frozenset[str]
    steps: Mapping[str, StepDraft]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionDraft:
    """A way out of a state. `kind` is the key of what it answers, `name` what stands there."""

    path: str
    kind: str
    name: str
    seconds: float | None
    condition: str | None
    values: Mapping[str, str]
    to: str
    continues: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StateEventDraft:
    """An entry of a state's `events`."""

    path: str
    type: str
    correlate: Mapping[str, str]
    condition: str | None
    values: Mapping[str, str]
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDraft:
    """A state. `step` is what it does, `None` without a verb."""

    id: str
    path: str
    value: JsonMap
    step: StepDraft | None
    transitions: tuple[TransitionDraft, ...]
    events: tuple[StateEventDraft, ...]
    stuck_seconds: float | None
    stuck_to: str
    is_final: bool
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerDraft:
    """A trigger that starts runs by itself, such as `schedule`; `value` is what it holds."""

    path: str
    kind: str
    value: JsonMap
    inputs: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A definition. `levels` are in the order of the text, outer ones first.

    Without `kind: states` there are no `states`, with it the outermost level is that of the states.
    """

    name: str
    kind: str
    title: str
    inputs: Json
    variables: JsonMap
    retry: JsonMap
    timeout_seconds: float | None
    queue: str
    triggers: tuple[str, ...]
    automatic: tuple[TriggerDraft, ...]
    secrets: Mapping[str, str]  # name → where it is written
    outputs: Mapping[str, str]
    top: str  # the outermost level
    levels: Mapping[str, Level]
    places: Mapping[str, StepDraft]  # path → the step there
    ids: Mapping[str, StepDraft]  # id → the first step written with it
    states: Mapping[str, StateDraft]
    initial: str
    concurrency: JsonMap | None = None

    def all_steps(self) -> Iterator[StepDraft]:
        """Yield every step, outer ones first."""
        for level in self.levels.values():
            yield from level.steps.values()

    def owner_of(self, step: StepDraft) -> StepDraft | None:
        """Return the step that holds another, or `None` for an outermost one."""
        return self.places.get(self.levels[step.level].owner)

    def owners_of(self, step: StepDraft) -> Iterator[StepDraft]:
        """Yield the steps around another, the innermost first."""
        owner = self.owner_of(step)
        while owner is not None:
            yield owner
            owner = self.owner_of(owner)

    def inside(self, step: StepDraft) -> Iterator[StepDraft]:
        """Yield the steps a step holds, at any depth."""
        if step.inner:
            for inner in self.levels[step.inner].steps.values():
                yield inner
                yield from self.inside(inner)

    def names_inside(self, step: StepDraft) -> frozenset[str]:
        """Return what expressions of a step's instances may use beside the run's names."""
        names = self.levels[step.level].names
        if step.is_map:
            names |= {step.item}
        return names | {"matrix"} if step.is_matrix else names
