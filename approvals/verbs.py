"""What this app does for the engine below: the verb `approval`. Read `ApprovalVerb` first."""

from collections.abc import Mapping

from approvals.domain.block import check_block
from approvals.domain.opening import prepare_block
from core.kernel.types import Json
from engine.domain.expressions import Evaluator, Variables
from engine.domain.verbs import Checked, CheckScope


class ApprovalVerb:
    """The pure half of `approval`: implements `engine.domain.verbs.WaitVerb`."""

    name = "approval"

    def check(self, block: Json, *, scope: CheckScope) -> Checked:
        """Validate the block as written and return it normalized, with every default filled in."""
        return check_block(block, scope=scope)

    def prepare(
        self, body: Mapping[str, Json], *, variables: Variables, evaluator: Evaluator
    ) -> Mapping[str, Json]:
        """Evaluate the block's expressions when the run reaches it.

        Raises:
            ExpressionError: when anything but a `when` does not evaluate to what it should be.
        """
        return prepare_block(body, variables=variables, evaluator=evaluator)
