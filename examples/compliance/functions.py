"""What the compliance workflow calls. Read `test_control` first.

The evidence of a quarter is an export of accounts, one file each; controls are rules over it. The
archive of signed reports is a small database.
"""

import csv
import hashlib
import sqlite3
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from countersign import function
from examples.systems import System, SystemRefusedError

_FOLDER = Path(__file__).parent / "evidence"
_DORMANT = timedelta(days=90)
_MONTHS_OF_QUARTER = 3
_CONFLICTS = ({"approver", "clerk"}, {"admin", "auditor"})
ARCHIVE = System(
    name="archive",
    schema=(
        """CREATE TABLE IF NOT EXISTS reports
           (number INTEGER PRIMARY KEY, quarter TEXT, sha256 TEXT, text TEXT, signed_by TEXT)""",
    ),
)

Account = Mapping[str, str]


@function("compliance.collect", idempotent=True)
def collect(*, quarter: str) -> dict[str, Any]:
    """Read a quarter's evidence.

    Returns:
        `{controls, accounts, evidence: {file, rows, sha256}}`.

    Raises:
        SystemRefusedError: when there is none for that quarter.
    """
    path = _path(quarter)
    rows = _read(quarter)
    evidence = {
        "file": path.name,
        "rows": len(rows),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    return {"controls": sorted(CONTROLS), "accounts": len(rows), "evidence": evidence}


@function("compliance.test_control", idempotent=True)
def test_control(*, quarter: str, control: str) -> dict[str, Any]:
    """Test one control on every account.

    Returns:
        `{control, title, tested, exceptions: [{account, system, finding}]}`.
    """
    title, test = CONTROLS[control]
    end = _end_of(quarter)
    rows = _read(quarter)
    found = [(row, test(row, end)) for row in rows]
    exceptions = [
        {"account": row["account"], "system": row["system"], "finding": finding}
        for row, finding in found
        if finding
    ]
    return {"control": control, "title": title, "tested": len(rows), "exceptions": exceptions}


@function("compliance.write_report", idempotent=True)
def write_report(
    *, quarter: str, evidence: dict[str, Any], results: list[dict[str, Any]]
) -> dict[str, Any]:
    """Write the report as Markdown.

    Returns:
        `{text, sha256, exceptions, summary}`; the digest of the text in UTF-8.
    """
    exceptions = sum(len(result["exceptions"]) for result in results)
    summary = {
        result["control"]: f"{len(result['exceptions'])} of {result['tested']} accounts"
        for result in results
    }
    lines = [
        f"# Access review {quarter}",
        "",
        f"Evidence: {evidence['file']}, {evidence['rows']} accounts, SHA-256 {evidence['sha256']}.",
        f"{len(results)} controls were tested on every account; {exceptions} exceptions.",
    ]
    for result in results:
        lines += ["", f"## {result['control']} {result['title']}", ""]
        lines += [
            f"- {item['account']} ({item['system']}): {item['finding']}"
            for item in result["exceptions"]
        ] or ["No exceptions."]
    text = "\n".join(lines) + "\n"
    return {
        "text": text,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "exceptions": exceptions,
        "summary": summary,
    }


@function("compliance.file_report", idempotent=True)
def file_report(
    *, quarter: str, text: str, sha256: str, votes: list[dict[str, Any]]
) -> dict[str, Any]:
    """File a signed report.

    Raises:
        SystemRefusedError: when the text is not the one that was signed.
    """
    if hashlib.sha256(text.encode()).hexdigest() != sha256:
        raise SystemRefusedError("the text is not the one that was signed")
    signed_by = ", ".join(sorted(vote["name"] for vote in votes))

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        filed = database.execute(
            "INSERT INTO reports (quarter, sha256, text, signed_by) VALUES (?, ?, ?, ?)",
            (quarter, sha256, text, signed_by),
        )
        return {"number": filed.lastrowid, "signed_by": signed_by}

    return ARCHIVE.change(apply)


# --- the controls --------------------------------------------------------------------------------


def _leaver(row: Account, end: date) -> str:
    left = row["left_on"]
    return f"left on {left}, the account is still there" if left and left <= str(end) else ""


def _dormant(row: Account, end: date) -> str:
    idle = end - date.fromisoformat(row["last_used"])
    return f"not used for {idle.days} days" if idle > _DORMANT else ""


def _conflict(row: Account, _: date) -> str:
    held = set(row["roles"].split(";"))
    clash = next((pair for pair in _CONFLICTS if pair <= held), None)
    return f"is {' and '.join(sorted(clash))} at once" if clash else ""


def _shared_admin(row: Account, _: date) -> str:
    shared = row["account"].endswith("-shared")
    return "a shared account is admin" if shared and "admin" in row["roles"].split(";") else ""


def _unowned(row: Account, _: date) -> str:
    if not row["manager"]:
        return "nobody answers for it"
    return "" if row["reviewed_on"] else "was not reviewed in the quarter"


CONTROLS: Mapping[str, tuple[str, Callable[[Account, date], str]]] = {
    "AC-1": ("Who left has no access", _leaver),
    "AC-2": ("Accounts that nobody uses are closed", _dormant),
    "AC-3": ("Nobody holds roles that must be apart", _conflict),
    "AC-4": ("Administrators have accounts of their own", _shared_admin),
    "AC-5": ("Every account has been reviewed by its manager", _unowned),
}


def _path(quarter: str) -> Path:
    return _FOLDER / f"{Path(quarter).name}.csv"


def _read(quarter: str) -> list[dict[str, str]]:
    try:
        with _path(quarter).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise SystemRefusedError(f"there is no evidence for {quarter}") from error


def _end_of(quarter: str) -> date:
    year, number = quarter.split("-Q")
    month = int(number) * _MONTHS_OF_QUARTER
    following = date(int(year) + month // 12, month % 12 + 1, 1)
    return following - timedelta(days=1)
