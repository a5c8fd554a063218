"""A stand-in for an OpenAI-compatible endpoint, on a loopback address. Read `Model`."""

import json
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from tests.loopback import Answer, Received, Site, serve

_LET_GO_SECONDS = 30.0


class Model:
    """Answers what a test tells it to, one after the other; the last for ever.

    It remembers the bodies it was sent.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.left: deque[Callable[[], Answer]] = deque()
        self.let_go = threading.Event()
        site.answer = self._answer

    @property
    def url(self) -> str:
        return f"{self.site.url}/v1"

    @property
    def asked(self) -> list[dict[str, Any]]:
        """Return the bodies of the requests so far."""
        return [json.loads(item.body) for item in self.site.received]

    def says(self, *texts: str, finish: str = "stop", usage: tuple[int, int] | None = (10, 5)):
        """Answer with these texts."""
        for text in texts:
            body = completion(text, finish=finish, usage=usage)
            self.sends(json.dumps(body).encode())
        return self

    def sends(self, body: bytes, *, status: int = 200, **headers: str):
        """Answer with any body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.left.append(lambda: Answer(status=status, headers=named, body=body))
        return self

    def hangs(self, *, then: bytes = b""):
        """Answer when the test lets it go, and not before."""

        def wait() -> Answer:
            self.let_go.wait(_LET_GO_SECONDS)
            return Answer(body=then)

        self.left.append(wait)
        return self

    def _answer(self, received: Received) -> Answer:
        assert (received.method, received.path) == ("POST", "/v1/chat/completions")
        return (self.left.popleft() if len(self.left) > 1 else self.left[0])()


def completion(text: str | None, *, finish: str = "stop", usage: tuple[int, int] | None = (10, 5)):
    """Return a chat completion. Source: OpenAI, "Create chat completion"."""
    body: dict[str, Any] = {
        "id": "c-1",
        "object": "chat.completion",
        "model": "stand-in",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": finish,
            }
        ],
    }
    if usage is not None:
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return body


def standing_in():
    """Serve a `Model`; yields it."""
    for site in serve("127.0.0.1"):
        model = Model(site)
        try:
            yield model
        finally:
            model.let_go.set()
