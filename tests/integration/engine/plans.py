"""Plans for tests of what is around a run, which matter little themselves."""

from engine.domain.plan import Plan, Step, Uses


def plan_of_one_step(name: str = "job", function: str = "t.ok") -> Plan:
    """Return a plan whose only step calls a function."""
    verb = Uses(action="python/call@1", arguments={"function": function})
    return Plan(
        name=name,
        title="t",
        inputs_schema={"type": "object"},
        variables={},
        steps={"a": Step(id="a", verb=verb)},
        outputs={},
    )
