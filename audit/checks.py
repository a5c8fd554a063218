"""Start-up checks: may this process rewrite the evidence it writes?"""

from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection

from audit import registry

# A member of the owning role may drop triggers as the owner may; a superuser is member of all.
_OWNED = """
SELECT c.relname FROM pg_class c
WHERE c.oid = ANY (SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)
  AND pg_has_role(current_user, c.relowner, 'MEMBER') ORDER BY 1"""


@checks.register(checks.Tags.security, deploy=True)
def check_ownership(
    app_configs: Sequence[Any] | None,  # noqa: ARG001  # fixed by the framework
    **kwargs: Any,  # noqa: ARG001  # fixed by the framework
) -> list[checks.CheckMessage]:
    """Warn if the account of this process owns append-only tables and so could drop their triggers.

    Says nothing if there is no database to ask: everything else will.
    """
    names = [table.name for table in registry.append_only_tables()]
    try:
        with connection.cursor() as cursor:
            cursor.execute(_OWNED, (names,))
            owned = [row[0] for row in cursor.fetchall()]
    except (OperationalError, ImproperlyConfigured):
        return []
    if not owned:
        return []
    return [
        checks.Warning(
            f"The database account of this process owns {', '.join(owned)}; it could take the "
            "triggers off and rewrite evidence.",
            hint="Let another role, without login, own the tables and run `migrate`.",
            id="audit.W001",
        )
    ]
