"""One seed, one life: a random plan with all of the language, driven in memory. Read `play`."""

import random
from datetime import timedelta
from uuid import UUID

from engine.domain.events import Event, EventKind
from engine.domain.moving import EffectKind
from engine.domain.plan import walk
from engine.domain.skipping import find_skip_obstacle
from engine.domain.state import RunStatus, StepStatus
from engine.domain.steering import find_retry_obstacle
from tests.pure_run import FailsError, PureRun
from tests.simulation.language import random_language_plan

MOVES_MAX = 300
DECISIONS = ["approved", "rejected", "expired", "voided", "overridden", "failed"]
ENDS = ["succeeded", "failed", "rejected", "cancelled"]


class Life:
    """What can happen to a run, one thing at a time."""

    def __init__(self, dice: random.Random, run: PureRun) -> None:
        self.dice = dice
        self.run = run

    def go_on(self) -> None:
        """Do one thing that is possible now."""
        run, draw = self.run, self.dice.random()
        local = sorted(key for key in run.state.running if key not in run.state.remote)
        if local and draw < 0.7:
            run.move(run._execute(self.dice.choice(local)))
        elif run.state.remote and draw < 0.8:
            self._end_remote()
        elif draw < 0.83:
            run.claim()  # the driver died, or the run was ready
        elif draw < 0.835 and not run.state.cancelling:
            self._cancel()
        elif draw < 0.865 and not run.state.cancelling:
            self._operate()
        elif run.state.paused:
            self._rest_paused()
        elif held := run.decider.to_admit(run.state, at=run.now):
            self._let_through(self.dice.choice(held))
        elif waiting := self._waiting():
            self._end(self.dice.choice(waiting))
        elif (wake_at := run.decider.next_wake(run.state)) is not None:
            run.now = max(run.now, wake_at)
            run.claim()

    def _cancel(self, *, compensate: bool = False) -> None:
        """Cancel as the service does: the waits of packages above end with it."""
        voided = [key for key in self._waiting() if self._kind(key) == "approval"]
        self._tell(EventKind.RUN_CANCEL_REQUESTED, {"compensate": True} if compensate else {})
        for key in voided:
            self._tell(EventKind.APPROVAL_RESOLVED, {"key": key, "outcome": "voided"})

    def _operate(self) -> None:
        """Let an operator do something that is possible now."""
        run, definition = self.run, self.run.decider.definition
        if run.state.paused:
            self._tell(EventKind.RUN_RESUMED, {})
            run.claim()
            return
        keys = sorted(run.state.steps)
        retriable = [key for key in keys if not find_retry_obstacle(definition, run.state, key)]
        skippable = [key for key in keys if not find_skip_obstacle(definition, run.state, key)]
        draw = self.dice.random()
        if retriable and draw < 0.4:
            self._tell(EventKind.STEP_RETRY_REQUESTED, {"key": self.dice.choice(retriable)})
        elif skippable and draw < 0.6:
            self._tell(EventKind.STEP_SKIP_REQUESTED, {"key": self.dice.choice(skippable)})
        elif draw < 0.95:
            self._tell(EventKind.RUN_PAUSED, {})
        else:
            self._cancel(compensate=True)

    def _rest_paused(self) -> None:
        """Do what may be done to a run that is paused: others end its waits, or it goes on."""
        run, count = self.run, len(self.run.effects)
        waiting = self._waiting()
        if waiting and self.dice.random() < 0.3:
            self._end(self.dice.choice(waiting))
        elif self.dice.random() < 0.3:
            assert run.claim().begun == ()
            new = {item.kind for item in run.effects[count:]}
            assert new <= {EffectKind.RELEASE}, "nothing begins while a run is paused"
        elif self.dice.random() < 0.3:
            run.now += timedelta(hours=self.dice.randint(1, 200))
        else:
            self._operate()

    def _end_remote(self) -> None:
        run = self.run
        key = self.dice.choice(sorted(run.state.remote))
        run.move(run._execute(key))

    def _let_through(self, key: str) -> None:
        run = self.run
        step = run.decider.step_at(key)
        if step.cache and run.admit(key).data["gate"] != "mutex" and self.dice.random() < 0.5:
            run.move(
                Event(
                    kind=EventKind.STEP_REUSED,
                    at=run.now,
                    data={"key": key},
                    payloads={"result": {"cached": True}},
                )
            )
            return
        run.move(run.admit(key, delay=self.dice.choice([0, 0, 5])))

    def _waiting(self) -> list[str]:
        steps = self.run.state.steps
        return sorted(key for key, step in steps.items() if step.status is StepStatus.WAITING)

    def _kind(self, key: str) -> str:
        if key in self.run.state.listening:
            return "event"
        if self.run.state.steps[key].error is not None:
            return "question"
        return str(self.run.decider.step_at(key).verb.verb)

    def _end(self, key: str) -> None:
        kind = self._kind(key)
        if kind == "event":
            data = {"key": key, "event": str(UUID(int=99)), "type": "t"}
            self._tell(EventKind.EVENT_RECEIVED, data, {"data": {"x": 1}})
        elif kind == "question":
            choice = self.dice.choice(["retry", "skip", "fail"])
            self._tell(EventKind.QUESTION_RESOLVED, {"key": key, "choice": choice})
        elif kind == "call":
            child = self.run.state.steps[key].child
            data = {"key": key, "run": child, "outcome": self.dice.choice(ENDS)}
            self._tell(EventKind.CHILD_CLOSED, data, {"outputs": {"ok": True}})
        else:
            data = {"key": key, "outcome": self.dice.choice(DECISIONS)}
            self._tell(EventKind.APPROVAL_RESOLVED, data, {"outputs": {}})

    def _tell(self, kind, data, payloads=None) -> None:
        self.run.outside(Event(kind=kind, at=self.run.now, data=data, payloads=payloads or {}))


def action_of(dice):
    def action(_):
        draw = dice.random()
        if draw < 0.15:
            raise FailsError("transient")
        if draw < 0.25:
            raise FailsError("permanent")
        return {"value": dice.randint(0, 9)}

    return action


def play(seed: int) -> PureRun:
    """Live one run to its end."""
    dice = random.Random(seed)
    plan = random_language_plan(dice)
    act = action_of(dice)
    names = [step.id for _, step in walk(plan)]
    run = PureRun(
        plan,
        inputs={"hosts": ["a", "b", "c", "d"]},
        actions=dict.fromkeys(names, act) | {f"compensate/{name}": act for name in names},
        capacity=dice.randint(1, 4),
        variables={"count": 0},
        calls={"other@*": {"version": "v", "digest": "d"}},
    )
    life = Life(dice, run)
    for _ in range(MOVES_MAX):
        if is_over(run):
            return run
        life.go_on()
        run.now += timedelta(seconds=dice.random())
        is_left = run.status is RunStatus.READY and not run.state.running
        if not is_over(run) and (is_left or dice.random() < 0.05):
            run.claim()
    if not is_over(run):  # a machine that goes round for ever
        run.cancel()
    for _ in range(10 * MOVES_MAX):
        if is_over(run):
            break
        if run.status is not RunStatus.RUNNING:
            run.claim()
        if not is_over(run):
            life.go_on()
    return run


def is_over(run: PureRun) -> bool:
    return bool(run.closed)
