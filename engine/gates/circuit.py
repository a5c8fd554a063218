"""Circuits shared by all runs of a project. Read `ask`, then `note`. Rules: engine.domain.circuit.

A circuit that has counted nothing has no row, so a step whose target is well costs one read.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection, transaction

from core.kernel import limits
from engine.domain import circuit as rules
from engine.domain.circuit import Answer, Circuit, CircuitRule, circuit_from_json, circuit_to_json
from engine.locks import lock_names

Result = TypeVar("Result")

_READ = """
    SELECT clock_timestamp(),
        (SELECT state FROM engine_circuit WHERE project_id = %s AND name = %s)"""

_WRITE = """
    INSERT INTO engine_circuit (project_id, name, state, idle_at) VALUES (%s, %s, %s::jsonb, %s)
    ON CONFLICT (project_id, name) DO UPDATE SET
        state = EXCLUDED.state, idle_at = EXCLUDED.idle_at"""

_DELETE = "DELETE FROM engine_circuit WHERE project_id = %s AND name = %s"

_SWEEP = """
    DELETE FROM engine_circuit WHERE (project_id, name) IN (
        SELECT project_id, name FROM engine_circuit WHERE idle_at < clock_timestamp()
        LIMIT %s FOR UPDATE SKIP LOCKED)"""


def ask(*, project_id: UUID, name: str, rule: CircuitRule, run_id: UUID, key: str) -> Answer:
    """Say whether an attempt of a step may begin, and if not, when to ask again.

    Idempotent: the step that probes is told so again.
    Transaction: one of its own, if the circuit is open; else one read.
    """
    circuit, now = _read(project_id, name)
    who = f"{run_id}:{key}"
    _, answer = rules.ask(circuit, rule, who=who, now=now)
    if not answer.is_probe:
        return answer
    return _change(
        project_id, name, rule, lambda known, at: rules.ask(known, rule, who=who, now=at)
    )


def note(
    *, project_id: UUID, name: str, rule: CircuitRule, run_id: UUID, key: str, succeeded: bool
) -> None:
    """Count how an attempt ended: whether the target answered well.

    Call it once for each attempt that `ask` let through, after the append that tells of its end.
    Transaction: one of its own; for a success that changes nothing one read.
    """
    circuit, now = _read(project_id, name)
    who = f"{run_id}:{key}"
    if rules.note(circuit, rule, who=who, succeeded=succeeded, now=now) == circuit:
        return
    _change(
        project_id,
        name,
        rule,
        lambda known, at: (
            rules.note(known, rule, who=who, succeeded=succeeded, now=at),
            None,
        ),
    )


def sweep_circuits() -> int:
    """Delete circuits that say no more than fresh ones; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(_SWEEP, (limits.SWEEP_ROW_COUNT_MAX,))
        return int(cursor.rowcount)


def _change(
    project_id: UUID,
    name: str,
    rule: CircuitRule,
    change: Callable[[Circuit, datetime], tuple[Circuit, Result]],
) -> Result:
    with transaction.atomic():
        lock_names(kind="circuit", project_id=project_id, names=(name,))
        before, now = _read(project_id, name)
        after, result = change(before, now)
        with connection.cursor() as cursor:
            if after == Circuit():
                cursor.execute(_DELETE, (project_id, name))
            elif after != before:
                idle_at = rules.idle_at(after, rule, now=now)
                text = json.dumps(circuit_to_json(after))
                cursor.execute(_WRITE, (project_id, name, text, idle_at))
    return result


def _read(project_id: UUID, name: str) -> tuple[Circuit, datetime]:
    with connection.cursor() as cursor:
        cursor.execute(_READ, (project_id, name))
        now, state = cursor.fetchone()
    value: Any = json.loads(state) if isinstance(state, str) else state
    return Circuit() if value is None else circuit_from_json(value), now
