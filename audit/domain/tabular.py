"""Entries as lines: JSON Lines with the exact bytes, and CSV. Read `to_json_line` first."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, Final

from audit.domain.entry import EntryView

# What a spreadsheet takes for the beginning of a formula. Source: OWASP, "CSV Injection".
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")

CSV_COLUMNS: Final = (
    "leaf_index",
    "leaf",
    "stream",
    "seq",
    "prev",
    "kind",
    "at",
    "actor",
    "actor_kind",
    "on_behalf_of",
    "on_behalf_of_kind",
    "via",
    "auth",
    "request_id",
    "source",
    "subject",
    "scope",
    "version",
    "from",
    "to",
    "shown",
    "policy",
    "reason",
    "data",
    "payloads",
)
_ACTORS: Final = ("actor", "on_behalf_of")
_DOCUMENTS: Final = ("data", "payloads")  # JSON texts, as they stand in the entry


def to_json_line(body: bytes, *, leaf_index: int, leaf: bytes) -> bytes:
    """Return a line of JSON around an entry's exact bytes, which are the value of `entry`."""
    end = f',"leaf":"{leaf.hex()}","leaf_index":{leaf_index}}}\n'
    return b"".join((b'{"entry":', body, end.encode()))


def write_csv(rows: Sequence[Sequence[str]]) -> bytes:
    """Return rows as CSV in UTF-8, each line ended by CR LF. Source: RFC 4180."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def to_csv_row(entry: EntryView, *, leaf_index: int, leaf: bytes) -> list[str]:
    """Return an entry's cells in the order of `CSV_COLUMNS`; what it does not say is empty.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    return [defuse(cell) for cell in _list_cells(entry, leaf_index=leaf_index, leaf=leaf)]


def defuse(cell: str) -> str:
    """Return a cell that no spreadsheet calculates. Source: OWASP, "CSV Injection"."""
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


def _list_cells(entry: EntryView, *, leaf_index: int, leaf: bytes) -> list[str]:
    cells = {"leaf_index": str(leaf_index), "leaf": leaf.hex()}
    for key, literal in entry.literals.items():
        if key in _ACTORS:
            actor: dict[str, Any] = json.loads(literal) or {}
            cells[key] = actor.get("id", "")
            cells[f"{key}_kind"] = actor.get("kind", "")
        elif key in _DOCUMENTS:
            cells[key] = literal
        else:
            value = json.loads(literal)
            cells[key] = "" if value is None else str(value)
    return [cells[name] for name in CSV_COLUMNS]
