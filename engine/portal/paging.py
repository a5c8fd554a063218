"""Cursors of lists in the portal: the last row's id, so that a page never repeats a row."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Protocol, TypeVar
from uuid import UUID

from engine.selectors.past_runs import Moment

PAGE_COUNT: Final = 50
_SEQ_DIGITS_MAX: Final = 9  # of an entry's number


class HasId(Protocol):
    """A row with an id by which its list is ordered, newest first."""

    @property
    def id(self) -> UUID:
        """The row's id."""
        ...


Row = TypeVar("Row", bound=HasId)


def read_cursor(text: str) -> UUID | None:
    """Return the id after which a page starts; nonsense is the first page."""
    try:
        return UUID(text)
    except ValueError:
        return None


def split_page(rows: Sequence[Row]) -> tuple[tuple[Row, ...], UUID | None]:
    """Return the rows of a page and where the next one starts, `None` at the end.

    `rows` are at most `PAGE_COUNT` + 1, as read.
    """
    shown = tuple(rows[:PAGE_COUNT])
    return shown, shown[-1].id if len(rows) > PAGE_COUNT else None


def read_moment(text: str) -> Moment | None:
    """Return the past an address names: an entry's number, or an instant (UTC unless it says)."""
    if text.isascii() and text.isdigit():
        return Moment(seq=int(text)) if len(text) <= _SEQ_DIGITS_MAX else None
    try:
        # A plus sign that nobody escaped arrives as a space.
        found = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        return None
    return Moment(at=found if found.tzinfo is not None else found.replace(tzinfo=UTC))
