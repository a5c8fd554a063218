"""Erasing what was ordered, or what is over its time. Read `execute_orders` first.

One stream after the other, and of each some hundred payloads in one transaction with the copies
outside the ledger and the entry that says so. So whatever is erased is on record, and a keeper that
dies leaves an order that the next one finishes: it looks for what is still there.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from django.db import transaction

from audit import registry, store
from audit.domain.errors import RedactionHeldError, RedactionOpenError
from audit.domain.redaction import (
    LEDGER_STREAM,
    REDACTED_KIND,
    LegalBasis,
    Member,
    OrderStatus,
    Part,
    Place,
    TargetKind,
    write_redacted,
)
from audit.redactions import people, rows
from audit.redactions.covering import (
    check_closed,
    check_held,
    find_scope,
    list_belonging,
    target_of,
)
from audit.redactions.models import Redaction
from core.kernel import limits
from core.kernel.errors import PlatformError
from core.kernel.record import SYSTEM_ACTOR, Draft, Origin, Via
from core.toolkit.db import read_database_clock

_log = structlog.get_logger(__name__)
_ORIGIN = Origin(actor=SYSTEM_ACTOR, via=Via.ENGINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """How many payloads went, and the place in the ledger's own stream that said so last (or 0)."""

    count: int
    entry_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why something is erased: an order, or the period of a part of a project's payloads."""

    basis: LegalBasis
    redaction: Redaction | None = None
    part: Part | None = None

    @property
    def mark(self) -> str:
        """Return the part under which a stream is noted as erased, "" for an order."""
        return "" if self.part is None else self.part.value


def execute_orders() -> int:
    """Erase what approved orders name, oldest first; return how many are done now.

    An order that has to wait (a hold was placed, a run was started from one it covers) stays
    approved and says for what. Transaction: one for each some hundred payloads; needs none.
    """
    due = Redaction.objects.filter(status=OrderStatus.APPROVED).order_by("pk")
    return sum(execute_order(order=order) for order in due[: limits.REDACTION_ORDER_COUNT_MAX])


def execute_order(*, order: Redaction) -> bool:
    """Erase what one approved order names; return whether it is done. Again it changes nothing."""
    try:
        if order.target_kind == TargetKind.PERSON:
            _erase_person(order)
        else:
            _erase_streams(order)
    except PlatformError as error:
        _log.warning("audit.redaction_waits", redaction=str(order.pk), code=error.code)
        words = error.message[: limits.ERROR_CHARS_MAX]
        Redaction.objects.filter(pk=order.pk, status=OrderStatus.APPROVED).update(blocked=words)
        return False
    return _finish(order)


def erase_stream(
    *, stream: UUID, cause: Cause, seq: int = 0, names: Sequence[str] = (), copies: bool = True
) -> Erased:
    """Erase payloads of one closed stream, and the copies of its values, and say so.

    Args:
        stream: whose.
        cause: why.
        seq: of this entry only; 0 for all.
        names: of these names only; none for all.
        copies: whether copies outside the ledger go as well.

    Transaction: one for each some hundred payloads.

    Raises:
        RedactionHeldError: a legal hold keeps it.
        RedactionOpenError: it is not closed.
    """
    count = entry_seq = 0
    while True:
        with transaction.atomic():
            rows.share_holds()
            member = _lock(stream)
            check_closed((member,))
            check_held(list_belonging(member, seqs=[seq]) if seq else (member,))
            found = rows.list_places(
                stream=stream, seq=seq, names=names, limit=limits.REDACTION_PLACE_COUNT_MAX
            )
            gone: Mapping[str, int] = {}
            holder = registry.holders().get(member.noun)
            if copies and holder is not None:
                gone = holder.erase(stream=stream, seq=seq, names=names)
            if not found and not gone:
                if cause.part is not None:  # not before: a pass that dies begins this one again
                    _note(stream, cause, entry_seq)
                return Erased(count=count, entry_seq=entry_seq)
            rows.erase_places(places=found)
            entry_seq = _record(member, found, gone, cause=cause)
        count += len(found)


def _erase_streams(order: Redaction) -> None:
    cause = Cause(basis=LegalBasis(order.basis), redaction=order)
    target = target_of(order)
    if target.kind is TargetKind.ENTRY:
        names = (target.name,) if target.name else ()
        erased = erase_stream(stream=target.id, cause=cause, seq=target.seq, names=names)
        _add(order, erased.count)
        return
    done: set[UUID] = set()
    while True:
        # Again after each round: somebody may have run one of them again meanwhile.
        scope = find_scope(target)
        left = [member for member in scope.members if member.stream not in done]
        if not left:
            return
        check_closed(scope.members)
        for member in left:
            _add(order, erase_stream(stream=member.stream, cause=cause).count)
            done.add(member.stream)


