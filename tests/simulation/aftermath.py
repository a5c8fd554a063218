"""What constructs must leave behind them, and what not. Read `find_leftovers`.

`verdict` judges each run by itself; here it is what lies between runs and around them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from approvals.models import Request
from audit import store as ledger
from audit.store import StoredEntry
from engine.domain.events import EventKind, find_decided
from engine.domain.keys import is_undo, path_of
from engine.domain.plan import Plan, Step, walk
from engine.domain.timers import Purpose
from engine.models import Delivery, Inbox, Run, Slot, Task, Wait
from tests.simulation.roles import Roles
from tests.simulation.variety import child_of

_ENTRY_COUNT_MAX = 10_000
_ENDS = frozenset(
    {
        EventKind.STEP_COMPLETED,
        EventKind.STEP_REUSED,
        EventKind.EVENT_RECEIVED,
        EventKind.EVENT_EMITTED,
        EventKind.CHILD_STARTED,  # perhaps detached
        EventKind.CHILD_CLOSED,
        EventKind.APPROVAL_RESOLVED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A run of a play, as its row says. `is_told`: whoever called it knows that it is over."""

    pk: UUID
    status: str
    is_told: bool


def runs_of(plan: Plan) -> list[Seen]:
    """Return every run of a play, those it called included."""
    rows = Run.objects.filter(workflow__slug__in=[plan.name, child_of(plan.name)])
    found = rows.values_list("pk", "status", "parent_id", "parent_reported")
    return [
        Seen(pk=pk, status=status, is_told=told or parent is None)
        for pk, status, parent, told in found
    ]


def find_leftovers(*, plan: Plan, roles: Roles) -> list[str]:
    """Return what does not hold between the runs of a play and around them, in sentences."""
    run_ids = [run.pk for run in runs_of(plan)]
    streams = {
        run_id: ledger.read_stream(stream=run_id, limit=_ENTRY_COUNT_MAX) for run_id in run_ids
    }
    steps = dict(walk(plan))
    return [
        *_judge_rows(run_ids),
        *_judge_children(streams),
        *_judge_events(plan, streams),
        *_judge_mutexes(steps, streams),
        *_judge_rates(steps, streams),
        *_judge_circuits(steps, streams),
        *_judge_executions(steps, roles),
    ]


def _judge_rows(run_ids: list[UUID]) -> Iterator[str]:
    closed = Run.objects.filter(pk__in=run_ids, status="CLOSED").values_list("pk", flat=True)
    for model in (Wait, Delivery, Slot, Task):
        left = model.objects.filter(run_id__in=list(closed)).values_list("run_id", "key")
        if left:
            yield f"runs that are over have left {model.__name__} rows: {list(left)}"
    if Request.objects.filter(run_id__in=list(closed), status="open").exists():
        yield "people are asked on behalf of runs that are over"


def _judge_children(streams: Mapping[UUID, list[StoredEntry]]) -> Iterator[str]:
    started, told = Counter[str](), Counter[str]()
    for entries in streams.values():
        started.update(_texts(entries, EventKind.CHILD_STARTED, "run"))
        told.update(_texts(entries, EventKind.CHILD_CLOSED, "run"))
    children = {
        str(run.pk): run for run in Run.objects.filter(pk__in=list(streams)) if run.parent_id
    }
    if any(count > 1 for count in (started | told).values()):
        yield f"children were started or reported twice: {started}, {told}"
    if set(told) - set(started) or set(children) - set(started):
        yield f"{set(told)} reported and {set(children)} exist, but {set(started)} were started"
    if missing := set(started) - {str(run_id) for run_id in streams}:
        yield f"{missing} were started but do not exist"
    for run_id, run in children.items():
        if run.status == "CLOSED" and not run.parent_reported:
            yield f"nobody was told that {run_id} is over"


def _judge_events(plan: Plan, streams: Mapping[UUID, list[StoredEntry]]) -> Iterator[str]:
    kept = {str(item.pk) for item in Inbox.objects.filter(type__startswith=f"{plan.name}.")}
    for run_id, entries in streams.items():
        received = Counter(_texts(entries, EventKind.EVENT_RECEIVED, "event"))
        emitted = Counter(_texts(entries, EventKind.EVENT_EMITTED, "event"))
        twice = [item for item, count in (received | emitted).items() if count > 1]
        if twice:
            yield f"{run_id} received or sent {twice} twice"
        if unknown := (set(received) | set(emitted)) - kept:
            yield f"{run_id} names events that nobody keeps: {unknown}"


