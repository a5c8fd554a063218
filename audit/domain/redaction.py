"""What may be ordered to be erased, why, and what keeps it. Read `Order` first.

Pure: places and values only. Source: the ledger's specification §5.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, cast
from uuid import UUID

from audit.domain.entry import SOURCE_PAYLOAD, stream_id_of
from core.kernel import limits
from core.kernel.errors import Problem
from core.kernel.types import Json, JsonLike

LEDGER_STREAM: Final = "ledger"
LEDGER_STREAM_ID: Final = stream_id_of(LEDGER_STREAM)
REDACTED_KIND: Final = "payload.redacted"
# What a person types, or gives away by acting, wherever it is recorded.
PERSONAL_NAMES: Final = ("comment", "reason", SOURCE_PAYLOAD)
REDACTED_TITLE: Final = "Redacted"  # what stands where a title was

_PERIOD = re.compile(r"P(?P<days>[1-9][0-9]{0,4})D")


class TargetKind(StrEnum):
    """What an order is about."""

    RUN = "run"  # a run with everything that took values from it
    REQUEST = "request"  # one request: what was shown, comments, form values
    ENTRY = "entry"  # all payloads of one entry, or one of them
    PERSON = "person"  # what a person wrote, where from, and who they are


class LegalBasis(StrEnum):
    """Why the law wants it, or allows it. The values are reason codes in the ledger."""

    GDPR_17 = "gdpr_17"
    COURT_ORDER = "court_order"
    CONTRACT = "contract"
    MISTAKE = "mistake"  # something was recorded that never should have been
    RETENTION = "retention"  # its time is over; nobody orders this by hand
    OTHER = "other"


class OrderStatus(StrEnum):
    """How far an order has come."""

    REQUESTED = "requested"
    APPROVED = "approved"
    DONE = "done"
    DECLINED = "declined"


class HoldKind(StrEnum):
    """What a legal hold keeps."""

    PROJECT = "project"
    WORKFLOW = "workflow"
    RUN = "run"
    PERSON = "person"


class Part(StrEnum):
    """Which payloads of a stream a period of retention is about."""

    RUNS = "runs"  # everything runs recorded: inputs, results, outputs, reasons
    REQUESTS = "requests"  # what was shown, comments, form values
    ADDRESSES = "addresses"  # the network addresses people and programs acted from


ORDERED_BASES: Final = tuple(item for item in LegalBasis if item is not LegalBasis.RETENTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What an order names. `seq` and `name` are for an entry, "" as a name means all of them."""

    kind: TargetKind
    id: UUID
    seq: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What somebody wants to have erased, and why. `reference` is a case number or the like."""

    target: Target
    basis: LegalBasis
    reason: str
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A stream that an order covers, with what tells whether it may be erased.

    `open_words` says why not yet ("run 7 is open"), "" if it is closed. `scope_id` says whose
    readers may see that it was erased.
    """

    noun: str
    stream: UUID
    label: str
    open_words: str = ""
    scope_id: UUID | None = None
    project_id: UUID | None = None
    workflow_id: UUID | None = None
    run_id: UUID | None = None
    person_ids: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a payload is, and what its entry says of it (32 bytes)."""

    entry_id: int
    seq: int
    name: str
    commitment: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What a hold names: it keeps whatever belongs to that."""

    kind: HoldKind
    target_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """What an entry `payload.redacted` says.

    `places` are (seq, name, commitment in hex) of one stream. `copies` counts what was erased
    beside the ledger, by table.
    """

    stream: UUID
    places: tuple[tuple[int, str, str], ...]
    copies: Mapping[str, int] = field(default_factory=dict)
    basis: str = ""
    order: str = ""


def check_order(order: Order) -> list[Problem]:
    """Return what is wrong with an order, by JSON pointer; nothing is looked up."""
    problems = []
    target = order.target
    if order.basis not in ORDERED_BASES:
        problems.append(Problem(path="/basis", message="Retention works by itself."))
    problems += check_reason("/reason", order.reason)
    if len(order.reference) > limits.REDACTION_REFERENCE_CHARS_MAX or "\x00" in order.reference:
        problems.append(
            Problem(
                path="/reference",
                message=f"Use at most {limits.REDACTION_REFERENCE_CHARS_MAX} characters.",
            )
        )
    if target.kind is TargetKind.ENTRY and target.seq < 1:
        problems.append(Problem(path="/seq", message="Name the entry by its number, from 1."))
    if "\x00" in target.name:
        problems.append(Problem(path="/name", message="No payload has such a name."))
    if target.kind is not TargetKind.ENTRY and (target.seq or target.name):
        problems.append(Problem(path="/seq", message="Only an entry has a number and payloads."))
    return problems


def check_reason(path: str, reason: str) -> list[Problem]:
    """Return what is wrong with a reason: it is required and bounded."""
    if not reason.strip():
        return [Problem(path=path, message="Say why, for whoever reads the record.")]
    if len(reason) > limits.REASON_CHARS_MAX or "\x00" in reason:
        return [Problem(path=path, message=f"Use at most {limits.REASON_CHARS_MAX} characters.")]
    return []


def list_keepings(members: Sequence[Member]) -> frozenset[tuple[HoldKind, UUID]]:
    """Return every hold that would keep one of the members."""
    found: set[tuple[HoldKind, UUID]] = set()
    for member in members:
        named = (
            (HoldKind.PROJECT, member.project_id),
            (HoldKind.WORKFLOW, member.workflow_id),
            (HoldKind.RUN, member.run_id),
            *((HoldKind.PERSON, person) for person in member.person_ids),
        )
        found |= {(kind, item) for kind, item in named if item is not None}
    return frozenset(found)


def write_redacted(
    *,
    member: Member,
    places: Sequence[Place],
    copies: Mapping[str, int],
    basis: LegalBasis,
    order_id: UUID | None = None,
    requested_by: UUID | None = None,
    approved_by: UUID | None = None,
    part: Part | None = None,
) -> dict[str, JsonLike]:
    """Return what an entry `payload.redacted` holds about one stream: places, never values."""
    return {
        "stream": str(member.stream),
        "noun": member.noun,
        "places": [[place.seq, place.name, place.commitment.hex()] for place in places],
        "copies": dict(sorted(copies.items())),
        "basis": basis.value,
        "order": None if order_id is None else str(order_id),
        "requested_by": None if requested_by is None else str(requested_by),
        "approved_by": None if approved_by is None else str(approved_by),
        "part": None if part is None else part.value,
    }


def read_redacted(data: Mapping[str, Json]) -> Redacted:
    """Read what `write_redacted` wrote. Raises: KeyError, TypeError, ValueError if it is not."""
    listed = cast("Sequence[Sequence[Any]]", data["places"])
    copies = cast("Mapping[str, int]", data["copies"])
    return Redacted(
        stream=UUID(str(data["stream"])),
        places=tuple((int(seq), str(name), str(digest)) for seq, name, digest in listed),
        copies=dict(copies),
        basis=str(data["basis"]),
        order=str(data["order"] or ""),
    )


def read_period(text: str) -> timedelta | None:
    """Return a period of whole days, `P400D`; `None` if the text is no such period."""
    match = _PERIOD.fullmatch(text)
    if match is None or int(match["days"]) > limits.RETENTION_DAYS_MAX:
        return None
    return timedelta(days=int(match["days"]))


def write_period(days: int) -> str:
    """Return a period of whole days as text."""
    return f"P{days}D"
