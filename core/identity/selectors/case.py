"""All that `authorize` asks the database at a time, in one statement. Read `read_case`.

Nothing is kept between two calls: a cached answer would go on saying yes after a revoke. That is
also why guardian's checker and `user.has_perm` (which always passes superusers) are not used. It
is written in SQL because it runs before every act and every message to a socket: through the ORM
it took four round trips, and most of its time went into composing them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from core.identity.domain.decision import GrantFact, ScopeChain, ScopeFact, ShareFact
from core.identity.domain.permissions import Permission, ScopeKind
from core.identity.domain.principal import Principal
from core.identity.seed import GLOBAL_SCOPE_ID
from core.toolkit.db import fetch_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the database says about what one account asks for in one place.

    `stands` is whether the account is active and its token live, `chain` is `None` where there is
    no such scope. `grants` are the live assignments along the chain that give a permission, and
    `shares` those of the chain's project, both in no order; a permission without any is missing.
    """

    stands: bool
    chain: ScopeChain | None
    grants: Mapping[Permission, tuple[GrantFact, ...]]
    shares: Mapping[Permission, tuple[ShareFact, ...]]


# A chain has at most three links: a workflow's scope, its project's, the global one. Times are
# compared with statement_timestamp(), so that an answer under a lock is not from before the wait.
_READ: Final = """
WITH RECURSIVE chain AS (
    SELECT id, kind, parent_id, 0 AS distance FROM identity_scope WHERE id = %s::uuid
    UNION ALL
    SELECT s.id, s.kind, s.parent_id, c.distance + 1
    FROM identity_scope s JOIN chain c ON s.id = c.parent_id WHERE c.distance < 2
), place AS (
    SELECT c.id, c.kind, c.distance, p.id AS project_id, p.slug
    FROM chain c LEFT JOIN identity_project p ON p.scope_id = c.id
), teams AS (
    SELECT g.id, g.name FROM identity_user_groups m JOIN auth_group g ON g.id = m.group_id
    WHERE m.user_id = %s::uuid
), given AS (
    SELECT role_id, scope_id, expires_at, '' AS team
    FROM identity_roleassignment
    WHERE user_id = %s::uuid AND scope_id IN (SELECT id FROM chain)
    UNION ALL
    SELECT a.role_id, a.scope_id, a.expires_at, t.name
    FROM identity_roleassignment a JOIN teams t ON t.id = a.group_id
    WHERE a.scope_id IN (SELECT id FROM chain)
), grants AS (
    SELECT h.permission, r.slug AS role, g.scope_id, g.team, g.expires_at
    FROM given g
    JOIN identity_role r ON r.id = g.role_id
    JOIN identity_rolepermission h ON h.role_id = r.id AND h.permission = ANY(%s::text[])
    WHERE g.expires_at IS NULL OR g.expires_at > statement_timestamp()
), shared AS (
    SELECT project_id, permission_id, '' AS team
    FROM identity_projectusershare WHERE user_id = %s::uuid
    UNION ALL
    SELECT s.project_id, s.permission_id, t.name
    FROM identity_projectgroupshare s JOIN teams t ON t.id = s.group_id
), shares AS (
    SELECT c.codename AS permission, p.slug AS project, s.team
    FROM shared s
    JOIN place p ON p.project_id = s.project_id
    JOIN auth_permission c ON c.id = s.permission_id AND c.codename = ANY(%s::text[])
)
SELECT
    EXISTS (SELECT 1 FROM identity_user WHERE id = %s::uuid AND is_active)
    AND (%s::uuid IS NULL OR EXISTS (
        SELECT 1 FROM identity_apitoken
        WHERE id = %s::uuid AND user_id = %s::uuid AND expiry > statement_timestamp()
    )),
    (SELECT json_agg(place ORDER BY distance) FROM place),
    (SELECT json_agg(grants) FROM grants),
    (SELECT json_agg(shares) FROM shares)
"""


def read_case(
    *, principal: Principal, permissions: Sequence[Permission], scope_id: UUID | None
) -> Case:
    """Return what the database says now about one place; 1 query.

    Args:
        principal: the account that asks, and its token; not the platform's own, which has no row.
        permissions: what for, at least one.
        scope_id: where; `None` is the global scope.
    """
    user = principal.user_id
    token = None if principal.token is None else principal.token.id
    asked = f"{{{','.join(permissions)}}}"  # as PostgreSQL writes an array
    scope = scope_id or GLOBAL_SCOPE_ID
    params = (scope, user, user, asked, user, asked, user, token, token, user)
    ((stands, places, grants, shares),) = fetch_rows(_READ, params)
    return Case(
        stands=stands,
        chain=_read_chain(_rows(places)),
        grants={
            name: tuple(_read_grant(row) for row in rows)
            for name, rows in _by_permission(_rows(grants)).items()
        },
        shares={
            name: tuple(ShareFact(project=row["project"], group=row["team"]) for row in rows)
            for name, rows in _by_permission(_rows(shares)).items()
        },
    )


def _rows(value: Any) -> list[dict[str, Any]]:
    """Return the rows of an aggregate: NULL is none; Django leaves JSON as text."""
    rows: list[dict[str, Any]] = json.loads(value) if isinstance(value, str) else value
    return rows or []


def _by_permission(rows: list[dict[str, Any]]) -> dict[Permission, list[dict[str, Any]]]:
    found: dict[Permission, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(Permission(row["permission"]), []).append(row)
    return found


def _read_chain(places: list[dict[str, Any]]) -> ScopeChain | None:
    if not places:
        return None
    projects = [UUID(place["project_id"]) for place in places if place["project_id"]]
    return ScopeChain(
        scopes=tuple(
            ScopeFact(
                id=UUID(place["id"]), kind=ScopeKind(place["kind"]), label=place["slug"] or ""
            )
            for place in places
        ),
        project_id=projects[0] if projects else None,
    )


def _read_grant(row: dict[str, Any]) -> GrantFact:
    expires_at = row["expires_at"]
    return GrantFact(
        role=row["role"],
        scope_id=UUID(row["scope_id"]),
        group=row["team"],
        expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
    )
