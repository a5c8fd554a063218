"""Many processes on one stage, taking turns by a seeded dice. Read `Stage` first.

Every part (a thread of a simulated process) is a real thread with a database connection of its own,
but only the one that has the turn moves. It gives the turn back before each statement, before each
COMMIT and wherever it rests, so the dice alone decides what comes between any two statements, and
one seed is one schedule. A statement that has to wait for a lock waits for it in PostgreSQL: the
stage sees that, lets the others go on, and takes the part back in when its statement has returned.
"""

import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from queue import SimpleQueue
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection, connections
from django.db.backends.signals import connection_created
from psycopg.pq import TransactionStatus

from engine import loading
from tests.simulation.clockwork import SEARCH_PATH, Clockwork
from tests.simulation.wording import WEIGHTY, say_statement

_LOOK_SECONDS = 0.002  # how long a statement may take before the stage asks if it waits for a lock
_LOOK_SECONDS_MAX = 0.064  # asking is a statement too: where all are slow, it asks more rarely
_HANG_SECONDS = 30.0  # no statement of a simulation takes so long: the stage itself is wrong
_CACHE_SIZE = 64
_LOCKS = re.compile(r"\b(UPDATE|INSERT|DELETE)\b")

_WAITING_FOR_LOCKS = """
    SELECT pid FROM unnest(%s::int[]) AS p (pid) WHERE cardinality(pg_blocking_pids(pid)) > 0"""


class Crash(BaseException):
    """The process has died: nothing in it may catch this and go on."""


class BugError(RuntimeError):
    """An exception nobody foresaw."""


class Fate(StrEnum):
    """What happens at a statement, and on which side of it."""

    NOTHING = "nothing"
    CRASH_BEFORE = "dies before"
    CRASH_AFTER = "dies after"
    SEVER_BEFORE = "loses its connection before"
    SEVER_AFTER = "loses its connection after"
    BUG_BEFORE = "meets a bug before"
    BUG_AFTER = "meets a bug after"

    @property
    def is_before(self) -> bool:
        """Say whether the statement is not executed."""
        return self.value.endswith("before")


class Status(StrEnum):
    """Where a part stands."""

    READY = "ready"  # at a boundary: may go on
    ON = "on"  # has the turn
    BLOCKED = "blocked"  # inside PostgreSQL, waiting for a lock
    RESTING = "resting"
    DONE = "done"


class Process:
    """What dies together: a name, what it keeps in memory, and which code is deployed to it."""

    def __init__(self, name: str, *, skew: int = 0) -> None:
        self.name = name
        self.skew = skew
        self.dead = False
        self.kept: loading.BoundedCache[Any, Any] = loading.BoundedCache(size=_CACHE_SIZE)


@dataclass(eq=False, slots=True, kw_only=True)
class Part:
    """One thread of a process. `until` and `alarm` say what a resting part waits for."""

    name: str
    process: Process
    act: Callable[[], None]
    on_death: Callable[[], None] | None = None
    reads: bool = True
    status: Status = Status.READY
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    fate: Fate = Fate.NOTHING
    until: Callable[[], bool] | None = None
    alarm: float | None = None
    at_statement: bool = False
    weight: float = 0.0  # how much a fault at what it is about to execute may show
    may_queue: bool = False  # what it is about to execute may wait for a lock, and it holds none
    inside: bool = False  # a statement is in PostgreSQL
    statement_count: int = 0
    backend: int = 0
    died: bool = False


