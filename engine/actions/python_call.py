"""The action `python/call@1`: call a registered Python function. Read `SPEC` first.

Only functions registered with `countersign.function` can be called, never an import path: a
definition is data, and data must not choose code that nobody meant to offer.
"""

import difflib
import inspect
import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from core.kernel.types import Json
from countersign.functions import (
    RegisteredFunction,
    TransientError,
    attempt_context,
    find_function,
    list_functions,
)
from engine.actions.contract import (
    INVALID,
    PERMANENT,
    TRANSIENT,
    ActionCall,
    ActionError,
    ActionSpec,
    check_arguments,
    recordable,
)

_LOGGER = logging.getLogger(__name__)
_NAME_CHARS_MAX = 200
_SIGNATURE_COUNT_MAX = 512  # kept; a registry of more functions reads some again


def call_function(call: ActionCall) -> Json:
    """Call the function named by `function` with the other arguments, by keyword.

    Returns:
        What the function returned, as the ledger will give it back.

    Raises:
        ActionError: `invalid` for an unknown function or arguments it does not take, `transient`
            when it raised `countersign.TransientError`, `permanent` for any other exception and
            for a result that is not JSON.
    """
    arguments = dict(call.arguments)
    name = arguments.pop("function", None)
    # The validator takes longer than all the rest, to find what almost every call is.
    if not isinstance(name, str) or not 0 < len(name) <= _NAME_CHARS_MAX:
        check_arguments(SPEC.input_validator, call.arguments)
    registered = _find(str(name))
    _check_signature(registered, arguments)
    with attempt_context(call.attempt):
        result = _call(registered, arguments)
    return recordable(result)


def _find(name: str) -> RegisteredFunction:
    registered = find_function(name)
    if registered is None:
        close = difflib.get_close_matches(name, list_functions(), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ActionError(INVALID, f"No function is registered as {name!r}.{hint}")
    if inspect.iscoroutinefunction(registered.body):
        raise ActionError(INVALID, f"{name!r} is a coroutine function; register a plain one.")
    return registered


def _check_signature(registered: RegisteredFunction, arguments: dict[str, Json]) -> None:
    # Bound beforehand, so that a TypeError from inside the function is not mistaken for ours.
    try:
        _signature(registered.body).bind(**arguments)
    except TypeError as error:
        raise ActionError(INVALID, f"{registered.name}: {error}") from error


@lru_cache(maxsize=_SIGNATURE_COUNT_MAX)
def _signature(body: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(body)


def _call(registered: RegisteredFunction, arguments: dict[str, Json]) -> Any:
    try:
        return registered.body(**arguments)
    except TransientError as error:
        raise ActionError(TRANSIENT, str(error) or "Trying again may help.") from error
    # The function is somebody else's code: whatever it raises ends the attempt, not the worker.
    # SystemExit too: a function that calls sys.exit() must not stop a process that serves others.
    except (Exception, SystemExit) as error:
        _LOGGER.exception("The function %s failed.", registered.name)
        raise ActionError(PERMANENT, f"{type(error).__name__}: {error}") from error


SPEC = ActionSpec(
    name="python/call",
    version=1,
    input_schema={
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["function"],
        "properties": {
            "function": {"type": "string", "minLength": 1, "maxLength": _NAME_CHARS_MAX}
        },
    },
    output_schema={"$schema": "https://json-schema.org/draft/2020-12/schema"},
    idempotent=False,
    pure=False,
    execute=call_function,
)
