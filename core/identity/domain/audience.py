"""Audience keys: who a list row is for, as short text that one index can match.

A row (an open stage, a notice) carries the keys of those it is for; a reader has the keys of what
they are. The two meet in an index, so a change of roles acts at once and rewrites no row.

    u:<user>              an account
    t:<group>             a team; teams have small numbers for ids
    r:<role>@g            whoever holds a role everywhere
    r:<role>@p:<scope>    … in a project
    r:<role>@w:<scope>    … on a workflow

UUIDs are written as 32 hex digits. Keys say who *may be* concerned; what they may see and do is
for `authorize` and `list_scopes`.
"""

from typing import Final
from uuid import UUID

from core.identity.domain.permissions import ScopeKind

_LETTERS: Final = {ScopeKind.PROJECT: "p", ScopeKind.WORKFLOW: "w"}


def format_user_key(user_id: UUID) -> str:
    """Return the key of one account."""
    return f"u:{user_id.hex}"


def format_group_key(group_id: int) -> str:
    """Return the key of one team."""
    return f"t:{group_id}"


def format_role_key(*, role: str, scope_kind: ScopeKind, scope_id: UUID) -> str:
    """Return the key of those who hold a role (its slug) by an assignment at one scope."""
    if scope_kind is ScopeKind.GLOBAL:
        return f"r:{role}@g"
    return f"r:{role}@{_LETTERS[scope_kind]}:{scope_id.hex}"


def format_channel(key: str) -> str:
    """Return the channel-layer group of an audience key.

    Channel names may hold only letters, digits, `-`, `_` and `.`, and fewer than 100 of them;
    different keys never share a channel, because keys hold neither `.` nor `-`.
    """
    return "audience." + key.replace(":", ".").replace("@", "-")
