"""The engine against DBOS, on one PostgreSQL, turn by turn in one run. Read `measure` first.

Each engine runs in a process of its own, ours in this one; while one is measured, the other idles.
A turn of ours follows a turn of theirs, so that a slower minute of the machine is one of both.
Everything is warmed up before it counts.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from benchmarks.cost import ServerTime
from benchmarks.harness import System
from benchmarks.peers import environment
from benchmarks.peers.client import Peer, running
from benchmarks.results import Row, exponent, percentile

if TYPE_CHECKING:
    from benchmarks.ours import Ours

BENCH = "engine"
_STEPS = 10
_TURNS = 4
_CHAINS_A_TURN = 50
_WARM_UP_COUNT = 20
_THROUGHPUT_RUNS = 160
_THROUGHPUT_TURNS = 2
_DRIVERS = (1, 16)
_STARTS = 1_000
_LENGTHS = (1_000, 4_000, 10_000)
_PEER_LENGTH = 1_000
_WIDTH = 500
_FAN_OUTS = 3
_WAITING = 500
_WAITING_MANY = 10_000
_DECISIONS = 200
_SETTLE_SECONDS = 1.5  # a peer's queue is looked for once a second


@dataclass(kw_only=True)
class Setting:
    """What the parts of the bench share. Without a peer, its rows are left out."""

    system: System
    ours: "Ours"
    peer: Peer | None
    peer_name: str = ""
    python: Path | None = None

    def row(
        self, metric: str, value: float, unit: str, *, n: int, theirs: bool = False, note: str = ""
    ) -> Row:
        """Return a row; `theirs` names the peer in it."""
        return Row(
            bench=BENCH,
            metric=metric,
            value=round(value, 3),
            unit=unit,
            n=n,
            peer=self.peer_name if theirs else None,
            note=note or None,
        )

    def spread(self, metric: str, samples: Sequence[float], *, theirs: bool = False) -> list[Row]:
        """Return the median and the 95th percentile of milliseconds."""
        return [
            self.row(
                f"{metric}/{name}_ms",
                percentile(samples, share),
                "ms",
                n=len(samples),
                theirs=theirs,
            )
            for name, share in (("p50", 0.5), ("p95", 0.95))
        ]


def measure(system: System) -> Iterator[Row]:
    """Yield every row of the engine's bench."""
    with ExitStack() as stack:
        setting = stack.enter_context(_setting(system))
        yield from _ten_steps(setting)
        yield from _cost(setting)
        yield from _throughput(setting)
        yield from _starts(setting)
        yield from _growth(setting)
        yield from _fan_out(setting)
        yield from _decisions(setting)


@contextmanager
def _setting(system: System) -> Iterator[Setting]:
    from benchmarks.ours import Ours  # noqa: PLC0415 - needs Django
    from engine.attempts import AttemptBook  # noqa: PLC0415 - as above
    from engine.worker import WorkerProcess  # noqa: PLC0415 - as above

    attempts = AttemptBook()
    worker = WorkerProcess(name="bench", attempts=attempts)
    worker.start()
    python = environment.find_python()
    with ExitStack() as stack:
        stack.callback(worker.stop)
        setting = Setting(system=system, ours=Ours(worker, attempts), peer=None, python=python)
        if python is not None:
            system.make_database("dbos_bench")
            setting.peer = stack.enter_context(_peer(setting, "dbos"))
            setting.peer_name = f"DBOS {environment.read_version(python)}"
        yield setting


@contextmanager
def _peer(setting: Setting, name: str, *queues: str) -> Iterator[Peer]:
    assert setting.python is not None, "asked for only where there is one"
    host, port = setting.system.database_address
    url = f"postgresql://countersign@/dbos_bench?host={quote(host)}&port={port}"
    with running(
        setting.python, database_url=url, folder=setting.system.folder, name=name, queues=queues
    ) as peer:
        yield peer


