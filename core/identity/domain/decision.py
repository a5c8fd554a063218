"""May this principal do that? The order of the checks, without the reading. Read `Decision` first.

The order is fixed: 1. anonymous or inactive: no. 2. The token does not cover it: no. 3. A hard
denial: no, whatever the roles say. 4. A live role assignment: yes. 5. A share: yes. 6. No.
`core.identity.authorize` reads the facts and asks the functions below in that order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from core.identity.domain.permissions import (
    PERSON_ONLY,
    SYSTEM_PERMISSIONS,
    Permission,
    ScopeKind,
)
from core.identity.domain.principal import Principal
from core.kernel.record import ActorKind


class Step(StrEnum):
    """Which check gave the answer. The values are reason codes in the ledger."""

    ANONYMOUS = "anonymous"
    INACTIVE = "inactive"
    SYSTEM = "system"
    TOKEN = "token"  # noqa: S105  # the name of a check
    DENIAL = "denial"
    ROLE = "role"
    SHARE = "share"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether something is allowed, and why.

    `reason` is a sentence for people. `matched` says in words which assignment or share allowed
    it, "" where it is not allowed. `step` is the check that gave the answer.
    """

    allowed: bool
    reason: str
    matched: str = ""
    step: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeFact:
    """One scope of a chain. `label` is a project's slug, "" for other kinds."""

    id: UUID
    kind: ScopeKind
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeChain:
    """A scope and those above it, from itself up to the global one.

    `project_id` is the project it belongs to, `None` for the global scope.
    """

    scopes: tuple[ScopeFact, ...]
    project_id: UUID | None

    def find(self, scope_id: UUID) -> ScopeFact | None:
        """Return one scope of the chain, or `None` if it is not in it."""
        return next((scope for scope in self.scopes if scope.id == scope_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantFact:
    """A live assignment of a role that holds the permission asked for.

    `group` is the team it came through, "" if it was given to the account itself.
    """

    role: str
    scope_id: UUID
    group: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareFact:
    """A permission on one project given without a role. `group` as in `GrantFact`."""

    project: str
    group: str


def deny_anonymous() -> Decision:
    """Return the refusal of check 1 for nobody."""
    return _deny(Step.ANONYMOUS, "Nobody is signed in.")


def deny_standing(*, principal: Principal, stands: bool) -> Decision | None:
    """Return the refusal of check 1 for an account, or `None` if it may go on.

    Args:
        principal: who asks.
        stands: whether the database says now that the account is active and its token is live.
    """
    if not principal.is_active or not stands:
        return _deny(Step.INACTIVE, "The account is deactivated, or its token no longer holds.")
    return None


def deny_token(
    *, principal: Principal, permission: Permission, project_id: UUID | None
) -> Decision | None:
    """Return the refusal of check 2, or `None` if there is no token or it covers the act.

    A token narrows and never widens: this only ever refuses.
    """
    token = principal.token
    if token is None:
        return None
    if token.permissions is not None and permission not in token.permissions:
        return _deny(Step.TOKEN, f"The token does not include {permission}.")
    if token.project_id is not None and token.project_id != project_id:
        return _deny(Step.TOKEN, "The token is for another project.")
    return None


def deny_kind(*, principal: Principal, permission: Permission) -> Decision | None:
    """Return the refusal of a machine that would decide, part of check 3, or `None`."""
    if principal.kind is not ActorKind.PERSON and permission in PERSON_ONLY:
        return _deny(Step.DENIAL, "Only people decide; agents and services may ask and wait.")
    return None


def deny_hard(reason: str) -> Decision:
    """Return the refusal of a registered hard denial, part of check 3."""
    return _deny(Step.DENIAL, reason)


def decide_system(permission: Permission) -> Decision:
    """Return the answer to the platform's own commands, which have no assignments."""
    if permission in SYSTEM_PERMISSIONS:
        return Decision(
            allowed=True,
            step=Step.SYSTEM,
            reason="A command on the server may set up who may do what.",
            matched="the platform itself, from its command line",
        )
    return _deny(Step.SYSTEM, f"A command on the server may not use {permission}.")


def decide_by_grants(
    *, permission: Permission, chain: ScopeChain, grants: Sequence[GrantFact]
) -> Decision | None:
    """Return the answer of check 4: allowed by the assignment nearest to the thing, or `None`.

    Of several at one scope it names one for good, given to the account itself, by name.
    """
    for scope in chain.scopes:
        here = [grant for grant in grants if grant.scope_id == scope.id]
        if here:
            grant = min(here, key=_rank)
            return _allow(Step.ROLE, permission, describe_grant(grant=grant, scope=scope))
    return None


def decide_by_shares(*, permission: Permission, shares: Sequence[ShareFact]) -> Decision:
    """Return the answer of checks 5 and 6: allowed by a share, else refused."""
    if shares:
        share = shares[0]
        via = f" with the team {share.group}" if share.group else ""
        return _allow(Step.SHARE, permission, f"the project {share.project}, shared{via}")
    return _deny(Step.NOTHING, f"No live role or share gives {permission} here.")


def deny_scope() -> Decision:
    """Return the refusal of an act on a scope that does not exist."""
    return _deny(Step.NOTHING, "There is no such scope.")


def describe_grant(*, grant: GrantFact, scope: ScopeFact) -> str:
    """Return an assignment in words: "approver through the team board in the project pay"."""
    words = [grant.role]
    if grant.group:
        words.append(f"through the team {grant.group}")
    words.append(_describe_scope(scope))
    if grant.expires_at is not None:
        words.append(f"until {grant.expires_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC")
    return " ".join(words)


def _rank(grant: GrantFact) -> tuple[bool, str, str]:
    return grant.expires_at is not None, grant.group, grant.role


def _describe_scope(scope: ScopeFact) -> str:
    if scope.kind is ScopeKind.GLOBAL:
        return "everywhere"
    if scope.kind is ScopeKind.WORKFLOW:
        return "on this workflow"
    return f"in the project {scope.label}" if scope.label else "in the project"


def _allow(step: Step, permission: Permission, matched: str) -> Decision:
    return Decision(
        allowed=True, step=step, reason=f"Allowed by {permission} of {matched}.", matched=matched
    )


def _deny(step: Step, reason: str) -> Decision:
    return Decision(allowed=False, step=step, reason=reason)
