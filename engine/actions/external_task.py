"""The action `external/task@1`: work that a program outside fetches. Read `SPEC` first.

Such a step is handed over when it begins (`engine.domain.external`), so what is here executes only
what cannot be handed over.
"""

from collections.abc import Iterable, Mapping

from core.kernel import limits
from core.kernel.types import Json
from engine.actions.contract import (
    INVALID,
    ActionCall,
    ActionError,
    ActionSpec,
    check_arguments,
    object_schema,
)
from engine.domain import external


def refuse_task(call: ActionCall) -> Json:
    """Wait until a program claims the task over the API, does it and tells how it ended.

    `topic` says what kind of work it is, `data` is what the program is given. It can be written in
    any language: see [Work on external tasks](../how-to/work-on-external-tasks.md). The timeout
    counts from the claim; until then the task waits, unless the step has a total time. A program
    that is silent for longer than its lease (60 s unless it asks for another time; at most the
    step's `heartbeat`) is taken for dead: the attempt is lost, and the next one begins.

    Returns:
        What the program says; the bounds of a result hold.

    Raises:
        ActionError: the error kinds that the program says; `timeout`; `invalid` for a topic that
            cannot be.
    """
    check_arguments(SPEC.input_validator, call.arguments)
    raise ActionError(INVALID, "with/topic: this is no topic.")


def _find_faults(
    arguments: Mapping[str, Json],
) -> Iterable[tuple[tuple[str | int, ...], str]]:
    topic = arguments["topic"]
    if isinstance(topic, str) and "${{" not in topic and not external.is_topic(topic):
        message = (
            "A topic begins with a letter or a digit and holds letters, digits, dots, hyphens and "
            f"underscores, at most {limits.TOPIC_CHARS_MAX}."
        )
        yield ("topic",), message


SPEC = ActionSpec(
    name="external/task",
    version=1,
    input_schema=object_schema(
        {"topic": {"type": "string", "minLength": 1, "maxLength": 1_000}, "data": True},
        required=("topic",),
    ),
    output_schema={},
    idempotent=False,
    pure=False,
    execute=refuse_task,
    find_faults=_find_faults,
)
