"""The line that says which past of a run a page shows. Read `make_past_line`."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.urls import reverse

from core.toolkit.portal.address import Query
from engine.portal.context.sentences import Telling, tell
from engine.selectors.past_pages import PastPage


@dataclass(frozen=True, slots=True, kw_only=True)
class PastLine:
    """Which past it is, and ways to others ("" where there is none).

    `kept` are the other parts of the address, for the form that goes to an entry. `erased` says
    what was redacted since.
    """

    seq: int
    last_seq: int
    at: datetime
    says: str
    before_href: str
    after_href: str
    now_href: str
    address: str
    kept: tuple[tuple[str, str], ...]
    erased: tuple[str, ...]


def make_past_line(found: PastPage, *, telling: Telling, query: Query) -> PastLine:
    """Return the line; `query` is the address of the page."""
    past = found.past
    told = next(
        (item.event for item in reversed(found.page.events) if item.event.seq == past.seq), None
    )
    run_id: UUID = past.detail.run.id
    return PastLine(
        seq=past.seq,
        last_seq=past.last_seq,
        at=past.at,
        says=tell(told, telling).text if told is not None else past.kind,
        before_href=query.change(at=past.seq - 1, event="") if past.seq > 1 else "",
        after_href="" if past.is_newest else query.change(at=past.seq + 1, event=""),
        now_href=query.change(at="", event=""),
        address=reverse("engine_portal:run", args=(run_id,)),
        kept=tuple((name, query.get(name)) for name in ("tab", "step", "fold") if query.get(name)),
        erased=tuple(f"entry {item.seq}: {', '.join(item.names)}" for item in past.erased),
    )
