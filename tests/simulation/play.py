"""One seed, one play: a few processes, some runs, and everything that may go wrong. Read `play`."""

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from approvals.services.reach import ReachSweep
from core.kernel.clock import FakeClock
from core.toolkit import queue, realtime
from core.toolkit.breaker import Breaker
from engine import loading, registry
from engine.domain.plan import walk
from engine.registry import SweepFunction
from tests.simulation import clockwork, operating
from tests.simulation.aftermath import find_leftovers, runs_of
from tests.simulation.casting import GATE, random_plan
from tests.simulation.clockwork import Clockwork
from tests.simulation.gate import GateOpener, GateVerb
from tests.simulation.roles import ON_STAGE, Roles, steal_lease
from tests.simulation.stage import Fate, Part, Stage
from tests.simulation.variety import child_plan, varied_plan
from tests.simulation.verdict import find_violations
from tests.world import World

_TURN_COUNT_MAX = 6_000
_CALM_FROM = (60, 150, 400, 1_000)  # turns: then nothing goes wrong any more, so all must end
_VARIED_SHARE = 0.5  # of the plays that have more than steps and approvals
_LOOK_EVERY = 20  # turns between two looks whether all is over
_FAULTS = [Fate.CRASH_BEFORE, Fate.CRASH_AFTER, Fate.SEVER_BEFORE, Fate.SEVER_AFTER]
_BUGS = [Fate.BUG_BEFORE, Fate.BUG_AFTER]
_NAMES = ("ann", "bob", "cid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a seed. `violations` are sentences; none is good."""

    seed: int
    violations: list[str]
    schedule: list[str]

    def __str__(self) -> str:
        return "\n".join(
            [
                f"seed {self.seed}: the schedule (turn, virtual time, who, statement, what)",
                *self.schedule,
                *(f"seed {self.seed}: {violation}" for violation in self.violations),
                f"replay it: make simulate SEED={self.seed}",
            ]
        )


class Theatre:
    """What plays share: an organization, threads with their connections, the clock."""

    def __init__(self, *, stage: Stage) -> None:
        self.stage = stage
        self.world = World(slug="stage")
        self.world.user("mara", "requester", "editor", "publisher", "operator")
        for name in _NAMES:
            self.world.user(name, "approver", groups=("board",))
        self.principals = {name: self.world.principal(name) for name in ("mara", *_NAMES)}
        self.count = 0

    def play(self, *, seed: int) -> Report:
        """Play a seed to its end and judge it."""
        self.count += 1
        return _Play(self, seed=seed).run()


@contextmanager
def opened_theatre(monkeypatch: pytest.MonkeyPatch) -> Iterator[Theatre]:
    """Open a theatre in a database whose rows other connections see."""
    loading.forget_all()
    stage = Stage(clock=Clockwork())
    deaf = Breaker(clock=FakeClock())  # live viewers may miss every signal; none watches
    deaf.record_failure()
    monkeypatch.setattr(realtime, "BREAKER", deaf)
    monkeypatch.setattr(queue, "send", _send)
    kept = loading._states
    logging.disable(logging.CRITICAL)  # what goes wrong is meant to, and the schedule tells it
    registry.register_verb(GateVerb(stage.skew), GateOpener())
    try:
        with stage.opened():
            yield Theatre(stage=stage)
    finally:
        logging.disable(logging.NOTSET)
        del registry._VERBS[GATE]
        loading._states = kept
        clockwork.remove()


def _send(_queue: str | None, task: str, kwargs: dict[str, Any]) -> None:
    if task == "engine.drive" and ON_STAGE:
        ON_STAGE[-1].take_hint(UUID(kwargs["run_id"]))
    if task == "engine.execute" and ON_STAGE:
        ON_STAGE[-1].take_task_hint()


class _Play:
    """A play in progress: what the dice of its seed decide."""

    def __init__(self, theatre: Theatre, *, seed: int) -> None:
        self.theatre, self.stage, self.seed = theatre, theatre.stage, seed
        # Another die than the one that deals with turns: so a change of the stage keeps the plan.
        dice = random.Random(f"plan {seed}")
        name = f"play{theatre.count}"
        self.is_varied = dice.random() < _VARIED_SHARE
        self.plan = (varied_plan if self.is_varied else random_plan)(dice, name=name)
        theatre.world.publish(self.plan, author="mara")
        if self.is_varied:
            theatre.world.publish(child_plan(dice, name=name), author="mara")
        self.run_count = dice.choice([1, 1, 2])
        self.sticky = dice.choice([0.0, 0.5, 0.9])
        self.fault_rate = dice.choice([0.0, 0.01, 0.03, 0.1])
        self.fault_left = dice.choice([1, 3, 8])
        self.bug_left = 2
        self.steal_rate = dice.choice([0.0, 0.0, 0.005, 0.02])
        self.steal_left = 8
        self.jump_rate = dice.choice([0.0, 0.02, 0.1])
        self.calm_from = dice.choice(_CALM_FROM)
        self.is_cancelled = dice.random() < 0.3
        self.is_quiet = dice.random() < 0.1
        self.is_operated = dice.random() < 0.4
        if self.is_quiet:
            self.fault_rate = self.steal_rate = self.jump_rate = 0.0
        self.hand_count = dice.choice([1, 2, 2, 3])
        self.roles = Roles(
            stage=self.stage,
            world=theatre.world,
            workflow=self.plan.name,
            principals=theatre.principals,
            skewed=dice.random() < 0.06,
        )
        self.operated: set[UUID] = set()
        self.last: Part | None = None

    def run(self) -> Report:
        self.stage.begin(seed=self.seed)
        swept: dict[str, SweepFunction] = {
            "approvals.notices": lambda: 0,  # nobody delivers here, so all plays' would be overdue
            "approvals.reach": ReachSweep(clock=self.stage.clock),
        }
        kept = {name: registry._SWEEPS[name] for name in swept}
        registry._SWEEPS.update(swept)
        ON_STAGE.append(self.roles)
        violations: list[str] = []
        try:
            self._cast()
            if not self._perform():
                violations.append("it does not end")
        finally:
            self.roles.curtain = True
            self.stage.clear()
            ON_STAGE.pop()
            registry._SWEEPS.update(kept)
        violations += self.stage.problems
        violations += find_violations(
            plan=self.plan,
            roles=self.roles,
            key_count=self.run_count,
            is_quiet=self.is_quiet and not self.is_varied,
            is_varied=self.is_varied,
        )
        violations += find_leftovers(plan=self.plan, roles=self.roles)
        return Report(seed=self.seed, violations=violations, schedule=self.stage.schedule)

    def _cast(self) -> None:
        roles = self.roles
        for number in range(self.run_count):
            for _ in range(self.stage.dice.choice([1, 1, 2])):
                key = f"key{number}"
                roles.add_client(key, partial(roles.start, key))
        for _ in range(self.hand_count):
            roles.add_hand()
        for number in range(self.stage.dice.choice([1, 1, 2])):
            roles.add_sweep(f"sweep{number}")
        for name in self.stage.dice.sample(_NAMES, k=2):
            roles.add_client(name, partial(roles.decide, name))
        if any(step.verb.verb == GATE for _, step in walk(self.plan)):
            roles.add_client("gates", roles.open_gates)
        if self.is_varied:
            roles.add_helper()
            roles.add_client("sender", roles.send_events)
            roles.add_client("answers", roles.answer_questions)
        self._cast_operators()

    def _cast_operators(self) -> None:
        roles = self.roles
        if self.is_operated:
            roles.add_client("operator", partial(operating.work, roles))
        if self.is_cancelled:
            for number in range(self.stage.dice.choice([1, 2])):
                roles.add_client(f"cancel{number}", roles.cancel)

    def _perform(self) -> bool:
        """Let turns pass until everything is over. Returns whether it was."""
        for turn in range(_TURN_COUNT_MAX):
            self.roles.calm = turn >= self.calm_from
            if turn % _LOOK_EVERY == 0 and not self.roles.curtain:
                self._look()
            if not self.stage.parts:
                return True
            if not self._take_turn():
                return False
        return False

    def _look(self) -> None:
        """Let the curtain fall when every run is over."""
        if len(self.roles.run_ids) < self.run_count:
            return
        runs = runs_of(self.plan)
        halted = [run.pk for run in runs if run.status == "HALTED"]
        for run_id in sorted(set(halted) - self.operated, key=self.roles.place):
            self.operated.add(run_id)
            self.roles.add_client("operator", partial(self.roles.operate, run_id))
        if all(run.status == "CLOSED" and run.is_told for run in runs):
            self.roles.curtain = True
            self.stage.note("—", "the curtain falls")

    def _take_turn(self) -> bool:
        dice, calm = self.stage.dice, self.roles.calm
        runnable = self.stage.runnable()
        if not runnable or (not calm and dice.random() < self.jump_rate):
            if not self._let_time_pass(idle=not runnable):
                self.stage.note("—", "everybody waits for somebody else")
                return False
            return True
        if not calm and self.steal_left and dice.random() < self.steal_rate:
            self.steal_left -= 1
            steal_lease(self.roles)
        part = dice.choice(runnable)
        if self.last in runnable and dice.random() < self.sticky:
            part = self.last
        self.last = part
        self.stage.step(part, fate=self._draw_fate(part))
        return True

    def _draw_fate(self, part: Part) -> Fate:
        dice = self.stage.dice
        if self.roles.calm or not self.fault_left or not part.at_statement:
            return Fate.NOTHING
        if dice.random() >= self.fault_rate * part.weight:
            return Fate.NOTHING
        self.fault_left -= 1
        if self.bug_left and dice.random() < 0.15:
            self.bug_left -= 1
            return dice.choice(_BUGS)
        return dice.choice(_FAULTS)

    def _let_time_pass(self, *, idle: bool) -> bool:
        dice, clock = self.stage.dice, self.stage.clock
        if not idle:
            clock.advance(dice.choice([0.001, 0.1, 1.0, 4.0, 20.0]))
            return True
        alarm = self.stage.next_alarm()
        if alarm is None:
            return False
        is_exact = self.roles.calm or self.is_quiet
        longer = 0.0 if is_exact else dice.choice([0.0, 0.0, 0.0, 0.5, 16.0])
        clock.advance(max(0.0, alarm - clock.monotonic()) + longer)
        return True
