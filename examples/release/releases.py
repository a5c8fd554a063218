"""What the release target keeps: artifacts, deployments, and answers given. Read `Store` first."""

import hashlib
import json
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

ARTIFACT_BYTES_MAX = 16 * 1024 * 1024
ENVIRONMENTS = ("staging", "production")
_ANSWER_COUNT_MAX = 10_000  # the oldest answers are forgotten first
_HISTORY_COUNT_MAX = 10_000

_SHA256 = re.compile(r"[0-9a-f]{64}")
_WHEEL = re.compile(
    r"(?P<name>[A-Za-z0-9_.]+)-(?P<version>[A-Za-z0-9_.!+]+)(-[A-Za-z0-9_.]+){3}\.whl"
)
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What to send back: JSON, or content of a kind."""

    status: int = HTTPStatus.OK
    json: Any = None
    content: bytes = b""
    kind: str = "text/plain; charset=utf-8"


class Refusal(Exception):  # noqa: N818  # what the target says, not what went wrong in it
    """A request that is refused."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A wheel that an environment serves. `name` is normalized (PEP 503)."""

    name: str
    filename: str
    sha256: str


class Store:
    """Artifacts as files, everything else in one JSON file that is replaced whole.

    Safe between threads of one process; one process at a time.
    """

    def __init__(self, folder: Path) -> None:
        self._artifacts = folder / "artifacts"
        self._file = folder / "state.json"
        self._lock = threading.Lock()
        self._artifacts.mkdir(parents=True, exist_ok=True)
        self._state: dict[str, Any] = {"current": {}, "history": [], "answers": {}}
        if self._file.is_file():
            self._state = json.loads(self._file.read_text(encoding="utf-8"))

    # --- reading -----------------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """Return what each environment serves, and every deployment and rollback, oldest first."""
        with self._lock:
            return {
                "current": {env: self._current(env) for env in ENVIRONMENTS},
                "history": list(self._state["history"]),
            }

    def serve(self, env: str) -> list[Served]:
        """Return the wheels of an environment's index: the current one, if any."""
        with self._lock:
            current = self._current(env)
        if current is None:
            return []
        match = _WHEEL.fullmatch(current["filename"])
        assert match is not None, "only wheels are deployed"
        name = re.sub(r"[-_.]+", "-", match["name"]).lower()
        return [Served(name=name, filename=current["filename"], sha256=current["sha256"])]

    def read(self, sha256: str, filename: str) -> bytes:
        """Return an artifact's bytes."""
        return (self._artifacts / sha256 / filename).read_bytes()

    # --- changing ----------------------------------------------------------------------------

    def keep(self, sha256: str, filename: str, content: bytes) -> Answer:
        """Keep an artifact under its digest; keeping it again changes nothing."""
        if not _SHA256.fullmatch(sha256) or not _WHEEL.fullmatch(filename):
            raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "not <sha256>/<name of a wheel>")
        if hashlib.sha256(content).hexdigest() != sha256:
            raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "the content has another digest")
        path = self._artifacts / sha256 / filename
        with self._lock:
            existed = path.is_file()
            if not existed:
                path.parent.mkdir(exist_ok=True)
                _replace(path, content)
        status = HTTPStatus.OK if existed else HTTPStatus.CREATED
        return Answer(status=status, json={"sha256": sha256, "filename": filename})

    def act(self, act: str, body: Mapping[str, Any], *, key: str) -> Answer:
        """Deploy or roll back, once for each key."""
        if key and not _KEY.fullmatch(key):
            raise Refusal(HTTPStatus.BAD_REQUEST, "the Idempotency-Key cannot be read")
        request = hashlib.sha256(json.dumps([act, body], sort_keys=True).encode()).hexdigest()
        with self._lock:
            known = self._state["answers"].get(key) if key else None
            if known is not None:
                if known["request"] != request:
                    raise Refusal(
                        HTTPStatus.UNPROCESSABLE_ENTITY, "the key belongs to another request"
                    )
                return Answer(json=known["answer"])
            answer = self._deploy(body) if act == "deploy" else self._roll_back(body)
            if key:
                answers = self._state["answers"]
                answers[key] = {"request": request, "answer": answer}
                while len(answers) > _ANSWER_COUNT_MAX:
                    del answers[next(iter(answers))]
            self._save()
        return Answer(json=answer)

    def _deploy(self, body: Mapping[str, Any]) -> dict[str, Any]:
        env = _environment(body)
        sha256, filename, version = (
            str(body.get(name, "")) for name in ("sha256", "filename", "version")
        )
        match = _WHEEL.fullmatch(filename)
        if match is None or not _SHA256.fullmatch(sha256) or match["version"] != version:
            raise Refusal(
                HTTPStatus.UNPROCESSABLE_ENTITY, "sha256, filename and version do not fit together"
            )
        if not (self._artifacts / sha256 / filename).is_file():
            raise Refusal(HTTPStatus.CONFLICT, "no such artifact is stored")
        release = {"version": version, "sha256": sha256, "filename": filename}
        return self._change(env, act="deploy", release=release)

    def _roll_back(self, body: Mapping[str, Any]) -> dict[str, Any]:
        env, to = _environment(body), body.get("to")
        if "from" in body and body["from"] != self._current(env):
            raise Refusal(
                HTTPStatus.CONFLICT, "something else was deployed since; nothing was rolled back"
            )
        release = None
        if to is not None:
            number = to.get("deployment") if isinstance(to, dict) else to
            release = next(
                (
                    {name: item[name] for name in ("version", "sha256", "filename")}
                    for item in self._state["history"]
                    if item["deployment"] == number and item["env"] == env and item["sha256"]
                ),
                None,
            )
            if release is None:
                raise Refusal(HTTPStatus.NOT_FOUND, f"{env} never had a deployment {number}")
        return self._change(env, act="rollback", release=release)

    def _change(self, env: str, *, act: str, release: dict[str, str] | None) -> dict[str, Any]:
        previous = self._current(env)
        history = self._state["history"]
        number = history[-1]["deployment"] + 1 if history else 1
        empty = {"version": "", "sha256": "", "filename": ""}
        history.append({"deployment": number, "env": env, "act": act, **(release or empty)})
        del history[:-_HISTORY_COUNT_MAX]
        self._state["current"][env] = {"deployment": number, **release} if release else None
        return {"previous": previous, "current": self._current(env)}

    def _current(self, env: str) -> dict[str, Any] | None:
        current: dict[str, Any] | None = self._state["current"].get(env)
        return current

    def _save(self) -> None:
        _replace(self._file, json.dumps(self._state).encode())


def _environment(body: Mapping[str, Any]) -> str:
    env = body.get("env")
    if env not in ENVIRONMENTS:
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"env is not one of {ENVIRONMENTS}")
    return str(env)


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new."""
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
