"""The compiled form of a definition. Read `Plan` first, then `Step`, then the verbs.

A plan is a value: built once when a version is saved, stored as canonical JSON (see `plan_json`),
whose digest names the version, and read back by every worker. Durations are seconds. Expressions
are CEL texts; a *template* is JSON whose texts may hold `${{ … }}`.

A plan is a tree: a *container* (`Group`, `Race`, `Map`, `Matrix`, `Loop`) holds steps of its own.
What a definition writes as modifiers around one verb is a nest of containers here, outermost first:
`map` or `strategy`, then `loop`, then the verb.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, TypeAlias

from core.kernel.types import Json
from engine.domain.triggers import AutomaticTrigger


class Kind(StrEnum):
    """The two kinds of definitions."""

    DAG = "dag"
    STATES = "states"


class Join(StrEnum):
    """How the ends of a step's needs count."""

    ALL = "all"
    ANY = "any"  # the first that ends well
    COUNT = "count"  # as soon as `join_count` have ended well
    ALL_SETTLED = "all-settled"


class Backoff(StrEnum):
    """How the delay grows from one retry to the next."""

    FIXED = "fixed"
    EXPONENTIAL = "exponential"


class AfterError(StrEnum):
    """What happens to the run once a failed step's `on-error` has compensated."""

    FAIL = "fail"
    CONTINUE = "continue"
    ASK = "ask"  # a person says: retry, skip or fail


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When a failed attempt is tried again.

    `retries_max` counts attempts after the first. `errors` are the error kinds that are retried.
    With `jitter`, a delay is shortened by up to a half, by a share derived from the attempt's key.
    """

    retries_max: int = 0
    backoff: Backoff = Backoff.EXPONENTIAL
    initial_seconds: float = 1.0
    delay_seconds_max: float = 300.0
    jitter: bool = True
    errors: tuple[str, ...] = ("transient", "timeout")


# --- verbs ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """Executes an action. `arguments` is a template."""

    verb: ClassVar[str] = "uses"

    action: str  # "python/call@1"
    arguments: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A verb of a package above, such as `approval`. `body` is what that package's check made."""

    verb: str
    body: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """Waits for time to pass. Exactly one of the two is given.

    `duration` is a template whose value is an ISO 8601 duration; `until` is CEL whose value is an
    ISO 8601 instant with an offset.
    """

    verb: ClassVar[str] = "timer"

    duration: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitEvent:
    """Waits for an event. `correlate`: name of a field of the event's `data` → CEL."""

    verb: ClassVar[str] = "event"

    type: str
    correlate: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Emit:
    """Sends an event. `type` and `data` are templates."""

    verb: ClassVar[str] = "emit"

    type: str
    data: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Runs another workflow. `project` is empty for the same one; `range` as in "^1.2".

    The version is chosen when the calling run starts. A detached child's end is not awaited.
    """

    verb: ClassVar[str] = "call"

    workflow: str
    project: str = ""
    range: str = "*"
    arguments: Mapping[str, Json] = field(default_factory=dict)
    detached: bool = False

    @property
    def reference(self) -> str:
        """Return the name by which a run records which version it chose."""
        name = f"{self.project}/{self.workflow}" if self.project else self.workflow
        return f"{name}@{self.range}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetVars:
    """Gives `vars` new values, which later expressions see: name → CEL."""

    verb: ClassVar[str] = "set"

    values: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Steps that are cancelled, timed and compensated together, in needs-first order."""

    verb: ClassVar[str] = "steps"

    steps: "Mapping[str, Step]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """Branches of which the first to end well, or by a decision, wins; the others are cancelled."""

    verb: ClassVar[str] = "race"

    branches: "Mapping[str, Step]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enough:
    """When a map or matrix has enough instances that ended well. See FLOW, `join`."""

    count: int  # 0: all of them
    cancel_rest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """One instance of `body` (its id is "item") for each item of a list known at run time.

    `items` is CEL; `name` is what expressions inside call the item. `failures_max` or
    `failures_percent_max` instances may fail. `concurrency` 0 means no bound of its own.
    """

    verb: ClassVar[str] = "map"

    items: str
    name: str
    body: "Step"
    concurrency: int = 0
    failures_max: int = 0
    failures_percent_max: float = 0.0
    enough: Enough = Enough(count=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """One instance of `body` (its id is "cell") for each combination of the axes' values.

    An axis is a list, or a text that is one `${{ … }}` whose value is a list. Combinations that
    have all the values of an entry of `exclude` are left out. With `fail_fast`, the first failure
    cancels the others.
    """

    verb: ClassVar[str] = "matrix"

    axes: Mapping[str, Json]
    body: "Step"
    exclude: tuple[Mapping[str, Json], ...] = ()
    concurrency: int = 0
    fail_fast: bool = True
    enough: Enough = Enough(count=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """Instances of `body` (its id is "turn") one after the other.

    Exactly one of the conditions is given: `until` is asked after each turn and sees its `result`,
    `condition` (the `while`) before each and sees the last turn's `result`, null before the first.
    """

    verb: ClassVar[str] = "loop"

    body: "Step"
    turns_max: int
    until: str | None = None
    condition: str | None = None
    delay_seconds: float = 0.0


Verb: TypeAlias = (
    Uses | Wait | Timer | AwaitEvent | Emit | Call | SetVars | Group | Race | Map | Matrix | Loop
)
Container: TypeAlias = Group | Race | Map | Matrix | Loop


# --- modifiers -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """What undoes a completed step."""

    uses: Uses
    retry: Retry = field(default_factory=Retry)
    timeout_seconds: float = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OnError:
    """What a step's final failure leads to. `compensate` names steps, undone newest first."""

    compensate: tuple[str, ...] = ()
    then: AfterError = AfterError.FAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most `limit` attempts in `seconds`, over all runs of the project. `key` is a template."""

    key: str
    limit: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """After `failures` within `window_seconds`, no attempt for `cooldown_seconds`, then one probe.

    `key` is a template; one circuit is shared by all runs of the project.
    """

    key: str
    failures: int
    window_seconds: float
    cooldown_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Reuses the result an equal key had in the project for `ttl_seconds`. `key` is a template."""

    key: str
    ttl_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One node of a plan. Every id occurs once in a plan, but for the bodies of containers."""

    id: str
    verb: Verb
    needs: tuple[str, ...] = ()
    condition: str | None = None  # the `if`, CEL
    condition_reads: tuple[str, ...] = ()  # ids of steps the `if` mentions
    join: Join = Join.ALL
    join_count: int = 0  # of `count`
    cancel_rest: bool = False  # needs still open when the join holds are cancelled
    retry: Retry = field(default_factory=Retry)
    timeout_seconds: float = 1800.0  # of one attempt
    total_seconds: float | None = None  # of the step, retries and everything inside included
    heartbeat_seconds: float | None = None  # an attempt that is silent for longer has hung
    compensate: Compensation | None = None
    compensate_on_failure: bool = False
    on_error: OnError | None = None
    outputs: Mapping[str, str] | None = None  # name → CEL over `result`; None: outputs.result
    effect: str = ""  # template
    mutex: str = ""  # template; the step holds what it names from its start to its end
    rate: Rate | None = None
    circuit: Circuit | None = None
    cache: Cache | None = None
    queue: str = ""  # label of the workers that execute it; "": any
    priority: int = 0  # higher begins first
    at_most_once: bool = False  # never executed again by itself, once an attempt has begun
    lazy: bool = False  # recorded with the next step that is not, and repeated after a crash


# --- state machines ------------------------------------------------------------------------------


class On(StrEnum):
    """What a transition answers to."""

    EVENT = "event"  # `name` is the type the state waits for
    OUTCOME = "on-outcome"  # `name` is how the state's step ended
    SUCCESS = "on-success"
    ERROR = "on-error"
    AFTER = "after"  # `seconds` after the state was entered


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A way out of a state. Of those that answer, the first whose `condition` holds is taken.

    `values` are the `set`: name → CEL, which may read `event`. With `continue_as_new`, the run ends
    as continued and a successor begins in the state `to`, with the vars as they are then.
    """

    on: On
    to: str
    name: str = ""
    seconds: float = 0.0
    condition: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    continue_as_new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StateEvent:
    """An event that is listened to for as long as the run is in the state, whatever its step does.

    `to` and `values` make the transition.
    """

    type: str
    to: str
    correlate: Mapping[str, str] = field(default_factory=dict)
    condition: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """What happens when a run is in a state for too long. `notify` is a block for people."""

    seconds: float
    to: str = ""
    notify: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateNode:
    """One state. `step` is its verb with modifiers, under the state's own id.

    A state with a `final` outcome ends the run.
    """

    id: str
    step: Step | None = None
    transitions: tuple[Transition, ...] = ()
    events: tuple[StateEvent, ...] = ()
    stuck: Stuck | None = None
    final: str = ""  # the run's outcome


