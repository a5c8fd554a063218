"""One seed, one run: random plans with all of the language, driven in memory."""

from collections import Counter

import pytest

from engine.domain.events import EventKind
from engine.domain.moving import EffectKind
from engine.domain.plan import walk
from engine.domain.state import StepStatus
from tests.pure_run import PureRun
from tests.simulation.lives import play
from tests.simulation.undoing import judge_undoing

VERBS = [
    EventKind.RUN_PAUSED,
    EventKind.RUN_RESUMED,
    EventKind.STEP_RETRY_REQUESTED,
    EventKind.STEP_SKIP_REQUESTED,
    EventKind.RUN_CANCEL_REQUESTED,
]


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
