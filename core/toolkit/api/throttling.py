"""Rates per caller, counted in Redis for all processes together. Read `take_turn` first.

A rate of n in s seconds is a bucket that holds n requests and refills by one every s/n seconds
(the generic cell rate algorithm): one key, one round trip, and an exact time to come back.
With Redis down nothing is limited but passwords: a run that waits for people must not wait for a
counter, and guessing must not become free. The log says so when that begins and when it ends.
"""

import hashlib
import threading
from collections import OrderedDict
from functools import lru_cache
from typing import TYPE_CHECKING, Final, cast

import redis
import structlog
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from core.kernel import limits
from core.kernel.clock import SYSTEM_CLOCK
from core.toolkit.api import conf, origin
from core.toolkit.api.errors import TooManyRequestsError
from core.toolkit.breaker import Breaker

if TYPE_CHECKING:  # its class body loads this module, by settings
    from rest_framework.views import APIView

_log = structlog.get_logger(__name__)

_KEY_PREFIX: Final = "throttle"
_TIMEOUT_SECONDS: Final = 0.5  # a counter that takes longer is not worth waiting for

BREAKER = Breaker()  # of this process

# The key holds the instant (microseconds) at which the bucket is full again. Redis's own clock is
# the only one that every process shares.
_TAKE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval = tonumber(ARGV[1])
local burst = tonumber(ARGV[2])
local full_at = tonumber(redis.call('GET', KEYS[1]) or now)
if full_at < now then full_at = now end
local wait = full_at + interval - now - interval * burst
if wait > 0 then return wait end
redis.call('SET', KEYS[1], string.format('%.0f', full_at + interval),
           'PX', math.ceil((full_at + interval - now) / 1000) + 1)
return 0
"""


class CallerThrottle(BaseThrottle):
    """Limits all requests of a caller together, and those of one scope besides.

    A view names the scope of an action in its `throttle_scopes`. The caller is the signed-in user,
    whatever token or session is used; without one it is the source address.
    """

    def __init__(self) -> None:
        self._wait_seconds: float = 0.0

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Return whether the request may go on."""
        scope = _scope_of(view)
        scopes = ("any",) if scope is None else ("any", scope)
        ident = _identify(request)
        self._wait_seconds = max(take_turn(scope=name, ident=ident) for name in scopes)
        return self._wait_seconds <= 0

    def wait(self) -> float:
        """Return the seconds to wait before trying again."""
        return self._wait_seconds


def require_turn(*, scope: str, ident: str) -> None:
    """Count one request, or refuse it.

    Raises:
        TooManyRequestsError: over the rate.
    """
    seconds = take_turn(scope=scope, ident=ident)
    if seconds > 0:
        raise TooManyRequestsError(retry_after_seconds=seconds)


def require_login_turns(*, address: str, username: str) -> None:
    """Count one password tried, for where it comes from and for the name; or refuse it.

    Many addresses cannot try one name without end, nor one address many names. With Redis down each
    process counts for itself: guessing passwords is never unlimited.

    Raises:
        TooManyRequestsError: over the rate.
    """
    name_digest = hashlib.sha256(username.lower().encode()).hexdigest()
    for ident in (f"address:{address}", f"name:{name_digest}"):
        require_turn(scope="login", ident=ident)


def take_turn(*, scope: str, ident: str) -> float:
    """Count one request and return 0, or return the seconds until one would be counted.

    Args:
        scope: a scope of `API_THROTTLE_RATES`.
        ident: who is limited; Redis sees only its digest.
    """
    rate = conf.read_rate(scope=scope)
    if rate is None:
        return 0.0
    if not BREAKER.lets_through():
        return _wait_without_redis(scope=scope, ident=ident, rate=rate)
    digest = hashlib.sha256(ident.encode()).hexdigest()[:32]
    interval_us = rate.seconds * 1_000_000 / rate.count
    try:
        wait_us = _connect(conf.read_redis_url()).eval(
            _TAKE, 1, f"{_KEY_PREFIX}:{scope}:{digest}", str(interval_us), str(rate.count)
        )
    except (redis.RedisError, OSError) as error:
        if BREAKER.record_failure():
            _log.warning("throttles_fail_open", scope=scope, reason=type(error).__name__)
        return _wait_without_redis(scope=scope, ident=ident, rate=rate)
    if BREAKER.record_success():
        _log.info("throttles_work_again")
    return float(cast("int", wait_us)) / 1_000_000


class _LocalBuckets:
    """The same buckets in this process alone, for passwords while Redis does not answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, ident: str, *, rate: conf.Rate) -> float:
        """Count one request and return 0, or return the seconds until one would be counted."""
        interval = rate.seconds / rate.count
        with self._lock:
            now = SYSTEM_CLOCK.monotonic()
            full_at = max(self._full_at.pop(ident, now), now)
            wait = full_at + interval - now - rate.seconds
            self._full_at[ident] = full_at if wait > 0 else full_at + interval
            if len(self._full_at) > limits.LOGIN_BUCKET_COUNT_MAX:
                self._full_at.popitem(last=False)
        return max(wait, 0.0)


_LOCAL = _LocalBuckets()


def _wait_without_redis(*, scope: str, ident: str, rate: conf.Rate) -> float:
    return _LOCAL.take(ident, rate=rate) if scope == "login" else 0.0


@lru_cache(maxsize=4)
def _connect(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
    )


def _scope_of(view: "APIView") -> str | None:
    scopes: dict[str, str] = getattr(view, "throttle_scopes", {})
    return scopes.get(getattr(view, "action", None) or "")


def _identify(request: Request) -> str:
    if request.user.is_authenticated:
        return f"user:{request.user.pk}"
    return f"address:{origin.read_source_address(request._request)}"  # noqa: SLF001  # DRF's way in
