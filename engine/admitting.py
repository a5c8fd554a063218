"""Asking the gates a step has to pass: mutex, cache, circuit, rate. Read `admit`, then `note`.

A gate is asked before the entry that tells of its yes is written. If that entry is not written, the
run asks again: a mutex and a circuit say yes as before, a rate gives it another instant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil
from typing import Any

from core.kernel.types import Json
from engine.domain.circuit import CircuitRule
from engine.domain.considering import ATTEMPT
from engine.domain.events import Event, EventKind
from engine.domain.expressions import ExpressionError
from engine.domain.plan import Circuit, Step
from engine.domain.state import RunState
from engine.domain.unwinding import MUTEX
from engine.executing import Ended
from engine.gates import cache, circuit, mutex, rate
from engine.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What the gates said: events to append, and when it is worth asking again at the latest."""

    events: tuple[Event, ...] = ()
    again_at: datetime | None = None


def admit(session: Session) -> Admission:
    """Ask for every step that something holds back."""
    now = session.now()
    events: list[Event] = []
    instants: list[datetime] = []
    for key in session.rules.decider.to_admit(session.state, at=now):
        answer = _ask(session, key, now=now)
        if isinstance(answer, Event):
            events.append(answer)
        elif answer is not None:
            instants.append(answer)
    return Admission(events=tuple(events), again_at=min(instants, default=None))


def note(session: Session, *, before: RunState, ended: Sequence[Ended]) -> None:
    """Tell the circuits and the cache how attempts ended. Transactions of their own."""
    for item in ended:
        if before.running.get(item.key) != item.attempt:
            continue  # it has been told before
        if not session.rules.decider.needs_note(item.key):
            continue
        step = session.rules.decider.step_at(item.key)
        # As they were called then: what their names are made of may have changed since.
        names = before.steps[item.key].gates
        if step.circuit is not None and "circuit" in names:
            circuit.note(
                project_id=session.rules.project_id,
                name=names["circuit"],
                rule=_rule(step.circuit),
                run_id=session.run.id,
                key=item.key,
                succeeded=not item.error,
            )
        if step.cache is not None and "cache" in names and not item.error:
            cache.keep(
                project_id=session.rules.project_id,
                key=names["cache"],
                ttl_seconds=step.cache.ttl_seconds,
                result=item.result,
                run_id=session.run.id,
                step_key=item.key,
            )


def _ask(session: Session, key: str, *, now: datetime) -> Event | datetime | None:
    """Return the event that lets a step through, or when to ask again (`None`: it is told)."""
    step = session.rules.decider.step_at(key)
    waiting = session.state.steps[key]
    if step.mutex and MUTEX not in waiting.passed:
        granted = mutex.acquire(
            project_id=session.rules.project_id,
            run_id=session.run.id,
            key=key,
            name=waiting.mutex,
            priority=step.priority,
        )
        return _event(key, MUTEX, now=now) if granted else None
    try:
        names = _names(session, session.state, key, step)
    except ExpressionError as error:
        data: dict[str, Any] = {"key": key, "error": error.kind}
        payloads: dict[str, Json] = {"message": str(error)}
        return Event(kind=EventKind.STEP_REFUSED, at=now, data=data, payloads=payloads)
    return _ask_for_attempt(session, key, step, names, now=now)


def _ask_for_attempt(
    session: Session, key: str, step: Step, names: dict[str, str], *, now: datetime
) -> Event | datetime | None:
    project_id, run_id = session.rules.project_id, session.run.id
    if step.cache is not None:
        hit = cache.find(project_id=project_id, key=names["cache"])
        if hit is not None:
            return Event(
                kind=EventKind.STEP_REUSED,
                at=now,
                data={"key": key, "from": f"{hit.run_id}:{hit.step_key}"},
                payloads={"result": hit.result},
            )
    if step.circuit is not None:
        answer = circuit.ask(
            project_id=project_id,
            name=names["circuit"],
            rule=_rule(step.circuit),
            run_id=run_id,
            key=key,
        )
        if not answer.may_begin:
            return answer.at
    kept: dict[str, Json] = {name: names[name] for name in ("circuit", "cache") if name in names}
    if step.rate is None:
        return _event(key, ATTEMPT, now=now, names=kept)
    begins_at = rate.reserve(
        project_id=project_id,
        name=names["rate"],
        limit=step.rate.limit,
        seconds=step.rate.seconds,
    )
    admitted = _event(key, ATTEMPT, now=now, delay=(begins_at - now).total_seconds(), names=kept)
    return replace(admitted, data={**admitted.data, "reserved": begins_at.isoformat()})


def _names(session: Session, state: RunState, key: str, step: Step) -> dict[str, str]:
    """Return what a step's circuit, rate and cache are called. Raises: ExpressionError."""
    definition = session.rules.decider.definition
    seen = definition.variables(state, key)
    gates = {"circuit": step.circuit, "rate": step.rate, "cache": step.cache}
    return {
        name: definition.render_name(gate.key, seen)
        for name, gate in gates.items()
        if gate is not None
    }


def _rule(rule: Circuit) -> CircuitRule:
    return CircuitRule(
        failures=rule.failures,
        window_seconds=rule.window_seconds,
        cooldown_seconds=rule.cooldown_seconds,
    )


def _event(
    key: str,
    gate: str,
    *,
    now: datetime,
    delay: float = 0.0,
    names: Mapping[str, Json] | None = None,
) -> Event:
    data: dict[str, Any] = {"key": key, "gate": gate}
    if delay > 0:
        data["delay_ms"] = ceil(delay * 1_000)
    payloads: dict[str, Json] = {"names": dict(names)} if names else {}
    return Event(kind=EventKind.STEP_ADMITTED, at=now, data=data, payloads=payloads)
