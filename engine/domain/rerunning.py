"""What is taken over, and what is executed again, when a run is run again. Read `plan_rerun`.

The unit is the outermost step, or in a state machine the visit to a state: what is inside a
container runs again as a whole. Three rules make the closure:

* what did not end well, was undone, or would not be the same, is executed again;
* what depends on something that is executed again is executed again;
* an approval that something executed again depends on is asked again, and so is whatever holds one.
  So no decision ever stands for an execution that nobody had in mind when it was made.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from core.kernel.canonical import UncanonicalError, canonical_bytes
from core.kernel.limits import PAYLOAD_BYTES_MAX
from core.kernel.types import Json
from engine.domain.carrying import divide, instances_by_root, pack
from engine.domain.definition import Definition
from engine.domain.errors import StepMissingError
from engine.domain.keys import any_try_of, path_of, prefix_of, step_key
from engine.domain.plan import AfterError, Step, Wait, inner_steps
from engine.domain.settling import GOOD
from engine.domain.state import Outcome, RunState, StepState, StepStatus


class Why(StrEnum):
    """Why a step is executed again."""

    CHOSEN = "chosen"  # somebody said so
    DEPENDS = "depends"  # on one that is executed again
    APPROVAL = "approval"  # is or holds one, and something executed again depends on it
    NOT_DONE = "not-done"  # it has not ended well
    UNDONE = "undone"  # what it did was compensated
    HANDED_OVER = "handed-over"  # another run has taken it over, and answers for undoing it
    CHANGED = "changed"  # the version has another step by this name, or none had it before
    INPUTS = "inputs"  # it reads inputs or vars that are different now
    TOO_LARGE = "too-large"  # what it made cannot be recorded as one value


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A step that is executed again. `because` is the key of the one that leads to it, or ""."""

    key: str
    why: Why
    because: str = ""
    is_gate: bool = False  # it is an approval or holds one: people are asked again


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A step whose recorded end is taken over."""

    key: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What running a run again does, in the plan's order.

    Of a state machine, `start` is the visit it begins with: visits before are `taken`, and `again`
    has that one alone, because where the run goes from there nobody knows.
    """

    taken: tuple[Taken, ...] = ()
    again: tuple[Again, ...] = ()
    start: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is known of the run that is run again, besides its state.

    `gated` are keys of outermost steps that called a workflow with an approval in it; `handed`
    those that another run has taken over together with their compensation; `changed` ids of steps
    that would not be the same, and why.
    """

    gated: frozenset[str] = frozenset()
    handed: frozenset[str] = frozenset()
    changed: Mapping[str, Why] = field(default_factory=dict)


def plan_rerun(definition: Definition, state: RunState, *, chosen: str, past: Past) -> Rerun:
    """Return what running a run again from a step does.

    Args:
        definition: that of the new run.
        state: the state the origin came to.
        chosen: a key or an id, see `find_chosen`; "" takes nothing over.
        past: what else is known of the origin.

    Raises:
        StepMissingError: there is no such step, or the run has never been in that state.
    """
    root = find_chosen(definition, state, chosen) if chosen else ""
    if definition.is_machine:
        return _plan_machine(definition, state, root, past)
    return _plan_dag(definition, state, root, past)


def list_choices(definition: Definition, state: RunState) -> tuple[Taken, ...]:
    """Return the steps, or the visits, that a run may be run again from, with how they ended."""
    keys = [step_key(name) for name in definition.plan.steps]
    if definition.is_machine:
        made = [(order, key) for key, (order, given) in state.entered.items() if given is not None]
        keys = [key for _, key in sorted(made)]
    ends = {key: state.steps[key].outcome for key in keys if key in state.steps}
    return tuple(Taken(key=key, outcome=str(ends.get(key) or "")) for key in keys)


def find_chosen(definition: Definition, state: RunState, name: str) -> str:
    """Return the key of the outermost step, or of the visit, that a key or an id means.

    An id inside a container means the outermost one around it; a state's id its last visit.

    Raises:
        StepMissingError: there is no such step, or the run has never been in that state.
    """
    path = path_of(name)
    path = definition.tree.ids.get(path, path)
    outermost = path.partition("/")[0]
    if not definition.is_machine:
        if outermost not in definition.plan.steps:
            raise StepMissingError(step=name)
        return step_key(outermost)
    root = prefix_of(any_try_of(name), 1)
    if "#" not in root:
        root = step_key(outermost, state.visits.get(outermost, 0))
    # A visit that another run has made is chosen there.
    if state.entered.get(root, (0, None))[1] is None or outermost not in definition.plan.states:
        raise StepMissingError(step=name)
    return root


def holds_gate(definition: Definition, step: Step) -> bool:
    """Say whether a step is a wait of a package above, or has one inside."""
    verb = step.verb
    if isinstance(verb, Wait) and verb.verb in definition.verbs:
        return True
    return any(holds_gate(definition, item) for item in inner_steps(step).values())


def visits_before(state: RunState, start: str) -> list[str]:
    """Return the keys of the visits of a machine before one, in order."""
    place = state.entered[start][0]
    earlier = [(order, key) for key, (order, _) in state.entered.items() if order < place]
    return [key for _, key in sorted(earlier)]


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """What the first entry of the new run says besides its inputs.

    `state` is where a machine begins, "" for its initial state; `payloads` hold what is taken over.
    """

    state: str
    variables: dict[str, Json]
    payloads: dict[str, Json]


def carry(
    definition: Definition,
    state: RunState,
    rerun: Rerun,
    *,
    rendered: Mapping[str, Json],
    before: Mapping[str, Json],
) -> First:
    """Return what the first entry of the new run says.

    Args:
        definition: the origin's.
        state: the state the origin came to.
        rerun: what is taken over.
        rendered: the `vars` of the new run, without what is taken over.
        before: the `vars` the origin began with.
    """
    instances = instances_by_root(definition, state)
    roots = [item.key for item in rerun.taken]
    keys = [key for root in roots for key in instances.get(root, ())]
    payloads = divide(pack(definition, state, keys))
    assigned = {key: state.assigned[key] for key in roots if key in state.assigned}
    if assigned:
        payloads["assigned"] = {
            key: {name: [count, value] for name, (count, value) in given.items()}
            for key, given in assigned.items()
        }
    if not definition.is_machine:
        given = [item for values in assigned.values() for item in values.items()]
        in_order = sorted(given, key=lambda item: item[1][0])
        variables = dict(rendered) | {name: value for name, (_, value) in in_order}
        return First(state="", variables=variables, payloads=payloads)
    if not rerun.start:
        return First(state="", variables=dict(rendered), payloads={})
    if roots:
        payloads["visits"] = list(roots)
    entry = state.entered[rerun.start][1]
    assert isinstance(entry, Mapping), "only a visit of the run itself is chosen"
    # What no transition had set by then is as this run begins with it.
    variables = {
        name: rendered[name] if name in rendered and value == before.get(name) else value
        for name, value in entry.items()
    }
    return First(state=path_of(rerun.start), variables=variables, payloads=payloads)


# --- dags ----------------------------------------------------------------------------------------


def _plan_dag(definition: Definition, state: RunState, chosen: str, past: Past) -> Rerun:
    steps = definition.plan.steps
    if not chosen:
        return Rerun(
            again=tuple(
                Again(
                    key=step_key(name),
                    why=Why.CHOSEN,
                    is_gate=_is_gate(definition, step_key(name), past),
                )
                for name in steps
            )
        )
    judge = _Judge(definition=definition, state=state, past=past)
    why: dict[str, tuple[Why, str]] = {}
    for name in steps:
        key = step_key(name)
        reason = Why.CHOSEN if key == chosen else judge.why_not(key, is_absorbed=_is_absorbed)
        if reason is not None:
            why[name] = (reason, "")
    _close(definition, why, past)
    for name, (reason, _) in why.items():  # it was not reached, for the sake of that one
        need = next((need for need in steps[name].needs if need in why), None)
        end = state.steps[step_key(name)].outcome if step_key(name) in state.steps else None
        if reason is Why.NOT_DONE and need is not None and end is Outcome.UNREACHED:
            why[name] = (Why.DEPENDS, step_key(need))
    return Rerun(
        taken=tuple(
            Taken(key=step_key(name), outcome=str(state.steps[step_key(name)].outcome))
            for name in steps
            if name not in why
        ),
        again=tuple(
            Again(
                key=step_key(name),
                why=why[name][0],
                because=why[name][1],
                is_gate=_is_gate(definition, step_key(name), past),
            )
            for name in steps
            if name in why
        ),
    )


def _close(definition: Definition, why: dict[str, tuple[Why, str]], past: Past) -> None:
    """Add what depends on what runs again, and the approvals that it depends on, until all is."""
    steps = definition.plan.steps  # needs come first
    count = -1
    while count != len(why):
        count = len(why)
        for name, step in steps.items():
            need = next((need for need in step.needs if need in why), None)
            if need is not None and name not in why:
                why[name] = (Why.DEPENDS, step_key(need))
        leads_to: dict[str, str] = {}
        for name in reversed(list(steps)):
            below = name if name in why else leads_to.get(name)
            if below is None:
                continue
            if name not in why and _is_gate(definition, step_key(name), past):
                why[name] = (Why.APPROVAL, step_key(below))
            for need in steps[name].needs:
                leads_to.setdefault(need, below)


def _is_gate(definition: Definition, key: str, past: Past) -> bool:
    return key in past.gated or holds_gate(definition, definition.step(key))


def _is_absorbed(definition: Definition, key: str, step: StepState) -> bool:
    """Say whether a bad end is part of the run's course: what followed took it into account."""
    on_error = definition.step(key).on_error
    if step.outcome is Outcome.FAILED:
        return on_error is not None and on_error.then is AfterError.CONTINUE
    if step.outcome is Outcome.SKIPPED:  # by its `if`, or a need's; not by a person
        return step.why == "if" or step.why.endswith(" skipped")
    return step.outcome is Outcome.CANCELLED and step.why == "join"


