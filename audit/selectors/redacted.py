"""What is on record as erased. Read `RecordedErasures`, then `find_note`."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from audit.domain.entry import read_entry
from audit.domain.redaction import (
    LEDGER_STREAM_ID,
    REDACTED_KIND,
    LegalBasis,
    Part,
    read_redacted,
)
from audit.domain.verification import PayloadPlace
from audit.redactions.models import RedactedStream
from core.identity.models import User
from core.toolkit.db import fetch_rows

# By the index of subjects: there are few of one stream, and none of most.
_OF_STREAM = """
    SELECT body FROM audit_entry
    WHERE subject = %s AND kind = %s AND stream = %s::uuid ORDER BY id"""


class RecordedErasures:
    """Tells which payloads the stream `ledger` says were erased, asked stream by stream.

    Only the places of the stream that was asked for last are kept, so that memory does not grow
    with what was ever erased. Whether the entries that say so hold is verified with all others.
    """

    def __init__(self) -> None:
        self._stream = ""
        self._places: frozenset[tuple[int, str]] = frozenset()

    def __contains__(self, place: object) -> bool:
        """Say whether the erasure of a `PayloadPlace` is on record."""
        if not isinstance(place, PayloadPlace):
            return False
        if place.stream != self._stream:
            self._places = list_erased(stream=UUID(place.stream))
            self._stream = place.stream
        return (place.seq, place.name) in self._places


def list_erased(*, stream: UUID) -> frozenset[tuple[int, str]]:
    """Return the (seq, name) of every payload of a stream whose erasure is on record. One query."""
    found: set[tuple[int, str]] = set()
    for (body,) in fetch_rows(_OF_STREAM, (str(stream), REDACTED_KIND, LEDGER_STREAM_ID)):
        said = read_redacted(read_entry(bytes(body)).data)
        if said.stream == stream:
            found |= {(seq, name) for seq, name, _ in said.places}
    return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureNote:
    """Why values of a stream are gone. `requested_by` and `approved_by` are names, "" if nobody."""

    at: datetime
    basis: LegalBasis
    requested_by: str = ""
    approved_by: str = ""
    redaction_id: UUID | None = None

    @property
    def words(self) -> str:
        """Return it as a sentence."""
        day = f"{self.at:%Y-%m-%d}"
        if self.redaction_id is None:
            return f"Redacted on {day}: the project keeps such values no longer."
        approved = f", approved by {self.approved_by}" if self.approved_by else ""
        return f"Redacted on {day} by order of {self.requested_by}{approved}."


def find_note(*, stream: UUID) -> ErasureNote | None:
    """Return why values of a stream are gone, by the newest order or period; `None` if none are.

    Not asked of network addresses, which nobody misses. At most 2 queries.
    """
    found = (
        RedactedStream.objects.filter(stream=stream)
        .exclude(part=Part.ADDRESSES)
        .select_related("redaction")
        .order_by("-at")
        .first()
    )
    if found is None:
        return None
    order = found.redaction
    if order is None:
        return ErasureNote(at=found.at, basis=LegalBasis.RETENTION)
    names = dict(
        User.objects.filter(
            pk__in=[item for item in (order.requested_by, order.decided_by) if item is not None]
        ).values_list("pk", "name")
    )
    return ErasureNote(
        at=found.at,
        basis=LegalBasis(order.basis),
        requested_by=names.get(order.requested_by, str(order.requested_by)),
        approved_by=names.get(order.decided_by, "") if order.decided_by else "",
        redaction_id=order.pk,
    )
