"""How the ends of a step's needs decide about the step. Source: FLOW, "Needs"."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.domain.plan import AfterError, Join, Plan, Step, Wait
from engine.domain.state import Outcome, StepState

_BAD = frozenset(
    {
        Outcome.FAILED,
        Outcome.REJECTED,
        Outcome.EXPIRED,
        Outcome.CANCELLED,
        Outcome.WITHDRAWN,
        Outcome.VOIDED,
        Outcome.UNREACHED,
    }
)


class Verdict(StrEnum):
    """What the needs say: go on to the `if`, or end without it."""

    CONSIDER = "consider"
    SKIP = "skip"
    UNREACHED = "unreached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """A verdict, with the need that led to it, for the record."""

    verdict: Verdict
    why: str = ""


def rule_needs(*, plan: Plan, step: Step, ends: Mapping[str, StepState]) -> Ruling:
    """Decide whether a step whose needs have all ended may go on.

    Args:
        plan: the plan both belong to.
        step: the step in question.
        ends: need id → its ended state, for every need of the step.
    """
    if step.join is Join.ALL_SETTLED:
        return Ruling(verdict=Verdict.CONSIDER)
    for need in step.needs:
        if _stops(plan=plan, step=step, need=need, end=ends[need]):
            return Ruling(verdict=Verdict.UNREACHED, why=f"{need} {ends[need].outcome}")
    skipped = [need for need in step.needs if ends[need].outcome is Outcome.SKIPPED]
    if not skipped:
        return Ruling(verdict=Verdict.CONSIDER)
    if isinstance(step.verb, Wait):
        return Ruling(verdict=Verdict.UNREACHED, why=f"{skipped[0]} skipped")
    if step.condition is None:
        return Ruling(verdict=Verdict.SKIP, why=f"{skipped[0]} skipped")
    return Ruling(verdict=Verdict.CONSIDER)


def _stops(*, plan: Plan, step: Step, need: str, end: StepState) -> bool:
    """Say whether one need's end makes the step unreached.

    A failure that `on-error … continue` absorbed does not stop a step whose `if` reads it.
    """
    if end.outcome not in _BAD:
        return False
    on_error = plan.steps[need].on_error
    absorbed = (
        end.outcome is Outcome.FAILED
        and on_error is not None
        and on_error.then is AfterError.CONTINUE
    )
    return not (absorbed and need in step.condition_reads)
