"""The guarded HTTP client for what definitions and settings name. Read `GuardedClient` first.

A name is resolved once, every address is judged, and the connection goes to an address that was
judged: a name that is pointed elsewhere a moment later changes nothing. The server still sees the
name (Host header, TLS server name). No redirects, no proxies from the environment, no compression,
a bounded answer, one deadline over everything.
"""

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any
from urllib.parse import quote, urlsplit

import httpcore

from core.kernel.clock import SYSTEM_CLOCK, Clock
from core.kernel.egress import EgressPolicy, find_address, may_connect
from core.kernel.errors import UnavailableError
from core.kernel.limits import HTTP_ADDRESS_COUNT_MAX, HTTP_URL_CHARS_MAX, PAYLOAD_BYTES_MAX

Resolver = Callable[[str, int], Sequence[str]]

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*\.?")
# Source: WHATWG URL, "ends in a number": such a host is an IPv4 address in some form.
_NUMERIC_LABEL = re.compile(r"(\d+|0x[0-9a-f]*)")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
_REMEDY = "in HTTP_PRIVATE_ALLOWED"
_TARGET_SAFE = "/?:@!$&'()*+,;=-._~%"


class Fault(StrEnum):
    """Why there is no answer."""

    CONNECTION = "connection"  # no address, refused, reset, TLS
    TIMEOUT = "timeout"
    DENIED = "denied"  # an address the deployment does not allow
    TOO_LARGE = "too-large"
    PROTOCOL = "protocol"  # what came back is not HTTP, or is encoded in a way that is not read
    INVALID = "invalid"  # the request itself


