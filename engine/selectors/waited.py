"""What other tables know of what steps wait for: holders of mutexes, circuits, tasks, events.

Read `find_surroundings`. A constant number of statements, whatever waits; none for what nobody
waits for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from core.identity.domain.principal import Principal
from core.kernel import limits
from core.kernel.types import Json
from engine.domain.circuit import circuit_from_json
from engine.domain.external import ClaimStatus
from engine.models import Circuit, Claim, Slot, Task, TaskStatus, Wait
from engine.selectors.run_links import Relations, RunLink, find_relations
from engine.selectors.step_views import StepView
from engine.selectors.step_waits import StepWait, WaitKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is around the steps of a run: the runs, and everything that they wait for."""

    relations: Relations
    holders: Mapping[str, tuple[UUID, str]]  # mutex → run and step that hold it
    circuits: Mapping[str, datetime]  # circuit → when it lets somebody probe
    correlates: Mapping[str, Mapping[str, Json]]  # key of a wait → what the event must hold
    taken: frozenset[str]  # keys of steps that a worker of their queue executes
    claimed: Mapping[str, tuple[str, datetime]]  # key of a step → which program has it, since when

    def fill(self, steps: Iterable[StepView]) -> tuple[StepView, ...]:
        """Return steps with all that is known of their waits."""
        return tuple(
            replace(step, waits=tuple(self._filled(step.waits))) if step.waits else step
            for step in steps
        )

    def link_to(self, run_id: UUID) -> RunLink:
        """Return a link to a run that is on this run's record."""
        return self.relations.others.get(run_id) or RunLink(id=run_id)

    def _filled(self, waits: Iterable[StepWait]) -> Iterable[StepWait]:
        for wait in waits:
            if wait.kind is WaitKind.MUTEX and wait.name in self.holders:
                run_id, key = self.holders[wait.name]
                link = self.link_to(run_id)
                # Who holds it is on no record of this run: a hidden run has no id here.
                seen = link.is_visible
                yield replace(wait, run=link, key=key) if seen else replace(wait, is_hidden=True)
            elif wait.kind is WaitKind.RUN and wait.run_id is not None:
                yield replace(wait, run=self.link_to(wait.run_id))
            elif wait.kind is WaitKind.EVENT:
                yield replace(wait, correlate=self.correlates.get(wait.at, {}))
            elif wait.kind is WaitKind.CIRCUIT:
                yield replace(wait, until=self.circuits.get(wait.name, wait.until))
            elif wait.kind is WaitKind.TOPIC and wait.at in self.claimed:
                worker, since = self.claimed[wait.at]
                yield replace(wait, worker=worker, since=since)
            elif wait.kind is not WaitKind.QUEUE or wait.at not in self.taken:
                yield wait


def find_surroundings(
    *, principal: Principal, run_id: UUID, project_id: UUID, steps: Sequence[StepView]
) -> Surroundings:
    """Return what is around the steps of a run; at most 10 queries. The reader may see the run."""
    waits = [wait for step in steps for wait in step.waits]
    holders = _holders(project_id, _named(waits, WaitKind.MUTEX))
    children = [step.child for step in steps if step.child is not None]
    return Surroundings(
        relations=find_relations(
            principal=principal,
            run_id=run_id,
            others=[*(holder for holder, _ in holders.values()), *children],
        ),
        holders=holders,
        circuits=_circuits(project_id, _named(waits, WaitKind.CIRCUIT)),
        correlates=_correlates(run_id, waits),
        taken=_taken(run_id, waits),
        claimed=_claimed(run_id, waits),
    )


def _named(waits: Iterable[StepWait], kind: WaitKind) -> list[str]:
    names = dict.fromkeys(wait.name for wait in waits if wait.kind is kind)
    return list(names)[: limits.RUN_LINK_COUNT_MAX]


def _holders(project_id: UUID, names: Sequence[str]) -> dict[str, tuple[UUID, str]]:
    if not names:
        return {}
    rows = Slot.objects.filter(project_id=project_id, name__in=names, granted_at__isnull=False)
    return {name: (run, key) for name, run, key in rows.values_list("name", "run_id", "key")}


def _circuits(project_id: UUID, names: Sequence[str]) -> dict[str, datetime]:
    if not names:
        return {}
    rows = Circuit.objects.filter(project_id=project_id, name__in=names)
    found = {name: circuit_from_json(state) for name, state in rows.values_list("name", "state")}
    ends = {name: item.probe_until or item.open_until for name, item in found.items()}
    return {name: end for name, end in ends.items() if end is not None}


def _correlates(run_id: UUID, waits: Iterable[StepWait]) -> dict[str, Mapping[str, Json]]:
    if not any(wait.kind is WaitKind.EVENT for wait in waits):
        return {}
    rows = Wait.objects.filter(run_id=run_id).values_list("key", "correlate")
    return dict(rows[: limits.RUN_LINK_COUNT_MAX])


def _taken(run_id: UUID, waits: Iterable[StepWait]) -> frozenset[str]:
    if not any(wait.kind is WaitKind.QUEUE for wait in waits):
        return frozenset()
    rows = Task.objects.filter(run_id=run_id).exclude(status=TaskStatus.OPEN)
    return frozenset(rows.values_list("key", flat=True))


def _claimed(run_id: UUID, waits: Iterable[StepWait]) -> dict[str, tuple[str, datetime]]:
    if not any(wait.kind is WaitKind.TOPIC for wait in waits):
        return {}
    rows = Claim.objects.filter(run_id=run_id, status=ClaimStatus.HELD.value)
    found = rows.values_list("key", "worker", "claimed_at")[: limits.RUN_LINK_COUNT_MAX]
    return {key: (worker, at) for key, worker, at in found}
