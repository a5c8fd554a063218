"""What the engine asks of a verb that belongs to a package above it. Read `WaitVerb` first.

`approval` is such a verb: the engine knows that a run waits and how waiting ends, never why.
This is the pure half; `engine.ports.WaitOpener` is the half that writes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from core.kernel.errors import Problem
from core.kernel.types import Json
from engine.domain.expressions import Evaluator, Variables


class WaitOutcome(StrEnum):
    """How a wait may end. `SKIPPED` and `UNREACHED` are the engine's own and not among them."""

    APPROVED = "approved"
    REJECTED = "rejected"
    CHANGES_REQUESTED = "changes-requested"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    VOIDED = "voided"
    OVERRIDDEN = "overridden"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckScope:
    """What a verb may know of the definition around it while it checks its block.

    `effects` are the effect templates of the steps that come after this one, in the plan's order,
    as many as one line shown to an approver can hold; `names` the top-level names expressions may
    use. `path` is the JSON pointer of the block.
    """

    step: str
    path: str
    names: Collection[str]
    evaluator: Evaluator
    effects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A verb's block after checking: normalized for the plan, or problems with JSON pointers."""

    body: Mapping[str, Json] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


class WaitVerb(Protocol):
    """The pure half of a waiting verb."""

    name: str

    def check(self, block: Json, *, scope: CheckScope) -> Checked:
        """Validate the block as written and return it normalized, with every default filled in."""
        ...

    def prepare(
        self, body: Mapping[str, Json], *, variables: Variables, evaluator: Evaluator
    ) -> Mapping[str, Json]:
        """Evaluate the block's expressions when the run reaches it.

        Deterministic and total: an error inside a gate keeps the gate (and is listed in the
        result); an error anywhere else raises `ExpressionError`, which fails the step.
        """
        ...
