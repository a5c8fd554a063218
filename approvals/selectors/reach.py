"""Whether enough people may decide. Read `can_be_reached` for a request, `list_obstacles` before.

Both ask who may decide today, and both fail closed: too few people are never a way through.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from approvals.domain.authority import PERMISSIONS
from approvals.domain.opening import rule_of
from approvals.domain.quorum import recount
from approvals.domain.reading import CODE
from approvals.domain.rule import Exclusions
from approvals.domain.words import describe_note
from approvals.selectors.approvers import Barrier, Eligibility, find_eligible, resolve_keys
from approvals.selectors.facts import RequestFacts
from core.kernel.errors import Problem
from core.kernel.types import Json
from engine.loading import EVALUATOR

_NO_BARRIER = Barrier(
    persons=frozenset(), exclusions=Exclusions(keywords=(), expressions=()), variables={}
)


def find_deciders(*, facts: RequestFacts) -> Eligibility:
    """Return who may decide in a request's open stage now, nobody without one; 4 queries at most.

    Those who have decided in it are among them.
    """
    stage = facts.open_stage
    if stage is None:
        return Eligibility(accounts={})
    return find_eligible(
        scope_id=facts.row.scope_id,
        keys=stage.approver_keys,
        barrier=facts.barrier,
        evaluator=EVALUATOR,
        permission=PERMISSIONS[facts.state.rule.asks],
    )


def can_be_reached(*, facts: RequestFacts, deciders: Eligibility) -> bool:
    """Return whether the open stage can be approved with its deciders; never without one."""
    stage = facts.state.open_stage
    if stage is None:
        return False
    return recount(
        quorum=facts.state.rule.stage(stage).quorum,
        ballots=facts.ballots(stage),
        eligible=deciders.persons,
    ).reachable


def list_obstacles(*, body: Mapping[str, Any], path: str, scope_id: UUID) -> tuple[Problem, ...]:
    """Return a warning for each stage that today's people could not approve, in their order.

    Whom the rule excludes depends on who starts a run and is left aside: a stage without a warning
    may still be blocked for somebody's run.

    Args:
        body: an approval's block, normalized.
        path: its JSON pointer in the definition.
        scope_id: the workflow's scope.
    """
    # Whether a stage with a `when` is asked is not known yet; if it is, it needs its people.
    stages = [{**stage, "asked": True} for stage in body["stages"]]
    rule = rule_of({**body, "stages": stages})
    resolved = resolve_keys(stages=rule.stages, scope_id=scope_id)
    found: list[Problem] = []
    for index, stage in enumerate(rule.stages):
        eligible = find_eligible(
            scope_id=scope_id,
            keys=resolved.keys[stage.key],
            barrier=_NO_BARRIER,
            evaluator=EVALUATOR,
        )
        if recount(quorum=stage.quorum, ballots=(), eligible=eligible.persons).reachable:
            continue
        notes = [describe_note(note) for note in resolved.notes if _is_about(note, stage.key)]
        fact = (
            f"The stage {stage.key!r} needs {stage.quorum.count} to approve, and "
            f"{len(eligible.persons)} may decide in it today; its requests would be blocked."
        )
        found.append(
            Problem(
                message=" ".join([fact, *notes]),
                path=f"{path}/stages/{index}",
                code=f"{CODE}.too_few_people",
                severity="warning",
            )
        )
    return tuple(found)


def _is_about(note: Json, stage: str) -> bool:
    return isinstance(note, dict) and note["stage"] == stage
