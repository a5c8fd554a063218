"""The ledger alone: what an entry costs to make, to append, and to verify. Read `measure`."""

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.exported import measure_verifier
from benchmarks.harness import System
from benchmarks.ledger_peers import measure_peers
from benchmarks.results import Row, percentile

BENCH = "ledger"
_BUILD_COUNT = 5_000
_FILL_STREAM_COUNT = 200
_FILL_ENTRY_COUNT = 100  # entries of each stream

_MOVE = """UPDATE audit_stream SET seq = %s::bigint, head = %s::bytea
WHERE id = %s::uuid AND seq = %s::bigint RETURNING id"""


def measure(system: System) -> Iterator[Row]:
    """Yield what was measured: one process, one connection, a database that writes to the disk."""
    del system  # its database is the one Django was told of
    yield from _measure_building()
    yield from measure_peers(Stream().append)
    for _ in range(_FILL_STREAM_COUNT):
        Stream().append(_FILL_ENTRY_COUNT)
    yield from _measure_sealing()
    yield from _measure_verifying()
    yield from measure_verifier(_draft(_PAYLOAD))


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


def _measure_sealing() -> Iterator[Row]:
    """Time batches until nothing waits; each is a transaction that reaches the disk."""
    from audit import conf  # noqa: PLC0415 - after Django's set-up
    from audit.sealing.keys import KeyFolder  # noqa: PLC0415 - as above
    from audit.sealing.recording import make_origin  # noqa: PLC0415 - as above
    from audit.sealing.registering import ensure_key  # noqa: PLC0415 - as above
    from audit.sealing.sealer import seal_batch  # noqa: PLC0415 - as above

    folder, origin = KeyFolder(conf.ledger_keys_dir()), conf.ledger_origin()
    ensure_key(folder=folder, name=origin, origin=make_origin())
    count, rates = 0, []
    has_more = True
    while has_more:
        started = time.perf_counter()
        done = seal_batch(folder=folder, origin=origin)
        has_more = done.has_more
        count += done.count
        if done.has_more:  # the last one is as small as chance has it
            rates.append(done.count / (time.perf_counter() - started))
    yield Row(
        bench=BENCH,
        metric="seal",
        value=round(percentile(rates, 0.5)),
        unit="leaves/s",
        n=count,
        note="median of full batches",
    )


def _measure_verifying() -> Iterator[Row]:
    """Time `verify_ledger` over everything there is."""
    from audit.selectors.verification import verify_ledger  # noqa: PLC0415 - after set-up

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


class Stream:
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
