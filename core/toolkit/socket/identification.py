"""How a socket proves who it is, when it opens and again later. Read `identify` first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.core.exceptions import ValidationError
from django.http import parse_cookie
from django.utils.crypto import constant_time_compare

from core.identity.domain.principal import Principal
from core.identity.models import User
from core.identity.selectors.principals import get_principal, make_origin
from core.identity.tokens import verify_token
from core.kernel.record import Via

_SCHEMES = frozenset({"bearer", "token"})  # as for the API


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the client brought; kept as long as the socket, because it must hold as long.

    `origin` is the page a browser opened the socket from; programs send none.
    """

    origin: str | None
    session_key: str | None = field(repr=False)
    secret: str | None = field(repr=False)


def read_claim(scope: Mapping[str, Any]) -> Claim:
    """Return what the opening handshake carries. A token goes before a session cookie."""
    headers = {name.lower(): value for name, value in scope["headers"]}
    scheme, _, rest = (_text(headers.get(b"authorization")) or "").partition(" ")
    secret = rest.strip() if scheme.lower() in _SCHEMES else None
    cookies = parse_cookie(_text(headers.get(b"cookie")) or "")
    return Claim(
        origin=_text(headers.get(b"origin")),
        session_key=cookies.get(settings.SESSION_COOKIE_NAME) or None,
        secret=secret,
    )


def is_origin_allowed(claim: Claim, *, allowed: Iterable[str]) -> bool:
    """Return whether a page of that origin may open a socket.

    Browsers send cookies along whichever page asks, so a cookie counts only from our own pages. A
    browser cannot be made to send our token, so a program with one needs no origin.
    """
    if claim.origin is None:
        return claim.secret is not None
    return claim.origin.lower().rstrip("/") in {item.lower() for item in allowed}


def identify(claim: Claim) -> Principal | None:
    """Return who a claim stands for now, or `None` if it does not hold (any more)."""
    if claim.secret is not None:
        verified = verify_token(claim.secret)
        if verified is None:
            return None
        user, token = verified
        origin = make_origin(user=user, via=Via.API, auth="token")
        return get_principal(user=user, origin=origin, token=token)
    if claim.session_key is None:
        return None
    session_user = _find_session_user(claim.session_key)
    if session_user is None:
        return None
    origin = make_origin(user=session_user, via=Via.PORTAL, auth="session")
    return get_principal(user=session_user, origin=origin)


# Not on the one thread that all synchronous code shares by default: sockets would wait in a row.
identify_async = database_sync_to_async(identify, thread_sensitive=False)


def _find_session_user(session_key: str) -> User | None:
    """Return the active account a stored session is for.

    Not by `django.contrib.auth.get_user`: it renews a session that was signed with an old key, and
    a socket cannot tell the browser of the new one.
    """
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    try:
        user = User.objects.filter(pk=session[SESSION_KEY], is_active=True).first()
    except (KeyError, ValidationError):
        return None
    if user is None:
        return None
    stored = session.get(HASH_SESSION_KEY, "")
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return user if any(constant_time_compare(stored, item) for item in hashes) else None


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")
