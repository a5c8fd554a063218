"""Where the waiting verbs of a plan are written. Read `list_waits`."""

from collections.abc import Iterator

from engine.domain.flow.positions import pointer
from engine.domain.plan import Group, Kind, Loop, Map, Matrix, Plan, Race, Step, Wait, roots


def list_waits(plan: Plan) -> Iterator[tuple[str, Wait]]:
    """Yield every waiting verb of a plan with the JSON pointer of its block in the definition."""
    top = "/states" if plan.kind == Kind.STATES else "/steps"
    for name, step in roots(plan).items():
        yield from _waits_of(step, path=pointer([name], base=top))


def _waits_of(step: Step, *, path: str) -> Iterator[tuple[str, Wait]]:
    verb = step.verb
    if isinstance(verb, Wait):
        yield pointer([verb.verb], base=path), verb
    elif isinstance(verb, Map | Matrix | Loop):
        yield from _waits_of(verb.body, path=path)  # a modifier, written beside the verb
    elif isinstance(verb, Group):
        for name, inner in verb.steps.items():
            yield from _waits_of(inner, path=pointer(["steps", name], base=path))
    elif isinstance(verb, Race):
        for index, branch in enumerate(verb.branches.values()):
            yield from _waits_of(branch, path=pointer(["race", index], base=path))