class OutboundError(UnavailableError):
    """A request got no usable answer. `fault` says why."""

    code = "core.outbound_failed"
    title = "The other system could not be asked."

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message, fault=str(fault))
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL taken apart once, so that what is judged and what is asked cannot differ.

    `host` is lower-case ASCII, an IPv6 address without brackets; `path` includes the query.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def label(self) -> str:
        """Return the URL without its query, which may hold secrets, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path.partition('?')[0]}"

    @property
    def authority(self) -> str:
        """Return the value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundRequest:
    """A request to send. `timeout_seconds` covers everything, name lookup to last byte."""

    method: str
    target: Target
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    timeout_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundAnswer:
    """What came back. Header names are lower-case; of repeated ones the first counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def parse_target(url: str) -> Target:
    """Read an `http` or `https` URL.

    Refused: user information, control characters, spaces and backslashes, names outside ASCII,
    zone ids, and IPv4 in any form but four decimal numbers, because parsers disagree on them.

    Raises:
        OutboundError: of fault `invalid`.
    """
    if len(url) > HTTP_URL_CHARS_MAX:
        raise OutboundError(Fault.INVALID, f"The URL has over {HTTP_URL_CHARS_MAX} characters.")
    if _UNSAFE.search(url):
        raise OutboundError(
            Fault.INVALID, "The URL holds a space, a backslash or a control character; encode it."
        )
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").lower()
    except ValueError as error:
        raise OutboundError(Fault.INVALID, f"The URL cannot be read: {error}.") from error
    if parts.scheme not in _PORTS:
        raise OutboundError(Fault.INVALID, "The URL must start with http:// or https://.")
    if "@" in parts.netloc:
        raise OutboundError(Fault.INVALID, "The URL holds a user name; use a header.")
    if port == 0:
        raise OutboundError(Fault.INVALID, "The URL names port 0.")
    _check_host(host)
    query = f"?{parts.query}" if parts.query else ""
    return Target(
        scheme=parts.scheme,
        host=host,
        port=_PORTS[parts.scheme] if port is None else port,
        path=quote((parts.path or "/") + query, safe=_TARGET_SAFE),
    )


def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name, as the operating system finds them.

    Raises:
        OSError: when the name has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(item[4][0]) for item in found]


@cache
def _tls_context() -> ssl.SSLContext:
    return httpcore.default_ssl_context()


@dataclass(slots=True, kw_only=True)
class _Deadline:
    """Seconds left of one request."""

    clock: Clock
    ends: float

    def left(self, timeout: float | None = None) -> float:
        """Return the seconds left, at most `timeout`; raises `httpcore.TimeoutException` at 0."""
        left = self.ends - self.clock.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the time allowed for the request ran out")
        return left if timeout is None else min(left, timeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedClient:
    """Sends requests to the public internet and to what the policy lists, and nowhere else."""

    policy: EgressPolicy
    resolver: Resolver = resolve_by_system
    ssl_context: ssl.SSLContext | None = None
    answer_bytes_max: int = PAYLOAD_BYTES_MAX
    clock: Clock = field(default=SYSTEM_CLOCK)
    remedy: str = _REMEDY  # how a message ends that refuses a private address

    def send(self, request: OutboundRequest) -> OutboundAnswer:
        """Send one request and return the answer, whatever its status.

        Raises:
            OutboundError: when there is no answer, for the reason its `fault` gives.
        """
        deadline = _Deadline(
            clock=self.clock, ends=self.clock.monotonic() + request.timeout_seconds
        )
        label = request.target.label
        try:
            return self._send(request, deadline)
        except httpcore.TimeoutException as error:
            raise OutboundError(
                Fault.TIMEOUT, f"{label} did not answer within {request.timeout_seconds:g} s."
            ) from error
        except (httpcore.NetworkError, OSError) as error:
            raise OutboundError(Fault.CONNECTION, f"{label}: {_reason(error)}") from error
        except httpcore.RemoteProtocolError as error:
            # The server closed without an answer: as good as a lost connection.
            raise OutboundError(Fault.CONNECTION, f"{label}: {_reason(error)}") from error
        except httpcore.LocalProtocolError as error:
            raise OutboundError(Fault.INVALID, f"{label}: {_reason(error)}") from error

    def _send(self, request: OutboundRequest, deadline: _Deadline) -> OutboundAnswer:
        target = request.target
        addresses = _judge(
            _resolve(target.host, target.port, resolver=self.resolver, deadline=deadline),
            policy=self.policy,
            target=target,
            remedy=self.remedy,
        )
        backend = _PinnedBackend(addresses=addresses, deadline=deadline)
        context = (self.ssl_context or _tls_context()) if target.scheme == "https" else None
        with httpcore.ConnectionPool(network_backend=backend, ssl_context=context) as pool:
            url = httpcore.URL(
                scheme=target.scheme, host=target.host, port=target.port, target=target.path
            )
            headers = [
                ("Host", target.authority),
                ("Accept-Encoding", "identity"),
                ("Connection", "close"),
                *request.headers,
            ]
            if request.body or request.method in {"POST", "PUT", "PATCH"}:
                headers.append(("Content-Length", str(len(request.body))))
            with pool.stream(
                request.method, url, headers=headers, content=request.body or None
            ) as answer:
                return self._read(target, answer)

    def _read(self, target: Target, answer: httpcore.Response) -> OutboundAnswer:
        headers: dict[str, str] = {}
        for name, value in answer.headers:
            headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        if headers.get("content-encoding", "identity").lower() not in {"", "identity"}:
            raise OutboundError(
                Fault.PROTOCOL, f"{target.label} sent a compressed answer, which was not asked for."
            )
        body = bytearray()
        for chunk in answer.iter_stream():
            body += chunk
            if len(body) > self.answer_bytes_max:
                raise OutboundError(
                    Fault.TOO_LARGE,
                    f"The answer of {target.label} is over {self.answer_bytes_max} bytes.",
                )
        return OutboundAnswer(status=answer.status, headers=headers, body=bytes(body))


def connect(
    *,
    policy: EgressPolicy,
    host: str,
    port: int,
    timeout_seconds: float,
    resolver: Resolver = resolve_by_system,
    remedy: str = _REMEDY,
    clock: Clock = SYSTEM_CLOCK,
) -> socket.socket:
    """Connect to a server that speaks something other than HTTP, judged as `GuardedClient` does.

    Args:
        policy: which private addresses are allowed.
        host: its name or address.
        port: its port.
        timeout_seconds: for looking the name up and connecting; later operations have it too.
        resolver: who looks names up.
        remedy: how a message ends that refuses a private address.
        clock: what measures the time.

    Raises:
        OutboundError: when there is no connection, for the reason its `fault` gives.
    """
    _check_host(host.lower())
    label = f"{host}:{port}"
    target = Target(scheme="tcp", host=host.lower(), port=port, path="")
    deadline = _Deadline(clock=clock, ends=clock.monotonic() + timeout_seconds)
    failure: OSError | None = None
    try:
        found = _resolve(target.host, port, resolver=resolver, deadline=deadline)
        for address in _judge(found, policy=policy, target=target, remedy=remedy):
            try:
                return socket.create_connection((address, port), timeout=deadline.left())
            except OSError as error:
                failure = error
    except httpcore.TimeoutException as error:
        raise OutboundError(
            Fault.TIMEOUT, f"{label} did not answer within {timeout_seconds:g} s."
        ) from error
    assert failure is not None, "there is at least one address"
    fault = Fault.TIMEOUT if isinstance(failure, TimeoutError) else Fault.CONNECTION
    raise OutboundError(fault, f"{label}: {_reason(failure)}") from failure


def _resolve(host: str, port: int, *, resolver: Resolver, deadline: _Deadline) -> Sequence[str]:
    """Resolve in a thread, because the system's resolver has no timeout of its own."""
    if find_address(host) is not None:
        return [host]
    found: list[str] = []
    failed: list[OSError | UnicodeError] = []

    def resolve() -> None:
        try:
            found.extend(resolver(host, port))
        except (OSError, UnicodeError) as error:
            failed.append(error)

    thread = threading.Thread(target=resolve, daemon=True, name="resolve")
    thread.start()
    thread.join(deadline.left())
    if thread.is_alive():
        raise httpcore.ConnectTimeout("the name was not resolved in time")
    if failed or not found:
        reason = _reason(failed[0]) if failed else "it has no address"
        raise OutboundError(
            Fault.CONNECTION, f"The name {host} cannot be resolved: {reason}"
        ) from (failed[0] if failed else None)
    return found[:HTTP_ADDRESS_COUNT_MAX]


