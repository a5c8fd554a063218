"""Who is on the stage: hands, people, the sweep. Read `Roles`.

Each role is what one thread of one process does until the curtain falls; what the threads of a
process share is in `Process`.
"""

import random
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection

from approvals.models import Request
from approvals.services.decide import decide
from core.identity.domain.principal import Principal
from core.kernel import ids
from core.kernel.errors import PlatformError
from core.kernel.types import Json
from countersign import TransientError, current_attempt, function
from engine import store
from engine.crew import Crew
from engine.domain.verbs import WaitOutcome
from engine.executing import Ended
from engine.models import Run, Wait
from engine.services import events
from engine.services.runs import cancel_run, start_run
from engine.sweep import sweep_once
from engine.worker import WorkerProcess
from tests.simulation.casting import FUNCTION
from tests.simulation.gate import find_open_gates, resolve_gate
from tests.simulation.stage import BugError, Crash, Process, Stage
from tests.simulation.variety import LABEL
from tests.world import World

_GATE_OUTCOMES = [
    WaitOutcome.APPROVED,
    WaitOutcome.APPROVED,
    WaitOutcome.APPROVED,
    WaitOutcome.REJECTED,
    WaitOutcome.EXPIRED,
    WaitOutcome.OVERRIDDEN,
    WaitOutcome.FAILED,
]
# What a thread survives, and tries again. Any other error of the database is a finding.
_ENDED = (OperationalError, InterfaceError, BugError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One execution of a step's function. `outcome` is "" until it ends."""

    run_id: str
    key: str
    idempotency_key: str
    attempt: int
    process: str
    outcome: list[str] = field(default_factory=list)

    def is_beside(self, other: "Call") -> bool:
        """Say whether a process would execute two attempts of one thing at the same time."""
        same = (self.process, self.idempotency_key) == (other.process, other.idempotency_key)
        return same and not self.outcome


class TurnCrew(Crew):
    """Executes attempts in parts of the stage, which take turns like everybody."""

    def __init__(self, stage: Stage, process: Process) -> None:
        super().__init__()
        self._stage = stage
        self._process = process
        self._count = 0

    def begin(self, execution):
        ended: Future[Ended] = Future()
        self._count += 1
        name = f"{self._process.name}.{self._count}"
        self._stage.spawn(
            name, lambda: ended.set_result(execution()), process=self._process, reads=False
        )
        return ended

    def wait_first(self, futures, *, seconds):
        alarm = None if seconds is None else self._stage.clock.monotonic() + seconds
        if not any(item.done() for item in futures):
            self._stage.rest("", until=lambda: any(item.done() for item in futures), alarm=alarm)
        return [item for item in futures if item.done()]

    def wait_all(self, futures):
        if not all(item.done() for item in futures):
            self._stage.rest("", until=lambda: all(item.done() for item in futures))


@dataclass(kw_only=True)
class Roles:
    """The parts of one play, and what they share: hints, runs, calls, the curtain."""

    stage: Stage
    world: World
    workflow: str
    principals: dict[str, Principal]
    hints: list[UUID] = field(default_factory=list)
    run_ids: list[UUID] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    workers: dict[Process, WorkerProcess] = field(default_factory=dict)
    draining: set[Process] = field(default_factory=set)
    skewed: bool = False
    curtain: bool = False
    calm: bool = False  # nothing goes wrong any more
    hand_count: int = 0
    hang_count: int = 0
    task_hint_count: int = 0
    event_count: int = 0
    _task_dice: random.Random = field(default_factory=lambda: random.Random("task hints"))
    _callers: dict[UUID, tuple[UUID, str]] = field(default_factory=dict)
    _hint_dice: dict[tuple[int | str, ...], random.Random] = field(default_factory=dict)

    # --- casting -----------------------------------------------------------------------------

    def add_hand(self) -> None:
        """Start a worker process; another one comes when it dies."""
        self.hand_count += 1
        skew = self.hand_count % 2 if self.skewed else 0
        process = Process(f"hand{self.hand_count}", skew=skew)
        self.stage.spawn(
            process.name, partial(self._hand, process), process=process, on_death=self._replace_hand
        )

    def add_helper(self) -> None:
        """Start a worker of another queue; another one comes when it dies."""
        self.hand_count += 1
        process = Process(f"helper{self.hand_count}")
        self.stage.spawn(
            process.name,
            partial(self._helper, process),
            process=process,
            on_death=partial(self._unless_over, self.add_helper),
        )

    def add_sweep(self, name: str) -> None:
        """Start a sweep process; it is restarted when it dies."""
        process = Process(name)
        again = partial(self._unless_over, partial(self.add_sweep, name))
        self.stage.spawn(name, self._sweep, process=process, on_death=again)

    def add_client(self, name: str, act: Callable[[], None]) -> None:
        """Let somebody ask a web process for something, and ask again if it dies under them."""
        again = partial(self._unless_over, partial(self.add_client, name, act))
        self.stage.spawn(
            name, partial(self._insist, name, act), process=Process(name), on_death=again
        )

    def _replace_hand(self) -> None:
        self._unless_over(self.add_hand)

    def _unless_over(self, act: Callable[[], None]) -> None:
        if not self.curtain:
            act()

    # --- a worker process ----------------------------------------------------------------------

    def _hand(self, process: Process) -> None:
        worker = WorkerProcess(
            name=process.name,
            on_hang=partial(self._hang, process),
            clock=self.stage.clock,
            crew=TurnCrew(self.stage, process),
        )
        self._insist(process.name, worker.register)
        self.workers[process] = worker
        self.stage.spawn(f"{process.name}.heart", partial(self._heart, worker), process=process)
        while self._rest(until=lambda: bool(self.hints) or process in self.draining):
            if process in self.draining:
                self._insist(process.name, partial(store.expire_worker, worker=worker.id))
                self.stage.kill(process, why="ends, drained")
                raise Crash
            # In the order of the runs, because the database hands several out in no order.
            self.hints.sort(key=self.place)
            run_id = self.hints.pop(self.stage.dice.randrange(len(self.hints)))
            self.stage.note(process.name, "takes a hint")
            try:
                end = worker.drive(run_id=run_id)
            except _ENDED as error:
                self.stage.note(process.name, f"drove into {error!r}")
                connection.close()
            else:
                self.stage.note(process.name, f"drove: {end}")

    def _helper(self, process: Process) -> None:
        worker = WorkerProcess(
            name=process.name,
            on_hang=partial(self._hang, process),
            clock=self.stage.clock,
            crew=TurnCrew(self.stage, process),
            queues=(LABEL,),
        )
        self._insist(process.name, worker.register)
        self.workers[process] = worker
        self.stage.spawn(f"{process.name}.heart", partial(self._heart, worker), process=process)
        while self._rest(until=lambda: self.task_hint_count > 0 or process in self.draining):
            if process in self.draining:
                self._insist(process.name, partial(store.expire_worker, worker=worker.id))
                self.stage.kill(process, why="ends, drained")
                raise Crash
            self.task_hint_count -= 1
            try:
                count = worker.execute_tasks()
            except _ENDED as error:
                self.stage.note(process.name, f"executed into {error!r}")
                connection.close()
            else:
                self.stage.note(process.name, f"executed {count} attempts")

    def _heart(self, worker: WorkerProcess) -> None:
        while self._rest(seconds=self.stage.dice.choice([0.5, 2.0, 6.0])):
            try:
                worker.look()
            except BugError:
                worker._give_up()  # as its own thread does

    def _hang(self, process: Process) -> None:
        self.hang_count += 1
        self.stage.kill(process, why="ends itself: an attempt hangs")
        raise Crash

    # --- other processes -----------------------------------------------------------------------

    def _sweep(self) -> None:
        while self._rest(seconds=1.0 + self.stage.dice.random()):
            try:
                sweep_once()
            except _ENDED:
                connection.close()

    def _insist(self, name: str, act: Callable[[], None]) -> None:
        while True:
            try:
                act()
            except _ENDED as error:
                self.stage.note(name, f"was answered {error!r}, asks again")
                connection.close()
                self.stage.rest("", alarm=self.stage.clock.monotonic() + 1.0)
            except PlatformError as error:
                self.stage.note(name, f"was answered {error.code}")
                return
            else:
                return

    def start(self, key: str) -> None:
        """Start the run of a key, which others may start at the same time."""
        started = start_run(
            principal=self.principals["mara"],
            project_slug=self.world.slug,
            workflow_slug=self.workflow,
            inputs={},
            idempotency_key=key,
        )
        self.stage.note(key, f"has its run, replayed: {started.replayed}")
        if started.run_id not in self.run_ids:
            self.run_ids.append(started.run_id)
            self.stage.names[started.run_id] = key

    def operate(self, run_id: UUID) -> None:
        """End a run that has halted."""
        cancel_run(principal=self.principals["mara"], run_id=run_id, reason="it has halted")

    def cancel(self) -> None:
        """Cancel the first run, after a while."""
        while not self.run_ids:
            if not self._rest(seconds=1.0):
                return
        self._rest(seconds=self.stage.dice.choice([0.01, 1.0, 10.0, 60.0]))
        mara, compensate = self.principals["mara"], self.stage.dice.random() < 0.5
        cancel_run(principal=mara, run_id=self.run_ids[0], reason="no more", compensate=compensate)

    def decide(self, who: str) -> None:
        """Look for requests now and then, and decide some."""
        dice = self.stage.dice
        while self._rest(seconds=dice.choice([1.0, 5.0, 30.0])):
            requests = list(Request.objects.filter(run_id__in=self.run_ids, status="open"))
            requests = [item for item in requests if item.kind != "question"]
            requests.sort(key=lambda item: (self.place(item.run_id), item.step_key))
            for request in requests:
                if dice.random() < 0.3:
                    continue
                self._insist(who, partial(self._vote, who, request, dice.random() < 0.15))

    def _vote(self, who: str, request: Request, no: bool) -> None:  # noqa: FBT001 - a coin
        for _ in range(self.stage.dice.choice([1, 1, 2])):  # clicked twice
            result = decide(
                principal=self.principals[who],
                request_id=request.pk,
                decision="reject" if no else "approve",
                comment="no" if no else "",
                digest_hex=bytes(request.shown_digest).hex(),
                idempotency_key=f"{who}-{request.pk}",
            )
            self.stage.note(who, f"voted, replayed: {result.replayed}")

    def send_events(self) -> None:
        """Send what runs wait for, and what none waits for yet; some of it twice."""
        dice = self.stage.dice
        while self._rest(seconds=dice.choice([1.0, 10.0, 60.0])):
            waits = list(Wait.objects.filter(type__startswith=f"{self.workflow}."))
            waits.sort(key=lambda item: (self.place(item.run_id), item.key))
            wanted = [(item.type, item.correlate) for item in waits if dice.random() < 0.7]
            if dice.random() < 0.3:
                wanted.append((f"{self.workflow}.any", {}))
            for type_, data in wanted:
                event_id = ids.uuid7()
                for _ in range(dice.choice([1, 1, 2])):
                    self._insist("sender", partial(self._send, type_, data, event_id))

    def _send(self, type_: str, data: dict[str, Json], event_id: UUID) -> None:
        events.publish(
            project_id=self.world.project.pk,
            event_type=type_,
            data={**data, "n": 1},
            origin=self.principals["mara"].origin,
            event_id=event_id,
        )
        self.stage.note("sender", f"sent {type_.rpartition('.')[2]}")

    def answer_questions(self) -> None:
        """Say what becomes of steps that failed."""
        dice = self.stage.dice
        while self._rest(seconds=dice.choice([1.0, 20.0])):
            mine = Request.objects.filter(run_id__in=self.run_ids, status="open", kind="question")
            for request in sorted(mine, key=lambda i: (self.place(i.run_id), i.step_key)):
                choice = dice.choice(["retry", "retry", "skip", "fail", "fail"])
                self._insist("answers", partial(self._answer, request, choice))

    def _answer(self, request: Request, choice: str) -> None:
        decide(
            principal=self.principals["mara"],
            request_id=request.pk,
            decision=choice,
            comment="it is fine",
            digest_hex=bytes(request.shown_digest).hex(),
        )
        self.stage.note("answers", f"{request.step_key}: {choice}")

    def open_gates(self) -> None:
        """End waits at gates, some twice."""
        dice = self.stage.dice
        while self._rest(seconds=dice.choice([0.5, 5.0, 40.0])):
            for run_id in tuple(self.run_ids):
                for key in find_open_gates(run_id):
                    outcome = dice.choice(_GATE_OUTCOMES)
                    self._insist(
                        "gates", partial(self._resolve, run_id=run_id, key=key, outcome=outcome)
                    )

    def _resolve(self, *, run_id: UUID, key: str, outcome: WaitOutcome) -> None:
        ended = resolve_gate(run_id=run_id, key=key, outcome=outcome)
        self.stage.note("gates", f"{key} {outcome}: {ended}")

    # --- small parts ---------------------------------------------------------------------------

    def _rest(
        self, *, until: Callable[[], bool] | None = None, seconds: float | None = None
    ) -> bool:
        """Rest until something holds, a time is up, or the curtain falls; say if it has not."""
        alarm = None if seconds is None else self.stage.clock.monotonic() + seconds
        self.stage.rest(
            "", until=lambda: self.curtain or (until is not None and until()), alarm=alarm
        )
        return not self.curtain

    def take_hint(self, run_id: UUID) -> None:
        """Do to a hint what a broker may do. Each run has dice of its own for that."""
        place = self.place(run_id)
        dice = self._hint_dice.setdefault(place, random.Random(f"hints {place}"))
        draw = dice.random()
        if draw < 0.15 and not self.calm:
            return
        self.hints += [run_id, run_id] if draw > 0.85 else [run_id]

    def take_task_hint(self) -> None:
        """Tell the helpers that there are attempts for them, or forget to."""
        if self.calm or self._task_dice.random() > 0.15:
            self.task_hint_count += 1

    def place(self, run_id: UUID | None) -> tuple[int | str, ...]:
        """Return which of the play's runs this is; one that is just starting comes last.

        A run that a run called comes after that one, by the step that called it.
        """
        if run_id in self.run_ids:
            return (self.run_ids.index(run_id),)
        if run_id is not None and run_id not in self._callers:
            with self.stage.unnoticed():
                caller = Run.objects.filter(pk=run_id).values_list("parent_id", "parent_key")
                found = caller.first()
            if found is None or found[0] is None:
                return (len(self.run_ids),)
            self._callers[run_id] = found
        if run_id is None:
            return (len(self.run_ids),)
        parent_id, key = self._callers[run_id]
        return (*self.place(parent_id), key)

    def act(self) -> dict[str, str]:
        """Execute a step's function: take a while, then end as the dice say."""
        attempt = current_attempt()
        dice = self.stage.dice
        call = Call(
            run_id=attempt.run_id,
            key=attempt.idempotency_key.removeprefix(f"{attempt.run_id}:").rpartition(":")[0],
            idempotency_key=attempt.idempotency_key,
            attempt=attempt.number,
            process=self.stage.current.process.name,
        )
        beside = [item for item in self.calls if item.is_beside(call)]
        if beside:
            self.stage.problems.append(f"{call} is executed while this process executes {beside}")
        self.calls.append(call)
        who = self.stage.current.name
        for _ in range(dice.choice([0, 0, 1, 2])):
            seconds = dice.choice([0.0, 0.2, 3.0, 20.0])
            alarm = self.stage.clock.monotonic() + seconds
            self.stage.rest(f"executes {call.key} attempt {call.attempt}", alarm=alarm)
        draw = dice.random()
        outcome = "transient" if draw < 0.15 else "permanent" if draw < 0.25 else "ok"
        call.outcome.append(outcome)
        self.stage.note(who, f"executed {call.key} attempt {call.attempt}: {outcome}")
        if outcome == "transient":
            raise TransientError("not now")
        if outcome == "permanent":
            raise ValueError("never")
        return {"by": who}


def steal_lease(roles: Roles) -> None:
    """Declare a worker dead that is not; or tell one to finish what it executes and end."""
    alive = [process for process in roles.workers if not process.dead]
    if not alive:
        return
    process = roles.stage.dice.choice(alive)
    if roles.stage.dice.random() < 0.2:
        roles.stage.note(process.name, "is to drain")
        roles.workers[process].drain()
        roles.draining.add(process)
    else:
        roles.stage.note(process.name, "loses its lease")
        store.expire_worker(worker=roles.workers[process].id)


ON_STAGE: list[Roles] = []


@function(FUNCTION)
def _act(**_):
    return ON_STAGE[-1].act()
