"""The one function that says who may do what, for every doorway. Read `authorize` first.

Portal, API, websocket, Slack, email, admin and commands all ask here. The order of the checks is
that of `core.identity.domain.decision`; this module reads the facts and stops at the first answer.
`user.has_perm` is never asked: superusers always pass it.
"""

from collections.abc import Callable, Sequence
from typing import Final, NoReturn, TypeAlias
from uuid import UUID

from core.identity import refusals
from core.identity.domain import decision
from core.identity.domain.decision import Decision, ScopeChain
from core.identity.domain.errors import AccessForbiddenError, AnonymousError
from core.identity.domain.permissions import SHAREABLE, Permission
from core.identity.domain.principal import Principal
from core.identity.selectors import facts
from core.identity.selectors.case import Case, read_case
from core.kernel.clock import SYSTEM_CLOCK
from core.kernel.record import ActorKind, Draft

DenialRule: TypeAlias = Callable[[Principal, object], str | None]

_DENIALS: Final[dict[Permission, list[DenialRule]]] = {}


def register_denial(permission: Permission, fn: DenialRule) -> None:
    """Let a rule of a package above refuse acts whatever the roles say; called in `ready()`.

    Args:
        permission: what the rule is about.
        fn: takes the principal and the `target` of `authorize` (`None` where the question is
            general, and then it should not object); returns why not, in a sentence without
            personal data because it goes on record, or `None`.
    """
    rules = _DENIALS.setdefault(permission, [])
    assert fn not in rules, f"the rule {fn!r} is registered twice for {permission}"
    rules.append(fn)


def authorize(
    *,
    principal: Principal | None,
    permission: Permission,
    scope_id: UUID | None,
    target: object = None,
) -> Decision:
    """Say whether a principal may do something now, and by which assignment.

    Everything is read again in each call, account and token too, so that a call under a row lock
    sees what has been revoked meanwhile. One query, and those of the rules of `register_denial`.

    Args:
        principal: who asks; `None` is nobody.
        permission: what for.
        scope_id: where: the scope of a project or workflow; `None` is the whole platform.
        target: the thing or change itself, for the rules of `register_denial`.
    """
    (answer,) = authorize_each(
        principal=principal, permissions=(permission,), scope_id=scope_id, target=target
    )
    return answer


def authorize_each(
    *,
    principal: Principal | None,
    permissions: Sequence[Permission],
    scope_id: UUID | None,
    target: object = None,
) -> tuple[Decision, ...]:
    """Say whether a principal may do several things in one place now; see `authorize`.

    Returns:
        One answer for each permission, in order, all of the same instant.
    """
    if principal is None:
        return (decision.deny_anonymous(),) * len(permissions)
    case = _read_case(principal=principal, permissions=permissions, scope_id=scope_id)
    return tuple(
        _judge(principal=principal, permission=permission, case=case, target=target)
        for permission in permissions
    )


def require(
    *,
    principal: Principal | None,
    permission: Permission,
    scope_id: UUID | None,
    target: object = None,
) -> Decision:
    """Return the decision that allows an act, or refuse it and put the refusal on record.

    The refusal is recorded in the stream `access` in a transaction of its own, after the caller's
    was rolled back: see `core.identity.refusals`. For reading, where a missing permission must
    look like a missing thing, use `authorize`.

    Raises:
        AnonymousError: if there is no principal; this is not recorded, because it would let
            anybody write to the ledger.
        AccessForbiddenError: if the answer is no; the details have `permission`, `reason` and
            `step`.
    """
    answer = authorize(principal=principal, permission=permission, scope_id=scope_id, target=target)
    return enforce(answer, principal=principal, permission=permission, scope_id=scope_id)


def enforce(
    answer: Decision,
    *,
    principal: Principal | None,
    permission: Permission,
    scope_id: UUID | None,
) -> Decision:
    """Return an answer of `authorize_each` that allows an act, or refuse it as `require` does.

    Raises:
        AnonymousError, AccessForbiddenError: as `require`.
    """
    if answer.allowed:
        return answer
    if principal is None:
        raise AnonymousError
    raise _note_refusal(
        principal=principal, permission=permission, scope_id=scope_id, answer=answer
    )


def refuse(
    *, principal: Principal, permission: Permission, reason: str, scope_id: UUID | None = None
) -> NoReturn:
    """Refuse an act that `require` let through, for a reason only its service knows.

    Prefer `register_denial`, which also speaks where somebody only asks. The refusal goes on
    record as in `require`.

    Raises:
        AccessForbiddenError: always.
    """
    answer = decision.deny_hard(reason)
    raise _note_refusal(
        principal=principal, permission=permission, scope_id=scope_id, answer=answer
    )


def _note_refusal(
    *, principal: Principal, permission: Permission, scope_id: UUID | None, answer: Decision
) -> AccessForbiddenError:
    refusals.note(
        _describe_refusal(
            principal=principal, permission=permission, scope_id=scope_id, answer=answer
        )
    )
    return AccessForbiddenError(
        answer.reason,
        permission=permission.value,
        reason=answer.reason,
        step=answer.step.value,
    )


def _find_denial(
    *, principal: Principal, permission: Permission, target: object
) -> Decision | None:
    refusal = decision.deny_kind(principal=principal, permission=permission)
    if refusal is not None:
        return refusal
    for rule in _DENIALS.get(permission, ()):
        reason = rule(principal, target)
        if reason is not None:
            return decision.deny_hard(reason)
    return None


def _judge(*, principal: Principal, permission: Permission, case: Case, target: object) -> Decision:
    refusal = decision.deny_standing(principal=principal, stands=case.stands)
    if refusal is not None:
        return refusal
    if case.chain is None:
        return decision.deny_scope()
    return (
        decision.deny_token(
            principal=principal, permission=permission, project_id=case.chain.project_id
        )
        or _find_denial(principal=principal, permission=permission, target=target)
        or _decide_by_access(
            principal=principal, permission=permission, chain=case.chain, case=case
        )
    )


def _read_case(
    *, principal: Principal, permissions: Sequence[Permission], scope_id: UUID | None
) -> Case:
    if principal.kind is not ActorKind.SYSTEM:
        return read_case(principal=principal, permissions=permissions, scope_id=scope_id)
    # The platform's own principal has no row, no assignments and nothing that could lapse.
    chain = facts.find_chain(scope_id=scope_id)
    return Case(stands=True, chain=chain, grants={}, shares={})


def _decide_by_access(
    *, principal: Principal, permission: Permission, chain: ScopeChain, case: Case
) -> Decision:
    if principal.kind is ActorKind.SYSTEM:
        return decision.decide_system(permission)
    grants = case.grants.get(permission, ())
    allowed = decision.decide_by_grants(permission=permission, chain=chain, grants=grants)
    # Guardian checks what it stores, bulk inserts do not: only these permissions can be shared.
    shares = case.shares.get(permission, ()) if permission in SHAREABLE else ()
    return allowed or decision.decide_by_shares(permission=permission, shares=shares)


def _describe_refusal(
    *, principal: Principal, permission: Permission, scope_id: UUID | None, answer: Decision
) -> Draft:
    token = principal.token
    return Draft(
        kind="access.refused",
        at=SYSTEM_CLOCK.now(),
        origin=principal.origin,
        subject="" if scope_id is None else str(scope_id),
        data={
            "permission": permission.value,
            "user": str(principal.user_id),
            "token": None if token is None else str(token.id),
        },
        policy=answer.reason,
        reason=answer.step.value,
    )