# --- state machines ------------------------------------------------------------------------------


def _plan_machine(definition: Definition, state: RunState, chosen: str, past: Past) -> Rerun:
    if not chosen:
        first = min(state.entered, key=lambda key: state.entered[key][0], default="")
        return Rerun(again=(Again(key=first, why=Why.CHOSEN),) if first else (), start="")
    judge = _Judge(definition=definition, state=state, past=past)
    again = Again(key=chosen, why=Why.CHOSEN)
    before = visits_before(state, chosen)
    for place, key in enumerate(before):
        name = path_of(key)
        reason: Why | None = past.changed.get(name)
        if name in definition.plan.states and key in state.steps:
            reason = judge.why_not(key, is_absorbed=_is_any)
            if reason is None and _is_gate(definition, key, past):
                reason = Why.APPROVAL
        if reason is not None:
            again = Again(key=key, why=reason, because=chosen)
            before = before[:place]
            break
    is_gate = path_of(again.key) in definition.tree.nodes and _is_gate(definition, again.key, past)
    taken = tuple(
        Taken(key=key, outcome=str(state.steps[key].outcome) if key in state.steps else "")
        for key in before
    )
    return Rerun(
        taken=taken,
        again=(Again(key=again.key, why=again.why, because=again.because, is_gate=is_gate),),
        start=again.key,
    )


