"""One change of access at a time. Read `lock_access`."""

from core.identity.models import Scope
from core.identity.seed import GLOBAL_SCOPE_ID


def lock_access() -> None:
    """Wait until no other change of access is under way, and keep others waiting until commit.

    Two administrators who dismiss each other at the same moment must not both succeed: the second
    one waits here, then asks `authorize` and finds what the first one left. Called first in every
    service that changes who may do what, before any check. Deciding and triggering never wait for
    it, and neither do new projects.

    Transaction: needs one.
    """
    Scope.objects.select_for_update(no_key=True).get(pk=GLOBAL_SCOPE_ID)
