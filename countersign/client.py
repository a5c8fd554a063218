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
from typing import Any
from urllib.parse import quote

from countersign.transport import NOT_THE_API, REDIRECTED, ApiError, JsonObject, Transport

__all__ = ["NOT_THE_API", "REDIRECTED", "ApiError", "Client", "JsonObject"]

_POLL_SECONDS_MIN = 0.05
_POLL_SECONDS_MAX = 2.0


class Client(Transport):
    """Speaks for the owner of one token.

    Not for several threads at once. Use it as a context manager, or call `close`.
    """

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
        priority: int = 0,
    ) -> JsonObject:
        """Start a run, once for each idempotency key.

        Without a key one is made for this call, so that a repeat after a lost answer is harmless.
        Of runs that wait, those of a higher `priority` (0 to 9) go first.

        Raises:
            ApiError: 422 with every problem of the inputs, 403 without the permission, 429 if too
                much waits already.
        """
        body: JsonObject = {"inputs": dict(inputs)}
        if rev is not None:
            body["rev"] = rev
        if priority:
            body["priority"] = priority
        path = f"workflows/{_part(project)}/{_part(workflow)}/runs/"
        return self._send("POST", path, json=body, key=idempotency_key or _key())

    def get_run(self, run_id: str) -> JsonObject:
        """Return a run."""
        return self._send("GET", f"runs/{_part(run_id)}/")

    def get_run_state(self, run_id: str, *, at_seq: int = 0, at: str = "") -> JsonObject:
        """Return a run as it was after its entry `at_seq`, or its newest one by the instant `at`.

        Without either: after its newest entry.
        """
        asked = {"at_seq": at_seq or None, "at": at or None}
        query = {name: value for name, value in asked.items() if value is not None}
        return self._send("GET", f"runs/{_part(run_id)}/state/", query=query)

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

    def cancel_run(self, run_id: str, *, reason: str, compensate: bool = False) -> None:
        """Cancel a run: what has not begun never will. Cancelling again changes nothing.

        With `compensate`, what has completed is undone before the run closes.
        """
        body: JsonObject = {"reason": reason}
        if compensate:
            body["compensate"] = True
        self._send("POST", f"runs/{_part(run_id)}/cancel/", json=body)

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

    def list_run_steps(self, run_id: str) -> Iterator[JsonObject]:
        """Yield all steps of a run, outer ones before what is inside them."""
        return self._list(f"runs/{_part(run_id)}/steps/", {})

    def pause_run(self, run_id: str, *, reason: str, with_children: bool = False) -> JsonObject:
        """Let nothing new begin in a run."""
        body = {"reason": reason, "with_children": with_children}
        return self._send("POST", f"runs/{_part(run_id)}/pause/", json=body)

    def resume_run(self, run_id: str, *, reason: str, with_children: bool = False) -> JsonObject:
        """Let a run go on that was paused or has halted."""
        body = {"reason": reason, "with_children": with_children}
        return self._send("POST", f"runs/{_part(run_id)}/resume/", json=body)

    def retry_step(self, run_id: str, key: str, *, reason: str) -> JsonObject:
        """Try a step again."""
        path = f"runs/{_part(run_id)}/steps/{_part(key)}/retry/"
        return self._send("POST", path, json={"reason": reason})

    def skip_step(self, run_id: str, key: str, *, reason: str) -> JsonObject:
        """Let a run go on without a step that is and holds no approval."""
        path = f"runs/{_part(run_id)}/steps/{_part(key)}/skip/"
        return self._send("POST", path, json={"reason": reason})

    def send_run_event(
        self,
        run_id: str,
        event_type: str,
        *,
        data: Mapping[str, Any],
        reason: str,
        event_id: str = "",
    ) -> JsonObject:
        """Send an event to one run; an id makes sending it again harmless."""
        body = {"type": event_type, "data": dict(data), "reason": reason, "id": event_id}
        return self._send("POST", f"runs/{_part(run_id)}/events/", json=body)

    def foresee_rerun(
        self,
        run_id: str,
        *,
        step: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        rev: int | None = None,
    ) -> JsonObject:
        """Return what running a run again would take over, and what it would execute again."""
        body = {"step": step, "inputs": inputs, "rev": rev}
        return self._send("POST", f"runs/{_part(run_id)}/rerun/preview/", json=body)

    def rerun(
        self,
        run_id: str,
        *,
        reason: str,
        step: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        rev: int | None = None,
        idempotency_key: str = "",
    ) -> JsonObject:
        """Run a run again from a step on, as a new run; once for each idempotency key."""
        body = {"step": step, "inputs": inputs, "rev": rev, "reason": reason}
        key = idempotency_key or _key()
        return self._send("POST", f"runs/{_part(run_id)}/rerun/", json=body, key=key)

    # --- secrets ---------------------------------------------------------------------------------

    def list_secrets(self, project: str) -> Iterator[JsonObject]:
        """Yield a project's secrets by name, without their values."""
        return self._list(f"projects/{_part(project)}/secrets/", {})

    def set_secret(
        self, project: str, name: str, value: str, *, description: str | None = None
    ) -> JsonObject:
        """Set a secret, and make it if there is none of that name."""
        body = {"value": value} | ({} if description is None else {"description": description})
        return self._send("PUT", f"projects/{_part(project)}/secrets/{_part(name)}/", json=body)

    def delete_secret(self, project: str, name: str) -> None:
        """Delete a secret."""
        self._send("DELETE", f"projects/{_part(project)}/secrets/{_part(name)}/")

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

    def request_export(self, wish: Mapping[str, Any], *, key: str) -> JsonObject:
        """Have entries of the ledger exported: `kind`, `format`, and what the kind takes.

        Raises:
            ApiError: 403 without the permissions, 409 while too many are under way.
        """
        return self._send("POST", "ledger/exports/", json=wish, key=key)

    def get_export(self, export_id: str) -> JsonObject:
        """Return an export and how far it has come."""
        return self._send("GET", f"ledger/exports/{_part(export_id)}/")

    def download_export(
        self, export_id: str, write: Callable[[bytes], Any], *, start: int = 0
    ) -> None:
        """Hand an export's file, from a byte on, to a function, piece by piece.

        Raises:
            ApiError: 409 while it is not ready, 410 once it has expired.
            httpx.TransportError: if it breaks off; go on with the bytes that came.
        """
        self._receive(f"ledger/exports/{_part(export_id)}/download/", write, start=start)


def _key() -> str:
    return secrets.token_hex(16)


def _part(text: str) -> str:
    """Return a path segment; a slash inside stays inside."""
    return quote(str(text), safe="")
