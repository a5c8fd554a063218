"""Exports of a ledger of 100,000 entries: how fast, in how much memory. Read `measure`."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.harness import System
from benchmarks.ledger import Stream
from benchmarks.results import Row

BENCH = "exports"
ENTRY_COUNT = 100_000
_BATCH_COUNT = 500
_FORMATS = ("bundle", "jsonl", "csv")

# A process that does nothing else, so that its peak is that of the export.
_WORKER = """
import json, pathlib, sys, time, uuid
import django
django.setup()
from audit.exports.models import Export
from audit.exports.running import run_export
def peak():
    # Not ru_maxrss, which a process inherits from whoever started it.
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
before, started = peak(), time.perf_counter()
while run_export(export_id=uuid.UUID(sys.argv[1])):
    pass
seconds = time.perf_counter() - started
row = Export.objects.get(pk=sys.argv[1])
print(json.dumps({"seconds": seconds, "before": before, "peak": peak(), "status": row.status,
                  "count": row.done_count, "bytes": row.size_bytes}))
"""


def measure(system: System) -> Iterator[Row]:
    """Yield what an export of everything costs in each format."""
    del system  # its database is the one Django was told of
    from audit.domain.exporting import ExportFormat, ExportKind, Wish  # noqa: PLC0415 - as above
    from audit.services.exports import request_export  # noqa: PLC0415 - after Django's set-up
    from benchmarks.organisation import make_auditor  # noqa: PLC0415 - as above

    fill(entry_count=ENTRY_COUNT)
    auditor = make_auditor("bench-exporter")
    for name in _FORMATS:
        wish = Wish(kind=ExportKind.WHOLE, format=ExportFormat(name))
        asked = request_export(principal=auditor, wish=wish)
        yield from _rows(name, _run(str(asked.export.id)))


def fill(*, entry_count: int) -> None:
    """Append and seal entries until there are so many."""
    from audit import conf  # noqa: PLC0415 - after Django's set-up
    from audit.models import Leaf  # noqa: PLC0415 - as above
    from audit.sealing.keys import KeyFolder  # noqa: PLC0415 - as above
    from audit.sealing.recording import make_origin  # noqa: PLC0415 - as above
    from audit.sealing.registering import ensure_key  # noqa: PLC0415 - as above
    from audit.sealing.sealer import seal_batch  # noqa: PLC0415 - as above

    folder, origin = KeyFolder(conf.ledger_keys_dir()), conf.ledger_origin()
    ensure_key(folder=folder, name=origin, origin=make_origin())
    missing = entry_count - Leaf.objects.count()
    stream = Stream()
    for _ in range(0, missing, _BATCH_COUNT):
        stream.append(_BATCH_COUNT)
    while seal_batch(folder=folder, origin=origin).has_more:
        pass


def _run(export_id: str) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603 - the command is the one above
        [sys.executable, "-c", _WORKER, export_id],
        capture_output=True,
        text=True,
        check=True,
        timeout=900,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if found["status"] != "ready":
        msg = f"the export ended as {found['status']}"
        raise RuntimeError(msg)
    return found


def _rows(name: str, found: dict[str, Any]) -> Iterator[Row]:
    count = found["count"]
    size = f"{found['bytes'] / 2**20:.0f} MiB file"
    yield Row(
        bench=BENCH,
        metric=f"{name}/rate",
        value=round(count / found["seconds"]),
        unit="entries/s",
        n=count,
        note=size,
    )
    yield Row(
        bench=BENCH,
        metric=f"{name}/peak_memory",
        value=round(found["peak"]),
        unit="MiB",
        n=count,
        note=f"{found['before']:.0f} MiB before it began",
    )
