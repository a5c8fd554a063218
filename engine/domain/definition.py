"""A definition at work: its plan, indexed, with what evaluates it. Read `Definition`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.kernel import limits
from core.kernel.canonical import UncanonicalError, canonical_bytes
from core.kernel.types import Json
from engine.domain.expressions import TOO_LARGE, Evaluator, ExpressionError
from engine.domain.keys import (
    BODIES,
    child_key,
    is_undo,
    path_of,
    prefix_of,
    step_key,
    step_of,
    undone_by,
)
from engine.domain.nodes import Node, Tree
from engine.domain.plan import Compensation, Kind, Plan, Retry, Step, Uses
from engine.domain.secrets import with_places
from engine.domain.state import RunState, StepError, StepState, StepStatus
from engine.domain.verbs import WaitVerb

_NOTHING = StepState()


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """The rules of one version. Holds no state of any run; safe to share between threads."""

    plan: Plan
    tree: Tree
    evaluator: Evaluator
    verbs: Mapping[str, WaitVerb] = field(default_factory=dict)

    @property
    def is_machine(self) -> bool:
        """Say whether it is of `kind: states`."""
        return self.plan.kind == Kind.STATES

    # --- what a key stands for -----------------------------------------------------------------

    def node(self, key: str) -> Node:
        """Return the place in the plan of a key; of a compensation, of what it undoes."""
        return self.tree.nodes[path_of(key)]

    def step(self, key: str) -> Step:
        """Return the step of a key; of a compensation, of what it undoes."""
        return self.tree.nodes[path_of(key)].step

    def undo(self, key: str) -> Compensation | None:
        """Return the compensation that a key stands for, `None` for an instance of a step."""
        return self.step(key).compensate if is_undo(key) else None

    def uses(self, key: str) -> Uses:
        """Return the action behind a key, of a step or of its compensation."""
        undo = self.undo(key)
        verb = undo.uses if undo else self.step(key).verb
        assert isinstance(verb, Uses), f"{key} executes nothing"
        return verb

    def retry(self, key: str) -> Retry:
        """Return when a failed attempt of a key is tried again."""
        undo = self.undo(key)
        return undo.retry if undo else self.step(key).retry

    # --- what expressions see ------------------------------------------------------------------

    def variables(self, state: RunState, key: str) -> dict[str, Json]:
        """Return the variables of the expressions that belong to a key."""
        key = undone_by(key)
        node = self.node(key)
        found = self._variables(state, key, node.reads)
        for ancestor in _around(key, node.depth):
            found.update(state.steps[ancestor].locals)
        return found

    def variables_at_end(self, state: RunState, reads: frozenset[str]) -> dict[str, Json]:
        """Return the variables of the definition's own expressions, which read these steps."""
        return self._variables(state, "", reads)

    def _variables(self, state: RunState, key: str, reads: frozenset[str]) -> dict[str, Json]:
        # Only the steps an expression mentions: a run of ten thousand steps must not build a map
        # of ten thousand entries for each condition.
        steps = {name: self._value_of(state, self.resolve(state, key, name)) for name in reads}
        return {
            "inputs": state.inputs,
            "vars": state.variables,
            "run": dict(state.facts),
            "steps": dict(sorted(steps.items())),
            "event": state.event,
        }

    def resolve(self, state: RunState, key: str, name: str) -> str:
        """Return the key of the instance that `steps.<name>` means for the expressions of a key.

        Of a state machine, that of the last visit; of the step that `key` is an instance of, this
        very instance. "" if it cannot be seen from there.
        """
        path = self.tree.ids[name]
        if key and step_of(key) == name and path_of(key) != path:
            return key
        parent = self.tree.nodes[path].parent
        if not parent:
            return step_key(name, state.visits.get(name, 0) or 1)
        own = path_of(key) if key else ""
        if own != parent and not own.startswith(f"{parent}/"):
            return ""
        return child_key(prefix_of(key, parent.count("/") + 1), name)

    def _value_of(self, state: RunState, key: str) -> Json:
        step = state.steps.get(key, _NOTHING)
        ended = step.status is StepStatus.ENDED and step.outcome is not None
        error: Json = None
        if step.error is not None:
            error = {"kind": step.error.kind, "message": step.error.message}
        return {
            "outcome": str(step.outcome) if ended else str(StepStatus.PENDING),
            "outputs": dict(step.outputs),
            "error": error,
        }

    # --- evaluating ----------------------------------------------------------------------------

    def render(self, template: Mapping[str, Json], variables: dict[str, Json]) -> dict[str, Json]:
        """Return a rendered map. Raises: ExpressionError, also if it is too large to hand over."""
        rendered = self.evaluator.render(dict(template), variables)
        try:
            size = len(canonical_bytes(rendered))
        except UncanonicalError as error:
            raise ExpressionError(expression="with", reason=error.message) from error
        if size > limits.ARGUMENT_BYTES_MAX:
            reason = f"it has {size} bytes; at most {limits.ARGUMENT_BYTES_MAX} are handed over"
            raise ExpressionError(expression="with", reason=reason, kind=TOO_LARGE)
        assert isinstance(rendered, dict), "a map renders to a map"
        return rendered

    def render_arguments(
        self, template: Mapping[str, Json], variables: dict[str, Json]
    ) -> dict[str, Json]:
        """Return an action's rendered arguments, in which secrets have places but no values.

        Raises: as `render`.
        """
        places = with_places(dict(template)) if self.plan.secrets else template
        assert isinstance(places, Mapping), "a map stays one"
        return self.render(places, variables)

    def render_name(self, template: str, variables: dict[str, Json]) -> str:
        """Return a rendered name, such as a mutex's. Raises: ExpressionError, also for none."""
        rendered = self.evaluator.render(template, variables)
        if isinstance(rendered, bool | int | float):
            rendered = str(rendered)
        if not isinstance(rendered, str) or not rendered.strip():
            raise ExpressionError(expression=template, reason="it names nothing")
        if len(rendered) > limits.NAME_CHARS_MAX:
            reason = f"it has {len(rendered)} characters; at most {limits.NAME_CHARS_MAX} name it"
            raise ExpressionError(expression=template, reason=reason, kind=TOO_LARGE)
        return rendered


def expression_error(error: ExpressionError) -> StepError:
    """Return why a step failed whose expression did."""
    return StepError(kind=error.kind, message=str(error)[: limits.ERROR_CHARS_MAX])


def _around(key: str, depth: int) -> list[str]:
    """Return the keys of the instances around one that may have locals, and its own."""
    if depth == 0:
        return []
    names = key.split("/")
    return [
        "/".join(names[: count + 1])
        for count in range(depth + 1)
        if names[count].partition("#")[0] in BODIES
    ]
