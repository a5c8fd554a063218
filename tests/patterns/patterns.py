"""The definitions of examples/patterns, compiled and driven in memory. Read `play` first."""

from functools import cache
from typing import Any

from approvals.verbs import ApprovalVerb
from core.kernel.types import Json
from engine.domain.events import Begun
from engine.domain.moving import EffectKind
from engine.domain.plan import Plan
from engine.domain.state import RunStatus
from examples.patterns.functions import work
from tests.architecture.sources import ROOT
from tests.fakes.flow import compile_text
from tests.pure_run import EVALUATOR, PureRun

FOLDER = ROOT / "examples/patterns"
FUNCTIONS = ("patterns.work",)


@cache
def load(slug: str) -> Plan:
    """Return the plan of a pattern's definition, which must have no errors."""
    source = (FOLDER / f"{slug}.yaml").read_text(encoding="utf-8")
    compilation = compile_text(source, verb=ApprovalVerb(), functions=FUNCTIONS)
    assert compilation.plan is not None, compilation.problems
    assert compilation.plan.name == slug
    return compilation.plan


class PatternRun(PureRun):
    """A run in which a mutex lets one instance through at a time, as the system's do."""

    def work(self, begun: list[Begun]) -> list[Begun]:
        """Execute what has begun and what follows, and let through whatever may go."""
        while True:
            while begun:
                begun += self.move(self._execute(begun.pop(0).key)).begun
            free = [key for key in self._held() if self.state.steps[key].mutex not in self._taken()]
            if not free or self.status is not RunStatus.RUNNING:
                return begun
            begun += self.move(self.admit(free[0])).begun

    def ran(self) -> list[str]:
        """Return the keys of the steps that were executed, in order."""
        return [key for key, _, _ in self.executed]

    def begun(self) -> set[str]:
        """Return the keys of the steps that have begun and not ended."""
        return set(self.state.running)

    def _held(self) -> list[str]:
        held = self.decider.to_admit(self.state, at=self.now)
        return sorted(held, key=lambda key: -self.decider.step_at(key).priority)

    def _taken(self) -> set[str]:
        """Return the mutexes that are held: granted, and not given back."""
        granted: dict[str, str] = {}
        for event in self.events:
            if event.kind == "step.admitted" and event.data["gate"] == "mutex":
                key = str(event.data["key"])
                granted[key] = self.state.steps[key].mutex
        for effect in self.effects:
            if effect.kind is EffectKind.RELEASE:
                granted.pop(effect.key, None)
        return set(granted.values())


def start(slug: str, inputs: Any = None, **fields: Any) -> PatternRun:
    """Return a run of a pattern that nobody has driven yet.

    An action that is not scripted does what the function of the definitions does.
    """
    plan = load(slug)
    given = inputs or {}
    seen: dict[str, Json] = {"inputs": given, "run": {"id": "r", "number": 1}}
    variables = EVALUATOR.render(dict(plan.variables), seen)
    return _Patterned(plan, inputs=given, variables=variables, **fields)


def play(slug: str, inputs: Any = None, **fields: Any) -> PatternRun:
    """Return a run of a pattern, driven until it waits for somebody or has closed."""
    run = start(slug, inputs, **fields)
    run.drive()
    return run


def check(run: PureRun, closed: str) -> None:
    """Check how a run has closed, that nothing of it is left, and that it replays to the same."""
    assert run.closed == closed
    state = run.state
    left = (state.running, state.held, state.opening, state.withdrawing, state.listening)
    assert not any((*left, state.timers, state.backoff, state.waiting_count))
    assert run.replayed() == state


class _Patterned(PatternRun):
    def __post_init__(self) -> None:
        self.actions = _Working(self.actions)
        super().__post_init__()


class _Working(dict[str, Any]):
    """Actions by step; whatever is not scripted echoes what it is given, as `patterns.work`."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return a scripted action, or that of the function."""
        del default
        return super().get(name, _work)


def _work(given: dict[str, Json]) -> Any:
    return work(**{name: value for name, value in given.items() if name != "function"})
