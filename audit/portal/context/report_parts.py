"""What the page of a compliance report is put together from. Read `TableView`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

REFUSED: Final = "access.refused"
ELSEWHERE: Final = (
    "Attempts outside of any project are in the report of the whole ledger only, as are those at "
    "projects that are not there."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number with its name, what it is a share of, and where its entries are ("": nowhere)."""

    label: str
    value: str
    more: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableView:
    """A table. The first cell of a line is a link, unless its address is ""."""

    id: str
    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, tuple[str, ...]], ...]  # (address or "", cells)
    empty: str
    note: str = ""
    more: str = ""
    href: str = ""

    @property
    def rows(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """The lines with the name of its column at each cell, for phones."""
        return [(href, list(zip(self.columns, cells, strict=True))) for href, cells in self.lines]


def list_presets(*, now: datetime) -> tuple[tuple[str, str, str], ...]:
    """Return periods people ask for as (name, first day, first day after)."""
    today = now.date()
    first = today.replace(day=1)
    before = (first - timedelta(days=1)).replace(day=1)
    quarter = date(today.year, 3 * ((today.month - 1) // 3) + 1, 1)
    tomorrow = today + timedelta(days=1)
    found: Mapping[str, tuple[date, date]] = {
        "This month": (first, tomorrow),
        "Last month": (before, first),
        "This quarter": (quarter, tomorrow),
        "Last 30 days": (today - timedelta(days=29), tomorrow),
        "This year": (date(today.year, 1, 1), tomorrow),
    }
    return tuple((name, str(since), str(until)) for name, (since, until) in found.items())
