"""From a definition's text to its plan. Read `compile_flow` first."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from core.kernel.canonical import sha256
from core.kernel.errors import Problem
from engine.domain.expressions import Evaluator
from engine.domain.flow.build import build_plan
from engine.domain.flow.installed import ActionInfo, Installed
from engine.domain.flow.lint import make_linter
from engine.domain.flow.loader import load
from engine.domain.flow.meaning import ExpressionChecker
from engine.domain.flow.problems import Reporter
from engine.domain.flow.reading import read_draft
from engine.domain.flow.scopes import read_scopes
from engine.domain.flow.shape import check_shape
from engine.domain.flow.tools import make_tools
from engine.domain.plan import Plan
from engine.domain.verbs import WaitVerb

__all__ = ["ActionInfo", "Compilation", "compile_flow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilation:
    """What became of a definition.

    `plan` is `None` when there is an error among the `problems`, which are in the order of the
    text and at most `limits.PROBLEM_COUNT_MAX`. `name` and `title` are empty where they could not
    be read. `source_digest` is the SHA-256 of the text, 32 bytes.
    """

    plan: Plan | None
    name: str
    title: str
    source_digest: bytes
    problems: tuple[Problem, ...]


def compile_flow(
    source: str | bytes,
    *,
    evaluator: Evaluator,
    verbs: Mapping[str, WaitVerb],
    actions: Collection[ActionInfo],
    functions: Collection[str] | None,
) -> Compilation:
    """Return a definition's plan, or everything that is wrong with it.

    Pure, and quick for any input: the time is in proportion to the text and to the number of its
    expressions. `functions` are the names `python/call` may call; `None` accepts any.
    """
    data = source if isinstance(source, bytes) else source.encode("utf-8", "surrogatepass")
    digest = sha256(data)
    loaded = load(source)
    reporter = Reporter(places=loaded.places)
    if loaded.problems:
        return Compilation(
            plan=None, name="", title="", source_digest=digest, problems=loaded.problems
        )
    check_shape(loaded.value, reporter=reporter)
    if not isinstance(loaded.value, dict):
        problems = reporter.problems()
        return Compilation(plan=None, name="", title="", source_digest=digest, problems=problems)
    draft = read_draft(loaded.value)
    scopes = read_scopes(draft)
    checker = ExpressionChecker(draft=draft, scopes=scopes, evaluator=evaluator, reporter=reporter)
    installed = Installed(
        verbs=verbs, actions={action.name: action for action in actions}, functions=functions
    )
    tools = make_tools(
        draft, scopes=scopes, installed=installed, checker=checker, reporter=reporter
    )
    bodies = make_linter(tools).lint()
    plan = None
    if not reporter.has_errors:
        plan = build_plan(draft, scopes=scopes, bodies=bodies, evaluator=evaluator)
    return Compilation(
        plan=plan,
        name=draft.name,
        title=draft.title,
        source_digest=digest,
        problems=reporter.problems(),
    )
