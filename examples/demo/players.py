"""The people of the demo at their keyboards: one API client each. Read `Play` first."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from countersign import ApiError, Client
from examples.demo import cast
from examples.demo.telling import SurpriseError, Teller, expect_equal, fail

WAIT_SECONDS = 180.0  # the longest the story waits for anything

_PLAYERS = ("mara", "ada", "noor", "owen", "aud")
_UNAUTHENTICATED = (401, 404)
_TOKEN_SECONDS = 3600

JsonObject = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Refusal:
    """What a refused act was answered, once it was."""

    error: ApiError | None = None

    @property
    def answer(self) -> ApiError:
        """Return the answer."""
        assert self.error is not None, "the act has been refused by now"
        return self.error


@dataclass(slots=True, kw_only=True)
class Play:
    """The people, and what has been told so far."""

    teller: Teller
    clients: dict[str, Client]
    told_steps: set[tuple[str, str]] = field(default_factory=set)

    def as_(self, name: str) -> Client:
        """Return the client of a person."""
        return self.clients[name]

    def say(self, who: str, what: str) -> None:
        """Tell one thing that happened."""
        self.teller.say(who, what)

    def detail(self, what: str) -> None:
        """Tell more about it."""
        self.teller.detail(what)

    @contextmanager
    def refused(self, who: str, what: str, *, status: int) -> Iterator[Refusal]:
        """Let a person try what must be refused with a status, and tell the answer.

        Raises:
            SurpriseError: when it is let through or refused otherwise.
        """
        refusal = Refusal()
        try:
            yield refusal
        except ApiError as error:
            refusal.error = error
            expect_equal(error.status, status, f"the answer when {who} {what}")
            self.say(who, f"{what}: refused, {error.status} {error.code}")
            return
        fail(f"{who} {what}, and was let through")

    def wait_for_request(self, run_id: str) -> JsonObject:
        """Wait until a run asks people, telling its steps; return the open request."""
        run = self._follow(run_id, until=("WAITING", "CLOSED"))
        expect_equal(run["status"], "WAITING", "the run's status")
        found = list(self.as_("mara").list_requests(view="all", run_id=run_id))
        expect_equal(len(found), 1, "the number of the run's requests")
        return found[0]

    def wait_for_end(self, run_id: str) -> JsonObject:
        """Wait until a run is over, telling its steps; return it."""
        run = self._follow(run_id, until=("CLOSED",))
        self.say("run", f"R-{run['number']} is over: {run['outcome']}")
        return run

    def _follow(self, run_id: str, *, until: tuple[str, ...]) -> JsonObject:
        mara = self.as_("mara")

        def read() -> JsonObject:
            run = mara.get_run(run_id)
            self._tell_steps(run)
            return run

        try:
            return mara.wait_until(
                read, lambda run: run["status"] in until, timeout_seconds=WAIT_SECONDS
            )
        except TimeoutError as error:
            raise SurpriseError(f"the run {run_id} does not go on: {error}") from error

    def _tell_steps(self, run: JsonObject) -> None:
        for step in run["steps"]:
            key = (run["id"], step["key"])
            if step["outcome"] is None or key in self.told_steps:
                continue
            self.told_steps.add(key)
            name = f"undo {step['step']}" if step["undoes"] else step["step"]
            self.say("run", f"{name:<12}{step['outcome']}{_result(step)}")


@contextmanager
def players(teller: Teller, *, url: str) -> Iterator[Play]:
    """Sign the people in, yield them, and sign them out.

    Raises:
        SurpriseError: when that is not possible.
    """
    print("Signing in …", flush=True)
    with ExitStack() as stack, Client(url, "", trust_env=False) as door:
        clients = {}
        for name in _PLAYERS:
            token = _sign_in(door, name, url=url)
            client = Client(url, token["token"], trust_env=False)
            clients[name] = stack.enter_context(client)
            stack.callback(client.revoke_token, token["id"])
        teller.say("all", f"{', '.join(_PLAYERS)} are signed in at {url}")
        yield Play(teller=teller, clients=clients)


def _sign_in(door: Client, name: str, *, url: str) -> JsonObject:
    try:
        return door.create_token(name, cast.PASSWORD, name="demo", lifetime_seconds=_TOKEN_SECONDS)
    except ApiError as error:
        if error.status in _UNAUTHENTICATED:
            message = f"{url} is no demo system: {name} cannot sign in ({error})"
        else:
            message = f"{name} cannot sign in: {error}"
        raise SurpriseError(message) from error


def new_key() -> str:
    """Return an idempotency key."""
    return f"demo-{secrets.token_hex(8)}"


def step_of(run: JsonObject, name: str, *, undoes: bool = False) -> JsonObject:
    """Return a step of a run, or its compensation. Raises: SurpriseError."""
    for step in run["steps"]:
        if (step["step"], step["undoes"]) == (name, undoes):
            found: JsonObject = step
            return found
    raise SurpriseError(f"the run has no step {name}")


def _result(step: JsonObject) -> str:
    """Return the few facts of a step's outputs that make a line worth reading."""
    outputs = step["outputs"]
    match step["step"], step["outcome"]:
        case "test", "succeeded":
            return f": {outputs['passed']} of {outputs['tests']} tests pass"
        case "scan", "succeeded":
            return f": {len(outputs['findings'])} findings, {outputs['critical']} critical"
        case "build", "succeeded":
            size = outputs["size_bytes"]
            return f": {outputs['filename']}, {size} bytes, sha256 {outputs['sha256'][:12]}…"
        case _:
            return ""
