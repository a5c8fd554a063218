"""Records the histories that are not there yet: `python -m tests.replay.record`.

A scene plays a run in memory, and what it left on record becomes a file in `histories/`. Files that
are there are never written again. A new construct of the language gets a scene of its own.
"""

from collections.abc import Callable

from core.kernel.types import Json, JsonLike
from engine.domain.events import Event, EventKind
from engine.domain.plan import Retry
from tests.constructs import event, put, timer
from tests.plans import approval, boom, failing, plan, undoable, uses
from tests.pure_run import PureRun
from tests.replay.history import FOLDER, make_history, write_history
from tests.reruns import rerun


def _sequence() -> PureRun:
    steps = (uses("build"), uses("check", "build"), uses("ship", "check"))
    return PureRun(plan(*steps, outputs={"done": "steps.ship.outputs.result.ok"})).drive()


def _split_and_join() -> PureRun:
    steps = (uses("a"), uses("b", "a"), uses("c", "a"), uses("d", "b", "c"))
    return PureRun(plan(*steps)).drive()


def _skipped() -> PureRun:
    steps = (
        uses("a"),
        uses("b", "a", condition="inputs.wanted"),
        uses("c", "b"),
        uses("d", "a"),
    )
    return PureRun(plan(*steps), inputs={"wanted": False}).drive()


def _retried() -> PureRun:
    again = Retry(retries_max=3, initial_seconds=1.0, jitter=True)
    run = PureRun(plan(uses("a", retry=again), uses("b", "a")))
    run.actions["a"] = failing(2)
    return run.drive()


def _lost() -> PureRun:
    run = PureRun(plan(uses("a"), uses("b", "a")))
    run.claim()
    return run.lose("a#1")


def _approved() -> PureRun:
    run = PureRun(plan(uses("a"), approval("gate", "a"), uses("b", "gate")), inputs={"n": 1})
    run.drive()
    return run.resolve("gate", "approved", {"form": {"ticket": "CHG-1"}})


def _rejected() -> PureRun:
    run = PureRun(plan(uses("a"), approval("gate", "a"), uses("b", "gate"))).drive()
    return run.resolve("gate", "rejected")


def _compensated() -> PureRun:
    run = PureRun(plan(undoable("a"), undoable("b", "a"), uses("c", "b")))
    run.actions["c"] = boom()
    return run.drive()


def _cancelled() -> PureRun:
    run = PureRun(plan(uses("a"), approval("gate", "a"), uses("b", "gate"))).drive()
    run.cancel()
    return run.resolve("gate", "voided")


def _queued() -> PureRun:
    run = PureRun(plan(uses("a")), facts={"group": {"max": 1, "on_conflict": "queue"}})
    run.claim()
    run.outside(Event(kind=EventKind.RUN_ADMITTED, at=run.now))
    return run.drive()


def _run_again() -> PureRun:
    steps = (undoable("a"), put("v", "a", values={"x": "'set'"}), uses("b", "v"), uses("c", "b"))
    run = PureRun(plan(*steps)).drive()
    again: PureRun = rerun(run, "c", actions={"c": boom()})
    return again.drive()


def _moved() -> PureRun:
    run = PureRun(plan(uses("a"), approval("gate", "a"), uses("b", "gate"))).drive()
    moved: dict[str, JsonLike] = {"version_from": "v1", "version_to": "v2", "rev": 2}
    data = {**moved, "reset": ["gate#1"]}
    payloads: dict[str, Json] = {"inputs": {"n": 1}, "vars": {"x": 1}, "calls": {}, "names": {}}
    run.outside(Event(kind=EventKind.RUN_MIGRATED, at=run.now, data=data, payloads=payloads))
    return run.drive().resolve("gate", "approved")


def _tell(run: PureRun, kind: EventKind, **data: JsonLike) -> None:
    """Append what an operator asks for."""
    run.outside(Event(kind=kind, at=run.now, data=data, payloads={"reason": "because"}))


def _paused() -> PureRun:
    """Paused while a step executes that fails; mended, then resumed."""
    run = PureRun(plan(undoable("a"), uses("b", "a"), timer("c", lasts="PT1H")))
    run.actions["b"] = failing(1, "odd")
    run.claim()
    run.move(run._execute("a#1"))
    _tell(run, EventKind.RUN_PAUSED)
    run.move(run._execute("b#1"))
    _tell(run, EventKind.STEP_RETRY_REQUESTED, key="b#1")
    _tell(run, EventKind.RUN_RESUMED)
    return run.drive()


def _steered() -> PureRun:
    """An attempt begun sooner, a step skipped that waits, one tried again that had failed."""
    later = Retry(retries_max=3, initial_seconds=600.0, jitter=False)
    steps = (event("hear"), uses("a", retry=later), uses("b"), uses("c", "b"), uses("d", "hear"))
    run = PureRun(plan(*steps))
    run.actions |= {"a": failing(1), "b": failing(1, "odd")}
    run.work(list(run.claim().begun))
    _tell(run, EventKind.STEP_RETRY_REQUESTED, key="a#1")
    _tell(run, EventKind.STEP_RETRY_REQUESTED, key="b#1")
    run.work(list(run.claim().begun))
    _tell(run, EventKind.STEP_SKIP_REQUESTED, key="hear#1")
    return run.drive()


def _undone() -> PureRun:
    run = PureRun(plan(undoable("a"), undoable("b", "a"), event("hear", "b"))).drive()
    _tell(run, EventKind.RUN_CANCEL_REQUESTED, compensate=True)
    return run.drive()


SCENES: dict[str, Callable[[], PureRun]] = {
    "sequence": _sequence,
    "split-and-join": _split_and_join,
    "condition-skips": _skipped,
    "retried": _retried,
    "lost-attempt": _lost,
    "approved": _approved,
    "rejected": _rejected,
    "compensated": _compensated,
    "cancelled": _cancelled,
    "queued": _queued,
    "run-again": _run_again,
    "moved": _moved,
    "paused-and-mended": _paused,
    "retried-and-skipped": _steered,
    "cancelled-and-undone": _undone,
}


def main() -> None:
    """Write what is missing."""
    for name, scene in SCENES.items():
        if not (FOLDER / f"{name}.json").exists():
            run = scene()
            assert run.closed, f"{name} does not end"
            history = make_history(name, plan=run.plan, events=run.events, state=run.state)
            print(f"wrote {write_history(history).name}")


if __name__ == "__main__":
    main()
