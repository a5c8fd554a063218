"""Random plans with what stands inside, beside and between steps. Read `varied_plan`.

Names of events, mutexes, rates and results are the play's own, so that plays do not meet.
"""

import random
from dataclasses import replace
from typing import Any

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
    Timer,
    Transition,
    Uses,
    Verb,
    Wait,
)
from tests.simulation.casting import FUNCTION, GATE

LABEL = "gpu"  # of the steps that other workers execute


def child_of(name: str) -> str:
    """Return the name of the workflow that a play's plan calls."""
    return f"{name}c"


def child_plan(dice: random.Random, *, name: str) -> Plan:
    """Return what a play's plan calls: a step or two."""
    steps = {"work": Step(id="work", verb=uses("work"), retry=_retry(dice))}
    if dice.random() < 0.4:
        steps["pause"] = Step(id="pause", verb=Timer(duration="PT20S"), needs=("work",))
    return Plan(
        name=child_of(name), title="t", inputs_schema={}, variables={}, steps=steps, outputs={}
    )


def uses(step_id: str) -> Uses:
    """Return the execution of the simulation's function."""
    return Uses(
        action="python/call@1",
        arguments={
            "function": FUNCTION,
            "step": step_id,
            "run": "${{ run.id }}",
        },
    )


def varied_plan(dice: random.Random, *, name: str) -> Plan:
    """Return a plan with any construct of the language."""
    return _Author(dice, name).plan()


