"""Compiling a definition without a server. Read `compile_definition`.

What a deployment has installed is not known here, so any action and any function may be named and
arguments are not checked against them: that is what `countersign lint` asks the server.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from approvals.domain.block import check_block
from approvals.domain.opening import prepare_block
from core.kernel.types import Json
from engine.domain.expressions import Evaluator, Variables
from engine.domain.flow.compiler import ActionInfo, Compilation, compile_flow
from engine.domain.flow.loader import load
from engine.domain.verbs import Checked, CheckScope, WaitVerb
from engine.expressions import CelEvaluator

EVALUATOR = CelEvaluator()


class Approval:
    """The verb `approval` as the server's: the rules are the same functions."""

    name = "approval"

    def check(self, block: Json, *, scope: CheckScope) -> Checked:
        """Validate the block as written and return it normalized."""
        return check_block(block, scope=scope)

    def prepare(
        self, body: Mapping[str, Json], *, variables: Variables, evaluator: Evaluator
    ) -> Mapping[str, Json]:
        """Evaluate the block's expressions when the run reaches it."""
        return prepare_block(body, variables=variables, evaluator=evaluator)


VERBS: Mapping[str, WaitVerb] = {"approval": Approval()}


def compile_definition(source: str | bytes) -> Compilation:
    """Return a definition's plan, or what is wrong with it."""
    names = sorted(set(_list_actions(load(source).value)))
    # Whether repeating it is safe is the action's own promise, and the server's to check.
    actions = [ActionInfo(name=name, idempotent=True, pure=True) for name in names]
    return compile_flow(source, evaluator=EVALUATOR, verbs=VERBS, actions=actions, functions=None)


def _list_actions(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        named = value.get("uses")
        if isinstance(named, str):
            yield named
        for item in value.values():
            yield from _list_actions(item)
    elif isinstance(value, list):
        for item in value:
            yield from _list_actions(item)
