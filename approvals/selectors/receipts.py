"""Receipts of decisions. Read `get_vote_receipt` first."""

from dataclasses import dataclass
from uuid import UUID

from approvals.domain.errors import VoteMissingError
from approvals.models import Vote
from approvals.selectors.requests import get_visible_row
from approvals.selectors.views import RequestDetail
from audit.domain.entry import SOURCE_PAYLOAD
from audit.selectors import receipts
from core.identity.authorize import authorize
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal

# What the page of a request shows to everybody who sees it. Where somebody decided from is not.
_SHOWN = ("comment", "form")


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteReceipt:
    """A receipt: its bytes, and the name of the file."""

    name: str
    data: bytes


def get_vote_receipt(*, principal: Principal, request_id: UUID, vote_id: UUID) -> VoteReceipt:
    """Return the receipt of a decision, for whoever may see the request.

    It opens what the request's page shows, and the voter's address for whoever may read the entry
    in the ledger.

    Raises:
        RequestMissingError: if there is no such request, or the caller may not see it.
        VoteMissingError: if it has no such vote.
        EntryNotSealedError: if the vote's entry waits for the sealer.
        LedgerCorruptError: if what is stored proves nothing.
    """
    row = get_visible_row(principal=principal, request_id=request_id)
    vote = Vote.objects.filter(pk=vote_id, request=row).first()
    if vote is None:
        raise VoteMissingError(request=str(request_id), vote=str(vote_id))
    reads_ledger = authorize(
        principal=principal, permission=Permission.VIEW_AUDIT, scope_id=row.scope_id
    ).allowed
    data = receipts.make_receipt(
        stream=row.pk,
        seq=vote.seq,
        leaf=bytes(vote.leaf),
        names=(*_SHOWN, SOURCE_PAYLOAD) if reads_ledger else _SHOWN,
    )
    return VoteReceipt(name=f"receipt-A-{row.number}-entry-{vote.seq}.json", data=data)


def list_sealed_votes(*, detail: RequestDetail) -> frozenset[int]:
    """Return which votes of a request have a receipt, by their entries' numbers; 1 query."""
    return receipts.list_sealed(stream=detail.summary.id, seqs=[vote.seq for vote in detail.votes])
