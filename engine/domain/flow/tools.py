"""What every check of a definition's meaning has at hand. Read `Tools`."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta

from core.kernel.types import format_duration
from engine.domain.expressions import RUN_NAMES
from engine.domain.flow.draft import Draft, LevelKind, StepDraft
from engine.domain.flow.installed import Installed
from engine.domain.flow.meaning import ExpressionChecker
from engine.domain.flow.problems import Code, Reporter, did_you_mean, quoted
from engine.domain.flow.reading import map_at
from engine.domain.flow.scopes import Scopes, Where

_NOTHING = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """A definition, what is installed, and where problems go.

    `gated` are the paths of approvals and of the steps that hold one, `certain` those of steps that
    nothing but a failure can keep from starting.
    """

    draft: Draft
    scopes: Scopes
    installed: Installed
    checker: ExpressionChecker
    reporter: Reporter
    gated: frozenset[str]
    certain: frozenset[str]
    has_effects: bool

    def outside(self, step: StepDraft) -> Where:
        """Return what a step's own expressions see: its `if`, what it repeats itself over."""
        return Where(
            names=(*RUN_NAMES, *sorted(self.draft.levels[step.level].names)),
            level=step.level,
            step=step,
        )

    def inside(self, step: StepDraft, *, also: Collection[str] = ()) -> Where:
        """Return what the expressions of a step's instances see: its arguments, its outputs."""
        names = (*RUN_NAMES, *sorted(self.draft.names_inside(step)), *also)
        return Where(names=names, level=step.level, step=step)

    def after(self, step: StepDraft) -> Where:
        """Return what the `outputs` of a step see; those of a group see its inner steps' ends."""
        where = self.inside(step, also=("result",))
        if step.verb == "steps" and step.inner:
            return replace(where, level=step.inner, step=None)
        return where

    def check_seconds(
        self,
        seconds: float | None,
        *,
        path: str,
        what: str,
        most: timedelta,
        least: timedelta = _NOTHING,
    ) -> None:
        """Report a duration out of its bounds, of which zero is never inside."""
        if seconds is None or self.reporter.has_error_at(path):
            return
        low = least.total_seconds()
        if seconds > most.total_seconds() or seconds <= 0 or seconds < low:
            bounds = f"at least {format_duration(least)}" if low else "over zero"
            message = f"{what} is {bounds} and at most {format_duration(most)}."
            self.reporter.error(Code.BAD_DURATION, path, message)

    def check_variable(self, name: str, *, path: str) -> None:
        """Report a `set` of what `vars` does not declare."""
        if name not in self.draft.variables:
            hint = did_you_mean(name, self.draft.variables)
            message = f"`vars` does not declare {quoted(name)}, so it cannot be set.{hint}"
            self.reporter.error(Code.UNKNOWN_FIELD, path, message, at_key=True)


def make_tools(
    draft: Draft,
    *,
    scopes: Scopes,
    installed: Installed,
    checker: ExpressionChecker,
    reporter: Reporter,
) -> Tools:
    """Return the tools for a definition."""
    gated = _find_gated(draft)
    return Tools(
        draft=draft,
        scopes=scopes,
        installed=installed,
        checker=checker,
        reporter=reporter,
        gated=gated,
        certain=_find_certain(draft, scopes=scopes, gated=gated),
        has_effects=any(step.effect for step in draft.all_steps()),
    )


def _find_certain(draft: Draft, *, scopes: Scopes, gated: frozenset[str]) -> frozenset[str]:
    """Return the paths of the steps that start in every run in which nothing fails.

    No condition, no decision and no list that may be empty is on them, around them or before them.
    """
    certain: set[str] = set()
    for level in draft.levels.values():
        if level.kind is not LevelKind.STEPS or (level.owner and level.owner not in certain):
            continue
        for name in scopes.orders[level.path].order:
            step = level.steps[name]
            needs = [level.steps[need] for need in step.needs if need in level.steps]
            is_open = step.condition is None and not step.is_map
            is_open = is_open and "while" not in map_at(step.value, "loop")
            if is_open and all(need.path in certain and need.path not in gated for need in needs):
                certain.add(step.path)
    return frozenset(certain)


def _find_gated(draft: Draft) -> frozenset[str]:
    """Return the paths of a definition's approvals and of the steps that hold one."""
    gated: set[str] = set()
    for step in draft.all_steps():
        if step.verb == "approval":
            gated.add(step.path)
            gated.update(owner.path for owner in draft.owners_of(step))
    return frozenset(gated)
