"""One seed, one run: random plans with all of the language, driven in memory."""

import random
from collections import Counter
from datetime import timedelta

import pytest

from engine.domain.events import Event, EventKind
from engine.domain.moving import EffectKind
from engine.domain.plan import walk
from engine.domain.skipping import find_skip_obstacle
from engine.domain.state import RunStatus, StepStatus
from engine.domain.steering import find_retry_obstacle
from tests.pure_run import FailsError, PureRun
from tests.simulation.language import random_language_plan
from tests.simulation.undoing import judge_undoing

MOVES_MAX = 300
DECISIONS = ["approved", "rejected", "expired", "voided", "overridden", "failed"]
VERBS = [
    EventKind.RUN_PAUSED,
    EventKind.RUN_RESUMED,
    EventKind.STEP_RETRY_REQUESTED,
    EventKind.STEP_SKIP_REQUESTED,
    EventKind.RUN_CANCEL_REQUESTED,
]
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
            data = {"key": key, "event": "e", "type": "t"}
            self._tell(EventKind.EVENT_RECEIVED, data, {"data": {"x": 1}})
        elif kind == "question":
            choice = self.dice.choice(["retry", "skip", "fail"])
            self._tell(EventKind.QUESTION_RESOLVED, {"key": key, "choice": choice})
        elif kind == "call":
            data = {"key": key, "run": "r", "outcome": self.dice.choice(ENDS)}
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


def test_operators_do_everything_they_can_to_some_run():
    kinds = Counter(event.kind for seed in range(60) for event in play(seed).events)

    assert all(kinds[kind] > 0 for kind in VERBS), kinds


@pytest.mark.parametrize("first", range(0, 400, 25))
def test_every_run_of_the_whole_language_ends_once_and_replays(first):
    for seed in range(first, first + 25):
        check(seed)


def check(seed: int) -> None:
    """Play a seed, and check what must hold of every run."""
    run = play(seed)

    assert run.closed, f"seed {seed} is stuck: {run.state}"
    state = run.state
    left = (
        *(state.running, state.opening, state.withdrawing, state.listening, state.held),
        *(state.timers, state.backoff, state.straggler_count, state.waiting_count),
    )
    assert not any(left), f"seed {seed}: {left}"
    open_keys = [key for key, step in state.steps.items() if step.status is not StepStatus.ENDED]
    assert open_keys == [], f"seed {seed}: {open_keys} never ended"
    assert run.replayed() == state, f"seed {seed} replays to something else"
    kinds = Counter(event.kind for event in run.events)
    assert kinds[EventKind.RUN_CLOSED] == 1
    assert run.events[-1].kind == EventKind.RUN_CLOSED
    check_effects(run, seed)
    steps = dict(walk(run.plan))
    assert list(judge_undoing(steps, run.events, outcome=run.closed)) == [], f"seed {seed}"


def check_effects(run: PureRun, seed: int) -> None:
    """Whatever was opened was ended or taken back; whatever holds a mutex gives it back."""
    opened = Counter(
        (item.key)
        for item in run.effects
        if item.kind in {EffectKind.OPEN, EffectKind.AWAIT, EffectKind.ASK}
    )
    ended = Counter(
        str(event.data["key"])
        for event in run.events
        if event.kind
        in {
            EventKind.APPROVAL_RESOLVED,
            EventKind.EVENT_RECEIVED,
            EventKind.QUESTION_RESOLVED,
            EventKind.WAIT_WITHDRAWN,
        }
    )
    assert all(ended[key] >= count for key, count in opened.items()), f"seed {seed}"
    locked = {
        str(event.data["key"])
        for event in run.events
        if event.kind == EventKind.STEP_ADMITTED and event.data["gate"] == "mutex"
    }
    freed = {item.key for item in run.effects if item.kind is EffectKind.RELEASE}
    assert locked <= freed, f"seed {seed}: {locked - freed} is held for ever"
