"""Who may read the ledger at all. Read `can_read_ledger`."""

from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.selectors import facts
from core.identity.selectors.access import ScopeSet, list_scopes


def can_read_ledger(*, principal: Principal) -> bool:
    """Return whether a person may read some of the ledger; 1 query, because every page asks.

    For what is shown to people; lists ask `find_readable_scopes`, which knows of tokens too.
    """
    return principal.is_active and bool(
        facts.list_held_scopes(user_id=principal.user_id, permission=Permission.VIEW_AUDIT)
    )


def find_readable_scopes(*, principal: Principal) -> ScopeSet | None:
    """Return where somebody may read the ledger, `None` for nowhere; at most 3 queries."""
    scopes = list_scopes(principal=principal, permission=Permission.VIEW_AUDIT)
    return None if scopes.is_empty() else scopes
