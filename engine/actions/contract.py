"""What an action is to the engine. Read `ActionSpec` first.

An action is executed by a worker, outside any transaction, at least once. It says what went wrong
with `ActionError`; whether that is tried again is the definition's business (`retry.errors`).
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jsonschema import Draft202012Validator

from core.kernel.canonical import UncanonicalError, canonical_bytes
from core.kernel.limits import ERROR_CHARS_MAX, PAYLOAD_BYTES_MAX
from core.kernel.masking import NO_MASK, Mask
from core.kernel.types import Json
from countersign.functions import Attempt
from engine.domain.flow.installed import ActionInfo, FaultFinder

# The error kinds every action shares. An action may have kinds of its own beside them.
TRANSIENT = "transient"  # trying again may help
TIMEOUT = "timeout"  # the time allowed ran out
PERMANENT = "permanent"  # trying again would end the same way
INVALID = "invalid"  # the arguments break the action's contract

_INTEGER_MAX = 2**53 - 1
_EXPONENT_FROM = 1e21  # canonical JSON writes smaller whole numbers as digits only
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f]+")


class ActionError(Exception):
    """An attempt that failed. `kind` is matched by `retry.errors`, the message goes on record.

    So does `detail`, which `recordable` has accepted: what was done until then.
    """

    def __init__(self, kind: str, message: str, *, detail: Json = None) -> None:
        super().__init__(one_line(message))
        self.kind = kind
        self.message = one_line(message)
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionCall:
    """One attempt to execute an action, with its arguments rendered.

    What leaves the action is masked by whoever executes it. An action that cuts a text before it
    puts it into a message masks it first: half a secret is not found any more.
    """

    arguments: dict[str, Json]
    attempt: Attempt
    mask: Mask = NO_MASK


@dataclass(frozen=True, kw_only=True)
class ActionSpec:
    """An action a definition may name with `uses: name@version`.

    `input_schema` and `output_schema` are JSON Schema 2020-12. `idempotent`: executing it again
    with the same `attempt.idempotency_key` changes nothing more. `pure`: it changes nothing at all.
    `execute` checks its arguments itself and returns a value that `recordable` accepted; it raises
    `ActionError` and nothing else but bugs. `find_faults` says when a definition is published what
    the schema cannot: it gets arguments as written, with their `${{ … }}`, that fit the schema.
    """

    name: str
    version: int
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]
    idempotent: bool
    pure: bool
    execute: Callable[[ActionCall], Json]
    find_faults: FaultFinder | None = None

    @property
    def reference(self) -> str:
        """Return the name definitions use, such as `http/request@1`."""
        return f"{self.name}@{self.version}"

    @property
    def info(self) -> ActionInfo:
        """Return what the language must know of the action."""
        return ActionInfo(
            name=self.reference,
            input_schema=self.input_schema,
            idempotent=self.idempotent,
            pure=self.pure,
            find_faults=self.find_faults,
        )

    @cached_property
    def input_validator(self) -> Draft202012Validator:
        """Return the validator of the arguments."""
        return Draft202012Validator(self.input_schema)


def object_schema(
    properties: Mapping[str, Any], *, required: Iterable[str] = (), **more: Any
) -> dict[str, Any]:
    """Return the JSON Schema of a map that has these properties and no others.

    `more` are other keywords of the schema.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": list(required),
        "additionalProperties": False,
        "properties": dict(properties),
        **more,
    }


def check_arguments(validator: Draft202012Validator, arguments: Mapping[str, Json]) -> None:
    """Check arguments against an input schema, and name the first that is wrong.

    Raises:
        ActionError: of kind `invalid`.
    """
    wrong = sorted(validator.iter_errors(arguments), key=lambda error: list(map(str, error.path)))
    if wrong:
        where = "/" + "/".join(str(part) for part in wrong[0].absolute_path)
        raise ActionError(INVALID, f"with{where if where != '/' else ''}: {wrong[0].message}")


def recordable(value: object) -> Json:
    """Return a result as it will be read back from the ledger.

    Canonical JSON writes 1.0 as 1 and a tuple as a list. A run that went on with the original
    would decide differently from its own replay, so it goes on with this.

    Raises:
        ActionError: of kind `permanent`, when the value is not JSON (naming the path) or is over
            `PAYLOAD_BYTES_MAX`.
    """
    try:
        problem = _find_unrecordable(value, path="")
    except RecursionError as error:
        raise ActionError(PERMANENT, "The result is nested too deeply.") from error
    if problem is not None:
        raise ActionError(PERMANENT, problem)
    try:
        written = canonical_bytes(value)  # type: ignore[arg-type]  # checked to be JSON above
    except UncanonicalError as error:
        raise ActionError(PERMANENT, f"The result is not JSON: {error.message}") from error
    if len(written) > PAYLOAD_BYTES_MAX:
        raise ActionError(
            PERMANENT,
            f"The result has {len(written)} bytes as JSON; at most {PAYLOAD_BYTES_MAX} are kept. "
            "Store it elsewhere and return where it is.",
        )
    read_back: Json = json.loads(written)
    return read_back


def one_line(text: str) -> str:
    """Return a text without line breaks and control characters, at most `ERROR_CHARS_MAX` long."""
    # Bounded before the substitution too: what is cut away need not be cleaned.
    cleaned = _BLANKS.sub(" ", text[: ERROR_CHARS_MAX * 4]).strip()
    cleaned = cleaned.encode("utf-8", "replace").decode("utf-8")
    return cleaned if len(cleaned) <= ERROR_CHARS_MAX else cleaned[: ERROR_CHARS_MAX - 1] + "…"


def _find_unrecordable(value: object, *, path: str) -> str | None:
    """Return what keeps a value from being recorded and where, or `None`."""
    if isinstance(value, list | tuple):
        return _first(_find_unrecordable(item, path=f"{path}/{i}") for i, item in enumerate(value))
    if isinstance(value, dict):
        return _first(_member_problem(key, item, path=path) for key, item in value.items())
    return _scalar_problem(value, path=path)


def _member_problem(key: object, item: object, *, path: str) -> str | None:
    if not isinstance(key, str):
        return f"result{path}: the key {key!r} is {type(key).__name__}, not text."
    return _text_problem(key, path=path) or _find_unrecordable(item, path=f"{path}/{key}")


def _scalar_problem(value: object, *, path: str) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return _text_problem(value, path=path)
    if isinstance(value, int | float):
        return _number_problem(value, path=path)
    return f"result{path}: {type(value).__name__} is not JSON."


def _first(problems: Iterable[str | None]) -> str | None:
    return next((problem for problem in problems if problem is not None), None)


def _text_problem(value: str, *, path: str) -> str | None:
    # PostgreSQL and RFC 8785 both refuse what is not a Unicode scalar value.
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"result{path}: the text holds a lone surrogate."
    return None


def _number_problem(value: float, *, path: str) -> str | None:
    if isinstance(value, int):
        if abs(value) > _INTEGER_MAX:
            return f"result{path}: the integer {value} is over 2^53-1; return it as text."
        return None
    if not math.isfinite(value):
        return f"result{path}: {value} is not JSON."
    if _INTEGER_MAX < abs(value) < _EXPONENT_FROM:
        return f"result{path}: {value} is over 2^53-1 and would come back as an integer."
    return None