class OnConflict(StrEnum):
    """What becomes of a run whose concurrency group is full."""

    QUEUE = "queue"  # it waits for its turn
    CANCEL_IN_PROGRESS = "cancel-in-progress"  # earlier ones of its workflow are cancelled
    CANCEL_NEWEST = "cancel-newest"  # it is cancelled itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """At most `run_count_max` runs of a group at once. `group` is a template, see FLOW."""

    group: str
    run_count_max: int = 1
    on_conflict: OnConflict = OnConflict.QUEUE


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A compiled definition. `steps` is in an order in which needs come first.

    Of `kind` states, `steps` is empty, `states` holds the machine and `initial` its first state.
    """

    name: str
    title: str  # template
    inputs_schema: Mapping[str, Json]
    variables: Mapping[str, Json]  # template
    steps: Mapping[str, Step]
    outputs: Mapping[str, str]  # name → CEL
    triggers: tuple[str, ...] = ("manual", "api")
    kind: str = "dag"
    schema: str = "flow/v1"
    states: Mapping[str, StateNode] = field(default_factory=dict)
    initial: str = ""
    automatic: tuple[AutomaticTrigger, ...] = ()  # what starts runs by itself
    concurrency: Concurrency | None = None
    secrets: tuple[str, ...] = ()  # the names its actions' arguments may use, sorted


def inner_steps(step: Step) -> Mapping[str, Step]:
    """Return the steps a container holds, by their name in it; none for any other verb."""
    verb = step.verb
    if isinstance(verb, Group):
        return verb.steps
    if isinstance(verb, Race):
        return verb.branches
    if isinstance(verb, Map | Matrix | Loop):
        return {verb.body.id: verb.body}
    return {}


def roots(plan: Plan) -> Mapping[str, Step]:
    """Return the outermost steps of a plan by id, those of its states included."""
    if plan.kind == Kind.STATES:
        return {key: state.step for key, state in plan.states.items() if state.step is not None}
    return plan.steps


def walk(plan: Plan) -> Iterator[tuple[str, Step]]:
    """Yield every step of a plan with its path, such as `deploy/item`, outer ones first."""

    def inside(steps: Mapping[str, Step], base: str) -> Iterator[tuple[str, Step]]:
        for name, step in steps.items():
            path = f"{base}{name}"
            yield path, step
            yield from inside(inner_steps(step), f"{path}/")

    yield from inside(roots(plan), "")
