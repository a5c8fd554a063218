"""What the kinds of entries about requests mean to a report of the ledger. Read `MEANINGS`."""

from typing import Final

from approvals.drafting import Kind
from audit.domain.meanings import Meaning

MEANINGS: Final[dict[str, Meaning]] = {
    Kind.REQUEST_OPENED.value: Meaning.REQUEST_OPENED,
    Kind.STAGE_OPENED.value: Meaning.STAGE_OPENED,
    Kind.VOTE_CAST.value: Meaning.VOTE,
    Kind.REQUEST_CLOSED.value: Meaning.REQUEST_CLOSED,
    Kind.DECISION_REFUSED.value: Meaning.REFUSED,
    Kind.DECISION_LATE.value: Meaning.LATE,
}
