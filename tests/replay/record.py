"""Records the histories that are not there yet: `python -m tests.replay.record`.

A scene plays a run in memory, and what it left on record becomes a file in `histories/`. Files that
are there are never written again. A new construct of the language gets a scene of its own.
"""

from collections.abc import Callable

from engine.domain.events import Event, EventKind
from engine.domain.plan import Retry
from tests.constructs import put
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
    return rerun(run, "c", actions={"c": boom()}).drive()


def _moved() -> PureRun:
    run = PureRun(plan(uses("a"), approval("gate", "a"), uses("b", "gate"))).drive()
    data = {"version_from": "v1", "version_to": "v2", "rev": 2, "reset": ["gate#1"]}
    payloads = {"inputs": {"n": 1}, "vars": {"x": 1}, "calls": {}, "names": {}}
    run.outside(Event(kind=EventKind.RUN_MIGRATED, at=run.now, data=data, payloads=payloads))
    return run.drive().resolve("gate", "approved")


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
