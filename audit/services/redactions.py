"""Ordering that payloads are erased, by two people. Read `request_redaction` first.

Nothing is erased here: the keeper does what was approved, see `audit.services.erasing`.
"""

from uuid import UUID

from audit.domain.errors import (
    RedactionDecidedError,
    RedactionInvalidError,
    RedactionMissingError,
)
from audit.domain.redaction import (
    LEDGER_STREAM,
    Order,
    OrderStatus,
    Target,
    check_order,
    check_reason,
)
from audit.redactions import conf, rows
from audit.redactions.covering import Scope, check_closed, check_held, find_scope, target_of
from audit.redactions.models import Redaction
from core.identity.acts import act
from core.identity.authorize import refuse, require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.services.recording import record_act
from core.kernel.types import JsonLike
from core.toolkit.db import read_database_clock


def foresee(*, principal: Principal, target: Target) -> Scope:
    """Return what an order about a target would cover. Changes nothing.

    Raises:
        AccessForbiddenError: without `redact_audit`.
        RedactionMissingError: there is no such run, request, entry or person.
        RedactionTooLargeError: it covers too many streams at once.
    """
    require(principal=principal, permission=Permission.REDACT_AUDIT, scope_id=None)
    return find_scope(target)


@act
def request_redaction(*, principal: Principal, order: Order) -> UUID:
    """Ask that payloads be erased; somebody else approves it, unless the settings need nobody.

    Transaction: one.

    Returns:
        The order's id.

    Raises:
        AccessForbiddenError: without `redact_audit`, and for whoever is no person.
        RedactionInvalidError: a field is malformed, or nothing is left to erase.
        RedactionMissingError: there is no such run, request, entry or person.
        RedactionOpenError: something that the order covers is not closed.
        RedactionHeldError: a legal hold keeps some of it.
        RedactionTooLargeError: it covers too many streams at once.
    """
    answer = require(principal=principal, permission=Permission.REDACT_AUDIT, scope_id=None)
    problems = check_order(order)
    if problems:
        raise RedactionInvalidError(problems=problems)
    scope = find_scope(order.target)
    check_closed(scope.members)
    rows.share_holds()
    check_held(scope.members)
    needs_second = conf.needs_second_person()
    at = read_database_clock()
    made = Redaction.objects.create(
        target_kind=order.target.kind.value,
        target_id=order.target.id,
        seq=order.target.seq,
        name=order.target.name,
        label=scope.label,
        basis=order.basis.value,
        reason=order.reason.strip(),
        reference=order.reference.strip(),
        status=(OrderStatus.REQUESTED if needs_second else OrderStatus.APPROVED).value,
        requested_by=principal.user_id,
        requested_person=principal.person_id,
        requested_at=at,
    )
    record_act(
        principal=principal,
        kind="redaction.requested",
        subject=made.pk,
        stream=LEDGER_STREAM,
        matched=answer.matched,
        data={
            **_describe(made),
            "streams": len(scope.members),
            "payloads": scope.payload_count,
            "second_person": needs_second,
        },
        payloads={"reason": made.reason, "reference": made.reference},
    )
    return made.pk


@act
def approve_redaction(*, principal: Principal, redaction_id: UUID) -> None:
    """Approve an order of somebody else: the keeper erases what it names.

    Transaction: one; locks the order.

    Raises:
        AccessForbiddenError: without `redact_audit`, for whoever is no person, and for the person
            who asked, whatever account they use.
        RedactionMissingError: there is no such order.
        RedactionDecidedError: it was approved or declined before.
        RedactionHeldError, RedactionOpenError: as `request_redaction`.
    """
    answer = require(principal=principal, permission=Permission.REDACT_AUDIT, scope_id=None)
    rows.share_holds()
    found = _lock_requested(redaction_id)
    if found.requested_person == principal.person_id:
        refuse(
            principal=principal,
            permission=Permission.REDACT_AUDIT,
            reason="Who asked for a redaction does not approve it.",
        )
    scope = find_scope(target_of(found))
    check_closed(scope.members)
    check_held(scope.members)
    _decide(found, OrderStatus.APPROVED, principal)
    record_act(
        principal=principal,
        kind="redaction.approved",
        subject=found.pk,
        stream=LEDGER_STREAM,
        matched=answer.matched,
        data={**_describe(found), "requested_by": str(found.requested_by)},
    )


@act
def decline_redaction(*, principal: Principal, redaction_id: UUID, reason: str) -> None:
    """Decline an order, or take one's own back: nothing is erased.

    Transaction: one; locks the order.

    Raises:
        AccessForbiddenError: without `redact_audit`, and for whoever is no person.
        RedactionInvalidError: there is no reason, or it is over its bound.
        RedactionMissingError: there is no such order.
        RedactionDecidedError: it was approved or declined before.
    """
    answer = require(principal=principal, permission=Permission.REDACT_AUDIT, scope_id=None)
    problems = check_reason("/reason", reason)
    if problems:
        raise RedactionInvalidError(problems=problems)
    found = _lock_requested(redaction_id)
    _decide(found, OrderStatus.DECLINED, principal)
    record_act(
        principal=principal,
        kind="redaction.declined",
        subject=found.pk,
        stream=LEDGER_STREAM,
        matched=answer.matched,
        data=_describe(found),
        payloads={"reason": reason.strip()},
    )


def _lock_requested(redaction_id: UUID) -> Redaction:
    found = Redaction.objects.select_for_update().filter(pk=redaction_id).first()
    if found is None:
        raise RedactionMissingError(redaction=str(redaction_id))
    if found.status != OrderStatus.REQUESTED:
        raise RedactionDecidedError(status=found.status)
    return found


def _decide(row: Redaction, status: OrderStatus, principal: Principal) -> None:
    row.status, row.decided_by, row.decided_at = (
        status.value,
        principal.user_id,
        read_database_clock(),
    )
    row.save(update_fields=["status", "decided_by", "decided_at"])


def _describe(row: Redaction) -> dict[str, JsonLike]:
    return {
        "redaction": str(row.pk),
        "target": row.target_kind,
        "target_id": str(row.target_id),
        "entry": row.seq,
        "name": row.name,
        "basis": row.basis,
    }
