"""How the ends of a step's needs decide about the step. Source: FLOW, "Needs"."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.domain.definition import Definition
from engine.domain.keys import sibling_key
from engine.domain.plan import AfterError, Join, Map, Matrix, Step
from engine.domain.settling import GOOD
from engine.domain.state import Outcome, RunState, StepState, StepStatus

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
PARTIAL = frozenset({Join.ANY, Join.COUNT})


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


def is_joined(definition: Definition, state: RunState, key: str) -> bool:
    """Say whether enough of the needs of a step with a partial join have ended well."""
    step = definition.step(key)
    wanted = step.join_count if step.join is Join.COUNT else 1
    good = sum(
        state.steps[sibling_key(key, need)].outcome in GOOD
        and state.steps[sibling_key(key, need)].status is StepStatus.ENDED
        for need in step.needs
    )
    return good >= wanted


def rule_needs(definition: Definition, state: RunState, key: str) -> Ruling:
    """Decide whether a step may go on whose needs have ended, or enough of them."""
    step = definition.step(key)
    if step.join is Join.ALL_SETTLED or not step.needs:
        return Ruling(verdict=Verdict.CONSIDER)
    if step.join in PARTIAL:
        if is_joined(definition, state, key):
            return Ruling(verdict=Verdict.CONSIDER)
        return Ruling(verdict=Verdict.UNREACHED, why="too few ended well")
    ends = {need: state.steps[sibling_key(key, need)] for need in step.needs}
    return _rule_all(definition, step, key, ends)


def _rule_all(
    definition: Definition, step: Step, key: str, ends: Mapping[str, StepState]
) -> Ruling:
    for need in step.needs:
        if _stops(definition, step, key, need=need, end=ends[need]):
            return Ruling(verdict=Verdict.UNREACHED, why=f"{need} {ends[need].outcome}")
    skipped = [need for need in step.needs if ends[need].outcome is Outcome.SKIPPED]
    if not skipped:
        return Ruling(verdict=Verdict.CONSIDER)
    if is_gate(definition, step):  # it is skipped only by its own `if`
        return Ruling(verdict=Verdict.UNREACHED, why=f"{skipped[0]} skipped")
    if step.condition is None:
        return Ruling(verdict=Verdict.SKIP, why=f"{skipped[0]} skipped")
    return Ruling(verdict=Verdict.CONSIDER)


def is_gate(definition: Definition, step: Step) -> bool:
    """Say whether a step is a wait of a package above, once or for each of many."""
    verb = step.verb
    while isinstance(verb, Map | Matrix):
        verb = verb.body.verb
    return verb.verb in definition.verbs


def _stops(definition: Definition, step: Step, key: str, *, need: str, end: StepState) -> bool:
    """Say whether one need's end makes the step unreached.

    A failure that `on-error … continue` absorbed does not stop a step whose `if` reads it.
    """
    if end.outcome not in _BAD:
        return False
    on_error = definition.step(sibling_key(key, need)).on_error
    absorbed = (
        end.outcome is Outcome.FAILED
        and on_error is not None
        and on_error.then is AfterError.CONTINUE
    )
    return not (absorbed and need in step.condition_reads)