class Stage:
    """The scheduler. All methods but those under "from inside a part" belong to the test's thread.

    A play is a sequence of `spawn` and `step`; `schedule` is what happened, in lines to read.
    """

    def __init__(self, *, clock: Clockwork) -> None:
        self.clock = clock
        self.dice = random.Random(0)
        self.parts: list[Part] = []
        self.schedule: list[str] = []
        self.problems: list[str] = []
        self.names: dict[UUID, str] = {}  # what the schedule calls a row
        self.reader_skew = 0  # the code of whoever reads afterwards
        self._idle: dict[bool, list[SimpleQueue[Part | None]]] = {True: [], False: []}
        self._threads: list[threading.Thread] = []
        self._back = threading.Semaphore(0)
        self._arrived = threading.Semaphore(0)
        self._mutex = threading.Lock()
        self._local = threading.local()

    # --- a play ------------------------------------------------------------------------------

    def begin(self, *, seed: int) -> None:
        """Clear the stage for another play."""
        assert not self.parts, "the last play is not over"
        self.dice = random.Random(seed)
        self.parts, self.schedule, self.problems, self.names = [], [], [], {}
        self.clock.begin()

    def spawn(
        self,
        name: str,
        act: Callable[[], None],
        *,
        process: Process,
        on_death: Callable[[], None] | None = None,
        reads: bool = True,
    ) -> Part:
        """Let a new thread of a process begin, once it gets its first turn.

        Those that never need the database have players of their own, to save connections.
        """
        part = Part(name=name, process=process, act=act, on_death=on_death, reads=reads)
        self.parts.append(part)
        self._player(reads=reads).put(part)
        return part

    def runnable(self) -> list[Part]:
        """Return the parts that can go on now, in the order they came."""
        queued = any(part.status is Status.BLOCKED for part in self.parts)
        return [part for part in self.parts if self._can_go_on(part, queued=queued)]

    def next_alarm(self) -> float | None:
        """Return when the first resting part wakes by itself."""
        alarms = [part.alarm for part in self.parts if part.status is Status.RESTING]
        return min((alarm for alarm in alarms if alarm is not None), default=None)

    def step(self, part: Part, *, fate: Fate = Fate.NOTHING) -> None:
        """Let a part go on to its next boundary, and see who else can then."""
        part.fate, part.status = fate, Status.ON
        loading._states = part.process.kept
        part.turn.release()
        self._await(part)
        self._settle()
        if part.status is Status.DONE:
            self.parts.remove(part)
            if part.died and part.on_death is not None:
                part.on_death()

    def kill(self, process: Process, *, why: str) -> None:
        """End a process wherever it is. Its threads find out when they get their next turn."""
        process.dead = True
        self.note(process.name, why)

    def clear(self) -> None:
        """End every process, whatever it is doing."""
        for part in self.parts:
            part.process.dead, part.on_death = True, None
        while runnable := self.runnable():
            self.step(runnable[0])
        left = [(part.name, part.status) for part in self.parts]
        assert not left, f"{left} wait for nobody"

    def note(self, who: str, what: str) -> None:
        """Write a line into the schedule."""
        elapsed = self.clock.monotonic()
        self.schedule.append(f"{len(self.schedule):>5} {elapsed:>10.3f} s  {who:<14} {what}")

    # --- from inside a part ------------------------------------------------------------------

    @property
    def current(self) -> Part:
        """Return the part this thread plays."""
        part: Part = self._local.part
        return part

    def skew(self) -> int:
        """Return which code is deployed to the process of this thread."""
        part = getattr(self._local, "part", None)
        return self.reader_skew if part is None else part.process.skew

    @contextmanager
    def unnoticed(self) -> Iterator[None]:
        """Let what this thread reads inside the block be no part of the play."""
        muted = getattr(self._local, "muted", False)
        self._local.muted = True
        try:
            yield
        finally:
            self._local.muted = muted

    def rest(
        self, why: str, *, until: Callable[[], bool] | None = None, alarm: float | None = None
    ) -> None:
        """Give the turn back until something holds or a time has come. Neither: one turn."""
        part = self.current
        part.until, part.alarm = until, alarm
        part.status = Status.READY if until is None and alarm is None else Status.RESTING
        part.at_statement = False
        if why:
            self.note(part.name, why)
        self._give_back(part)

    # --- turns -------------------------------------------------------------------------------

    def _can_go_on(self, part: Part, *, queued: bool) -> bool:
        if part.status is not Status.RESTING:
            # Two that wait for one row get it in no order, so the second waits outside.
            held = part.may_queue and queued and not part.process.dead
            return part.status is Status.READY and not held
        late = part.alarm is not None and part.alarm <= self.clock.monotonic()
        return late or part.process.dead or (part.until is not None and part.until())

    def _await(self, part: Part) -> None:
        """Wait until the part gives the turn back, or is found to wait for a lock."""
        waited, pause = 0.0, _LOOK_SECONDS
        while not self._back.acquire(timeout=pause):
            waited, pause = waited + pause, min(2 * pause, _LOOK_SECONDS_MAX)
            assert waited < _HANG_SECONDS, f"{part.name} hangs"
            if not part.inside or not self._blocked([part]):
                continue
            with self._mutex:
                if part.status is Status.ON:
                    part.status = Status.BLOCKED
                    self.note(part.name, "… waits for a lock")
                    return

    def _settle(self) -> None:
        """Wait until every part that waited for a lock has it, or certainly still waits."""
        while blocked := [part for part in self.parts if part.status is Status.BLOCKED]:
            waiting = self._blocked(blocked)
            if all(part.backend in waiting for part in blocked):
                return
            self._arrived.acquire(timeout=_LOOK_SECONDS)

    def _blocked(self, parts: list[Part]) -> set[int]:
        with connection.cursor() as cursor:
            cursor.execute(_WAITING_FOR_LOCKS, [[part.backend for part in parts]])
            return {row[0] for row in cursor.fetchall()}

    def _give_back(self, part: Part) -> None:
        self._back.release()
        part.turn.acquire()
        if part.process.dead:
            raise Crash

    # --- statements --------------------------------------------------------------------------

    def _around_statement(self, execute: Callable[..., Any], sql: str, *others: Any) -> Any:
        params, _, context = others
        if getattr(self._local, "muted", False):
            return execute(sql, *others)
        part, name = self.current, say_statement(sql)
        writes = _LOCKS.search(sql) is not None
        part.weight = 0.2
        if writes:
            part.weight = 2.0 if name.endswith(WEIGHTY) else 0.5
        part.may_queue = writes and not self._is_in_transaction()
        told = f"{name}{self._say_names(params)}"
        result = self._around(told, partial(execute, sql, *others))
        if context["cursor"].rowcount == 0 and name.endswith(WEIGHTY):
            self.note(part.name, f"… #{part.statement_count} changed nothing")
        return result

    def _around_commit(self, commit: Callable[[], None]) -> None:
        self.current.weight = 3.0
        try:
            self._around("COMMIT", commit)
        except Crash:
            raw: Any = connection.connection
            raw.rollback()  # Django lets nobody but the database break a COMMIT
            raise

    def _around(self, name: str, statement: Callable[[], Any]) -> Any:
        part = self.current
        part.status, part.at_statement = Status.READY, True
        self._give_back(part)
        part.may_queue = False
        part.statement_count += 1
        fate, part.fate = part.fate, Fate.NOTHING
        told = "" if fate is Fate.NOTHING else f"{fate}: "
        self.note(part.name, f"#{part.statement_count} {told}{name}")
        if fate is not Fate.NOTHING and fate.is_before:
            self._strike(part, fate, commits=name == "COMMIT")
        part.inside = True
        try:
            result = statement()
        finally:
            part.inside = False
            self._come_back(part)
        if fate is not Fate.NOTHING:
            self._strike(part, fate, commits=name == "COMMIT")
        return result

    def _say_names(self, params: Any) -> str:
        values = params if isinstance(params, list | tuple) else ()
        names = [
            self.names[item] for item in values if isinstance(item, UUID) and item in self.names
        ]
        return f" of {names[0]}" if names else ""

    def _come_back(self, part: Part) -> None:
        """Wait for a turn again, if the statement had to wait for a lock."""
        with self._mutex:
            if part.status is not Status.BLOCKED:
                return
            part.status, part.at_statement = Status.READY, False
        self._arrived.release()
        part.turn.acquire()
        self.note(part.name, f"… #{part.statement_count} got its lock")
        if part.process.dead:
            raise Crash

    def _strike(self, part: Part, fate: Fate, *, commits: bool = False) -> None:
        raw: Any = connection.connection
        match fate:
            case Fate.CRASH_BEFORE | Fate.CRASH_AFTER:
                if commits and fate.is_before:
                    raw.rollback()  # as the server does when the client is gone
                part.process.dead = True
                raise Crash
            case Fate.BUG_BEFORE | Fate.BUG_AFTER if not commits:
                raise BugError("the simulation's bug")
            case _:
                raw.rollback()  # as the server does, but before anybody else moves
                raw.close()
                raise OperationalError("the simulation cut the connection")

    # --- threads -----------------------------------------------------------------------------

    @contextmanager
    def opened(self) -> Iterator["Stage"]:
        """Keep the threads and their connections for the plays inside the block."""
        connection_created.connect(self._on_connection)
        try:
            yield self
        finally:
            self.clear()
            for inbox in (*self._idle[True], *self._idle[False]):
                inbox.put(None)
            for thread in self._threads:
                thread.join(timeout=_HANG_SECONDS)
            connection_created.disconnect(self._on_connection)

    def _player(self, *, reads: bool) -> "SimpleQueue[Part | None]":
        if self._idle[reads]:
            return self._idle[reads].pop()
        inbox: SimpleQueue[Part | None] = SimpleQueue()
        thread = threading.Thread(target=self._play, args=(inbox,), name="player", daemon=True)
        self._threads.append(thread)
        thread.start()
        return inbox

    def _play(self, inbox: "SimpleQueue[Part | None]") -> None:
        self._local.muted = False
        wrapped: Any = connection
        wrapped.commit_wrapper = self._around_commit
        with connection.execute_wrapper(self._around_statement):
            while (part := inbox.get()) is not None:
                self._perform(part, inbox)
        connections.close_all()

    def _perform(self, part: Part, inbox: "SimpleQueue[Part | None]") -> None:
        self._local.part = part
        self._local.muted = True
        # Nothing of what begins here may depend on whether this thread has played before.
        fresh = self._backend() and connection.autocommit and not self._is_in_transaction()
        if connection.connection is not None and not fresh:
            connection.close()
        connection.run_on_commit = []
        self._local.muted = False
        part.backend = self._backend()
        part.turn.acquire()
        try:
            if not part.process.dead:
                part.act()
        except Crash:
            part.died = True
        except Exception as error:  # noqa: BLE001 - a part's edge: whatever it is, the play has failed
            self.problems.append(f"{part.name} raised {error!r}")
            self.note(part.name, f"raised {error!r}")
        part.died = part.died or part.process.dead
        self.note(part.name, "is dead" if part.died else "is done")
        part.status = Status.DONE
        self._idle[part.reads].append(inbox)
        self._back.release()

    def _on_connection(self, **_: Any) -> None:
        if getattr(self._local, "part", None) is None:
            return
        muted, self._local.muted = self._local.muted, True
        with connection.cursor() as cursor:
            cursor.execute(SEARCH_PATH)
        self._local.muted = muted
        self.current.backend = self._backend()

    def _is_in_transaction(self) -> bool:
        raw: Any = connection.connection
        return raw is not None and raw.info.transaction_status != TransactionStatus.IDLE

    def _backend(self) -> int:
        raw: Any = connection.connection
        return raw.info.backend_pid if raw is not None and not raw.closed else 0
