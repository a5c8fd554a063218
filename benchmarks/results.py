"""Rows of results: printed as a table, written as JSON. Read `Results`."""

import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

LATEST = Path(__file__).parent / "results" / "latest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured number. `n` is how many samples it is made of."""

    bench: str
    metric: str
    value: float
    unit: str
    n: int
    peer: str | None = None
    note: str | None = None


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the value below which a share of the samples lies (nearest rank)."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Return the `e` of `time = c * size**e` that fits (size, time) best: 1 is linear growth.

    Least squares on the logarithms; needs two different sizes, and everything above 0.
    """
    logs = [(math.log(size), math.log(seconds)) for size, seconds in points]
    return statistics.linear_regression(*zip(*logs, strict=True)).slope


def spread(bench: str, metric: str, samples: Sequence[float], *, note: str = "") -> list[Row]:
    """Return the median and the 95th percentile of samples in milliseconds."""
    return [
        Row(
            bench=bench,
            metric=f"{metric}/{name}",
            value=round(percentile(samples, share), 2),
            unit="ms",
            n=len(samples),
            note=note or None,
        )
        for name, share in (("p50", 0.50), ("p95", 0.95))
    ]


def write(rows: Sequence[Row]) -> None:
    """Print the rows and put them into `latest.json`, keeping rows of benches not run now."""
    benches = {row.bench for row in rows}
    kept = [item for item in _latest() if item["bench"] not in benches]
    fresh = [
        {key: value for key, value in asdict(row).items() if value is not None} for row in rows
    ]
    LATEST.parent.mkdir(exist_ok=True)
    LATEST.write_text(json.dumps([*kept, *fresh], indent=1) + "\n", encoding="utf-8")
    print(f"\n{describe_machine()}\n")
    print(table(rows))


def table(rows: Sequence[Row]) -> str:
    """Return rows as text for people, a line each; a peer's name follows the metric."""
    names = [f"{row.bench}.{row.metric}" + (f" [{row.peer}]" if row.peer else "") for row in rows]
    width = max(map(len, names), default=0)
    lines = [
        f"  {name.ljust(width)}  {row.value:>12,.2f} {row.unit:<10} n={row.n:<6} {row.note or ''}"
        for name, row in zip(names, rows, strict=True)
    ]
    return "\n".join(line.rstrip() for line in lines)


def describe_machine() -> str:
    """Return the commit and the machine, in words, for whoever reads the numbers."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - found on PATH
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return (
        f"commit {commit or 'unknown'}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {sys.version.split()[0]}"
    )


def _latest() -> list[dict[str, object]]:
    if not LATEST.exists():
        return []
    found: list[dict[str, object]] = json.loads(LATEST.read_text(encoding="utf-8"))
    return found
