"""The ledger alone: what an entry costs to make, to append, and to verify. Read `measure`."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.harness import System
from benchmarks.results import Row, percentile, spread

BENCH = "ledger"
_BUILD_COUNT = 5_000
_APPEND_COUNT = 1_000
_FILL_STREAM_COUNT = 200
_FILL_ENTRY_COUNT = 100  # entries of each stream
_WARM_UP_COUNT = 50  # statements are prepared and caches filled before anything counts

_MOVE = """UPDATE audit_stream SET seq = %s::bigint, head = %s::bytea
WHERE id = %s::uuid AND seq = %s::bigint RETURNING id"""


def measure(system: System) -> Iterator[Row]:
    """Yield what was measured: one process, one connection, a database that writes to the disk."""
    del system  # its database is the one Django was told of
    yield from _measure_building()
    yield from _measure_appending()
    yield from _measure_verifying()


def _measure_building() -> Iterator[Row]:
    """Time `extend`: no database."""
    from audit.domain.entry import StreamHead, extend  # noqa: PLC0415 - after Django's set-up
    from core.kernel import ids  # noqa: PLC0415 - as above

    for name, drafts in (("bare", [_draft({})]), ("with_payload", [_draft(_PAYLOAD)])):
        head = StreamHead(stream=ids.uuid7())
        samples = []
        for _ in range(_BUILD_COUNT):
            started = time.perf_counter()
            head, _entries = extend(head=head, drafts=drafts, salts=ids.salt)
            samples.append((time.perf_counter() - started) * 1e6)
        yield Row(
            bench=BENCH,
            metric=f"extend/{name}",
            value=round(percentile(samples, 0.5), 1),
            unit="us/entry",
            n=len(samples),
        )


def _measure_appending() -> Iterator[Row]:
    """Time one compare-and-swap with and without its entry, turn by turn."""
    times: dict[str, list[float]] = {"logged": [], "unlogged": []}
    before = _stored_bytes()
    with _plain_guard() as plain:
        stream = _Stream()
        for turn in range(_WARM_UP_COUNT + _APPEND_COUNT):
            for name, act in (("logged", stream.append), ("unlogged", plain.move)):
                took = _milliseconds(act)
                if turn >= _WARM_UP_COUNT:
                    times[name].append(took)
    for name, samples in times.items():
        yield from spread(BENCH, f"transition_{name}", samples)
    ratio = percentile(times["logged"], 0.5) / percentile(times["unlogged"], 0.5)
    stored = (_stored_bytes() - before) / (_WARM_UP_COUNT + _APPEND_COUNT)
    yield Row(
        bench=BENCH, metric="logged_to_unlogged", value=round(ratio, 2), unit="x", n=_APPEND_COUNT
    )
    yield Row(
        bench=BENCH,
        metric="stored_bytes",
        value=round(stored),
        unit="B/entry",
        n=_APPEND_COUNT,
        note="tables and indexes",
    )


def _measure_verifying() -> Iterator[Row]:
    """Time `verify_ledger` over everything there is."""
    from audit.selectors.verification import verify_ledger  # noqa: PLC0415 - after set-up

    for _ in range(_FILL_STREAM_COUNT):
        stream = _Stream()
        stream.append(_FILL_ENTRY_COUNT)
    started = time.perf_counter()
    found = verify_ledger()
    seconds = time.perf_counter() - started
    if found.discrepancy is not None:
        msg = f"the bench's own ledger does not verify: {found.discrepancy}"
        raise RuntimeError(msg)
    yield Row(
        bench=BENCH,
        metric="verify_from_database",
        value=round(found.entry_count / seconds),
        unit="entries/s",
        n=found.entry_count,
        note=f"{found.payload_count} payloads",
    )


_PAYLOAD = {"output": {"wheel": "package-1.0-py3-none-any.whl", "digest": "ab" * 32, "size": 4711}}


def _draft(payloads: dict[str, Any]) -> Any:
    from core.kernel.clock import SYSTEM_CLOCK  # noqa: PLC0415 - after Django's set-up
    from core.kernel.ids import uuid7  # noqa: PLC0415 - as above
    from core.kernel.record import ENGINE_ORIGIN, Draft  # noqa: PLC0415 - as above

    return Draft(
        kind="step.completed",
        at=SYSTEM_CLOCK.now(),
        origin=ENGINE_ORIGIN,
        subject=f"run:{uuid7()}",
        data={"step": "build#1", "attempt": 1, "next": ["deploy#1"], "epoch": 3},
        payloads=payloads,
        version="0f" * 32,
        scope=uuid7(),
    )


class _Stream:
    """A stream of its own, and its head as a driver keeps it."""

    def __init__(self) -> None:
        from audit.domain.entry import StreamHead  # noqa: PLC0415 - after Django's set-up
        from audit.models import Stream  # noqa: PLC0415 - as above
        from core.kernel.ids import uuid7  # noqa: PLC0415 - as above

        self.head = StreamHead(stream=uuid7())
        Stream.objects.create(id=self.head.stream, name=f"project:{self.head.stream}")

    def append(self, count: int = 1) -> None:
        """Append entries in one statement."""
        from audit import store  # noqa: PLC0415 - after Django's set-up
        from audit.domain.entry import extend  # noqa: PLC0415 - as above
        from core.kernel import ids  # noqa: PLC0415 - as above

        drafts = [_draft(_PAYLOAD) for _ in range(count)]
        after, entries = extend(head=self.head, drafts=drafts, salts=ids.salt)
        params = (after.seq, after.head, self.head.stream, self.head.seq)
        if store.append_guarded(guard=_MOVE, guard_params=params, entries=entries) != count:
            msg = "the stream moved by itself"
            raise RuntimeError(msg)
        self.head = after


class _Plain:
    """A guard row nobody keeps a ledger of, moved like a stream's."""

    def __init__(self) -> None:
        from core.kernel.ids import uuid7  # noqa: PLC0415 - after Django's set-up

        self.id, self.seq = uuid7(), 0

    def move(self) -> None:
        """Compare and swap, and nothing else."""
        _execute(
            _MOVE.replace("audit_stream", "bench_guard"),
            (self.seq + 1, bytes(32), self.id, self.seq),
        )
        self.seq += 1


@contextmanager
def _plain_guard() -> Iterator[_Plain]:
    plain = _Plain()
    _execute("CREATE TABLE bench_guard (LIKE audit_stream INCLUDING ALL)")
    _execute("INSERT INTO bench_guard VALUES (%s, 'x', 0, %s)", (plain.id, bytes(32)))
    try:
        yield plain
    finally:
        _execute("DROP TABLE bench_guard")


def _execute(statement: str, params: tuple[Any, ...] | None = None) -> None:
    from django.db import connection  # noqa: PLC0415 - after Django's set-up

    with connection.cursor() as cursor:
        cursor.execute(statement, params)


def _stored_bytes() -> int:
    from django.db import connection  # noqa: PLC0415 - after Django's set-up

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_total_relation_size(name)) FROM unnest(%s::regclass[]) AS name",
            (["audit_entry", "audit_payload", "audit_pending"],),
        )
        return int(cursor.fetchone()[0])


def _milliseconds(act: Callable[[], None]) -> float:
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1e3
