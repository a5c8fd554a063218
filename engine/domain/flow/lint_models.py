"""A model drafts, people decide. Read `check_model_decides`."""

from collections.abc import Iterator, Mapping
from typing import Final

from core.kernel.types import Json
from engine.domain.expressions import ExpressionError
from engine.domain.flow.draft import StepDraft
from engine.domain.flow.positions import pointer
from engine.domain.flow.problems import Code
from engine.domain.flow.tools import Tools

MODEL_ACTION: Final = "ai/generate@1"


def check_model_decides(tools: Tools, step: StepDraft) -> None:
    """Refuse an approval whose people are chosen, or left out, by what a model says.

    What reaches it through another step is not seen here.
    """
    for path, text in _list_choices(step):
        try:
            read = tools.checker.evaluator.reads(text)
        except ExpressionError:
            continue  # another rule says so
        for name in sorted(read):
            named = tools.draft.ids.get(name)
            if named is not None and named.action is not None and named.action.uses == MODEL_ACTION:
                message = (
                    f"Who decides, and whether anybody is asked, may not depend on what the model "
                    f"of `{name}` answers; show it in the `subject` instead."
                )
                tools.reporter.error(Code.MODEL_DECIDES, path, message)


def _list_choices(step: StepDraft) -> Iterator[tuple[str, str]]:
    """Yield the expressions that say whether people are asked, and which: path and text."""
    if step.condition is not None:
        yield pointer(["if"], base=step.path), step.condition
    base = pointer([step.verb], base=step.path)
    block: Json = step.block
    if not isinstance(block, Mapping):
        return
    stages, exclude = block.get("stages"), block.get("exclude")
    for index, stage in enumerate(stages if isinstance(stages, list) else []):
        when = stage.get("when") if isinstance(stage, Mapping) else None
        if isinstance(when, str):
            yield pointer(["stages", index, "when"], base=base), when
    for index, entry in enumerate(exclude if isinstance(exclude, list) else []):
        if isinstance(entry, str):
            yield pointer(["exclude", index], base=base), entry
