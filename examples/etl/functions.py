"""What the ETL workflows call: read, check, load. Read `validate` first.

The landing zone is a folder of CSV files, one a day, made up. The warehouse is a small database in
which a day is replaced as a whole, so that loading it twice leaves it as loading it once.
"""

import csv
import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from countersign import function
from examples.systems import System, SystemRefusedError

_LANDING = Path(__file__).parent / "landing"
_STORES = frozenset({"BER-1", "BER-2", "HAM-1", "MUC-1", "VIE-1"})
_PRICES = {
    "LMP-101": 4_900,
    "CHR-220": 28_900,
    "DSK-310": 64_900,
    "MON-440": 31_900,
    "CBL-005": 1_450,
    "MAT-070": 2_900,
}
_SHOWN_MAX = 20  # exceptions shown to the steward; all of them are kept aside
_COLUMNS = ["sale", "at", "store", "sku", "quantity", "cents"]
WAREHOUSE = System(
    name="warehouse",
    schema=(
        """CREATE TABLE IF NOT EXISTS sales
           (day TEXT, sale TEXT, store TEXT, sku TEXT, quantity INTEGER, cents INTEGER,
            PRIMARY KEY (day, sale))""",
        "CREATE TABLE IF NOT EXISTS aside (day TEXT, line INTEGER, rule TEXT, row TEXT)",
    ),
)

Row = Mapping[str, str]


@function("etl.extract", idempotent=True)
def extract(*, day: str) -> dict[str, Any]:
    """Find a day's file; of an instant, as a schedule knows it, only the date counts.

    Returns:
        `{day, file, rows, sha256}`.

    Raises:
        SystemRefusedError: when it has not come, or has other columns.
    """
    day = day[: len("2026-09-14")]
    path = _path(day)
    if not path.is_file():
        raise SystemRefusedError(f"there is no file for {day}")
    rows = _read(path)
    if rows and list(rows[0]) != _COLUMNS:
        raise SystemRefusedError(f"{path.name} has the columns {', '.join(rows[0])}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"day": day, "file": path.name, "rows": len(rows), "sha256": digest}


@function("etl.validate", idempotent=True)
def validate(*, day: str, sha256: str) -> dict[str, Any]:
    """Check every row of a day's file against every rule.

    Returns:
        `{good, bad, bad_permille, by_rule, exceptions: [{line, rule, sale}], cents}`; the first 20
        exceptions, and the sum of the good rows.
    """
    good, bad = _sort_rows(day, sha256)
    return {
        "good": len(good),
        "bad": len(bad),
        "bad_permille": len(bad) * 1_000 // max(1, len(good) + len(bad)),
        "by_rule": dict(sorted(Counter(rule for _, rule, _ in bad).items())),
        "exceptions": [
            {
                "line": line,
                "rule": rule,
                "sale": row["sale"],
                "says": f"line {line}, sale {row['sale']}: not so that {rule}",
            }
            for line, rule, row in bad[:_SHOWN_MAX]
        ],
        "cents": sum(int(row["cents"]) for row in good),
    }


@function("etl.load", idempotent=True)
def load(*, day: str, sha256: str) -> dict[str, Any]:
    """Replace a day in the warehouse by the good rows of its file; keep the bad ones aside.

    Returns:
        `{rows, cents, replaced}`, counted in the warehouse afterwards.
    """
    good, bad = _sort_rows(day, sha256)

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        replaced = database.execute("DELETE FROM sales WHERE day = ?", (day,)).rowcount
        database.execute("DELETE FROM aside WHERE day = ?", (day,))
        database.executemany(
            "INSERT INTO sales VALUES (?, ?, ?, ?, ?, ?)",
            [
                (day, r["sale"], r["store"], r["sku"], int(r["quantity"]), int(r["cents"]))
                for r in good
            ],
        )
        database.executemany(
            "INSERT INTO aside VALUES (?, ?, ?, ?)",
            [(day, line, rule, ",".join(row.values())) for line, rule, row in bad],
        )
        rows, cents = database.execute(
            "SELECT count(*), coalesce(sum(cents), 0) FROM sales WHERE day = ?", (day,)
        ).fetchone()
        return {"rows": rows, "cents": cents, "replaced": replaced}

    return WAREHOUSE.change(apply)


@function("etl.unload", idempotent=True)
def unload(*, day: str) -> dict[str, Any]:
    """Remove a day from the warehouse."""

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        gone = database.execute("DELETE FROM sales WHERE day = ?", (day,))
        return {"removed": gone.rowcount}

    return WAREHOUSE.change(apply)


# --- the rules -----------------------------------------------------------------------------------


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _has_sum(row: Row) -> bool:
    return int(row["cents"]) == int(row["quantity"]) * _PRICES[row["sku"]]


# In this order; the first that does not hold names the exception.
_RULES: Mapping[str, Callable[[Row, str], bool]] = {
    "a sale has a number": lambda row, _: bool(row["sale"]),
    "the time is on that day": lambda row, day: _date_of(row["at"]) == day,
    "the store is known": lambda row, _: row["store"] in _STORES,
    "the article is known": lambda row, _: row["sku"] in _PRICES,
    "the quantity is 1 or more": lambda row, _: (
        _is_number(row["quantity"]) and row["quantity"] != "0"
    ),
    "the amount is there": lambda row, _: _is_number(row["cents"]),
    "the amount is the price": lambda row, _: _has_sum(row),
}


def _sort_rows(day: str, sha256: str) -> tuple[list[Row], list[tuple[int, str, Row]]]:
    """Return the good rows, and the bad ones with their line and the rule they break.

    Raises:
        SystemRefusedError: when the file is not the one that was extracted.
    """
    path = _path(day)
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise SystemRefusedError(f"{path.name} was changed meanwhile")
    good: list[Row] = []
    bad: list[tuple[int, str, Row]] = []
    seen: set[str] = set()
    for line, row in enumerate(_read(path), start=2):
        broken = next(_find_broken(row, day, seen), "")
        if broken:
            bad.append((line, broken, row))
        else:
            good.append(row)
            seen.add(row["sale"])
    return good, bad


def _find_broken(row: Row, day: str, seen: set[str]) -> Iterator[str]:
    yield from (name for name, holds in _RULES.items() if not holds(row, day))
    if row["sale"] in seen:
        yield "a sale is there once"


def _date_of(text: str) -> str:
    try:
        return str(datetime.fromisoformat(text).date())
    except ValueError:
        return ""


def _path(day: str) -> Path:
    return _LANDING / f"sales-{Path(day).name}.csv"


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
