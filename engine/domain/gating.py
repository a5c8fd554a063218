"""Which gates a step is behind. Read `list_gates`."""

from collections.abc import Mapping

from engine.domain.plan import Join, Plan, Step, Wait, inner_steps, roots, walk

_NONE: frozenset[str] = frozenset()


def list_gates(plan: Plan) -> dict[str, frozenset[str]]:
    """Return, for every step by its path, the paths of the gates that must say yes before it.

    Only what holds in every run counts: of needs of which some are enough, the gates that are
    behind each; of needs that may end however they like, none. The states of a machine are behind
    none, as its ways change with what happens.
    """
    gates: dict[str, frozenset[str]] = {}

    def visit(steps: Mapping[str, Step], base: str, around: frozenset[str]) -> None:
        for name, step in steps.items():  # needs come first
            path = f"{base}{name}"
            gates[path] = around | _of_needs(step, base, gates, plan_steps)
            visit(inner_steps(step), f"{path}/", gates[path])

    plan_steps = dict(walk(plan))
    visit(roots(plan), "", _NONE)
    return gates


def _of_needs(
    step: Step,
    base: str,
    gates: Mapping[str, frozenset[str]],
    steps: Mapping[str, Step],
) -> frozenset[str]:
    behind = []
    for need in step.needs:
        path = f"{base}{need}"
        own = (
            frozenset({path}) if isinstance(steps[path].verb, Wait) else _gates_inside(path, steps)
        )
        behind.append(gates.get(path, _NONE) | own)
    if not behind or step.join is Join.ALL_SETTLED:
        return _NONE
    if step.join is Join.ALL:
        return frozenset().union(*behind)
    return frozenset.intersection(*behind)


def _gates_inside(path: str, steps: Mapping[str, Step]) -> frozenset[str]:
    """Return the gates inside a group, all of which must end before it does; of others none."""
    step = steps[path]
    found = {
        f"{path}/{name}" for name, item in inner_steps(step).items() if isinstance(item.verb, Wait)
    }
    return frozenset(found) if step.verb.verb in {"steps", "map", "matrix"} else _NONE
