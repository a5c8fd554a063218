"""What the sweep does for everything around runs: events, children, gates, tasks. Read `keep_up`.

An idle round is one statement of index probes.
"""

from collections.abc import Callable, Mapping

import structlog
from django.db import DatabaseError, connection

from core.kernel import limits
from core.kernel.errors import PlatformError
from engine import remote
from engine.external import ending
from engine.flow_control import groups, quotas
from engine.gates import cache, circuit, mutex, rate
from engine.services import events, reporting
from engine.triggers import backfilling, recording, rows, scheduling

log = structlog.get_logger(__name__)

# One column for each of `_SWEEPS`, in its order.
_PROBE = """
    SELECT
        EXISTS (SELECT 1 FROM engine_delivery
                WHERE due_at < clock_timestamp() - make_interval(secs => %s))
        OR EXISTS (SELECT 1 FROM engine_inbox
                   WHERE expires_at < clock_timestamp() - make_interval(secs => %s)),
        EXISTS (SELECT 1 FROM engine_run
                WHERE status = 'CLOSED' AND parent_id IS NOT NULL AND NOT parent_reported),
        EXISTS (SELECT 1 FROM engine_slot s JOIN engine_run r ON r.id = s.run_id
                WHERE r.status = 'CLOSED'
                   OR s.granted_at IS NOT NULL AND s.taken_at IS NULL
                      AND r.status IN ('WAITING', 'PAUSED', 'HALTED')),
        EXISTS (SELECT 1 FROM engine_rate WHERE idle_at < clock_timestamp()),
        EXISTS (SELECT 1 FROM engine_circuit WHERE idle_at < clock_timestamp()),
        EXISTS (SELECT 1 FROM engine_cache WHERE expires_at < clock_timestamp()),
        EXISTS (SELECT 1 FROM engine_task t
                WHERE t.status = 'claimed' AND NOT starts_with(t.queue, 'external:')
                  AND NOT EXISTS (
                    SELECT 1 FROM engine_worker w
                    WHERE w.id = t.worker AND w.lease_until > clock_timestamp()))
        OR EXISTS (SELECT 1 FROM engine_task
                   WHERE status = 'open' AND NOT starts_with(queue, 'external:')
                     AND due_at < clock_timestamp() - make_interval(secs => %s))
        OR EXISTS (SELECT 1 FROM engine_task t JOIN engine_run r ON r.id = t.run_id
                   WHERE t.status IN ('done', 'lost') AND r.status IN ('WAITING', 'CLOSED')
                      OR t.status = 'open' AND r.status = 'CLOSED'),
        EXISTS (SELECT 1 FROM engine_trigger WHERE next_at <= clock_timestamp())
        OR EXISTS (SELECT 1 FROM engine_firing
                   WHERE due_at < clock_timestamp() - make_interval(secs => %s)),
        EXISTS (SELECT 1 FROM engine_window WHERE ends_at < clock_timestamp())
        OR EXISTS (SELECT 1 FROM engine_trigger t
                   WHERE t.ended_at < clock_timestamp() - make_interval(secs => %s)
                     AND NOT EXISTS (SELECT 1 FROM engine_firing f WHERE f.trigger_id = t.id)),
        EXISTS (SELECT 1 FROM engine_turn_change
                WHERE at < clock_timestamp() - make_interval(secs => %s)),
        EXISTS (SELECT 1 FROM engine_tally WHERE ends_at < clock_timestamp()),
        EXISTS (SELECT 1 FROM engine_claim
                WHERE status = 'held' AND lease_until <= clock_timestamp())
        OR EXISTS (SELECT 1 FROM engine_claim
                   WHERE ended_at < clock_timestamp() - make_interval(secs => %s)),
        EXISTS (SELECT 1 FROM engine_backfill WHERE ended_at IS NULL),
        EXISTS (SELECT 1 FROM engine_quota_use
                WHERE begins_at < clock_timestamp() - interval '2 days')"""

_SWEEPS: Mapping[str, Callable[[], int]] = {
    "events": events.sweep_events,
    "children": reporting.sweep_children,
    "slots": mutex.sweep_slots,
    "rates": rate.sweep_rates,
    "circuits": circuit.sweep_circuits,
    "cache": cache.sweep_cache,
    "tasks": remote.sweep_tasks,
    "triggers": scheduling.sweep_triggers,
    "windows": rows.clean,
    "groups": groups.sweep_groups,
    "tallies": recording.close_tallies,
    "claims": ending.sweep_claims,
    "backfills": backfilling.advance_backfills,
    "quotas": quotas.clean,
}


def keep_up() -> int:
    """Do what is due around runs, once; return how many rows were moved.

    What goes wrong with one kind keeps no other from its turn; the next round tries it again.
    Transaction: each sweep its own.
    """
    params = (
        limits.READY_OLD_SECONDS,
        limits.INBOX_GRACE.total_seconds(),
        limits.TASK_OLD_SECONDS,
        limits.READY_OLD_SECONDS,
        limits.TRIGGER_GRACE.total_seconds(),
        limits.READY_OLD_SECONDS,
        limits.CLAIM_RETENTION.total_seconds(),
    )
    with connection.cursor() as cursor:
        cursor.execute(_PROBE, params)
        needed = cursor.fetchone()
    names = [name for name, is_needed in zip(_SWEEPS, needed, strict=True) if is_needed]
    return sum(_sweep(name) for name in names)


def _sweep(name: str) -> int:
    try:
        return _SWEEPS[name]()
    except (PlatformError, DatabaseError):
        log.exception("engine.upkeep_failed", sweep=name)
        connection.close_if_unusable_or_obsolete()
        return 0