def _ten_steps(setting: Setting) -> Iterator[Row]:
    """Time runs of ten steps, start to close, one at a time."""
    lazy = setting.ours.publish_lazy()
    samples: dict[str, list[float]] = {"ours": [], "lazy": [], "theirs": []}
    for turn in range(_TURNS + 1):
        count = _CHAINS_A_TURN if turn else _WARM_UP_COUNT
        found = {"ours": setting.ours.chains(count=count)}
        if lazy is not None:
            found["lazy"] = setting.ours.chains(count=count, slug=lazy)
        if setting.peer is not None:
            found["theirs"] = setting.peer.ask("chains", length=_STEPS, count=count)
        for name, times in found.items() if turn else ():
            samples[name] += times
    yield from setting.spread("ten_steps", samples["ours"])
    if lazy is None:
        print("bench | no row ten_steps_lazy: the engine records lazy steps strictly")
    else:
        yield from setting.spread("ten_steps_lazy", samples["lazy"])
    if setting.peer is None:
        return
    yield from setting.spread("ten_steps", samples["theirs"], theirs=True)
    theirs = percentile(samples["theirs"], 0.5)
    for name, metric in (("ours", "ten_steps"), ("lazy", "ten_steps_lazy")):
        if samples[name]:
            yield setting.row(
                f"{metric}/p50_ratio_vs_dbos",
                theirs / percentile(samples[name], 0.5),
                "x",
                n=len(samples[name]),
                note="larger is better; ours with authorization, hint and audit chain",
            )


def _cost(setting: Setting) -> Iterator[Row]:
    """Count what PostgreSQL spends on runs of ten steps, and what is asked of it."""
    server = ServerTime(setting.system.folder / "postgres")
    spent: dict[bool, float] = {False: 0.0, True: 0.0}
    for _ in range(_TURNS):
        for theirs in (False, True):
            before = server.seconds()
            if not theirs:
                setting.ours.chains(count=_CHAINS_A_TURN)
            elif setting.peer is not None:
                setting.peer.ask("chains", length=_STEPS, count=_CHAINS_A_TURN)
            spent[theirs] += server.seconds() - before
    steps = _TURNS * _CHAINS_A_TURN * _STEPS
    trips = {False: setting.ours.round_trips()}
    if setting.peer is not None:
        trips[True] = setting.peer.ask("round_trips", length=_STEPS)
    for theirs, count in trips.items():
        yield setting.row(
            "postgres_cpu/ms_a_step", spent[theirs] / steps * 1e3, "ms", n=steps, theirs=theirs
        )
        note = "" if theirs else f"of them {setting.ours.drive_round_trips()} by the driver"
        yield setting.row("round_trips/ten_steps", count, "requests", n=1, theirs=theirs, note=note)
    if setting.peer is not None:
        yield setting.row("postgres_cpu/ratio_vs_dbos", spent[True] / spent[False], "x", n=steps)


def _throughput(setting: Setting) -> Iterator[Row]:
    """Time many runs of ten steps on threads of one process."""
    for drivers in _DRIVERS:
        seconds: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(_THROUGHPUT_TURNS):
            seconds[False].append(setting.ours.throughput(drivers=drivers, count=_THROUGHPUT_RUNS))
            if setting.peer is not None:
                seconds[True].append(
                    setting.peer.ask(
                        "throughput", drivers=drivers, length=_STEPS, count=_THROUGHPUT_RUNS
                    )
                )
        rates = {
            theirs: _THROUGHPUT_RUNS * len(found) / sum(found)
            for theirs, found in seconds.items()
            if found
        }
        runs = _THROUGHPUT_RUNS * _THROUGHPUT_TURNS
        for theirs, rate in rates.items():
            yield setting.row(
                f"throughput_{drivers}/runs_per_second", rate, "runs/s", n=runs, theirs=theirs
            )
        if True in rates:
            yield setting.row(
                f"throughput_{drivers}/ratio_vs_dbos", rates[False] / rates[True], "x", n=runs
            )


