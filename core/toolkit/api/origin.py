"""Where a request came from: its id and its source address. Read `read_source_address` first."""

import ipaddress
import re
from typing import Final

import structlog
from django.http import HttpRequest

from core.kernel import ids
from core.toolkit.api import conf

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")
_REQUEST_ID_KEY: Final = "countersign.request_id"


def read_request_id(request: HttpRequest) -> str:
    """Return the id that log lines, ledger entries and problem documents of a request share.

    The logging middleware's id where it is well-formed (a client may have sent it), else a new
    one, the same for the rest of the request.
    """
    known = request.META.get(_REQUEST_ID_KEY)
    if isinstance(known, str):
        return known
    bound = structlog.contextvars.get_contextvars().get("request_id", "")
    chosen = str(bound) if _REQUEST_ID.fullmatch(str(bound)) else str(ids.uuid7())
    request.META[_REQUEST_ID_KEY] = chosen
    return chosen


def read_source_address(request: HttpRequest) -> str:
    """Return the client's IP address as far as trusted hops vouch for it, or "" if nobody does.

    With n trusted proxies it is the nth address of `X-Forwarded-For` from the right: the one the
    outermost of our proxies saw. Anything further left, and the whole header when n is 0, is the
    client's own claim. (A list shorter than n did not come through our proxies: the peer's
    address counts then.)
    """
    peer = _normalize(request.META.get("REMOTE_ADDR", ""))
    count = conf.read_trusted_proxy_count()
    if count == 0:
        return peer
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    if len(hops) < count:
        return peer
    return _normalize(hops[-count]) or peer


def _normalize(text: str) -> str:
    """Return an IP address in its one canonical spelling, or "" if the text is none."""
    try:
        address = ipaddress.ip_address(text.strip().strip("[]"))
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
