"""Talking to a peer's process. Read `Peer.ask`."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.settings.env import BASE_DIR

_STOP_SECONDS = 30.0


class PeerFailedError(Exception):
    """The peer's process ended instead of answering; its log says why."""


class Peer:
    """A running peer. Made by `running`; answers one request at a time."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self._process = process
        self._log = log
        self._read()  # it says that it is ready

    def ask(self, what: str, **arguments: Any) -> Any:
        """Return the answer to a request; see the methods of `dbos_side.Side`.

        Raises:
            PeerFailedError: if there is none.
        """
        assert self._process.stdin is not None, "opened as a pipe"
        print(json.dumps({"do": what, **arguments}), file=self._process.stdin, flush=True)
        return self._read()["answer"]

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None, "opened as a pipe"
        line = self._process.stdout.readline()
        if not line:
            raise PeerFailedError(self._log.read_text(encoding="utf-8")[-2000:])
        answer: dict[str, Any] = json.loads(line) if "answer" in line else {}
        return answer


@contextmanager
def running(
    python: Path, *, database_url: str, folder: Path, name: str, queues: Sequence[str] = ()
) -> Iterator[Peer]:
    """Run a peer's process; its log goes into the folder."""
    log = folder / f"{name}.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - an argument vector of ours
            [str(python), "-m", "benchmarks.peers.dbos_side", database_url, *queues],
            cwd=BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        yield Peer(process, log)
    finally:
        assert process.stdin is not None, "opened as a pipe"
        process.stdin.close()
        try:
            process.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
