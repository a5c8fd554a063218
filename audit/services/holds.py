"""Legal holds: what may not be erased, whatever was ordered. Read `place_hold`."""

from uuid import UUID

from audit import registry
from audit.domain.errors import (
    RedactionDecidedError,
    RedactionInvalidError,
    RedactionMissingError,
)
from audit.domain.redaction import LEDGER_STREAM, HoldKind, check_reason
from audit.redactions import rows
from audit.redactions.models import Hold
from core.identity.acts import act
from core.identity.authorize import require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.models import Person, Project
from core.identity.services.recording import record_act
from core.kernel import limits
from core.kernel.errors import Problem
from core.kernel.types import JsonLike
from core.toolkit.db import fetch_rows, read_database_clock


@act
def place_hold(
    *,
    principal: Principal,
    kind: HoldKind,
    target_id: UUID,
    reason: str,
    reference: str = "",
) -> UUID:
    """Keep whatever belongs to a project, a workflow, a run or a person from being erased.

    It holds from the moment this returns: what is being erased just then is waited for.
    Transaction: one.

    Args:
        principal: who places it; takes `redact_audit`.
        kind: what is held.
        target_id: its id; a workflow by the id of its stream.
        reason: why; a payload of the entry.
        reference: a case number or the like, "" for none.

    Returns:
        The hold's id.

    Raises:
        AccessForbiddenError: without `redact_audit`, and for whoever is no person.
        RedactionInvalidError: a field is malformed.
        RedactionMissingError: there is no such project, workflow, run or person.
    """
    answer = require(principal=principal, permission=Permission.REDACT_AUDIT, scope_id=None)
    problems = check_reason("/reason", reason)
    if len(reference) > limits.REDACTION_REFERENCE_CHARS_MAX or "\x00" in reference:
        problems.append(Problem(path="/reference", message="This is too long."))
    if problems:
        raise RedactionInvalidError(problems=problems)
    label = _find_label(kind, target_id)
    rows.take_holds()
    made = Hold.objects.create(
        kind=kind.value,
        target_id=target_id,
        label=label,
        reason=reason.strip(),
        reference=reference.strip(),
        placed_by=principal.user_id,
        placed_at=read_database_clock(),
    )
    record_act(
        principal=principal,
        kind="hold.placed",
        subject=made.pk,
        stream=LEDGER_STREAM,
        matched=answer.matched,
        data=_describe(made),
        payloads={"reason": made.reason, "reference": made.reference},
    )
    return made.pk


@act
def release_hold(*, principal: Principal, hold_id: UUID, reason: str) -> None:
    """Let what a hold kept be erased again, where nothing else keeps it.

    Transaction: one; locks the hold.

    Raises:
        AccessForbiddenError: without `redact_audit`, and for whoever is no person.
        RedactionInvalidError: there is no reason, or it is over its bound.
        RedactionMissingError: there is no such hold.
        RedactionDecidedError: it was released before.
    """
    answer = require(principal=principal, permission=Permission.REDACT_AUDIT, scope_id=None)
    problems = check_reason("/reason", reason)
    if problems:
        raise RedactionInvalidError(problems=problems)
    found = Hold.objects.select_for_update().filter(pk=hold_id).first()
    if found is None:
        raise RedactionMissingError(hold=str(hold_id))
    if found.released_at is not None:
        raise RedactionDecidedError("The hold was released before.", hold=str(hold_id))
    found.released_at, found.released_by = read_database_clock(), principal.user_id
    found.release_reason = reason.strip()
    found.save(update_fields=["released_at", "released_by", "release_reason"])
    record_act(
        principal=principal,
        kind="hold.released",
        subject=found.pk,
        stream=LEDGER_STREAM,
        matched=answer.matched,
        data=_describe(found),
        payloads={"reason": found.release_reason},
    )


def _describe(row: Hold) -> dict[str, JsonLike]:
    return {"hold": str(row.pk), "kind": row.kind, "target_id": str(row.target_id)}


def _find_label(kind: HoldKind, target_id: UUID) -> str:
    """Return what a hold is on, in words. Raises: RedactionMissingError."""
    label = None
    if kind is HoldKind.PROJECT:
        slug = Project.objects.filter(pk=target_id).values_list("slug", flat=True).first()
        label = f"the project {slug}" if slug else None
    elif kind is HoldKind.PERSON:
        label = f"person {target_id}" if Person.objects.filter(pk=target_id).exists() else None
    elif kind is HoldKind.RUN:
        members = registry.holders()["run"].find_family(stream=target_id)
        label = next((item.label for item in members if item.stream == target_id), None)
    elif _is_stream_head("workflow", target_id):
        label = f"the workflow {target_id}"
    if label is None:
        raise RedactionMissingError(target=str(target_id))
    return label


def _is_stream_head(noun: str, target_id: UUID) -> bool:
    query = registry.stream_heads()[noun]
    sql = f"SELECT 1 FROM ({query}) AS h (id, seq, head) WHERE id = %s::uuid"  # noqa: S608 - a registered constant
    return bool(fetch_rows(sql, (target_id,)))
