"""What every check of a definition's meaning has at hand. Read `Tools`."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta

from core.kernel.types import format_duration
from engine.domain.expressions import RUN_NAMES
from engine.domain.flow.draft import Draft, StepDraft
from engine.domain.flow.installed import Installed
from engine.domain.flow.meaning import ExpressionChecker
from engine.domain.flow.problems import Code, Reporter, did_you_mean, quoted
from engine.domain.flow.scopes import Scopes, Where

_NOTHING = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """A definition, what is installed, and where problems go.

    `gated` are the paths of approvals and of the steps that hold one.
    """

    draft: Draft
    scopes: Scopes
    installed: Installed
    checker: ExpressionChecker
    reporter: Reporter
    gated: frozenset[str]

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


def find_gated(draft: Draft) -> frozenset[str]:
    """Return the paths of a definition's approvals and of the steps that hold one."""
    gated: set[str] = set()
    for step in draft.all_steps():
        if step.verb == "approval":
            gated.add(step.path)
            gated.update(owner.path for owner in draft.owners_of(step))
    return frozenset(gated)
