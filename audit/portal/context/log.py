"""The page of the log. Read `make_log`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from audit.domain.errors import NoteInvalidError
from audit.domain.notes import parse_note
from audit.selectors.anchors import Outward
from audit.selectors.log import LogKey
from audit.selectors.log_pages import HEAD_COUNT, LogPage, SealState
from audit.selectors.proofs import Head
from core.kernel import limits
from core.toolkit.portal.address import Query
from core.toolkit.portal.words import say_duration, say_exactly

_STATES: Final = {
    SealState.GOOD: ("approved", "Sealed", "Everything on record is sealed within a moment."),
    SealState.NONE: ("pending", "Nothing sealed yet", "The first tree head comes in a moment."),
    SealState.LATE: (
        "waiting",
        "Sealing is late",
        "Entries wait longer than they should: is the sealer running?",
    ),
    SealState.REFUSED: ("failed", "Sealing is refused", ""),
}
_OUTWARD_STATES: Final = {
    "going": ("approved", "Going"),
    "stopped": ("waiting", "Stopped"),
    "disputed": ("failed", "Disputed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadRow:
    """A tree head. `signers` are (name, key id), as its note has them."""

    size: int
    root: str
    at: datetime
    exact: str
    signers: tuple[tuple[str, str], ...]
    is_newest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OutwardRow:
    """An anchor or a sink."""

    name: str
    kind: str
    mark: str
    word: str
    position: int
    lag: int
    moved_at: datetime | None
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogContext:
    """Everything the page shows. `data` is what the browser's own checks start from."""

    mark: str
    word: str
    sentence: str
    origin: str
    newest: HeadRow | None
    pending: str
    waits: str
    heads: tuple[HeadRow, ...]
    keys: tuple[LogKey, ...]
    anchors: tuple[OutwardRow, ...] | None
    sinks: tuple[OutwardRow, ...] | None
    checks: tuple[tuple[str, str], ...]
    data: dict[str, Any]
    older_href: str
    newest_href: str


_CHECKS: Final = (
    ("head", "A key you trust signed the newest tree head"),
    ("seen", "It contains the tree this browser saw last"),
    ("older", "It contains the older tree you chose"),
)


def make_log(page: LogPage, *, query: Query) -> LogContext:
    """Return the page."""
    log = page.log
    shown = page.heads[:HEAD_COUNT]
    mark, word, sentence = _STATES[page.state]
    newest = log.head
    older = shown[-1].size if len(page.heads) > HEAD_COUNT else None
    rows = tuple(_head(item, newest=newest) for item in shown)
    heads = {item.size: item.note for item in (*shown, *((newest,) if newest else ()))}
    return LogContext(
        mark=mark,
        word=word,
        sentence=page.refused or sentence,
        origin=log.origin,
        newest=None if newest is None else _head(newest, newest=newest),
        pending=_say_pending(log.pending_count),
        waits="" if log.pending_age is None else say_duration(log.pending_age),
        heads=rows,
        keys=log.keys,
        anchors=None if page.outward is None else tuple(_outward(page.outward.anchors)),
        sinks=None if page.outward is None else tuple(_outward(page.outward.sinks)),
        checks=_CHECKS,
        data={
            "newest": None if newest is None else newest.note,
            "notes": {str(size): note for size, note in heads.items()},
            "keys": [key.vkey for key in reversed(log.keys)],
        },
        older_href=query.change(before=older) if older else "",
        newest_href=query.change(before="") if query.get("before") else "",
    )


def _say_pending(count: int) -> str:
    is_more = count >= limits.PENDING_COUNT_SHOWN_MAX
    return f"{count:,} or more" if is_more else f"{count:,}"


def _head(head: Head, *, newest: Head | None) -> HeadRow:
    try:
        lines = parse_note(head.note).signatures
    except NoteInvalidError:
        lines = ()
    return HeadRow(
        size=head.size,
        root=head.root.hex(),
        at=head.at,
        exact=say_exactly(head.at),
        signers=tuple((line.name, line.key_id.hex()) for line in lines),
        is_newest=newest is not None and head.size == newest.size,
    )


def _outward(items: Iterable[Outward]) -> Iterable[OutwardRow]:
    for item in items:
        mark, word = _OUTWARD_STATES.get(item.state, ("pending", item.state))
        has_failed = bool(item.last_error) and item.state == "going"
        yield OutwardRow(
            name=item.name,
            kind=item.kind,
            mark="waiting" if has_failed else mark,
            word="Trying again" if has_failed else word,
            position=item.position,
            lag=item.lag,
            moved_at=item.moved_at,
            error=item.last_error,
        )
