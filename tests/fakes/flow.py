"""What a definition needs to compile: actions, a waiting verb, and a short way to call it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.kernel.errors import Problem
from core.kernel.types import Json
from engine.actions.contract import ActionSpec
from engine.domain.expressions import Evaluator, ExpressionError, Variables
from engine.domain.flow.compiler import ActionInfo, Compilation, compile_flow
from engine.domain.verbs import Checked, CheckScope, WaitVerb
from engine.expressions import CelEvaluator

DATA = Path(__file__).parent.parent / "data" / "flow"
EVALUATOR = CelEvaluator()
FUNCTIONS = ("release.scan", "release.run_tests")
CALL = ActionInfo(
    name="python/call@1",
    input_schema={
        "type": "object",
        "required": ["function"],
        "properties": {"function": {"type": "string", "minLength": 1}},
    },
)
REQUEST = ActionInfo(
    name="http/request@1",
    input_schema={
        "type": "object",
        "required": ["method", "url"],
        "additionalProperties": False,
        "properties": {
            "method": {"enum": ["GET", "POST"]},
            "url": {"type": "string"},
            "json": True,
            "expect": {"type": "object", "properties": {"status": {"type": "integer"}}},
            "tags": {"type": "array", "maxItems": 2, "items": {"type": "string"}},
        },
    },
    idempotent=True,
)
MAIL = ActionInfo(name="email/send@1", idempotent=True)


@dataclass
class SmallVerb:
    """A waiting verb that takes `title` and `when`, and remembers the scopes it was given.

    Its pointers start at the block, unlike those of `approvals.verbs.ApprovalVerb`, which start at
    the root; both are allowed.
    """

    name: str = "approval"
    scopes: list[CheckScope] = field(default_factory=list)

    def check(self, block: Json, *, scope: CheckScope) -> Checked:
        """Accept a title template and a condition."""
        self.scopes.append(scope)
        assert isinstance(block, dict), "the compiler hands over maps"
        problems = [
            Problem(message=f"No {key}.", path=f"/{key}", code="small.unknown_key")
            for key in block
            if key not in {"title", "when", "limit"}
        ]
        try:
            scope.evaluator.check_template(block.get("title"), names=scope.names)
            if "when" in block:
                names = (*scope.names, "subject")
                scope.evaluator.check_condition(str(block["when"]), names=names)
                scope.evaluator.check(str(block["when"]), names=names)
        except ExpressionError as error:
            problems.append(Problem(message=error.reason, path="/when"))
        if "limit" not in block:
            problems.append(Problem(message="No limit.", code="small.x", severity="warning"))
        return Checked(body={"checked": block}, problems=tuple(problems))

    def prepare(
        self, body: Mapping[str, Json], *, variables: Variables, evaluator: Evaluator
    ) -> Mapping[str, Json]:
        """Return the body as it is."""
        del variables, evaluator
        return body


def compile_text(
    source: str | bytes,
    *,
    verb: WaitVerb | None = None,
    functions: tuple[str, ...] | None = FUNCTIONS,
    verbs: Mapping[str, WaitVerb] | None = None,
) -> Compilation:
    """Compile a definition with the actions above."""
    if verbs is None:
        verbs = {"approval": verb or SmallVerb()}
    return compile_flow(
        source, evaluator=EVALUATOR, verbs=verbs, actions=[CALL, REQUEST, MAIL], functions=functions
    )


def compile_with(spec: ActionSpec, arguments: str) -> Compilation:
    """Compile one step `s` that executes an action with arguments in YAML's flow style."""
    source = f"""
schema: flow/v1
kind: dag
name: x
inputs: {{type: object, properties: {{code: {{}}}}}}
steps:
  s: {{uses: {spec.reference}, with: {arguments}}}
"""
    return compile_flow(
        source, evaluator=EVALUATOR, verbs={}, actions=[spec.info], functions=FUNCTIONS
    )
