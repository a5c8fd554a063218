"""Deciding a request. Read `decide` first; the rules are `approvals.domain.decision`.

Lock the run, then the request; ask the rules; write what they say; all in one transaction. What is
refused writes nothing but its own record, in that same transaction, and is raised after it.
"""

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from django.db import transaction

from approvals import store
from approvals.domain import errors
from approvals.domain.authority import permission_for
from approvals.domain.decision import Accepted, Command, Refused, Repeated, judge
from approvals.domain.quorum import Choice
from approvals.drafting import Kind, draft
from approvals.models import Request
from approvals.selectors.authority import ask_authority
from approvals.services.casting import DecisionResult, cast
from approvals.services.locking import LockedRequest, lock
from core.identity.authorize import authorize, require
from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.kernel import limits
from core.kernel.errors import Problem
from core.kernel.record import ActorKind
from core.kernel.types import Json
from engine.loading import EVALUATOR

_DIGEST_BYTE_COUNT = 32


def decide(  # noqa: PLR0913 - one keyword for each thing a person sends
    *,
    principal: Principal,
    request_id: UUID,
    decision: str,
    digest_hex: str,
    comment: str = "",
    form: Mapping[str, Json] | None = None,
    confirmed: bool = False,
    idempotency_key: str = "",
    stage: str = "",
) -> DecisionResult:
    """Record one person's decision, and what follows from it.

    Args:
        principal: who decides.
        request_id: what is decided.
        decision: `approve` or `reject`; of a question `retry`, `skip` or `fail`.
        digest_hex: the digest the request showed to this person, 64 hex digits.
        comment: needed to reject and to skip.
        form: values of the request's form; left out, those of the first approval stay.
        confirmed: whether the request's confirmation was ticked.
        idempotency_key: sending the same body again with it gives the first result.
        stage: key of the stage the person saw open. Without it, a decision of somebody who voted
            in an earlier stage is taken for that vote sent twice.

    Idempotent on the decision (the same one again by the same person gives the first result, with
    `replayed`) and on `idempotency_key`. Transaction: one of its own, never inside another.

    Raises:
        RequestMissingError: there is no such request.
        AccessForbiddenError: the caller may not even see it, or is no person.
        MayNotDecideError: the caller sees it and may not decide it.
        RequestExpiredError, RequestClosedError, StageClosedError, AlreadyDecidedError: too late,
            closed otherwise, another stage, another decision before.
        SubjectChangedError, DigestRequiredError: this is not what was seen.
        DecisionInvalidError, EditRefusedError, KeyReusedError: the body is wrong.
    """
    command = _read_command(
        decision=decision,
        digest_hex=digest_hex,
        comment=comment,
        form=form,
        confirmed=confirmed,
        idempotency_key=idempotency_key,
        stage=stage,
    )
    place = Request.objects.filter(pk=request_id).values_list("scope_id", "run_id", "kind").first()
    if place is None:
        raise errors.RequestMissingError(request=str(request_id))
    scope_id, run_id, kind = place
    _require_sight(principal, scope_id, permission_for(kind))
    with transaction.atomic(durable=True):
        locked = lock(request_id=request_id, run_id=run_id)
        assert locked is not None, "requests are never deleted"
        answer = _decide(principal, locked, command)
    if isinstance(answer, Refused):
        raise answer.error
    return answer


def _decide(
    principal: Principal, locked: LockedRequest, command: Command
) -> DecisionResult | Refused:
    authority = ask_authority(principal=principal, facts=locked)
    answer = judge(
        locked.state,
        person_id=principal.person_id,
        command=command,
        denial=authority.denial,
        now=locked.at,
        evaluator=EVALUATOR,
    )
    match answer:
        case Accepted():
            return cast(
                principal=principal,
                locked=locked,
                command=command,
                accepted=answer,
                policy=authority.policy,
            )
        case Repeated():
            _record(principal, locked, command, Kind.DECISION_REPEATED, reason="repeated")
            return DecisionResult.replay(answer.vote.result)
        case Refused():
            kind = Kind.DECISION_LATE if answer.late else Kind.DECISION_REFUSED
            _record(
                principal,
                locked,
                command,
                kind,
                reason=answer.error.code,
                policy=authority.denial or authority.policy,
            )
            return answer


def _require_sight(principal: Principal, scope_id: UUID, permission: Permission) -> None:
    """Refuse software, and strangers who are not to learn anything about the request.

    Before any lock, so that they cannot keep others waiting either.
    """
    may_see = authorize(
        principal=principal, permission=Permission.VIEW_REQUEST, scope_id=scope_id
    ).allowed
    if principal.kind is not ActorKind.PERSON:
        require(principal=principal, permission=Permission.DECIDE_REQUEST, scope_id=scope_id)
    elif not may_see:
        require(principal=principal, permission=permission, scope_id=scope_id)


def _record(
    principal: Principal,
    locked: LockedRequest,
    command: Command,
    kind: Kind,
    *,
    reason: str,
    policy: str = "",
) -> None:
    """Put an attempt that changed nothing on record, in the request's own stream."""
    entry = draft(
        kind,
        request=locked.row,
        at=locked.at,
        origin=principal.origin,
        data={
            "decision": command.choice.value,
            "person": str(principal.person_id),
            "stage": locked.state.open_stage,
        },
    )
    shown = command.digest.hex() if len(command.digest) == _DIGEST_BYTE_COUNT else ""
    entry = replace(entry, shown=shown, reason=reason, policy=policy)
    store.append(request=locked.row, drafts=[entry], changes={})


def _read_command(
    *,
    decision: str,
    digest_hex: str,
    comment: str,
    form: Mapping[str, Json] | None,
    confirmed: bool,
    idempotency_key: str,
    stage: str,
) -> Command:
    """Read what was sent. A digest that is none matches nothing, and is refused as that."""
    if not digest_hex:
        raise errors.DigestRequiredError
    problems = []
    if decision not in list(Choice):
        message = f"a decision is one of {', '.join(Choice)}"
        problems.append(Problem(message=message, path="/decision", code="approvals.decision"))
    if len(idempotency_key) > limits.IDEMPOTENCY_KEY_CHARS_MAX or not _is_text(idempotency_key):
        message = f"a key has at most {limits.IDEMPOTENCY_KEY_CHARS_MAX} characters"
        problems.append(Problem(message=message, path="", code="approvals.key"))
    if problems:
        raise errors.DecisionInvalidError(problems=problems)
    try:
        digest = bytes.fromhex(digest_hex)
    except ValueError:
        digest = b""
    return Command(
        choice=Choice(decision),
        digest=digest,
        stage=stage,
        comment=comment,
        form=form,
        confirmed=confirmed,
        idempotency_key=idempotency_key,
    )


def _is_text(value: str) -> bool:
    """Return whether PostgreSQL can keep a text."""
    return "\x00" not in value and value.isprintable()
