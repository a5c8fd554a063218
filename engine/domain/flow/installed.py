"""What definitions may name: actions, functions and verbs. Read `Installed`."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.kernel.types import Json
from engine.domain.verbs import WaitVerb

# Arguments as written → where and what is wrong: keys and indexes from the arguments, a sentence.
FaultFinder = Callable[[Mapping[str, Json]], Iterable[tuple[tuple[str | int, ...], str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionInfo:
    """What the language must know of an installed action, such as `python/call@1`.

    `idempotent`: doing it again with the same key changes nothing more. `pure`: it changes nothing.
    `find_faults` says what is wrong with arguments as written that fit the schema.
    """

    name: str
    input_schema: Mapping[str, Any] = field(default_factory=dict)
    idempotent: bool = False
    pure: bool = False
    find_faults: FaultFinder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What definitions may name. `functions` is `None` when they are not known."""

    verbs: Mapping[str, WaitVerb]
    actions: Mapping[str, ActionInfo]
    functions: Collection[str] | None = None