def _judge_mutexes(
    steps: Mapping[str, Step], streams: Mapping[UUID, list[StoredEntry]]
) -> Iterator[str]:
    """See that nobody held a mutex while another did, by what is on record."""
    held: dict[str, list[tuple[datetime, datetime, str]]] = {}
    for entries in streams.values():
        for entry in entries:
            if entry.kind == EventKind.STEP_ADMITTED and entry.data["gate"] == "mutex":
                key = str(entry.data["key"])
                until = _end_of(key, entries, after=entry.seq)
                held.setdefault(steps[path_of(key)].mutex, []).append((entry.at, until, key))
    for name, spans in held.items():
        for first, second in pairwise(sorted(spans)):
            if second[0] < first[1]:
                yield f"{name} was held by two: {first}, {second}"


def _judge_rates(
    steps: Mapping[str, Step], streams: Mapping[UUID, list[StoredEntry]]
) -> Iterator[str]:
    """See that no more attempts were let through than a rate allows, by what is on record."""
    reserved: dict[str, list[datetime]] = {}
    rules = {step.rate.key: step.rate for step in steps.values() if step.rate is not None}
    for entries in streams.values():
        for entry in entries:
            if entry.kind == EventKind.STEP_ADMITTED and "reserved" in entry.data:
                rate = steps[path_of(str(entry.data["key"]))].rate
                assert rate is not None, "only a rate reserves"
                at = datetime.fromisoformat(str(entry.data["reserved"]))
                reserved.setdefault(rate.key, []).append(at)
    for key, instants in reserved.items():
        span = timedelta(seconds=rules[key].seconds)
        ordered = sorted(instants)
        for first, later in zip(ordered, ordered[rules[key].limit :], strict=False):
            if later - first < span:
                yield f"the rate {key} let attempts through at {first} and {later}"


def _judge_circuits(
    steps: Mapping[str, Step], streams: Mapping[UUID, list[StoredEntry]]
) -> Iterator[str]:
    """See that no circuit was open that had not counted enough failures.

    That one was closed although it should have been open cannot be seen: a process may die between
    the entry that tells of a failure and its being counted.
    """
    guarded = {path: step.circuit for path, step in steps.items() if step.circuit is not None}
    failed = sorted(
        entry.at
        for entries in streams.values()
        for entry in entries
        if entry.kind == EventKind.ATTEMPT_FAILED
        and path_of(str(entry.data["key"])) in guarded
        and not is_undo(str(entry.data["key"]))
    )
    for run_id, entries in streams.items():
        for entry in entries:
            keys: Any = entry.data["keys"] if entry.kind == EventKind.STEP_HELD else ()
            for key in keys:
                rule = guarded.get(path_of(key))
                waits_for_mutex = bool(steps[path_of(key)].mutex) if rule else False
                count = sum(at <= entry.at for at in failed)
                if rule is not None and not waits_for_mutex and count < rule.failures:
                    yield f"{run_id} held {key} back at {entry.at} after {count} failures"


def _end_of(key: str, entries: list[StoredEntry], *, after: int) -> datetime:
    for entry in entries:
        if entry.seq < after:
            continue
        decided: Any = find_decided(entry) or {"settled": []}  # type: ignore[arg-type]  # has both
        told = entry.kind in _ENDS and entry.data["key"] == key
        told = told or entry.data.get("timer") == f"{Purpose.SLEEP}:{key}"
        if told or any(item["key"] == key for item in decided["settled"]):
            return entry.at
    return entries[-1].at


def _judge_executions(steps: Mapping[str, Step], roles: Roles) -> Iterator[str]:
    counts = Counter(call.idempotency_key for call in roles.calls if call.key)
    for call in roles.calls:
        step = None if is_undo(call.key) else steps.get(path_of(call.key))
        if step is not None and step.at_most_once and counts[call.idempotency_key] != 1:
            times = counts[call.idempotency_key]
            yield f"{call.idempotency_key} was executed {times} times, at most once was asked for"


def _texts(entries: list[StoredEntry], kind: str, name: str) -> list[str]:
    return [str(entry.data[name]) for entry in entries if entry.kind == kind]
