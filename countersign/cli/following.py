"""Watching a run until it is over. Read `follow`.

It asks again and again, often while something happens and every two seconds while nothing does. A
socket would tell a little sooner and would have to be watched itself: proxies close it.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from countersign.cli.doorway import Session
from countersign.cli.errors import CommandError, Exit, Finished
from countersign.cli.finding import list_open_requests
from countersign.client import ApiError, JsonObject

_POLL_SECONDS_MIN = 0.2
_POLL_SECONDS_MAX = 2.0
_SILENCE_SECONDS_MAX = 60.0  # without an answer, before watching gives up
_SERVER_ERROR = 500
_NAMES_SHOWN_MAX = 5
_WAITS_FOR_PEOPLE = frozenset({"people", "question"})
_EXITS = {"succeeded": Exit.OK, "continued": Exit.OK, "rejected": Exit.RUN_REJECTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A run at one moment: the run, and the open requests it waits for people with."""

    run: JsonObject
    requests: tuple[JsonObject, ...] = ()

    @property
    def is_over(self) -> bool:
        """Say whether nobody moves it on but an operator."""
        return self.run["status"] in {"CLOSED", "HALTED"}


@dataclass(slots=True, kw_only=True)
class Follower:
    """Reads a run, through short interruptions of the server."""

    session: Session
    run_id: str
    sleep: Callable[[float], None] = time.sleep
    _asked: dict[str, JsonObject] = field(default_factory=dict)

    def follow(self, *, timeout_seconds: float | None) -> Iterator[Sight]:
        """Yield the run each time it has changed; the last is over.

        Raises:
            CommandError: the time is over before the run is.
        """
        ends = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        pause, seen = _POLL_SECONDS_MIN, ""
        while True:
            run = self._read()
            mark = f"{run['seq']} {run['status']} {run['head']}"
            if mark != seen:
                sight = Sight(run=run, requests=self._list_requests(run))
                yield sight
                if sight.is_over:
                    return
                seen, pause = mark, _POLL_SECONDS_MIN
            left = None if ends is None else ends - time.monotonic()
            if left is not None and left <= 0:
                message = f"run {run['number']} is still {run['status']}, and goes on"
                raise CommandError(message, code="cli.still_open", exit_code=Exit.STILL_OPEN)
            self.sleep(pause if left is None else min(pause, max(left, 0.01)))
            pause = min(pause * 1.4, _POLL_SECONDS_MAX)

    def _read(self) -> JsonObject:
        """Return the run; a server that restarts is waited for."""
        gives_up = time.monotonic() + _SILENCE_SECONDS_MAX
        while True:
            try:
                return self.session.client.get_run(self.run_id)
            except httpx.TransportError:
                if time.monotonic() >= gives_up:
                    raise
            except ApiError as error:
                if error.status < _SERVER_ERROR or time.monotonic() >= gives_up:
                    raise
            self.sleep(_POLL_SECONDS_MAX)

    def _list_requests(self, run: JsonObject) -> tuple[JsonObject, ...]:
        """Return the open requests with who may decide them, as far as the caller may see."""
        kinds = {wait["kind"] for step in run["steps"] for wait in step["waits_for"]}
        if not kinds & _WAITS_FOR_PEOPLE:
            return ()
        found = []
        for request in list_open_requests(self.session, self.run_id):
            mark = f"{request['id']} {request['round']} {request['stage']}"
            if mark not in self._asked:
                why = self.session.client.explain_request(request["id"])
                self._asked[mark] = {**request, "deciders": why["deciders"]}
            found.append({**self._asked[mark], **request})
        return tuple(found)


def finish(run: JsonObject) -> None:
    """Leave with the exit code of a run that is over. Raises: Finished, unless it succeeded."""
    code = exit_of(run)
    if code is not Exit.OK:
        raise Finished(code)


def exit_of(run: JsonObject) -> Exit:
    """Return the exit code that says how a run ended."""
    return _EXITS.get(str(run["outcome"]), Exit.RUN_UNSUCCESSFUL)


def list_waits(sight: Sight) -> list[str]:
    """Return what a run waits for, in words: people first."""
    said = [_say_request(request) for request in sight.requests]
    for step in sight.run["steps"]:
        for wait in step["waits_for"]:
            if wait["kind"] not in _WAITS_FOR_PEOPLE or not sight.requests:
                until = f" until {wait['until']}" if wait.get("until") else ""
                name = f" {wait['name']}" if wait.get("name") else ""
                said.append(f"{step['key']} waits for {wait['kind']}{name}{until}")
    return said


def _say_request(request: Any) -> str:
    names = [str(item["name"]) for item in request.get("deciders", ())]
    rest = len(names) - _NAMES_SHOWN_MAX
    shown = ", ".join(names[:_NAMES_SHOWN_MAX]) + (f" and {rest} more" if rest > 0 else "")
    who = shown or "people nobody of whom may decide now"
    count = f"{request['approval_count']} of {request['needed_count']} approvals"
    stage = f", stage {request['stage']}" if request.get("stage") else ""
    return f"waits for {who}: {request['title']} ({count}{stage}), request {request['id']}"
