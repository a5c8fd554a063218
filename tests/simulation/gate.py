"""A waiting verb of the simulation, whose waits anybody may end. Read `resolve_gate`.

What it prepares depends on which code a process has (`skew`): two processes that disagree make a
run nondeterministic, as a careless deployment does.
"""

from uuid import UUID

from django.db import connection, transaction

from core.kernel.record import ENGINE_ORIGIN
from engine.domain.verbs import Checked, WaitOutcome
from engine.services.waits import lock_run, resolve_wait
from tests.simulation.casting import GATE

# A step that begins anew asks again; at most one wait of a step is open, as with requests.
_OPEN = """
    INSERT INTO simulation.gate AS g VALUES (%s, %s, true)
    ON CONFLICT (run_id, key) DO UPDATE SET open = true WHERE NOT g.open"""
_CLOSE = "UPDATE simulation.gate SET open = false WHERE run_id = %s AND key = %s AND open"


class GateVerb:
    """The pure half; impure only as the simulation wants it."""

    name = GATE

    def __init__(self, skew) -> None:
        self._skew = skew

    def check(self, block, *, scope):
        del scope
        return Checked(body=block)

    def prepare(self, body, *, variables, evaluator):
        del variables, evaluator
        return {**body, "code": self._skew()}


class GateOpener:
    """The writing half: one row for each key."""

    def open(self, wait):
        with connection.cursor() as cursor:
            cursor.execute(_OPEN, [wait.run.run_id, wait.key])
            assert cursor.rowcount == 1, f"{wait.key} is open already"

    def list_obstacles(self, *, body, path, scope_id):
        del body, path, scope_id
        return ()

    def withdraw(self, *, run_id, keys, reason, origin, at):
        del reason, origin, at
        return self._close(run_id, [key for key in find_open_gates(run_id) if key in keys])

    def void_all(self, *, run_id, reason, origin, at):
        del reason, origin, at
        return self._close(run_id, find_open_gates(run_id))

    def _close(self, run_id, keys):
        for key in keys:
            with connection.cursor() as cursor:
                cursor.execute(_CLOSE, [run_id, key])
        return keys


def find_open_gates(run_id: UUID) -> list[str]:
    """Return the step keys of the waits that are open."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT key FROM simulation.gate WHERE run_id = %s AND open ORDER BY key", [run_id]
        )
        return [row[0] for row in cursor.fetchall()]


def resolve_gate(*, run_id: UUID, key: str, outcome: WaitOutcome) -> bool:
    """End a wait, unless somebody has. Returns whether it did."""
    with transaction.atomic():
        locked = lock_run(run_id=run_id)
        with connection.cursor() as cursor:
            cursor.execute(_CLOSE, [run_id, key])
            if cursor.rowcount == 0:
                return False
        resolve_wait(
            locked=locked,
            key=key,
            outcome=outcome,
            outputs={},
            evidence={},
            origin=ENGINE_ORIGIN,
        )
    return True
