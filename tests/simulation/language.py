"""Random plans with everything the language has. Read `random_language_plan`.

The plans are values, so they may say things that the linter would refuse; whatever a plan says, a
run of it must end once and replay.
"""

import random
from collections.abc import Mapping
from dataclasses import replace

from core.kernel.types import Json
from engine.domain.plan import (
    AfterError,
    AwaitEvent,
    Cache,
    Call,
    Circuit,
    Compensation,
    Emit,
    Enough,
    Group,
    Join,
    Kind,
    Loop,
    Map,
    Matrix,
    On,
    OnError,
    Plan,
    Race,
    Rate,
    Retry,
    SetVars,
    StateEvent,
    StateNode,
    Step,
    Stuck,
    Timer,
    Transition,
    Uses,
    Verb,
    Wait,
)

DEPTH_MAX = 2
_CONDITIONS = (None, None, None, None, "true", "false", "inputs.absent", "vars.count < 3")


class Author:
    """Writes one plan by the dice."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.count = 0
        self.is_undoing = dice.random() < 0.2  # much of it can be undone, and is tried again

    def plan(self) -> Plan:
        """Return a dag, or a state machine."""
        machine = self.dice.random() < 0.3
        states = self._states() if machine else {}
        return Plan(
            name="random",
            title="t",
            inputs_schema={},
            variables={"count": 0},
            steps={} if machine else self._steps(depth=0, most=6),
            outputs={},
            kind=Kind.STATES if machine else Kind.DAG,
            states=states,
            initial=next(iter(states), ""),
        )

    # --- steps -----------------------------------------------------------------------------------

    def _steps(self, *, depth: int, most: int) -> dict[str, Step]:
        steps: dict[str, Step] = {}
        for _ in range(self.dice.randint(1, most)):
            needs = self._needs(sorted(steps))
            step = self._step(depth=depth, siblings=steps)
            steps[step.id] = self._placed(step, needs, steps)
        return steps

    def _needs(self, known: list[str]) -> tuple[str, ...]:
        count = min(len(known), self.dice.choice([0, 1, 1, 2, 3]))
        return tuple(self.dice.sample(known, k=count))

    def _placed(self, step: Step, needs: tuple[str, ...], known: Mapping[str, Step]) -> Step:
        if isinstance(step.verb, Wait):
            return replace(step, needs=needs, condition=self.dice.choice(_CONDITIONS))
        join = self.dice.choice(
            [Join.ALL, Join.ALL, Join.ALL, Join.ALL_SETTLED, Join.ANY, Join.COUNT]
        )
        undoable = [name for name, other in known.items() if other.compensate]
        named = tuple(self.dice.sample(undoable, k=min(len(undoable), self.dice.randint(0, 2))))
        then = AfterError.ASK if self.is_undoing else self.dice.choice(list(AfterError))
        on_error = OnError(compensate=named, then=then)
        condition = self.dice.choice(_CONDITIONS)
        reads: tuple[str, ...] = ()
        if needs and self.dice.random() < 0.2:
            condition, reads = f"steps.{needs[0]}.outcome != 'skipped'", needs[:1]
        return replace(
            step,
            needs=needs,
            condition=condition,
            condition_reads=reads,
            join=join if needs else Join.ALL,
            join_count=max(1, self.dice.randint(1, len(needs)))
            if join is Join.COUNT and needs
            else 0,
            cancel_rest=self.dice.random() < 0.5,
            on_error=on_error if self.dice.random() < (0.6 if self.is_undoing else 0.25) else None,
        )

    def _step(self, *, depth: int, siblings: Mapping[str, Step]) -> Step:
        del siblings
        self.count += 1
        name = f"s{self.count}"
        if depth < DEPTH_MAX and self.dice.random() < 0.4:
            verb = self._container(depth=depth)
        else:
            verb = self._leaf()
        step = Step(id=name, verb=verb)
        if isinstance(verb, Wait):
            return step
        if isinstance(verb, Uses):
            step = self._executed(step)
        undo = Compensation(uses=_uses(), retry=Retry(retries_max=1))
        return replace(
            step,
            total_seconds=self.dice.choice([None, None, None, 30.0, 300.0]),
            mutex=self.dice.choice(["", "", "", "", "lock"]),
            compensate=undo if self.dice.random() < (0.8 if self.is_undoing else 0.3) else None,
            compensate_on_failure=self.dice.random() < 0.3,
            priority=self.dice.choice([0, 0, 0, 5]),
        )

    def _executed(self, step: Step) -> Step:
        return replace(
            step,
            retry=Retry(retries_max=self.dice.randint(0, 3)),
            rate=Rate(key="r", limit=1, seconds=10) if self.dice.random() < 0.1 else None,
            circuit=self._circuit() if self.dice.random() < 0.1 else None,
            cache=Cache(key="c", ttl_seconds=60) if self.dice.random() < 0.1 else None,
            queue=self.dice.choice(["", "", "", "gpu"]),
            at_most_once=self.dice.random() < 0.15,
        )

    def _circuit(self) -> Circuit:
        return Circuit(key="k", failures=2, window_seconds=60, cooldown_seconds=60)

    def _leaf(self) -> Verb:
        made: list[Verb] = [
            _uses(),
            _uses(),
            _uses(),
            Wait(verb="approval", body={}),
            Timer(duration="PT1M"),
            AwaitEvent(type="thing.done", correlate={"run": "run.id"}),
            Emit(type="thing.sent", data={"n": 1}),
            Call(workflow="other", detached=self.dice.random() < 0.3),
            SetVars(values={"count": "vars.count + 1"}),
        ]
        return self.dice.choice(made)

    def _container(self, *, depth: int) -> Verb:
        draw = self.dice.randint(0, 4)
        if draw == 0:
            return Group(steps=self._steps(depth=depth + 1, most=3))
        if draw == 1:
            steps = self._bare(depth, count=self.dice.randint(1, 3))
            return Race(branches={step.id: step for step in steps})
        enough = Enough(count=self.dice.choice([0, 0, 1, 2]), cancel_rest=self.dice.random() < 0.5)
        body = self._bare(depth, count=1)[0]
        if draw == 2:
            return Map(
                items=self.dice.choice(["inputs.hosts", "[1, 2, 3]", "[]"]),
                name="host",
                body=replace(body, id="item"),
                concurrency=self.dice.choice([0, 1, 2]),
                failures_max=self.dice.choice([0, 0, 1]),
                enough=enough,
            )
        if draw == 3:
            return Matrix(
                axes={"a": [1, 2], "b": ["x"]},
                body=replace(body, id="cell"),
                exclude=({"a": 2},) if self.dice.random() < 0.2 else (),
                concurrency=self.dice.choice([0, 1]),
                fail_fast=self.dice.random() < 0.5,
                enough=enough,
            )
        return self._loop(replace(body, id="turn"))

    def _loop(self, body: Step) -> Loop:
        until = self.dice.random() < 0.5
        return Loop(
            body=body,
            turns_max=self.dice.randint(1, 4),
            until=self.dice.choice(["vars.count > 2", "true", "false"]) if until else None,
            condition=None if until else self.dice.choice(["vars.count < 3", "true", "false"]),
            delay_seconds=self.dice.choice([0.0, 20.0]),
        )

    def _bare(self, depth: int, *, count: int) -> list[Step]:
        """Return steps as they stand inside containers that are no groups: without needs."""
        made = []
        for _ in range(count):
            step = self._step(depth=depth + 1, siblings={})
            made.append(replace(step, needs=(), condition=None, join=Join.ALL))
        return made

    # --- states ----------------------------------------------------------------------------------

    def _states(self) -> dict[str, StateNode]:
        names = [f"st{number}" for number in range(self.dice.randint(2, 5))]
        ends = {"won": "succeeded", "lost": "failed", "off": "cancelled"}
        targets = [*names, *ends]
        states = {name: self._state(name, targets) for name in names}
        return states | {name: StateNode(id=name, final=final) for name, final in ends.items()}

    def _state(self, name: str, targets: list[str]) -> StateNode:
        step: Step | None = None
        if self.dice.random() < 0.85:
            step = replace(self._step(depth=1, siblings={}), id=name)
        transitions = [self._transition(targets) for _ in range(self.dice.randint(1, 4))]
        transitions.append(Transition(on=On.AFTER, to="off", seconds=3_600))
        events: tuple[StateEvent, ...] = ()
        if self.dice.random() < 0.3:
            events = (StateEvent(type="state.left", to=self.dice.choice(targets)),)
        stuck = None
        if self.dice.random() < 0.2:
            told: dict[str, Json] = {"groups": ["leads"]}
            stuck = Stuck(seconds=120, to=self.dice.choice(["", "lost"]), notify=told)
        return StateNode(
            id=name, step=step, transitions=tuple(transitions), events=events, stuck=stuck
        )

    def _transition(self, targets: list[str]) -> Transition:
        on = self.dice.choice(list(On))
        names = {On.EVENT: "thing.done", On.OUTCOME: "approved"}
        return Transition(
            on=on,
            to=self.dice.choice(targets),
            name=names.get(on, ""),
            seconds=60.0 if on is On.AFTER else 0.0,
            condition=self.dice.choice([None, None, "vars.count < 6", "inputs.absent"]),
            values={"count": "vars.count + 1"} if self.dice.random() < 0.6 else {},
            continue_as_new=self.dice.random() < 0.05,
        )


def random_language_plan(dice: random.Random) -> Plan:
    """Return a plan of any kind, with steps inside steps."""
    return Author(dice).plan()


def _uses() -> Uses:
    return Uses(action="python/call@1", arguments={"n": "${{ run.number }}"})