def _erase_person(order: Redaction) -> None:
    """Erase what a person wrote and what is known of them: rows first, then stream by stream."""
    cause = Cause(basis=LegalBasis(order.basis), redaction=order)
    with transaction.atomic():
        rows.share_holds()
        member = Member(
            noun="person",
            stream=order.target_id,
            label=order.label,
            person_ids=frozenset({order.target_id}),
        )
        check_held((member,))
        counts = dict(people.erase(person_id=order.target_id))
        for holder in registry.holders().values():
            counts |= holder.erase_person(person_id=order.target_id)
        if counts:
            _record(member, [], counts, cause=cause)
    waiting: RedactionOpenError | RedactionHeldError | None = None
    seen: set[UUID] = set()
    while True:
        listed = rows.list_places_of_person(
            person_id=order.target_id, skipped=seen, limit=limits.REDACTION_PLACE_COUNT_MAX
        )
        if not listed:
            break
        by_stream: defaultdict[UUID, list[Place]] = defaultdict(list)
        for stream, place in listed:
            by_stream[stream].append(place)
        for stream, places in by_stream.items():
            try:
                _erase_listed(order, stream, places, cause=cause)
            except (RedactionOpenError, RedactionHeldError) as error:
                waiting = error  # what has to wait keeps nothing else
                seen.add(stream)
    if waiting is not None:
        raise waiting


def _erase_listed(order: Redaction, stream: UUID, places: Sequence[Place], *, cause: Cause) -> None:
    with transaction.atomic():
        rows.share_holds()
        member = _lock(stream)
        check_closed((member,))
        check_held(list_belonging(member, seqs={place.seq for place in places}))
        rows.erase_places(places=places)
        _record(member, places, {}, cause=cause)
    _add(order, len(places))


def _lock(stream: UUID) -> Member:
    """Return a stream as a member, locked, whatever it is about."""
    for holder in registry.holders().values():
        member = holder.lock(stream=stream)
        if member is not None:
            return member
    name = rows.find_stream_name(stream=stream)
    return Member(noun="stream", stream=stream, label=name or str(stream))


def _record(
    member: Member, places: Sequence[Place], copies: Mapping[str, int], *, cause: Cause
) -> int:
    """Say in the ledger what was erased; return where. Transaction: that of the erasure."""
    order = cause.redaction
    entry = store.append(
        stream=LEDGER_STREAM,
        drafts=(
            Draft(
                kind=REDACTED_KIND,
                at=read_database_clock(),
                origin=_ORIGIN,
                subject=str(member.stream),
                scope=member.scope_id,
                data=write_redacted(
                    member=member,
                    places=places,
                    copies=copies,
                    basis=cause.basis,
                    order_id=None if order is None else order.pk,
                    requested_by=None if order is None else order.requested_by,
                    approved_by=None if order is None else order.decided_by,
                    part=cause.part,
                ),
                payloads={} if order is None else {"reason": order.reason},
                reason=cause.basis.value,
            ),
        ),
    )
    if order is not None:
        _note(member.stream, cause, entry.seq)
    return entry.seq


def _note(stream: UUID, cause: Cause, entry_seq: int) -> None:
    order = cause.redaction
    rows.note_stream(
        stream=stream,
        part=cause.mark,
        redaction_id=None if order is None else order.pk,
        entry_seq=entry_seq,
    )


def _add(order: Redaction, count: int) -> None:
    if count:
        order.payload_count += count
        order.stream_count += 1
        order.save(update_fields=["payload_count", "stream_count"])


def _finish(order: Redaction) -> bool:
    """Close an order of which nothing is left; one of two keepers does."""
    with transaction.atomic():
        at = read_database_clock()
        changed = Redaction.objects.filter(pk=order.pk, status=OrderStatus.APPROVED).update(
            status=OrderStatus.DONE.value, done_at=at, blocked=""
        )
        if changed:
            store.append(
                stream=LEDGER_STREAM,
                drafts=(
                    Draft(
                        kind="redaction.completed",
                        at=at,
                        origin=_ORIGIN,
                        subject=str(order.pk),
                        data={
                            "redaction": str(order.pk),
                            "payloads": order.payload_count,
                            "streams": order.stream_count,
                        },
                        reason=order.basis,
                    ),
                ),
            )
    return bool(changed)
