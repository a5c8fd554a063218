"""What must hold after every play, from the database alone. Read `find_violations`.

Only what functions did is not in the database: the simulation counted their calls.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.db import connection

from approvals.models import Request, Vote
from audit import store as ledger
from audit.store import StoredEntry
from engine.domain.errors import NondeterministicError
from engine.domain.events import EventKind, find_decided
from engine.domain.keys import any_try_of, is_undo, path_of, step_of
from engine.domain.plan import Plan, walk
from engine.domain.state import Outcome, RunState, StepStatus
from engine.models import Dedupe, Run
from tests.simulation.casting import GATE
from tests.simulation.roles import Call, Roles
from tests.simulation.undoing import judge_undoing
from tests.simulation.variety import child_of
from tests.world import fold

_ENTRY_COUNT_MAX = 10_000
_ENDS = (
    EventKind.STEP_COMPLETED,
    EventKind.ATTEMPT_FAILED,
    EventKind.ATTEMPT_LOST,
    EventKind.ATTEMPT_UNCERTAIN,
)
_LOST = (EventKind.ATTEMPT_LOST, EventKind.ATTEMPT_UNCERTAIN)
_Place = tuple[str, int]  # an attempt: the step's key, and its number


def find_violations(
    *, plan: Plan, roles: Roles, key_count: int, is_quiet: bool, is_varied: bool
) -> list[str]:
    """Return what does not hold, in sentences.

    Args:
        plan: what was played.
        roles: who played, and what they did.
        key_count: how many runs were asked for.
        is_quiet: nothing went wrong, hints aside.
        is_varied: the plan has more than steps and approvals beside each other.
    """
    runs = list(Run.objects.filter(workflow__slug=plan.name).order_by("number"))
    found = []
    started = [run for run in runs if run.predecessor_id is None]
    if len(started) != key_count:
        found.append(f"{key_count} starts made {len(started)} runs")
    found += _judge_successors(runs)
    for run in runs:
        try:
            judged = _judge(run, plan, roles, is_varied=is_varied)
            found += [f"run {run.number}: {item}" for item in judged]
            if is_quiet and not roles.hang_count:
                found += [f"run {run.number}: {item}" for item in _judge_quiet(run)]
        except Exception as error:  # noqa: BLE001 - a stream that cannot be read is a finding too
            found.append(f"run {run.number}: cannot be judged: {error!r}")
    for run in Run.objects.filter(workflow__slug=child_of(plan.name)).order_by("number"):
        found += [f"child {run.number}: {item}" for item in _judge_child(run, roles)]
    return found


def _judge_successors(runs: list[Run]) -> Iterator[str]:
    """See that each run that was continued has one successor, which goes on where it was."""
    continued = {run.pk: run for run in runs if run.outcome == Outcome.CONTINUED}
    successors = Counter(run.predecessor_id for run in runs if run.predecessor_id is not None)
    if successors != Counter(dict.fromkeys(continued, 1)):
        yield f"{list(continued)} were continued, their successors are of {successors}"
    for run in runs:
        if run.predecessor_id in continued:
            last = ledger.read_stream(stream=run.predecessor_id, limit=_ENTRY_COUNT_MAX)[-1]
            first = ledger.read_stream(stream=run.pk, limit=1)[0]
            if last.data["successor"] != str(run.pk) or not first.data.get("state"):
                yield f"run {run.number} goes on as {first.data}, its predecessor says {last.data}"


def _judge_child(run: Run, roles: Roles) -> Iterator[str]:
    entries = ledger.read_verified(stream=run.pk, limit=_ENTRY_COUNT_MAX)
    calls = [call for call in roles.calls if call.run_id == str(run.pk)]
    yield from _judge_stream(run, entries)
    if run.status != "CLOSED":
        yield f"stuck: it is {run.status}"
        return
    yield from _judge_attempts(entries, calls, lazy=frozenset(), is_closed=True)
    yield from _judge_row(run, fold(run.pk), entries)


def _judge(run: Run, plan: Plan, roles: Roles, *, is_varied: bool) -> Iterator[str]:
    entries = ledger.read_verified(stream=run.pk, limit=_ENTRY_COUNT_MAX)
    calls = [call for call in roles.calls if call.run_id == str(run.pk)]
    yield from _judge_stream(run, entries)
    lazy = frozenset(path for path, step in walk(plan) if step.lazy)
    yield from _judge_attempts(entries, calls, lazy=lazy, is_closed=run.status == "CLOSED")
    halts = [item for item in entries if item.kind == EventKind.RUN_HALTED]
    if halts and not roles.skewed:
        yield f"halted, although all hands agree: {halts[0].data} {halts[0].payloads}"
    if run.status != "CLOSED":
        yield f"stuck: it is {run.status}"
        return
    if halts:
        return  # an operator has closed what no code can follow
    roles.stage.reader_skew = 0
    try:
        state = fold(run.pk)
    except NondeterministicError:
        roles.stage.reader_skew = 1  # only hands with the other code had this run
        if not roles.skewed:
            raise
        state = fold(run.pk)
    yield from _judge_row(run, state, entries)
    if is_varied:
        yield from _judge_all_ended(state, entries)
        yield from judge_undoing(dict(walk(plan)), entries, outcome=run.outcome)
    else:
        yield from _judge_ends(plan, state, entries)
        yield from _judge_undoing(plan, state, entries)
        yield from _judge_approvals(run, entries)
    yield from _judge_outsiders(run, entries)


def _judge_quiet(run: Run) -> Iterator[str]:
    entries = ledger.read_stream(stream=run.pk, limit=_ENTRY_COUNT_MAX)
    if lost := [item.data for item in entries if item.kind == EventKind.ATTEMPT_LOST]:
        yield f"nobody died, but attempts were lost: {lost}"


def _judge_stream(run: Run, entries: list[StoredEntry]) -> Iterator[str]:
    if [item.seq for item in entries] != list(range(1, run.seq + 1)):
        yield "the stream has gaps, or not the row's length"
    if entries[-1].leaf != bytes(run.head):
        yield "the row does not point to the stream's head"
    if any(first.at > second.at for first, second in pairwise(entries)):
        yield "time goes backwards in the stream"
    epochs = [int(str(item.data["epoch"])) for item in entries if item.kind == EventKind.RUN_OWNED]
    if epochs != sorted(set(epochs)) or (epochs and epochs[-1] > run.epoch):
        yield f"epochs are {epochs}, the row says {run.epoch}"


def _judge_attempts(
    entries: list[StoredEntry], calls: list[Call], *, lazy: frozenset[str], is_closed: bool
) -> Iterator[str]:
    """Judge what was executed. What is `lazy` may be repeated, and nothing on record says so."""
    calls = [call for call in calls if path_of(call.key) not in lazy]
    begun = Counter[_Place]()
    ends: dict[_Place, StoredEntry] = {}
    ended = Counter[_Place]()
    for entry in entries:
        begun.update((item["key"], item["attempt"]) for item in _decided(entry)["next"])
        if entry.kind in _ENDS:
            place = (str(entry.data["key"]), int(str(entry.data["attempt"])))
            ended[place] += 1
            ends[place] = entry
    retry_count = _count_retries(entries)
    for key, attempt in begun:
        # What is inside a container begins anew with it.
        if not 1 <= begun[key, attempt] <= 1 + retry_count:
            yield f"attempt {attempt} of {key} has begun {begun[key, attempt]} times"
        if attempt > 1 and (key, attempt - 1) not in begun:
            yield f"attempt {attempt} of {key} has begun, but not the one before"
    halted = any(item.kind == EventKind.RUN_HALTED for item in entries)
    if is_closed and ended != begun and not halted:
        yield f"attempts begun and ended differ: {begun - ended}, {ended - begun}"
    yield from _judge_calls(begun, calls, retry_count=retry_count)
    yield from _judge_late(entries, calls, begun)
    told = {place: entry for place, entry in ends.items() if path_of(place[0]) not in lazy}
    yield from _judge_outcomes(told, calls)


def _count_retries(entries: list[StoredEntry]) -> int:
    """Return how often somebody had a step tried again."""
    return sum(
        entry.kind == EventKind.STEP_RETRY_REQUESTED
        or (entry.kind == EventKind.QUESTION_RESOLVED and entry.data["choice"] == "retry")
        for entry in entries
    )


def _judge_calls(
    begun: Mapping[_Place, int], calls: list[Call], *, retry_count: int
) -> Iterator[str]:
    called = Counter((call.idempotency_key, call.attempt) for call in calls)
    for call in calls:
        place = (call.key, call.attempt)
        if called[call.idempotency_key, call.attempt] != 1:
            yield f"{place} was executed more than once: {called}"
        if place not in begun:
            yield f"{place} was executed, but nothing on record says so"
        start, _, number = call.idempotency_key.rpartition(":")
        # Only somebody who says to try again begins another round.
        if start != f"{call.run_id}:{call.key}" or not 1 <= int(number) <= 1 + retry_count:
            yield f"the key of {place} is {call.idempotency_key}"


def _judge_late(
    entries: list[StoredEntry], calls: list[Call], begun: Mapping[_Place, int]
) -> Iterator[str]:
    """Judge the ends that nobody waited for any more: each once for a beginning, as it was."""
    outcomes = _outcomes_of(calls)
    late = Counter[_Place]()
    for entry in entries:
        if entry.kind == EventKind.ATTEMPT_LATE:
            place = (str(entry.data["key"]), int(str(entry.data["attempt"])))
            late[place] += 1
            if late[place] > begun.get(place, 0):
                yield f"the late end of {place} is on record {late[place]} times"
            if place in outcomes and entry.data.get("error", "ok") not in outcomes[place]:
                yield f"the late end of {place} is on record as {entry.data}"


def _outcomes_of(calls: list[Call]) -> dict[_Place, set[str]]:
    """Return how attempts ended. What begins anew counts its attempts from 1 again."""
    outcomes: dict[_Place, set[str]] = {}
    for call in calls:
        outcomes.setdefault((call.key, call.attempt), set()).add("".join(call.outcome))
    return outcomes


def _judge_outcomes(ends: Mapping[_Place, StoredEntry], calls: list[Call]) -> Iterator[str]:
    outcomes = _outcomes_of(calls)
    for place, entry in ends.items():
        if entry.kind in _LOST or entry.data.get("error") == "timeout":
            continue
        told = "ok" if entry.kind == EventKind.STEP_COMPLETED else entry.data["error"]
        if told not in outcomes.get(place, ()):
            yield f"{place} is on record as {told}, but ended as {outcomes.get(place)!r}"


def _judge_row(run: Run, state: RunState, entries: list[StoredEntry]) -> Iterator[str]:
    last = entries[-1]
    closing = state.closing
    closed_count = sum(item.kind == EventKind.RUN_CLOSED for item in entries)
    if closed_count != 1 or last.kind != EventKind.RUN_CLOSED:
        yield f"it was closed {closed_count} times, and ends with {last.kind}"
    if not state.closed or closing is None or str(closing.outcome) != run.outcome:
        yield f"the stream says {closing}, the row {run.outcome}"
    if (run.worker, run.wake_at, run.closed_at) != (None, None, last.at):
        yield f"the closed row has {run.worker}, {run.wake_at}, {run.closed_at}, not {last.at}"
    if state.running or state.backoff or state.ready or state.waiting_count:
        yield "something is open in a closed run"


def _judge_ends(plan: Plan, state: RunState, entries: list[StoredEntry]) -> Iterator[str]:
    ends, retry_count = Counter[str](), _count_retries(entries)
    for entry in entries:
        ends.update(str(item["key"]) for item in _decided(entry)["settled"])
        resolved = entry.kind == EventKind.APPROVAL_RESOLVED and entry.data["outcome"] != "failed"
        if resolved or entry.kind == EventKind.STEP_COMPLETED:
            ends[str(entry.data["key"])] += 1
    # What an operator had tried again is kept beside its earlier try, to be undone as well.
    ended = {key: ends[key if is_undo(key) else any_try_of(key)] for key in state.steps}
    for key, step in state.steps.items():
        if step.status is not StepStatus.ENDED or not 1 <= ended[key] <= 1 + retry_count:
            yield f"{key} is {step.status} and ended {ended[key]} times"
    kept = {key if is_undo(key) else any_try_of(key) for key in state.steps}
    if set(ends) != kept or not {f"{item}#1" for item in plan.steps} <= set(ends):
        yield "steps that ended are not those of the plan"


def _judge_all_ended(state: RunState, entries: list[StoredEntry]) -> Iterator[str]:
    """See that every instance ended, each by one entry, and that nothing is left open."""
    left = {key: step.status for key, step in state.steps.items() if step.status != "ended"}
    if left:
        yield f"steps never ended: {left}"
    still = (state.timers, state.held, state.opening, state.listening, state.withdrawing)
    if any(still) or state.straggler_count or state.open_count:
        yield f"something goes on in a closed run: {still}"
    completed = Counter(
        str(entry.data["key"]) for entry in entries if entry.kind == EventKind.STEP_COMPLETED
    )
    asked = any(item.kind == EventKind.QUESTION_RESOLVED for item in entries)
    if not (asked or _count_retries(entries)) and any(count > 1 for count in completed.values()):
        yield f"steps completed more than once: {completed}"


def _judge_undoing(plan: Plan, state: RunState, entries: list[StoredEntry]) -> Iterator[str]:
    completed = {
        str(item.data["key"]): item.seq for item in entries if item.kind == EventKind.STEP_COMPLETED
    }
    first_begun: dict[str, int] = {}
    for entry in entries:
        for item in _decided(entry)["next"]:
            first_begun.setdefault(str(item["key"]), entry.seq)
    for key in filter(is_undo, first_begun):
        step = plan.steps[step_of(key)]
        done = completed.get(f"{step.id}#1")
        if step.compensate is None:
            yield f"{key} was executed, but nothing declares it"
        if done is None and not step.compensate_on_failure:
            yield f"{key} was executed, but its step never completed"
        if done is not None and done > first_begun[key]:
            yield f"{key} was begun before its step completed"
    if state.closing and state.closing.outcome is Outcome.FAILED:
        left = set(state.undoable) - state.undone
        if left:
            yield f"the run failed, but {left} was never undone"


def _judge_approvals(run: Run, entries: list[StoredEntry]) -> Iterator[str]:
    requested = Counter[str]()
    resolved: dict[str, list[StoredEntry]] = {}
    for entry in entries:
        if entry.kind == EventKind.APPROVAL_REQUESTED and entry.data["verb"] != GATE:
            requested[str(entry.data["key"])] += 1
        if entry.kind == EventKind.APPROVAL_RESOLVED:
            resolved.setdefault(str(entry.data["key"]), []).append(entry)
    requests = {item.step_key: item for item in Request.objects.filter(run_id=run.pk)}
    if Counter(requests.keys()) != requested or Request.objects.filter(
        run_id=run.pk
    ).count() != len(requests):
        yield f"{requested} were asked, but there are requests {list(requests)}"
    for key, request in requests.items():
        ends = resolved.get(key, [])
        if len(ends) != 1 or ends[0].data["outcome"] != request.outcome:
            yield f"{key} is {request.outcome}, the run was told {[item.data for item in ends]}"
            continue
        yield from _judge_request(request, ends[0])


def _judge_request(request: Request, told: StoredEntry) -> Iterator[str]:
    entries = ledger.read_verified(stream=request.pk, limit=_ENTRY_COUNT_MAX)
    kinds = Counter(item.kind for item in entries)
    key = request.step_key
    if (kinds["request.opened"], kinds["request.closed"], request.status) != (1, 1, "closed"):
        yield f"{key}: {kinds}, {request.status}"
    if (len(entries), entries[-1].leaf) != (request.seq, bytes(request.head)):
        yield f"{key}: the request's row does not point to its stream's head"
    leaf = told.data.get("entry_leaf")
    if leaf is not None and leaf not in {item.leaf.hex() for item in entries}:
        yield f"{key}: the run names an entry the request does not have"
    votes = Counter(
        Vote.objects.filter(request=request).values_list("round", "stage_id", "person_id")
    )
    if sum(votes.values()) != kinds["vote.cast"] or any(count > 1 for count in votes.values()):
        yield f"{key}: {sum(votes.values())} votes, {kinds['vote.cast']} on record"


def _judge_outsiders(run: Run, entries: list[StoredEntry]) -> Iterator[str]:
    cancels = sum(item.kind == EventKind.RUN_CANCEL_REQUESTED for item in entries)
    noted = Dedupe.objects.filter(run_id=run.pk, key="cancel").count()
    if cancels != noted or noted > 1:
        yield f"cancelled {cancels} times, noted {noted} times"
    asked = Counter(
        str(item.data["key"])
        for item in entries
        if item.kind == EventKind.APPROVAL_REQUESTED and item.data["verb"] == GATE
    )
    rows = _read_gates(run.pk)
    ended = Counter(
        str(item.data["key"])
        for item in entries
        if item.kind in {EventKind.APPROVAL_RESOLVED, EventKind.WAIT_WITHDRAWN}
    )
    # One that was asked and taken back in the same move has no row.
    withdrawn = {str(item.data["key"]) for item in entries if item.kind == EventKind.WAIT_WITHDRAWN}
    if not set(asked) - withdrawn <= set(rows) <= set(asked) or any(rows.values()):
        yield f"gates {sorted(asked)} were asked, the rows are {rows}"
    for key, count in asked.items():
        if ended[key] != count:
            yield f"the gate {key} was asked {count} times, and ended {ended[key]} times"


def _read_gates(run_id: UUID) -> dict[str, bool]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT key, open FROM simulation.gate WHERE run_id = %s", [run_id])
        return dict(cursor.fetchall())


def _decided(entry: StoredEntry) -> Mapping[str, Any]:
    return find_decided(entry) or {"next": [], "settled": []}  # type: ignore[arg-type]  # has both
