"""What the page of redactions shows, as plain values. Read `make_redactions`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from audit.domain.redaction import ORDERED_BASES, HoldKind, LegalBasis, Part, TargetKind
from audit.selectors.redactions import HoldView, RedactionView, RetentionView
from core.kernel import limits
from core.kernel.errors import PlatformError

_BASES: Final[Mapping[LegalBasis, str]] = {
    LegalBasis.GDPR_17: "GDPR Art. 17, right to erasure",
    LegalBasis.COURT_ORDER: "Court order",
    LegalBasis.CONTRACT: "Contract",
    LegalBasis.MISTAKE: "Recorded by mistake",
    LegalBasis.RETENTION: "Retention",
    LegalBasis.OTHER: "Other",
}
_TARGETS: Final[Mapping[TargetKind, str]] = {
    TargetKind.RUN: "A run, with all that took values from it",
    TargetKind.REQUEST: "A request",
    TargetKind.ENTRY: "One entry of a stream",
    TargetKind.PERSON: "A person",
}
_HOLDS: Final[Mapping[HoldKind, str]] = {
    HoldKind.PROJECT: "A project",
    HoldKind.WORKFLOW: "A workflow",
    HoldKind.RUN: "A run",
    HoldKind.PERSON: "A person",
}
_PARTS: Final[Mapping[Part, str]] = {
    Part.RUNS: "What runs recorded",
    Part.REQUESTS: "What requests showed and were told",
    Part.ADDRESSES: "Network addresses",
}
_MARKS: Final = {
    "requested": ("waiting", "Waits for a second person"),
    "approved": ("running", "Approved"),
    "done": ("approved", "Done"),
    "declined": ("skipped", "Declined"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactionRow:
    """An order in the list. `may_approve`: the reader is another person than who asked."""

    order: RedactionView
    mark: str
    word: str
    basis: str
    may_approve: bool
    may_decline: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactionsPage:
    """The page: lists, choices of the forms, what was typed, and why nothing was done."""

    redactions: tuple[RedactionRow, ...]
    holds: tuple[HoldView, ...]
    retentions: tuple[RetentionView, ...]
    may_act: bool
    targets: tuple[tuple[str, str], ...]
    bases: tuple[tuple[str, str], ...]
    kinds: tuple[tuple[str, str], ...]
    parts: tuple[tuple[str, str], ...]
    typed: Mapping[str, str]
    problem: str
    reason_chars_max: int = limits.REASON_CHARS_MAX


def make_redactions(
    *,
    redactions: Sequence[RedactionView],
    holds: Sequence[HoldView],
    retentions: Sequence[RetentionView],
    person_id: UUID,
    may_act: bool,
    typed: Mapping[str, str],
    error: PlatformError | None,
) -> RedactionsPage:
    """Return the page; `person_id` is the reader's."""
    return RedactionsPage(
        redactions=tuple(_row(item, person_id=person_id, may_act=may_act) for item in redactions),
        holds=tuple(holds),
        retentions=tuple(retentions),
        may_act=may_act,
        targets=tuple((item.value, words) for item, words in _TARGETS.items()),
        bases=tuple((item.value, _BASES[item]) for item in ORDERED_BASES),
        kinds=tuple((item.value, words) for item, words in _HOLDS.items()),
        parts=tuple((item.value, words) for item, words in _PARTS.items()),
        typed=typed,
        problem=_say(error),
    )


def _row(order: RedactionView, *, person_id: UUID, may_act: bool) -> RedactionRow:
    mark, word = _MARKS[order.status]
    is_open = may_act and order.status == "requested"
    return RedactionRow(
        order=order,
        mark=mark,
        word=word,
        basis=_BASES[LegalBasis(order.basis)],
        may_approve=is_open and order.requested_person_id != person_id,
        may_decline=is_open,
    )


def _say(error: PlatformError | None) -> str:
    if error is None:
        return ""
    return " ".join(problem.message for problem in error.problems) or error.message
