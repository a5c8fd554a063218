"""Who visits a page. Read `make_principal` first."""

from django.http import HttpRequest

from core.identity.domain.principal import Principal
from core.identity.models import User
from core.identity.selectors.principals import get_principal, make_origin
from core.kernel.record import Via
from core.toolkit.api.origin import read_request_id, read_source_address


def make_principal(request: HttpRequest, user: User) -> Principal:
    """Return who makes a request of the portal."""
    origin = make_origin(
        user=user,
        via=Via.PORTAL,
        auth="session",
        request_id=read_request_id(request),
        source_address=read_source_address(request),
    )
    return get_principal(user=user, origin=origin)


def find_visitor(request: HttpRequest) -> Principal | None:
    """Return who is signed in, for pages that nobody has to be signed in for; no new query."""
    known = getattr(request, "principal", None)
    if isinstance(known, Principal):
        return known
    user = getattr(request, "user", None)
    return make_principal(request, user) if isinstance(user, User) else None
