"""A small client of the REST API. Read `Client` first.

    with Client("https://countersign.example.org", token) as client:
        run = client.start_run("shop", "release", inputs={"version": "1.4.0"})
        run = client.wait_run(run["id"])

Answers are the API's JSON as it is, so that a newer server's fields reach an older client. What is
refused is an `ApiError`. A request is tried again only where a repeat cannot act twice: reading,
writing under an idempotency key, and when it certainly never arrived.
"""

import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeAlias
from urllib.parse import quote, urljoin

import httpx

JsonObject: TypeAlias = dict[str, Any]

# Codes of errors that no server of ours gave.
NOT_THE_API = "client.not_the_api"  # a proxy's page, or another site's
REDIRECTED = "client.redirected"  # the token is not sent on

_ATTEMPT_COUNT_MAX = 4
_DELAY_SECONDS_MIN = 0.2
_DELAY_SECONDS_MAX = 10.0  # also for what a server asks for with Retry-After
_POLL_SECONDS_MIN = 0.05
_POLL_SECONDS_MAX = 2.0
_NO_CONTENT = 204
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


class Client:
    """Speaks for the owner of one token.

    Not for several threads at once. Use it as a context manager, or call `close`.
    """

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

    # --- who am I ----------------------------------------------------------------------------

    def create_token(
        self, username: str, password: str, *, name: str = "password", lifetime_seconds: int = 86400
    ) -> JsonObject:
        """Return a new token for a password, where the deployment allows that (the demo does).

        The secret, under `token`, is shown this once; `id` is for `revoke_token`.

        Raises:
            ApiError: 401 for a wrong password, 404 where it is not allowed, 429 after many tries.
        """
        body: JsonObject = {"username": username, "password": password}
        body |= {"name": name, "lifetime_seconds": lifetime_seconds}
        return self._send("POST", "auth/token/", json=body)

    def revoke_token(self, token_id: str) -> None:
        """End a token, such as the one this client speaks with."""
        self._send("DELETE", f"tokens/{_part(token_id)}/")

    def create_machine_token(
        self, user_id: str, *, name: str, lifetime_seconds: int = 86400
    ) -> JsonObject:
        """Return a new token for the account of a service or an agent; see `create_token`.

        Raises:
            ApiError: 403 without `manage_tokens`, or for the account of a human.
        """
        body: JsonObject = {"user_id": user_id, "name": name, "lifetime_seconds": lifetime_seconds}
        return self._send("POST", "tokens/", json=body)

    def list_users(self) -> Iterator[JsonObject]:
        """Yield accounts by name: all of them to whoever manages access, else one's own."""
        return self._list("users/", {})

    def get_me(self) -> JsonObject:
        """Return the token's owner."""
        return self._send("GET", "me/")

    def get_project(self, project: str) -> JsonObject:
        """Return a project."""
        return self._send("GET", f"projects/{_part(project)}/")

    # --- definitions -------------------------------------------------------------------------

    def save_version(self, project: str, source: str, *, message: str = "") -> JsonObject:
        """Save a definition as a draft version.

        Raises:
            ApiError: 422 with `problems` (path, line, column) when the definition does not hold.
        """
        body = {"source": source, "message": message}
        return self._send("POST", f"workflows/{_part(project)}/", json=body)

    def lint(self, source: str) -> JsonObject:
        """Return what is wrong with a definition: `valid`, and `problems` with line and column."""
        return self._send("POST", "lint/", json={"source": source})

    def diff(self, project: str, source: str, *, rev: int | None = None) -> JsonObject:
        """Return what changed from a version (by default the newest) to a definition, by class.

        Raises:
            ApiError: 422 with `problems` when the definition does not hold.
        """
        body: JsonObject = {"source": source}
        if rev is not None:
            body["rev"] = rev
        return self._send("POST", f"projects/{_part(project)}/diff/", json=body)

    def list_workflows(self, **query: Any) -> Iterator[JsonObject]:
        """Yield workflows, newest first; `project` narrows to one."""
        return self._list("workflows/", query)

    def get_workflow(self, project: str, workflow: str) -> JsonObject:
        """Return a workflow."""
        return self._send("GET", f"workflows/{_part(project)}/{_part(workflow)}/")

    def list_versions(self, project: str, workflow: str) -> Iterator[JsonObject]:
        """Yield the versions of a workflow, newest first."""
        return self._list(f"workflows/{_part(project)}/{_part(workflow)}/versions/", {})

    def get_version(self, project: str, workflow: str, rev: int) -> JsonObject:
        """Return a version with its source, its plan and the schema of its inputs."""
        path = f"workflows/{_part(project)}/{_part(workflow)}/versions/{rev}/"
        return self._send("GET", path)

    def publish_version(self, project: str, workflow: str, rev: int) -> JsonObject:
        """Publish a version, so that runs may start from it."""
        path = f"workflows/{_part(project)}/{_part(workflow)}/versions/{rev}/publish/"
        return self._send("POST", path)

    # --- runs --------------------------------------------------------------------------------

    def start_run(
        self,
        project: str,
        workflow: str,
        *,
        inputs: Mapping[str, Any],
        idempotency_key: str = "",
        rev: int | None = None,
    ) -> JsonObject:
        """Start a run, once for each idempotency key.

        Without a key one is made for this call, so that a repeat after a lost answer is harmless.

        Raises:
            ApiError: 422 with every problem of the inputs, 403 without the permission.
        """
        body: JsonObject = {"inputs": dict(inputs)}
        if rev is not None:
            body["rev"] = rev
        path = f"workflows/{_part(project)}/{_part(workflow)}/runs/"
        return self._send("POST", path, json=body, key=idempotency_key or _key())

    def get_run(self, run_id: str) -> JsonObject:
        """Return a run."""
        return self._send("GET", f"runs/{_part(run_id)}/")

    def list_runs(self, **query: Any) -> Iterator[JsonObject]:
        """Yield runs, newest first, page by page."""
        return self._list("runs/", query)

    def list_run_events(self, run_id: str) -> Iterator[JsonObject]:
        """Yield what happened in a run, oldest first."""
        return self._list(f"runs/{_part(run_id)}/events/", {})

    def wait_run(
        self,
        run_id: str,
        *,
        statuses: Collection[str] = ("CLOSED",),
        timeout_seconds: float = 300.0,
    ) -> JsonObject:
        """Ask for a run again and again, less and less often, until its status is one of these.

        Raises:
            TimeoutError: when that takes longer than `timeout_seconds`.
        """
        return self.wait_until(
            lambda: self.get_run(run_id),
            lambda run: run["status"] in statuses,
            timeout_seconds=timeout_seconds,
        )

    def wait_until(
        self,
        read: Callable[[], JsonObject],
        holds: Callable[[JsonObject], bool],
        *,
        timeout_seconds: float = 300.0,
    ) -> JsonObject:
        """Read something until it holds, and return it. See `wait_run`."""
        ends = time.monotonic() + timeout_seconds
        pause = _POLL_SECONDS_MIN
        while True:
            value = read()
            if holds(value):
                return value
            left = ends - time.monotonic()
            if left <= 0:
                msg = f"not reached within {timeout_seconds:g} s; the last answer was {value!r}"
                raise TimeoutError(msg)
            self._sleep(min(pause, left))
            pause = min(pause * 1.5, _POLL_SECONDS_MAX)

    def cancel_run(self, run_id: str, *, reason: str) -> None:
        """Cancel a run: what has not begun never will. Cancelling again changes nothing."""
        self._send("POST", f"runs/{_part(run_id)}/cancel/", json={"reason": reason})

    # --- events ------------------------------------------------------------------------------

    def send_event(
        self,
        project: str,
        event_type: str,
        data: Mapping[str, Any],
        *,
        source: str,
        event_id: str = "",
    ) -> JsonObject:
        """Send an event to the runs that wait for it and the triggers that hear it.

        Sending it again with the same `source` and `event_id` changes nothing; without an id one
        is made for this call.

        Raises:
            ApiError: 403 without `operate_run` on the project.
        """
        key = event_id or _key()
        body: JsonObject = {"specversion": "1.0", "id": key, "source": source}
        body |= {"type": event_type, "data": dict(data)}
        # A repeat is harmless: the event's id says that it is the same one.
        return self._send("POST", f"events/?project={_part(project)}", json=body, key=key)

    # --- approval requests -------------------------------------------------------------------

    def list_requests(self, *, view: str = "mine", **query: Any) -> Iterator[JsonObject]:
        """Yield approval requests: `mine` to decide, `all` that I may see, or `decided` by me."""
        return self._list("requests/", {"view": view, **query})

    def get_request(self, request_id: str) -> JsonObject:
        """Return an approval request with what is to be seen, and its digest."""
        return self._send("GET", f"requests/{_part(request_id)}/")

    def explain_request(self, request_id: str) -> JsonObject:
        """Return whether I may decide, and why or why not."""
        return self._send("GET", f"requests/{_part(request_id)}/why/")

    def decide(
        self,
        request_id: str,
        decision: str,
        *,
        digest: str,
        comment: str = "",
        form: Mapping[str, Any] | None = None,
        confirmed: bool = False,
        stage: str = "",
        idempotency_key: str = "",
    ) -> JsonObject:
        """Approve or reject what was seen.

        Args:
            request_id: the request.
            decision: `approve` or `reject`.
            digest: of the request as it was read. If it changed since, nothing is decided.
            comment: for the people who read it later; a rejection needs one.
            form: values the request asks for.
            confirmed: whether the box the request shows was ticked.
            stage: the key of the stage that was open when it was read.
            idempotency_key: for repeats of the caller's own; one is made without it.

        Raises:
            ApiError: 403 who may not decide, 409 closed or decided differently, 410 too late,
                412 changed since it was read, 422 a form that does not hold.
        """
        body: JsonObject = {"decision": decision, "comment": comment, "confirmed": confirmed}
        if form is not None:
            body["form"] = dict(form)
        if stage:
            body["stage"] = stage
        return self._send(
            "POST",
            f"requests/{_part(request_id)}/decide/",
            json=body,
            key=idempotency_key or _key(),
            headers={"If-Match": f'"{digest}"'},
        )

    # --- the ledger --------------------------------------------------------------------------

    def list_entries(self, **query: Any) -> Iterator[JsonObject]:
        """Yield ledger entries, page by page; filters such as `stream` and `kind` go to the API."""
        return self._list("ledger/entries/", query)

    # --- how requests travel -----------------------------------------------------------------

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


def _key() -> str:
    return secrets.token_hex(16)


def _part(text: str) -> str:
    """Return a path segment; a slash inside stays inside."""
    return quote(str(text), safe="")
