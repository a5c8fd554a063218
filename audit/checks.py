"""Start-up checks: may this process rewrite the evidence it writes? Read `check_evidence`."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection

from audit import registry, roles
from audit.domain.rights import DatabaseRole
from audit.selectors.verification import find_trigger_fault

# A member of the owning role may drop triggers as the owner may; a superuser is member of all.
_OWNED = """
SELECT c.relname FROM pg_class c
WHERE c.oid = ANY (SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)
  AND pg_has_role(current_user, c.relowner, 'MEMBER') ORDER BY 1"""
_ACCOUNT = "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user"


@checks.register(checks.Tags.security, deploy=True)
def check_evidence(
    app_configs: Sequence[Any] | None,  # noqa: ARG001  # fixed by the framework
    **kwargs: Any,  # noqa: ARG001  # fixed by the framework
) -> list[checks.CheckMessage]:
    """Warn if this process's account of the database could rewrite evidence, or nothing refuses it.

    Says nothing if there is no database to ask: everything else will.
    """
    try:
        return list(_find())
    except (OperationalError, ImproperlyConfigured):
        return []


def _find() -> Iterator[checks.CheckMessage]:
    fault = find_trigger_fault()
    if fault is not None:
        yield checks.Error(
            f"A guard of the evidence is not in place: {fault}.",
            hint="Find out who took it off. `manage.py migrate` does not put it back.",
            id="audit.E001",
        )
    names = [table.name for table in registry.append_only_tables()]
    with connection.cursor() as cursor:
        cursor.execute(_ACCOUNT)
        account, is_superuser = cursor.fetchone()
        cursor.execute(_OWNED, (names,))
        owned = [row[0] for row in cursor.fetchall()]
    if is_superuser:
        yield _warn(f"The database account {account} of this process is a superuser", number=3)
    elif owned:
        told = f"The database account {account} of this process owns {', '.join(owned)}"
        yield _warn(told, number=1)
    else:
        excess = _list_excess(account, names)
        if excess:
            told = f"The database account {account} of this process may {'; '.join(excess)}"
            yield _warn(told, number=2)


def _list_excess(account: str, names: Sequence[str]) -> list[str]:
    """Return what the account may do with evidence beyond what any one process needs.

    What that is compared with is the role it comes closest to: accounts know no roles of ours.
    """
    held = roles.read_rights([account]).get(account, {})
    found = [
        [
            f"{', '.join(sorted(excess))} on {name}"
            for name in names
            if (excess := held.get(name, frozenset()) - rights.get(name, frozenset()))
        ]
        for role, rights in roles.plan_evidence_rights().items()
        if role in DatabaseRole.writers()
    ]
    return min(found, key=len)


def _warn(told: str, *, number: int) -> checks.CheckMessage:
    return checks.Warning(
        f"{told}; it could rewrite evidence.",
        hint="Make the roles with `manage.py ledger roles --apply`, and let the account be a member"
        " of the one for its process and of nothing else.",
        id=f"audit.W{number:03}",
    )
