"""What definitions may name: actions, functions and verbs. Read `Installed`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.domain.verbs import WaitVerb


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionInfo:
    """What the language must know of an installed action, such as `python/call@1`.

    `idempotent`: doing it again with the same key changes nothing more. `pure`: it changes nothing.
    """

    name: str
    input_schema: Mapping[str, Any] = field(default_factory=dict)
    idempotent: bool = False
    pure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What definitions may name. `functions` is `None` when they are not known."""

    verbs: Mapping[str, WaitVerb]
    actions: Mapping[str, ActionInfo]
    functions: Collection[str] | None = None
