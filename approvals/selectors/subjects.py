"""Names of requests that ledger entries are about, for those who may read the entries.

Whoever asks has been shown entries about these requests: that is the permission. Read
`list_request_names`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from approvals.models import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestName:
    """What a request is called."""

    id: UUID
    number: int
    title: str


def list_request_names(*, request_ids: Collection[UUID]) -> list[RequestName]:
    """Return the names of those of the requests that there are, in no order; 1 query."""
    rows = Request.objects.filter(pk__in=list(request_ids)).values_list("pk", "number", "title")
    return [RequestName(id=key, number=number, title=title) for key, number, title in rows]


def find_request_id(*, number: int) -> UUID | None:
    """Return the id of the request with a number; 1 query."""
    return Request.objects.filter(number=number).values_list("pk", flat=True).first()