def _judge(
    found: Iterable[str], *, policy: EgressPolicy, target: Target, remedy: str
) -> Sequence[str]:
    """Return the addresses if every one is allowed: a name that mixes is up to something."""
    addresses = list(dict.fromkeys(found))
    for text in addresses:
        address = find_address(text)
        if address is None or not may_connect(
            policy=policy, host=target.host, port=target.port, address=address
        ):
            raise OutboundError(
                Fault.DENIED,
                f"{target.label} leads to {text}, which is not on the public internet and not "
                f"{remedy}.",
            )
    return addresses


class _PinnedBackend(httpcore.NetworkBackend):
    """Connects to judged addresses only, whatever name it is asked for."""

    def __init__(self, *, addresses: Sequence[str], deadline: _Deadline) -> None:
        self._addresses = addresses
        self._deadline = deadline
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002  # the name; where it leads was settled before
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers."""
        failure: httpcore.NetworkError | None = None
        for address in self._addresses:
            try:
                stream = self._backend.connect_tcp(
                    address, port, self._deadline.left(timeout), local_address, socket_options
                )
            except httpcore.ConnectError as error:
                failure = error
                continue
            return _DeadlineStream(stream=stream, deadline=self._deadline)
        assert failure is not None, "there is at least one address"
        raise failure


class _DeadlineStream(httpcore.NetworkStream):
    """A connection whose every operation ends by one deadline, against servers that drip."""

    def __init__(self, *, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what there is."""
        return self._stream.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write everything. The library's own loop would start its timeout anew at each piece."""
        connection: socket.socket = self._stream.get_extra_info("socket")
        left = memoryview(buffer)
        try:
            while left:
                connection.settimeout(self._deadline.left(timeout))
                left = left[connection.send(left) :]
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Start TLS under the name that was asked for."""
        stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left(timeout))
        return _DeadlineStream(stream=stream, deadline=self._deadline)

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection knows of itself."""
        return self._stream.get_extra_info(info)


def _check_host(host: str) -> None:
    if not host:
        raise OutboundError(Fault.INVALID, "The URL names no host.")
    if find_address(host) is not None and "%" not in host:
        return
    if not _HOST.fullmatch(host):
        raise OutboundError(
            Fault.INVALID, f"{host!r} is not a host name in ASCII; write it in its xn-- form."
        )
    if _NUMERIC_LABEL.fullmatch(host.rstrip(".").rpartition(".")[2]):
        raise OutboundError(
            Fault.INVALID, f"{host!r} is an address in an odd form; write four decimal numbers."
        )


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