def _starts(setting: Setting) -> Iterator[Row]:
    """Time starts that are accepted and that nobody drives."""
    for drivers in _DRIVERS:
        seconds = {False: setting.ours.starts(drivers=drivers, count=_STARTS)}
        if setting.peer is not None:
            seconds[True] = setting.peer.ask("starts", drivers=drivers, count=_STARTS)
        for theirs, found in seconds.items():
            note = "enqueued" if theirs else "through the service"
            yield setting.row(
                f"starts_{drivers}/per_second",
                _STARTS / found,
                "starts/s",
                n=_STARTS,
                theirs=theirs,
                note=note,
            )
        yield setting.row(
            f"starts_engine_{drivers}/per_second",
            _STARTS / setting.ours.engine_starts(drivers=drivers, count=_STARTS),
            "starts/s",
            n=_STARTS,
            note="number, first entry and row; nobody authorized, checked or hinted",
        )


def _growth(setting: Setting) -> Iterator[Row]:
    """Time single runs of many steps."""
    setting.ours.long_run(length=_LENGTHS[0])  # what a process does once
    points = [(length, setting.ours.long_run(length=length)) for length in _LENGTHS]
    for length, seconds in points:
        yield setting.row(f"long_run_{length}/seconds", seconds, "s", n=1)
    if setting.peer is not None:
        (milliseconds,) = setting.peer.ask("chains", length=_PEER_LENGTH, count=1)
        yield setting.row(
            f"long_run_{_PEER_LENGTH}/seconds", milliseconds / 1e3, "s", n=1, theirs=True
        )
    yield setting.row(
        "growth/exponent", exponent(points), "", n=len(points), note="1 is linear in the steps"
    )


def _fan_out(setting: Setting) -> Iterator[Row]:
    """Time parallel steps with two processes that execute."""
    from benchmarks.ours import forget_hints  # noqa: PLC0415 - needs Django

    forget_hints()
    with setting.system.workers(2):
        setting.ours.fan_out(width=_WIDTH)
        samples = [setting.ours.fan_out(width=_WIDTH) for _ in range(_FAN_OUTS)]
    yield setting.row(
        f"fan_out_{_WIDTH}/seconds",
        percentile(samples, 0.5),
        "s",
        n=len(samples),
        note="two worker processes",
    )
    if setting.peer is None:
        return
    with _peer(setting, "dbos-1", "fan"), _peer(setting, "dbos-2", "fan"):
        time.sleep(_SETTLE_SECONDS)
        theirs = setting.peer.ask("fan_out", width=_WIDTH)
    yield setting.row(
        f"fan_out_{_WIDTH}/seconds",
        theirs,
        "s",
        n=1,
        theirs=True,
        note="a queue, two processes that serve it",
    )


def _decisions(setting: Setting) -> Iterator[Row]:
    """Time how soon runs go on after a decision, among few and among many that wait."""
    with setting.system.workers(2):
        waiting = setting.ours.park(count=_WAITING)
        setting.ours.decide(waiting[: _DECISIONS // 4])
        few = setting.ours.decide(waiting[_DECISIONS // 4 :][:_DECISIONS])
        many_waiting = setting.ours.park(count=_WAITING_MANY)
        many = setting.ours.decide(many_waiting[:_DECISIONS])
    yield from setting.spread("decision_to_resume_500", few)
    yield from setting.spread("decision_to_resume", many)
    if setting.peer is None:
        return
    ids = setting.peer.ask("park", count=_WAITING)
    samples = []
    with _peer(setting, "dbos-sender") as sender:
        for turn in (ids[: _DECISIONS // 4], ids[_DECISIONS // 4 :][:_DECISIONS]):
            sent = []
            for name in turn:
                sent.append(sender.ask("send", to=name))
                time.sleep(0.02)
            marks = setting.peer.ask("marks", ids=turn)
            samples = [(mark - then) / 1e6 for mark, then in zip(marks, sent, strict=True)]
    yield from setting.spread("decision_to_resume_500", samples, theirs=True)
