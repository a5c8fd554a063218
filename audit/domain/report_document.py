"""A report as a document and as lines. Read `make_document` first.

The document is JSON in canonical form without floats, so its SHA-256 names it: whoever has the
document can show that it is the one whose making is on record.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, cast

from audit.domain.report import Report, Times
from audit.domain.tabular import defuse, write_csv
from core.kernel.types import Json

FORMAT: Final = "countersign-report/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What the ledger was when a report was made: its last entry and tree head, and a check.

    Of the period `entry_count` entries were checked, of which `sealed_count` are under the tree
    head; `bad` is the id of the first that does not hold. `is_complete` false: they were too many
    to check all of them. The tree head's fields are empty if nothing is sealed; `head_fault` says
    in a sentence why it does not hold under the log's keys on record, and is empty if it does.
    """

    last_entry: int
    tree_size: int
    root: str
    note: str
    head_fault: str
    sealed_at: datetime | None
    entry_count: int
    sealed_count: int
    bad: int | None
    is_complete: bool
    checked_at: datetime

    @property
    def is_sound(self) -> bool:
        """Say whether nothing was found that does not hold."""
        return self.bad is None and not self.head_fault


def make_document(
    report: Report,
    *,
    project: str,
    made_at: datetime,
    made_by: str,
    names: Mapping[str, str],
    seal: Seal,
) -> dict[str, Json]:
    """Return a report as JSON.

    Args:
        report: the figures.
        project: the slug of the project it is of; "" for the whole ledger.
        made_at: when it was made.
        made_by: the id of the account that made it.
        names: accounts that it mentions, by id.
        seal: what the ledger was, and whether it holds.
    """
    return {
        "format": FORMAT,
        "project": project,
        "made_at": _plain(made_at),
        "made_by": made_by,
        "names": {key: names[key] for key in sorted(names)},
        "seal": _plain(asdict(seal)),
        "report": _plain(asdict(report)),
    }


def write_lines(document: Mapping[str, Any]) -> bytes:
    """Return a document as CSV: a line a figure, with section, name, value, what belongs to it."""
    rows = [["section", "name", "value", "more"]]
    heads = ("format", "project", "made_at", "made_by")
    rows.extend(["report", name, str(document[name]), ""] for name in heads)
    for section, value in document["report"].items():
        rows.extend(_rows(section, value))
    rows.extend(_rows("seal", document["seal"]))
    return write_csv([[defuse(cell) for cell in row] for row in rows])


def is_times(value: Mapping[str, Any]) -> bool:
    """Say whether a part of a document is `Times`."""
    return value.keys() == Times.__dataclass_fields__.keys()


def _rows(section: str, value: Any) -> Iterable[list[str]]:
    if not isinstance(value, Mapping):
        yield from _row(section, "", value)
        return
    for name, item in value.items():
        yield from _row(section, str(name), item)


def _row(section: str, name: str, value: Any) -> Iterable[list[str]]:
    """Yield the lines of one figure: of a list one each, with all that an item says as `more`."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _row(section, f"{name}.{key}" if name else str(key), item)
    elif isinstance(value, list):
        for place, item in enumerate(value, start=1):
            more = (
                "; ".join(f"{key}={item[key]}" for key in item)
                if isinstance(item, Mapping)
                else "; ".join(map(str, item))
                if isinstance(item, list)
                else str(item)
            )
            yield [section, f"{name}[{place}]", "", more]
    else:
        yield [section, name, "" if value is None else str(value), ""]


def _plain(value: Any) -> Json:
    """Return a value of the report's own types as JSON."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return cast("Json", value)
