"""What is wrong with a state machine. Read `StateLinter`."""

from collections.abc import Iterator
from dataclasses import dataclass

from core.kernel import limits
from engine.domain.expressions import RUN_NAMES
from engine.domain.flow.draft import StateDraft, StateEventDraft, TransitionDraft
from engine.domain.flow.graph import list_reached
from engine.domain.flow.positions import pointer
from engine.domain.flow.problems import Code, did_you_mean, quoted
from engine.domain.flow.reading import map_at, text_at
from engine.domain.flow.scopes import Where, ways_of
from engine.domain.flow.tools import Tools
from engine.domain.plan import On

# How a verb may end, beside the verbs that end like what they hold.
_ENDS_OF_WORK = frozenset({"succeeded", "failed"})
_ENDS_OF_APPROVALS = frozenset(
    {"approved", "rejected", "expired", "withdrawn", "voided", "overridden", "failed"}
)
_ENDS_OF_CALLS = _ENDS_OF_WORK | {"rejected", "expired", "cancelled"}
_HOLDING_VERBS = frozenset({"steps", "race"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StateLinter:
    """Checks the states of one definition: where they lead, and that a run can end."""

    tools: Tools

    def check(self) -> None:
        """Check all states, if the definition has any."""
        draft = self.tools.draft
        if not draft.states:
            return
        all_known = self._check_target(draft.initial, path="/initial")
        for state in draft.states.values():
            if self.tools.reporter.is_full:
                return
            all_known &= self._check_state(state)
        if all_known:
            self._check_ways()
        self._check_successors()

    def _check_successors(self) -> None:
        """Refuse to go on as another run while this one may owe a compensation."""
        draft = self.tools.draft
        steps = (step for level in draft.levels.values() for step in level.steps.values())
        if not any(step.compensate for step in steps):
            return
        for state in draft.states.values():
            for transition in state.transitions:
                if transition.continues:
                    message = (
                        "A successor cannot undo what this run has done; remove `continue-as-new` "
                        "or every `compensate`."
                    )
                    path = f"{transition.path}/continue-as-new"
                    self.tools.reporter.error(Code.BAD_COMPENSATION, path, message)

    # --- one state ---------------------------------------------------------------------------

    def _check_state(self, state: StateDraft) -> bool:
        """Check a state; returns whether every state it names exists."""
        if state.is_final:
            for key in state.value:
                if key not in {"final", "result"}:
                    message = f"A final state ends the run, so it has no `{key}`."
                    path = pointer([key], base=state.path)
                    self.tools.reporter.error(Code.MISPLACED_KEY, path, message, at_key=True)
            return True
        known = True
        for transition in state.transitions:
            known &= self._check_target(transition.to, path=f"{transition.path}/to")
            self._check_way(transition, state=state, is_event=transition.kind == On.EVENT)
            self._check_answer(transition, state=state)
        for event in state.events:
            known &= not event.to or self._check_target(event.to, path=f"{event.path}/to")
            self._check_way(event, state=state, is_event=True)
        self._check_events(state)
        self._check_repeated(state)
        known &= not state.stuck_to or self._check_target(
            state.stuck_to, path=f"{state.path}/stuck/to"
        )
        self.tools.check_seconds(
            state.stuck_seconds,
            path=f"{state.path}/stuck/after",
            what="`after`",
            most=limits.TIMER_MAX,
        )
        return known

    def _check_target(self, name: str, *, path: str) -> bool:
        states, reporter = self.tools.draft.states, self.tools.reporter
        if name in states:
            return True
        if name:
            message = f"There is no state {quoted(name)}.{did_you_mean(name, states)}"
            reporter.error(Code.UNKNOWN_STATE, path, message)
        return False

    def _check_way(
        self, way: TransitionDraft | StateEventDraft, *, state: StateDraft, is_event: bool
    ) -> None:
        """Check the expressions of a way out."""
        where = Where(names=RUN_NAMES, state=state.id, hears=is_event)
        checker = self.tools.checker
        if way.condition is not None:
            path = f"{way.path}/if"
            checker.check_expression(way.condition, path=path, where=where, is_condition=True)
        for name, text in way.values.items():
            path = pointer(["set", name], base=way.path)
            self.tools.check_variable(name, path=path)
            checker.check_expression(text, path=path, where=where)
        if isinstance(way, TransitionDraft):
            path = f"{way.path}/after"
            self.tools.check_seconds(way.seconds, path=path, what="`after`", most=limits.TIMER_MAX)
            return
        before = Where(names=RUN_NAMES, state=state.id)  # the event has not come yet
        for name, text in way.correlate.items():
            path = pointer(["correlate", name], base=way.path)
            checker.check_expression(text, path=path, where=before)

    # --- what a state answers ----------------------------------------------------------------

    def _check_answer(self, transition: TransitionDraft, *, state: StateDraft) -> None:
        path = f"{transition.path}/{transition.kind}"
        why = self._why_never(transition, state=state)
        if why and not self.tools.reporter.has_error_at(path):
            self.tools.reporter.error(Code.DEAD_TRANSITION, path, why)

    def _why_never(self, transition: TransitionDraft, *, state: StateDraft) -> str:
        """Return why nothing could ever let a transition be taken, or nothing."""
        kind, verb = transition.kind, state.step.verb if state.step is not None else ""
        if kind == On.EVENT:
            return _why_not_received(transition.name, state=state)
        if kind not in {On.OUTCOME, On.SUCCESS, On.ERROR}:
            return ""
        if not verb:
            return f"The state does nothing, so `{kind}` never answers."
        ends = self._ends_of(state)
        if kind == On.OUTCOME and ends is not None and transition.name not in ends:
            return f"`{verb}` never ends {transition.name}, so nothing takes this way."
        return ""

    def _ends_of(self, state: StateDraft) -> frozenset[str] | None:
        """Return how what a state does may end, `None` when that depends on what it holds."""
        step = state.step
        assert step is not None, "the caller looked"
        if step.is_map or step.is_matrix or step.verb in _HOLDING_VERBS:
            return None
        named = {"approval": _ENDS_OF_APPROVALS, "call": _ENDS_OF_CALLS}
        return named.get(step.verb, _ENDS_OF_WORK)

    def _check_events(self, state: StateDraft) -> None:
        seen = {_awaited(state)} - {""}
        answered = {item.name for item in state.transitions if item.kind == On.EVENT}
        for event in state.events:
            if event.type in seen:
                message = f"The state listens to {quoted(event.type)} already."
                self.tools.reporter.error(Code.DEAD_TRANSITION, f"{event.path}/event", message)
            elif event.type and not event.to and event.type not in answered:
                message = (
                    "Nothing follows from this event: say `to`, or write a transition with this "
                    "`event`."
                )
                self.tools.reporter.error(Code.DEAD_TRANSITION, f"{event.path}/event", message)
            seen.add(event.type)

    def _check_repeated(self, state: StateDraft) -> None:
        """Check that no way out stands behind one that is always taken first."""
        taken: set[tuple[str, str, float | None]] = set()
        for transition in state.transitions:
            answer = (transition.kind, transition.name, transition.seconds)
            if answer in taken:
                message = "A transition before this one answers the same and has no `if`."
                self.tools.reporter.error(Code.DEAD_TRANSITION, transition.path, message)
            if transition.condition is None:
                taken.add(answer)

    # --- the machine -------------------------------------------------------------------------

    def _check_ways(self) -> None:
        draft, reporter = self.tools.draft, self.tools.reporter
        ways = {state.id: ways_of(state, draft.states) for state in draft.states.values()}
        reached = list_reached(ways, starts=[draft.initial])
        finals = [state.id for state in draft.states.values() if state.is_final]
        back = list_reached(_turned(ways), starts=finals)
        for state in draft.states.values():
            if state.id not in reached:
                message = f"No way leads to `{state.id}` from `{draft.initial}`."
                reporter.error(Code.UNREACHABLE_STATE, state.path, message, at_key=True)
            elif not state.is_final and not ways[state.id]:
                message = (
                    f"No way leads out of `{state.id}`: give it `transitions`, or make it `final`."
                )
                reporter.error(Code.DEAD_END, state.path, message, at_key=True)
            elif finals and state.id not in back:
                message = f"From `{state.id}` no final state can be reached."
                reporter.warning(Code.NO_WAY_TO_FINAL, state.path, message, at_key=True)
        if not reached.intersection(finals):
            message = "A run could never end: no final state can be reached."
            reporter.error(Code.NO_FINAL, draft.top, message, at_key=True)


def _turned(ways: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
    turned: dict[str, list[str]] = {state: [] for state in ways}
    for state, targets in ways.items():
        for target in targets:
            turned[target].append(state)
    return turned


def _awaited(state: StateDraft) -> str:
    """Return the type of the event that a state's own verb waits for, or nothing."""
    return text_at(map_at(map_at(state.value, "wait"), "event"), "type")


def _why_not_received(name: str, *, state: StateDraft) -> str:
    entries = {event.type: event for event in state.events}
    if name == _awaited(state) or (name in entries and not entries[name].to):
        return ""
    if name in entries:
        return "The entry of `events` says with `to` where this event leads; remove one of the two."
    hint = did_you_mean(name, list(_received(state)))
    return f"The state listens to no {quoted(name)}: neither its `wait` nor its `events` do.{hint}"


def _received(state: StateDraft) -> Iterator[str]:
    yield from (name for name in (_awaited(state), *(event.type for event in state.events)) if name)