class _Author:
    """Writes one plan by the dice."""

    def __init__(self, dice: random.Random, name: str) -> None:
        self.dice = dice
        self.name = name
        self.count = 0
        self.undoable: list[str] = []  # ids of steps that can be undone, so far
        # Some plays have much of what would be rare: undoing and trying again, or circuits.
        self.is_undoing = dice.random() < 0.35
        self.is_guarded = not self.is_undoing and dice.random() < 0.2
        self.breaks_after = dice.choice([1, 2])  # failures; one circuit has one rule

    def plan(self) -> Plan:
        if self.dice.random() < 0.2:
            return self._plan(steps={}, kind=Kind.STATES, states=self._states(), initial="st0")
        return self._plan(steps=self._steps(most=5, depth=0))

    def _plan(self, **parts: Any) -> Plan:
        return Plan(
            name=self.name,
            title="t",
            inputs_schema={},
            variables={"count": 0},
            outputs={},
            **parts,
        )

    # --- steps -----------------------------------------------------------------------------------

    def _steps(self, *, most: int, depth: int) -> dict[str, Step]:
        steps: dict[str, Step] = {}
        for _ in range(self.dice.randint(1, most)):
            known = sorted(steps)
            needs = self.dice.sample(known, k=min(len(known), self.dice.choice([0, 1, 1, 2])))
            step = self._step(depth=depth)
            steps[step.id] = self._placed(step, tuple(needs))
        return steps

    def _placed(self, step: Step, needs: tuple[str, ...]) -> Step:
        dice = self.dice
        condition = dice.choice([None, None, None, "true", "false", "vars.count < 1"])
        if isinstance(step.verb, Wait):
            return replace(step, needs=needs, condition=condition)
        join = dice.choice([Join.ALL, Join.ALL, Join.ALL_SETTLED, Join.ANY, Join.COUNT])
        asks = isinstance(step.verb, Uses | Group) and dice.random() < self._often(0.3, 0.8)
        then = AfterError.ASK if asks else dice.choice([AfterError.FAIL, AfterError.CONTINUE])
        return replace(
            step,
            needs=needs,
            condition=condition,
            join=join if needs else Join.ALL,
            join_count=dice.randint(1, len(needs)) if join is Join.COUNT and needs else 0,
            cancel_rest=join is Join.COUNT and dice.random() < 0.5,
            on_error=OnError(then=then, compensate=self._named())
            if dice.random() < self._often(0.5, 0.8)
            else None,
        )

    def _often(self, usual: float, undoing: float) -> float:
        return undoing if self.is_undoing else usual

    def _named(self) -> tuple[str, ...]:
        """Return steps that an `on-error` undoes, inside containers or not."""
        return tuple(self.dice.sample(self.undoable, k=min(len(self.undoable), 1)))

    def _step(self, *, depth: int) -> Step:
        self.count += 1
        name = f"s{self.count}"
        draw = self.dice.random()
        if depth < 2 and draw < self._often(0.4, 0.6):
            verb = self._container(depth=depth)
        elif draw < self._often(0.65, 0.7):
            verb = self._beside()
        else:
            return self._executed(name, depth=depth)
        step = Step(id=name, verb=verb)
        if isinstance(verb, Wait):
            return step
        return replace(
            step,
            mutex=self._mutex(depth),
            total_seconds=self.dice.choice([None, None, None, 30.0, 300.0]),
        )

    def _mutex(self, depth: int) -> str:
        # Not inside: what holds a mutex and waits for the same one inside waits for itself.
        return f"{self.name}-lock" if depth == 0 and self.dice.random() < 0.2 else ""

    def _executed(self, step_id: str, *, depth: int) -> Step:
        dice, name = self.dice, self.name
        once = dice.random() < 0.15
        lazy = not once and dice.random() < 0.15
        gate = 0.25 if self.is_guarded else dice.random()
        return Step(
            id=step_id,
            verb=uses(step_id),
            # Of a step that is executed at most once every execution is counted.
            retry=Retry() if once else _retry(dice),
            # Nobody tries that one again before its time is over; a play is shorter than 30 min.
            timeout_seconds=min(dice.choice([5.0, 30.0, 1800.0]), 30.0 if once else 1800.0),
            total_seconds=dice.choice([None, None, None, 60.0]),
            compensate=self._undo(step_id),
            compensate_on_failure=dice.random() < 0.1,
            at_most_once=once,
            lazy=lazy,
            queue=LABEL if not lazy and dice.random() < 0.25 else "",
            mutex=self._mutex(depth),
            rate=Rate(key=f"{name}-r", limit=1, seconds=10) if gate < 0.1 else None,
            cache=Cache(key=f"{name}-c", ttl_seconds=60) if 0.1 < gate < 0.2 else None,
            circuit=self._circuit() if 0.2 < gate < 0.27 else None,
        )

    def _circuit(self) -> Circuit:
        return Circuit(
            key=f"{self.name}-k",
            failures=self.breaks_after,
            window_seconds=60,
            cooldown_seconds=30,
        )

    def _undo(self, step_id: str) -> Compensation | None:
        if self.dice.random() > self._often(0.3, 0.9):
            return None
        self.undoable.append(step_id)
        return Compensation(uses=uses(step_id), retry=_retry(self.dice))

    def _beside(self) -> Verb:
        dice, name = self.dice, self.name
        made: list[Verb] = [
            Timer(duration=dice.choice(["PT1S", "PT20S", "PT1M"])),
            AwaitEvent(type=f"{name}.go", correlate={"run": "run.id"}),
            AwaitEvent(type=f"{name}.any"),
            Emit(type=f"{name}.go", data={"run": "${{ run.id }}"}),
            Emit(type=f"{name}.told", data={"n": "${{ vars.count }}"}),
            SetVars(values={"count": "vars.count + 1"}),
            Call(workflow=child_of(name)),
            Call(workflow=child_of(name), detached=True),
            Wait(verb=GATE, body={}),
        ]
        return dice.choice(made)

    def _container(self, *, depth: int) -> Verb:
        dice = self.dice
        enough = Enough(count=dice.choice([0, 0, 1]), cancel_rest=dice.random() < 0.5)
        match 0 if dice.random() < self._often(0.0, 0.6) else dice.randint(0, 4):
            case 0:
                return Group(steps=self._steps(most=3, depth=depth + 1))
            case 1:
                branches = [self._step(depth=2) for _ in range(dice.randint(1, 3))]
                return Race(branches={step.id: step for step in branches})
            case 2:
                return Map(
                    items=dice.choice(["[1, 2, 3]", "[1, 2]", "[]"]),
                    name="host",
                    body=self._body("item"),
                    concurrency=dice.choice([0, 1, 2]),
                    failures_max=dice.choice([0, 1]),
                    enough=enough,
                )
            case 3:
                return Matrix(
                    axes={"a": [1, 2], "b": ["x"]},
                    body=self._body("cell"),
                    concurrency=dice.choice([0, 1]),
                    fail_fast=dice.random() < 0.5,
                    enough=enough,
                )
            case _:
                return Loop(
                    body=self._body("turn"),
                    turns_max=dice.randint(1, 3),
                    until=dice.choice(["true", "false", "vars.count > 0"]),
                    delay_seconds=dice.choice([0.0, 20.0]),
                )

    def _body(self, body_id: str) -> Step:
        return self._renamed(self._step(depth=2), body_id)

    def _renamed(self, step: Step, step_id: str) -> Step:
        """Return a step under another id, by which no `on-error` knows it."""
        self.undoable = [name for name in self.undoable if name != step.id]
        return replace(step, id=step_id)

    # --- states ----------------------------------------------------------------------------------

    def _states(self) -> dict[str, StateNode]:
        names = [f"st{number}" for number in range(self.dice.randint(2, 4))]
        ends = {"won": "succeeded", "lost": "failed"}
        targets = [*names, *ends]
        states = {name: self._state(name, targets) for name in names}
        return states | {name: StateNode(id=name, final=final) for name, final in ends.items()}

    def _state(self, name: str, targets: list[str]) -> StateNode:
        dice = self.dice
        turns = ("vars.count < 3", {"count": "vars.count + 1"})
        transitions = [
            Transition(
                on=on,
                to=dice.choice(targets),
                condition=turns[0],
                values=turns[1],
                continue_as_new=dice.random() < 0.2,
            )
            for on in (On.SUCCESS, On.ERROR)
        ]
        transitions += [
            Transition(on=On.SUCCESS, to="won"),
            Transition(on=On.ERROR, to="lost"),
            Transition(on=On.AFTER, to="lost", seconds=dice.choice([60.0, 120.0])),
        ]
        listens = (StateEvent(type=f"{self.name}.any", to=dice.choice(["won", "lost"])),)
        return StateNode(
            id=name,
            step=self._renamed(self._step(depth=1), name),
            transitions=tuple(transitions),
            events=listens if dice.random() < 0.4 else (),
        )


def _retry(dice: random.Random) -> Retry:
    return Retry(
        retries_max=dice.randint(0, 3),
        initial_seconds=dice.choice([0.5, 2.0, 20.0]),
        delay_seconds_max=30.0,
    )
