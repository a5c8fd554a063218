"""What a client may say on the socket, and the ways to answer. Pure. Read `read_frame` first.

    client  {"subscribe": "inbox"}  {"subscribe": "run:<uuid>"}  {"unsubscribe": "<topic>"}
    server  {"type": "subscribed" | "unsubscribed", "topic": "<topic>"}
            {"type": "refused", "topic": "<topic>", "code": "<error code>", "message": "<text>"}
            {"type": "error", "code": "<error code>", "message": "<text>"}
            {"type": "signal", "topic": "<topic>", …ids}

A signal says that something about the topic changed and names it by id; the client asks for it over
HTTP, where it is authorised again. Signals may be lost and repeated: ask anew after connecting.
What clients are promised is in `docs/reference/socket.md`.
"""

import json
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final
from uuid import UUID

from core.kernel import limits
from core.kernel.errors import InvalidError, PlatformError
from core.kernel.types import Json

_TOPIC: Final = re.compile(
    r"(?P<name>[a-z][a-z-]{0,30})"
    r"(?::(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}))?"
)


class CloseCode(IntEnum):
    """Why the server closes a socket; 4000 to 4999 are for applications (RFC 6455 §7.4.2)."""

    TRY_AGAIN_LATER = 1013
    TOO_MUCH_NONSENSE = 4400
    NOT_SIGNED_IN = 4401  # never was, or no longer is
    TOO_MANY_FRAMES = 4429


class FrameError(InvalidError):
    """A frame means nothing here."""

    code = "core.socket_frame"
    title = "The frame means nothing here."


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What one can subscribe to: a name, and an id where the name is that of a kind of thing."""

    name: str
    id: UUID | None = None

    def __str__(self) -> str:
        return self.name if self.id is None else f"{self.name}:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """Asks to be told about a topic."""

    topic: Topic


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe:
    """Asks to be told no longer."""

    topic: Topic


def read_frame(text: str | None) -> Subscribe | Unsubscribe:
    """Return what a client's frame asks for; `None` is a frame that is not text.

    Raises:
        FrameError: for anything else than the two forms above.
    """
    if text is None:
        raise FrameError("Frames are text.")
    if len(text) > limits.SOCKET_FRAME_BYTES_MAX:
        raise FrameError(f"A frame has at most {limits.SOCKET_FRAME_BYTES_MAX} characters.")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FrameError("The frame is not JSON.") from error
    match value:
        case {"subscribe": str(topic), **rest} if not rest:
            return Subscribe(topic=_read_topic(topic))
        case {"unsubscribe": str(topic), **rest} if not rest:
            return Unsubscribe(topic=_read_topic(topic))
    raise FrameError('A frame is {"subscribe": "<topic>"} or {"unsubscribe": "<topic>"}.')


def answer(kind: str, topic: Topic) -> dict[str, Json]:
    """Return the frame that says a subscription began or ended."""
    return {"type": kind, "topic": str(topic)}


def refusal(topic: Topic, error: PlatformError) -> dict[str, Json]:
    """Return the frame that refuses a topic, or takes it away."""
    return {
        "type": "refused",
        "topic": str(topic),
        "code": error.code,
        "message": error.message,
    }


def fault(error: PlatformError) -> dict[str, Json]:
    """Return the frame that says a client's frame could not be followed."""
    return {"type": "error", "code": error.code, "message": error.message}


def _read_topic(text: str) -> Topic:
    match = _TOPIC.fullmatch(text)
    if match is None:
        raise FrameError("A topic is a name, or a name and a UUID: `inbox`, `run:<uuid>`.")
    return Topic(name=match["name"], id=UUID(match["id"]) if match["id"] else None)
