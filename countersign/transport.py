"""How requests of the client travel. Read `Transport`; `countersign.client.Client` builds on it."""

import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeAlias
from urllib.parse import urljoin

import httpx

JsonObject: TypeAlias = dict[str, Any]

# Codes of errors that no server of ours gave.
NOT_THE_API = "client.not_the_api"  # a proxy's page, or another site's
REDIRECTED = "client.redirected"  # the token is not sent on

_ATTEMPT_COUNT_MAX = 4
_DELAY_SECONDS_MIN = 0.2
_DELAY_SECONDS_MAX = 10.0  # also for what a server asks for with Retry-After
_WHOLE = 200
_NO_CONTENT = 204
_PART = 206
_THROTTLED = 429
_PASSING = frozenset({429, 502, 503, 504})
_ERROR = 400


class ApiError(Exception):
    """What the API refused, read from its problem document (RFC 9457).

    `code` is stable (`approvals.already_decided`), `title` and `detail` are for people, `problems`
    lists what is wrong with an input, and `body` is the whole document with the facts it adds.
    """

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.body = dict(body)
        self.code = str(body.get("code", ""))
        self.title = str(body.get("title", ""))
        self.detail = str(body.get("detail", ""))
        self.problems: tuple[JsonObject, ...] = tuple(body.get("errors", ()))
        super().__init__(f"{status} {self.code}: {self.detail or self.title}")


class Transport:
    """Sends requests with a token, again where that is harmless, and reads what comes back."""

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeout_seconds: float = 30.0,
        trust_env: bool = True,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            base_url: where Countersign is, without `/api/v1/`.
            token: an API token, or "" for what needs none.
            timeout_seconds: for each request.
            trust_env: whether proxies from the environment are used.
            transport: how requests travel, for tests.
            sleep: how it waits, for tests.
        """
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=f"{base_url.rstrip('/')}/api/v1/",
            headers={"Accept": "application/json"}
            | ({"Authorization": f"Bearer {token}"} if token else {}),
            timeout=timeout_seconds,
            trust_env=trust_env,
            transport=transport,
            # A redirect would hand the token to whoever is behind it.
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _list(self, path: str, query: Mapping[str, Any]) -> Iterator[JsonObject]:
        page = self._send("GET", path, query=query)
        while True:
            yield from page["items"]
            if not page.get("next"):
                return
            # Our own list's next page, whatever host the answer might name.
            following = httpx.URL(urljoin(str(self._http.base_url), page["next"]))
            page = self._send("GET", path, query=following.params)

    def _send(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        key: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> JsonObject:
        request = self._http.build_request(
            method,
            path,
            json=json,
            params=query,
            headers={**(headers or {}), **({"Idempotency-Key": key} if key else {})},
        )
        repeatable = method == "GET" or bool(key)
        delay = _DELAY_SECONDS_MIN
        for number in range(1, _ATTEMPT_COUNT_MAX + 1):
            last = number == _ATTEMPT_COUNT_MAX
            try:
                response = self._http.send(request)
            except httpx.TransportError as error:
                never_arrived = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                if last or not (repeatable or never_arrived):
                    raise
                self._sleep(delay)
            else:
                passing = response.status_code in _PASSING
                harmless = repeatable or response.status_code == _THROTTLED
                if last or not (passing and harmless):
                    return _read(response)
                self._sleep(_retry_after(response) or delay)
            delay = min(delay * 2, _DELAY_SECONDS_MAX)
        raise AssertionError  # the last attempt returns or raises

    def _receive(self, path: str, write: Callable[[bytes], Any], *, start: int) -> None:
        """Hand the bytes of a file, from one on, to a function; tried once."""
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with self._http.stream("GET", path, headers=headers) as response:
            if response.status_code not in {_WHOLE, _PART}:
                response.read()
                _read(response)
                raise ApiError(response.status_code, _describe_foreign(response))
            passed_over = start if response.status_code == _WHOLE else 0
            for piece in response.iter_raw():
                write(piece[passed_over:])
                passed_over = max(0, passed_over - len(piece))


def _read(response: httpx.Response) -> JsonObject:
    if response.status_code == _NO_CONTENT:
        return {}
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.status_code >= _ERROR or not isinstance(body, dict):
        document = body if isinstance(body, dict) else _describe_foreign(response)
        raise ApiError(response.status_code, document)
    return body


def _describe_foreign(response: httpx.Response) -> JsonObject:
    """Return what to say of an answer that is none of this API's."""
    location = response.headers.get("Location", "")
    if response.is_redirect and location:
        return {"code": REDIRECTED, "detail": f"it sends callers to {location[:500]}"}
    return {"code": NOT_THE_API, "detail": _excerpt(response)}


def _excerpt(response: httpx.Response) -> str:
    return f"not an answer of this API: {response.text[:200]!r}"


def _retry_after(response: httpx.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), _DELAY_SECONDS_MAX) if text.isascii() and text.isdigit() else 0.0
