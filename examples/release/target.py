"""The target of the release example: a small artifact store, deployer and package index.

    python -m examples.release.target --port 9000 --var var

    PUT  /artifacts/<sha256>/<filename>     keep a wheel; its digest must be the one in the path
    POST /deploy   {env, sha256, filename, version}   make it what the environment serves
    POST /rollback {env, from?, to}         go back to an earlier deployment, or to nothing
    GET  /<env>/simple/<name>/              what it serves, as a package index (PEP 503)
    GET  /state, /healthz

Requests that change something may carry an `Idempotency-Key`: the same key with the same request is
applied once and answered the same; with another request it is refused. It listens on 127.0.0.1 and
knows no users: it stands in for a deployer, it is not one. Read `releases.py` for what it does.
"""

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from examples.release.releases import ARTIFACT_BYTES_MAX, Answer, Refusal, Store

HOST = "127.0.0.1"
_JSON_BYTES_MAX = 64 * 1024
_TIMEOUT_SECONDS = 30


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP for the store."""

    protocol_version = "HTTP/1.1"
    server_version = "release-target"
    sys_version = ""
    timeout = _TIMEOUT_SECONDS
    store: Store

    def do_GET(self) -> None:
        """Answer what is asked."""
        self._answer(self._read_only)

    def do_HEAD(self) -> None:
        """Answer like GET, without the body."""
        self._answer(self._read_only)

    def do_PUT(self) -> None:
        """Keep an artifact."""
        self._answer(self._put)

    def do_POST(self) -> None:
        """Deploy or roll back."""
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's name
        """Write one line to standard output; the supervisor prefixes it."""
        print(format % args, flush=True)

    def _answer(self, respond: Callable[[list[str]], Answer]) -> None:
        try:
            answer = respond(self._segments())
        except Refusal as refusal:
            answer = Answer(status=refusal.status, json={"error": refusal.message})
            # What was not read of the body would be taken for the next request.
            self.close_connection = True
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        content, kind = answer.content, answer.kind
        if answer.json is not None:
            content, kind = json.dumps(answer.json).encode(), "application/json"
        self.send_response(answer.status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _segments(self) -> list[str]:
        path = urlsplit(self.path).path
        return [unquote(part) for part in path.strip("/").split("/") if part]

    def _read_only(self, segments: list[str]) -> Answer:
        match segments:
            case ["healthz"]:
                return Answer(json={"status": "ok"})
            case ["state"]:
                return Answer(json=self.store.describe())
            case [env, "simple"]:
                names = sorted({item.name for item in self.store.serve(env)})
                return _page("Index", [(f"{name}/", name) for name in names])
            case [env, "simple", name]:
                return self._index(env, name)
            case [env, "files", sha256, filename]:
                return self._file(env, sha256, filename)
            case _:
                raise _nothing_here()

    def _index(self, env: str, name: str) -> Answer:
        links = [
            (f"../../files/{item.sha256}/{item.filename}#sha256={item.sha256}", item.filename)
            for item in self.store.serve(env)
            if item.name == name
        ]
        if not links:
            raise _nothing_here()
        return _page(name, links)

    def _file(self, env: str, sha256: str, filename: str) -> Answer:
        for item in self.store.serve(env):
            if (item.sha256, item.filename) == (sha256, filename):
                return Answer(content=self.store.read(sha256, filename), kind="application/zip")
        raise _nothing_here()

    def _put(self, segments: list[str]) -> Answer:
        match segments:
            case ["artifacts", sha256, filename]:
                return self.store.keep(sha256, filename, self._body(ARTIFACT_BYTES_MAX))
            case _:
                raise _nothing_here()

    def _post(self, segments: list[str]) -> Answer:
        match segments:
            case ["deploy" | "rollback" as act]:
                key = self.headers.get("Idempotency-Key", "")
                return self.store.act(act, self._json(), key=key)
            case _:
                raise _nothing_here()

    def _json(self) -> dict[str, Any]:
        try:
            body = json.loads(self._body(_JSON_BYTES_MAX))
        except ValueError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, "the body is not JSON") from error
        if not isinstance(body, dict):
            raise Refusal(HTTPStatus.BAD_REQUEST, "the body is not a JSON object")
        return body

    def _body(self, bytes_max: int) -> bytes:
        text = self.headers.get("Content-Length", "")
        if not text.isascii() or not text.isdigit():
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "the length must be given")
        if int(text) > bytes_max:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {bytes_max} bytes")
        body = self.rfile.read(int(text))
        if len(body) != int(text):
            raise Refusal(HTTPStatus.BAD_REQUEST, "the body is shorter than it says")
        return body


class Target(ThreadingHTTPServer):
    """The service, listening. `port` 0 takes any free one; `url` says which."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *, port: int, folder: Path) -> None:
        handler = type("BoundHandler", (Handler,), {"store": Store(folder)})
        super().__init__((HOST, port), handler)

    @property
    def url(self) -> str:
        """Return the address it listens on."""
        return f"http://{HOST}:{self.server_address[1]}"


def main() -> int:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="The target of the release example.")
    parser.add_argument("--port", type=int, required=True, help="0 takes any free port")
    parser.add_argument("--var", type=Path, default=Path("var"), help="data folder")
    arguments = parser.parse_args()
    try:
        target = Target(port=arguments.port, folder=arguments.var / "target")
    except OSError as error:
        print(f"The target cannot listen on port {arguments.port}: {error}", file=sys.stderr)
        return 1
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    thread = threading.Thread(target=target.serve_forever)
    thread.start()
    print(f"The release target listens on {target.url}", flush=True)
    stop.wait()
    target.shutdown()
    thread.join()
    target.server_close()
    return 0


def _nothing_here() -> Refusal:
    return Refusal(HTTPStatus.NOT_FOUND, "there is nothing here")


def _page(title: str, links: list[tuple[str, str]]) -> Answer:
    """Return a page of a package index. Source: PEP 503."""
    items = "".join(f'<a href="{escape(href)}">{escape(text)}</a><br>\n' for href, text in links)
    head = f"<!DOCTYPE html>\n<html><head><title>{escape(title)}</title></head>\n"
    text = f"{head}<body>\n{items}</body></html>\n"
    return Answer(content=text.encode(), kind="text/html; charset=utf-8")


if __name__ == "__main__":
    sys.exit(main())
