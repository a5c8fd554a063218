"""Running random runs again: what is taken over is closed, and no decision stands for another."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.domain.keys import path_of
from engine.domain.plan import AfterError, Join, OnError, Step
from engine.domain.rerunning import holds_gate
from tests.constructs import each, group, put
from tests.plans import approval, boom, plan, undoable, uses
from tests.pure_run import PureRun
from tests.reruns import foresee, rerun, taken

_KINDS = ("uses", "uses", "undoable", "approval", "group", "gate", "set", "map")
_ENDS = ("good", "good", "good", "bad", "absorbed")


@st.composite
def plans(draw):
    """Return a random dag, and the ids of the steps whose action fails."""
    count = draw(st.integers(1, 8))
    steps: list[Step] = []
    failing: set[str] = set()
    for number in range(count):
        name = f"s{number}"
        needs = (
            draw(st.lists(st.sampled_from([step.id for step in steps]), unique=True, max_size=3))
            if steps
            else []
        )
        kind, end = draw(st.sampled_from(_KINDS)), draw(st.sampled_from(_ENDS))
        if end != "good":
            failing.add(name)
        fields: dict[str, Any] = {}
        if kind in {"uses", "undoable"}:
            if end == "absorbed":
                fields["on_error"] = OnError(then=AfterError.CONTINUE)
            if needs:
                fields["join"] = draw(
                    st.sampled_from((Join.ALL, Join.ALL, Join.ANY, Join.ALL_SETTLED))
                )
            if draw(st.integers(0, 9)) == 0:
                fields["condition"] = "false"
        steps.append(_make(kind, name, tuple(needs), fields))
    return plan(*steps), failing


def _make(kind, name, needs, fields):
    inside, on = f"{name}_in", f"{name}_on"
    makers = {
        "uses": lambda: uses(name, *needs, **fields),
        "undoable": lambda: undoable(name, *needs, **fields),
        "approval": lambda: approval(name, *needs),
        "group": lambda: group(name, undoable(inside), uses(on, inside), needs=needs),
        "gate": lambda: group(name, approval(inside), uses(on, inside), needs=needs),
        "set": lambda: put(name, *needs, values={"last": f"'{name}'"}),
        "map": lambda: each(name, items="inputs.items", needs=needs),
    }
    return makers[kind]()


def _finish(run, say):
    """Answer what is open until nothing is, then return the run."""
    run.drive()
    for _ in range(30):
        waiting = [key for key, step in run.state.steps.items() if str(step.status) == "waiting"]
        if run.closed or not waiting:
            break
        run.resolve(min(waiting), say())
    return run


@given(plans(), st.data())
def test_a_rerun_takes_over_what_nothing_executed_again_leads_to(made, data):
    compiled, failing = made
    actions = {name: boom() for name in failing}
    run = PureRun(compiled, inputs={"items": [1, 2]}, actions=actions)
    answers = ("approved", "approved", "rejected")
    _finish(run, lambda: data.draw(st.sampled_from(answers)))
    chosen = data.draw(st.sampled_from(sorted(compiled.steps)))

    foreseen = foresee(run, chosen)

    kept = {path_of(key) for key in taken(foreseen)}
    executed = {path_of(item.key) for item in foreseen.again}
    assert kept | executed == set(compiled.steps)
    assert not kept & executed
    assert chosen in executed
    definition = run.decider.definition
    for name in kept:
        assert not executed & set(compiled.steps[name].needs)
        assert run.state.steps[f"{name}#1"].outcome is not None
    for name in _above(compiled, executed):
        assert not holds_gate(definition, compiled.steps[name])

    fails_now = {name: boom() for name in data.draw(st.sets(st.sampled_from(sorted(executed))))}
    new = _finish(rerun(run, chosen, actions=fails_now), lambda: "approved")
    assert new.closed
    assert new.replayed() == new.state
    keys = [key for key, _, _ in new.executed]
    assert not [
        key for key in keys if path_of(key).partition("/")[0] in kept and "compensate" not in key
    ]
    _check_undone(run, new)


def _above(compiled, names):
    """Return the steps not among these that they depend on."""
    found, todo = set(), list(names)
    while todo:
        for need in compiled.steps[todo.pop()].needs:
            if need not in found:
                found.add(need)
                todo.append(need)
    return found - names


def _check_undone(run, new):
    """Check that each completion is undone once at most, in one of the two runs."""
    done = Counter(key for item in (run, new) for key, _, _ in item.executed)
    for key, count in done.items():
        if key.startswith("compensate/"):
            assert count <= done[key.removeprefix("compensate/")]