def _is_any(definition: Definition, key: str, step: StepState) -> bool:
    """Say of any end that it is part of the run's course: a transition has answered to it."""
    del definition, key
    return step.outcome is not None


# --- what can be taken over ----------------------------------------------------------------------


class _Judge:
    """Says of outermost steps why they cannot be taken over."""

    def __init__(self, *, definition: Definition, state: RunState, past: Past) -> None:
        self._definition = definition
        self._state = state
        self._past = past
        self._instances = instances_by_root(definition, state)
        self._busy = {prefix_of(any_try_of(key), 1) for key in state.running}
        # Of every try: what was done once and undone once is not there any more.
        self._undone = {prefix_of(any_try_of(key), 1) for key in state.undone}

    def why_not(
        self, key: str, *, is_absorbed: Callable[[Definition, str, StepState], bool]
    ) -> Why | None:
        """Return why a step runs again whatever is chosen, `None` if it can be taken over."""
        step, keys = self._state.steps.get(key), self._instances.get(key, [])
        if path_of(key) in self._past.changed:
            return self._past.changed[path_of(key)]
        if step is None or key in self._busy or not self._has_ended(keys):
            return Why.NOT_DONE
        if step.outcome not in GOOD and not is_absorbed(self._definition, key, step):
            return Why.NOT_DONE
        if key in self._undone:
            return Why.UNDONE
        if key in self._past.handed and any(item in self._state.undoable for item in keys):
            return Why.HANDED_OVER
        return None if self._fits(keys) else Why.TOO_LARGE

    def _has_ended(self, keys: Sequence[str]) -> bool:
        return all(self._state.steps[key].status is StepStatus.ENDED for key in keys)

    def _fits(self, keys: Collection[str]) -> bool:
        try:
            items: Iterable[Mapping[str, Json]] = pack(self._definition, self._state, keys)
            return all(len(canonical_bytes(dict(item))) <= PAYLOAD_BYTES_MAX // 2 for item in items)
        except UncanonicalError:
            return False
