"""Steps whose work programs fetch over the API: `external/task@1`. Read `queue_of`. Pure.

Such an attempt is handed over like one of another queue, under a label that no worker of the
platform can serve: `external:<topic>`.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from core.kernel import limits
from core.kernel.types import Json

ACTION: Final = "external/task@1"
TOPIC: Final = rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{limits.TOPIC_CHARS_MAX - 1}}}"

_PREFIX: Final = "external:"  # a label as definitions write it holds no colon
_TOPIC: Final = re.compile(TOPIC)


def queue_of(action: str, arguments: object) -> str:
    """Return the label of an attempt that programs outside execute, "" of any other.

    It is "" too for arguments without a topic that can be: the driver executes such an attempt
    itself, which fails and says what is wrong.
    """
    if action != ACTION or not isinstance(arguments, Mapping):
        return ""
    topic: Json = arguments.get("topic")
    return label_of(topic) if isinstance(topic, str) and is_topic(topic) else ""


def is_topic(text: str) -> bool:
    """Say whether a text can be a topic."""
    return _TOPIC.fullmatch(text) is not None


def label_of(topic: str) -> str:
    """Return the label of a topic."""
    return f"{_PREFIX}{topic}"


def find_topic(queue: str) -> str:
    """Return the topic of a label, "" if workers of the platform serve it."""
    return queue.removeprefix(_PREFIX) if queue.startswith(_PREFIX) else ""


class ClaimStatus(StrEnum):
    """How far a claim has come."""

    HELD = "held"
    COMPLETED = "completed"
    FAILED = "failed"
    LOST = "lost"  # nobody heard of the program for longer than its lease
    OVERDUE = "overdue"  # the attempt's time ran out
