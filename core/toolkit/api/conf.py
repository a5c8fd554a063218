"""Settings of the API, read when asked. Read `read_rate` first."""

import re
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

_RATE: Final = re.compile(r"(?P<count>\d{1,9})/(?P<seconds>\d{1,6})")
_RATES_DEFAULT: Final = {
    "any": "1200/60",  # every request of one caller
    "start": "300/60",  # starting runs
    "hook": "600/60",  # signed requests to one webhook
    "decide": "60/60",  # deciding; nobody reads faster than this
    "login": "10/300",  # passwords tried, per address and per name
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most `count` requests in any `seconds`."""

    count: int
    seconds: int


def read_rate(*, scope: str) -> Rate | None:
    """Return the rate of a throttle scope, or `None` where the setting turns it off.

    Setting `API_THROTTLE_RATES`: scope → "requests/seconds", or `None` for no limit. Scopes it
    leaves out have the defaults above.

    Raises:
        ImproperlyConfigured: for a rate of another form.
        KeyError: for a scope nobody declared.
    """
    configured = getattr(settings, "API_THROTTLE_RATES", {})
    text = configured.get(scope, _RATES_DEFAULT[scope])
    if text is None:
        return None
    match = _RATE.fullmatch(text)
    if match is None or not int(match["seconds"]):
        msg = f"API_THROTTLE_RATES[{scope!r}] is {text!r}; write requests/seconds, such as 60/60."
        raise ImproperlyConfigured(msg)
    return Rate(count=int(match["count"]), seconds=int(match["seconds"]))


def read_redis_url() -> str:
    """Return where the rates are counted. Setting `REDIS_URL`."""
    return str(settings.REDIS_URL)


def read_held_paths() -> tuple[str, ...]:
    """Return the addresses whose requests may wait. Setting `API_HELD_PATHS`; none by default."""
    return tuple(getattr(settings, "API_HELD_PATHS", ()))


def read_trusted_proxy_count() -> int:
    """Return how many proxies of ours stand between a client and this process; 0 by default.

    Setting `TRUSTED_PROXY_COUNT`. Each of them appends one address to `X-Forwarded-For`; what is
    left of those is the client's own claim and is never believed.
    """
    return int(getattr(settings, "TRUSTED_PROXY_COUNT", 0))


def shows_document_to_all() -> bool:
    """Return whether /api/schema/ answers without credentials; no by default.

    Setting `API_DOCUMENT_PUBLIC`, for demonstrations: a real deployment does not tell strangers
    what it has. Source: ASVS 5.0 §13.4.5.
    """
    return bool(getattr(settings, "API_DOCUMENT_PUBLIC", False))


def allows_password_tokens() -> bool:
    """Return whether `POST /api/v1/auth/token/` changes a password into a token; no by default.

    Setting `API_PASSWORD_TOKENS`, for demonstrations and tests: it has no second factor.
    """
    return bool(getattr(settings, "API_PASSWORD_TOKENS", False))
