"""How the ledger's pages name what approvals write. Read `register`."""

from collections.abc import Collection, Mapping
from typing import Final
from uuid import UUID

from django.urls import reverse

from approvals.drafting import Kind
from approvals.selectors import subjects
from audit.wording import SubjectName, register_kinds, register_subject

_WORDS: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.REQUEST_OPENED: ("Asked for a decision", "asked for a decision"),
    Kind.VOTE_CAST: ("Decision", "decided: {decision}[, in stage {stage}]"),
    Kind.REQUEST_CLOSED: ("Request ended", "ended the request[: {outcome}]"),
    Kind.STAGE_OPENED: ("Stage began", "opened the stage[ {stage}]"),
    Kind.STAGE_CLOSED: ("Stage ended", "closed the stage[ {stage}][: {verdict}]"),
    Kind.REQUEST_BLOCKED: ("Too few may decide", "found too few who may decide[ in {stage}]"),
    Kind.REQUEST_UNBLOCKED: ("Enough may decide", "found enough who may decide[ in {stage}]"),
    Kind.DECISION_REFUSED: ("Decision refused", "was refused a decision[: {decision}]"),
    Kind.DECISION_LATE: ("Decision too late", "decided too late[: {decision}]"),
    Kind.DECISION_REPEATED: ("Decision repeated", "sent the same decision again"),
    Kind.NOTICE_FAILED: ("Notice failed", "could not deliver a notice[ by {channel}]"),
}


def register() -> None:
    """Name the kinds and the requests; called in `ready()`."""
    words = {kind.value: _WORDS.get(kind, (kind.value, f"noted {kind.value}")) for kind in Kind}
    register_kinds("approvals", label="Approvals", icon="inbox", words=words)
    register_subject("request", name=_name_requests, find=_find_request)


def _name_requests(ids: Collection[UUID]) -> Mapping[UUID, SubjectName]:
    return {
        item.id: SubjectName(
            words=f"A-{item.number} {item.title}",
            href=reverse("approvals_portal:request", args=(item.id,)),
        )
        for item in subjects.list_request_names(request_ids=ids)
    }


def _find_request(text: str) -> UUID | None:
    prefix, _, number = text.strip().upper().partition("-")
    is_number = number.isascii() and number.isdigit() and len(number) <= 18  # noqa: PLR2004  # a bigint
    return subjects.find_request_id(number=int(number)) if prefix == "A" and is_number else None
