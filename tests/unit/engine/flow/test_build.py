"""What each verb and each modifier becomes in the plan."""

from typing import Any

import pytest

from core.kernel.types import Json
from engine.domain.plan import (
    AfterError,
    AwaitEvent,
    Cache,
    Call,
    Circuit,
    Compensation,
    Concurrency,
    Emit,
    Enough,
    Group,
    Join,
    Loop,
    Map,
    Matrix,
    On,
    OnConflict,
    OnError,
    Race,
    Rate,
    Retry,
    SetVars,
    StateEvent,
    StateNode,
    Step,
    Stuck,
    Timer,
    Transition,
    Uses,
    Wait,
)
from engine.domain.plan_json import plan_from_json, plan_to_json
from tests.fakes.flow import compile_text

HEAD = """schema: flow/v1
kind: {kind}
name: x
inputs: {{type: object, properties: {{ref: {{}}, hosts: {{}}, at: {{}}}}}}
vars: {{round: 0, last: null}}
"""
GET = "uses: http/request@1, with: {method: GET, url: u}"
PING = Uses(action="http/request@1", arguments={"method": "GET", "url": "u"})


def plan_of(text, *, kind="dag"):
    compilation = compile_text(HEAD.format(kind=kind) + text)
    assert compilation.plan is not None, compilation.problems
    assert plan_from_json(plan_to_json(compilation.plan)) == compilation.plan
    return compilation.plan


def step_of(line):
    """Return the last step of a definition of one, or of two the first of which is `before`."""
    plan = plan_of(f"steps:\n  before: {{{GET}}}\n  s: {{{line}}}\n")
    return plan.steps["s"]


def state_of(text):
    return plan_of(f"initial: s\nstates:\n  s: {text}\n  end: {{final: true}}\n", kind="states")


# --- verbs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "verb"),
    [
        (GET, PING),
        ("approval: {limit: 1}", Wait(verb="approval", body={"checked": {"limit": 1}})),
        ("wait: {timer: PT15M}", Timer(duration="PT15M")),
        ("wait: {timer: '${{ inputs.ref }}'}", Timer(duration="${{ inputs.ref }}")),
        ("wait: {until: inputs.at}", Timer(until="inputs.at")),
        ("wait: {event: {type: a.b, correlate: {}}}", AwaitEvent(type="a.b")),
        (
            "wait: {event: {type: a.b, correlate: {run: run.id}}}",
            AwaitEvent(type="a.b", correlate={"run": "run.id"}),
        ),
        ("emit: {type: a.b}", Emit(type="a.b")),
        (
            "emit: {type: 'a.${{ run.id }}', data: {x: [1, '${{ inputs.ref }}']}}",
            Emit(type="a.${{ run.id }}", data={"x": [1, "${{ inputs.ref }}"]}),
        ),
        ("call: child@*", Call(workflow="child")),
        (
            "call: ops/child@^1.2, with: {a: 1}, detached: true",
            Call(workflow="child", project="ops", range="^1.2", arguments={"a": 1}, detached=True),
        ),
        ("set: {round: vars.round + 1}", SetVars(values={"round": "vars.round + 1"})),
    ],
)
def test_a_verb_becomes_what_it_says(line, verb):
    assert step_of(line) == Step(id="s", verb=verb)


@pytest.mark.parametrize(
    "text", ["*", "x", "1.x", "1.2.*", "1", "1.2", "1.2.3", "^1", "~1.2", "^1.2.3"]
)
def test_a_call_may_name_a_range_of_versions(text):
    assert step_of(f"call: child@{text}").verb == Call(workflow="child", range=text)


def test_a_group_holds_its_steps_needs_first():
    plan = plan_of(
        "steps:\n"
        "  g:\n"
        "    steps:\n"
        f"      b: {{{GET}, needs: [a]}}\n"
        f"      a: {{{GET}}}\n"
        "    outputs: {code: steps.b.outputs.result}\n"
    )

    group = plan.steps["g"].verb
    assert isinstance(group, Group)
    assert list(group.steps) == ["a", "b"]
    assert group.steps["b"] == Step(id="b", verb=PING, needs=("a",))
    assert plan.steps["g"].outputs == {"code": "steps.b.outputs.result"}


def test_a_race_holds_its_branches_in_the_order_of_writing():
    step = step_of("race: [{id: z, wait: {timer: PT1M}}, {id: a, emit: {type: x}, priority: 2}]")

    assert isinstance(step.verb, Race)
    assert list(step.verb.branches.items()) == [
        ("z", Step(id="z", verb=Timer(duration="PT1M"))),
        ("a", Step(id="a", verb=Emit(type="x"), priority=2)),
    ]


# --- modifiers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("needs: [before]", {"needs": ("before",)}),
        ("needs: [before], join: any", {"needs": ("before",), "join": Join.ANY}),
        ("needs: [before], join: all-settled", {"needs": ("before",), "join": Join.ALL_SETTLED}),
        (
            "needs: [before], join: {count: 1, cancel-rest: true}",
            {"needs": ("before",), "join": Join.COUNT, "join_count": 1, "cancel_rest": True},
        ),
        (
            "needs: [before], if: steps.before.outcome == 'x'",
            {
                "needs": ("before",),
                "condition": "steps.before.outcome == 'x'",
                "condition_reads": ("before",),
            },
        ),
        ("timeout: PT1M", {"timeout_seconds": 60.0}),
        ("timeout: {attempt: PT1M}", {"timeout_seconds": 60.0}),
        ("timeout: {total: PT1H}", {"total_seconds": 3600.0}),
        (
            "timeout: {attempt: PT1M, total: PT1H}",
            {"timeout_seconds": 60.0, "total_seconds": 3600.0},
        ),
        ("heartbeat: PT30S", {"heartbeat_seconds": 30.0}),
        (
            "rate: {key: 'a-${{ inputs.ref }}', limit: 3, per: PT1M}",
            {"rate": Rate(key="a-${{ inputs.ref }}", limit=3, seconds=60.0)},
        ),
        (
            "circuit: {key: k, failures: 5, window: PT1M, cool-down: PT5M}",
            {"circuit": Circuit(key="k", failures=5, window_seconds=60.0, cooldown_seconds=300.0)},
        ),
        ("cache: {key: k, ttl: P1D}", {"cache": Cache(key="k", ttl_seconds=86400.0)}),
        ("queue: gpu", {"queue": "gpu"}),
        ("mutex: 'm-${{ inputs.ref }}'", {"mutex": "m-${{ inputs.ref }}"}),
        ("priority: 9", {"priority": 9}),
        ("delivery: at-most-once", {"at_most_once": True}),
        ("delivery: at-least-once", {}),
        ("lazy: true", {"lazy": True}),
        ("effect: something", {"effect": "something"}),
        ("outputs: {a: result.a}", {"outputs": {"a": "result.a"}}),
        ("retry: {max: 2}", {"retry": Retry(retries_max=2)}),
        (
            f"compensate: {{{GET}}}, compensate-on-failure: true",
            {"compensate": Compensation(uses=PING), "compensate_on_failure": True},
        ),
        ("on-error: {then: ask}", {"on_error": OnError(then=AfterError.ASK)}),
    ],
)
def test_a_modifier_becomes_what_it_says(line, fields):
    assert step_of(f"{GET}, {line}") == Step(id="s", verb=PING, **fields)


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("timeout: PT1H", {"total_seconds": 3600.0}),
        ("timeout: {total: PT1H}", {"total_seconds": 3600.0}),
        ("mutex: m", {"mutex": "m"}),
        ("priority: 1", {"priority": 1}),
        ("effect: x", {"effect": "x"}),
        ("outputs: {a: result}", {"outputs": {"a": "result"}}),
        (f"compensate: {{{GET}}}", {"compensate": Compensation(uses=PING)}),
        ("on-error: {then: continue}", {"on_error": OnError(then=AfterError.CONTINUE)}),
    ],
)
def test_what_waits_has_modifiers_too(line, fields):
    assert step_of(f"wait: {{timer: PT5M}}, {line}") == Step(
        id="s", verb=Timer(duration="PT5M"), **fields
    )


def test_an_approval_has_outputs_of_its_own_and_may_be_repeated():
    step = step_of(
        "approval: {limit: 1, title: '${{ host }}'}, outputs: {who: result.votes}, priority: 3, "
        "map: {items: inputs.hosts, as: host}"
    )

    body: dict[str, Json] = {"checked": {"limit": 1, "title": "${{ host }}"}}
    inner = Step(id="item", verb=Wait(verb="approval", body=body), outputs={"who": "result.votes"})
    assert step == Step(id="s", verb=Map(items="inputs.hosts", name="host", body=inner), priority=3)


def test_defaults_reach_actions_wherever_they_are_and_nothing_else():
    plan = plan_of(
        "defaults: {timeout: PT5M, retry: {max: 2}, queue: gpu}\n"
        "steps:\n"
        f"  a: {{steps: {{inner: {{{GET}}}}}}}\n"
        f"  b: {{{GET}, queue: cpu, map: {{items: inputs.hosts}}}}\n"
        "  c: {wait: {timer: PT1M}}\n"
        "  d: {call: child@1}\n"
    )

    group, mapped = plan.steps["a"].verb, plan.steps["b"].verb
    assert isinstance(group, Group)
    assert isinstance(mapped, Map)
    retry = Retry(retries_max=2)
    assert group.steps["inner"] == Step(
        id="inner", verb=PING, retry=retry, timeout_seconds=300.0, queue="gpu"
    )
    assert (mapped.body.queue, mapped.body.timeout_seconds) == ("cpu", 300.0)
    assert plan.steps["a"] == Step(id="a", verb=group)
    assert plan.steps["c"] == Step(id="c", verb=Timer(duration="PT1M"))
    assert plan.steps["d"] == Step(id="d", verb=Call(workflow="child", range="1"))


# --- repetition ------------------------------------------------------------------------------

MODIFIERS = (
    "needs: [before], if: steps.before.error == null, join: any, mutex: m, priority: 4, effect: e, "
    "on-error: {compensate: [s], then: fail}, timeout: {attempt: PT1M, total: PT1H}, "
    f"compensate: {{{GET}}}, compensate-on-failure: true, retry: {{max: 1}}, heartbeat: PT5S, "
    "outputs: {a: result}, rate: {key: k, limit: 1, per: PT1S}, cache: {key: k, ttl: PT1S}, "
    "circuit: {key: k, failures: 1, window: PT1S, cool-down: PT1S}, queue: q, "
    "delivery: at-most-once"
)
OUTERMOST: dict[str, Any] = {
    "needs": ("before",),
    "condition": "steps.before.error == null",
    "condition_reads": ("before",),
    "join": Join.ANY,
    "mutex": "m",
    "priority": 4,
    "effect": "e",
    "on_error": OnError(compensate=("s",), then=AfterError.FAIL),
    "total_seconds": 3600.0,
}
UNDO: dict[str, Any] = {
    "compensate": Compensation(uses=PING, retry=Retry(retries_max=0)),
    "compensate_on_failure": True,
}
INNERMOST: dict[str, Any] = {
    "verb": PING,
    "timeout_seconds": 60.0,
    "retry": Retry(retries_max=1),
    "heartbeat_seconds": 5.0,
    "outputs": {"a": "result"},
    "rate": Rate(key="k", limit=1, seconds=1.0),
    "circuit": Circuit(key="k", failures=1, window_seconds=1.0, cooldown_seconds=1.0),
    "cache": Cache(key="k", ttl_seconds=1.0),
    "queue": "q",
    "at_most_once": True,
}


def test_without_repetition_every_modifier_is_on_one_step():
    assert step_of(f"{GET}, {MODIFIERS}") == Step(id="s", **OUTERMOST, **UNDO, **INNERMOST)


def test_with_a_map_attempts_and_compensation_belong_to_each_instance():
    step = step_of(f"{GET}, {MODIFIERS}, map: {{items: inputs.hosts, as: host}}")

    body = Step(id="item", **UNDO, **INNERMOST)
    assert step == Step(id="s", verb=Map(items="inputs.hosts", name="host", body=body), **OUTERMOST)


def test_with_a_loop_compensation_belongs_to_the_whole():
    step = step_of(f"{GET}, {MODIFIERS}, loop: {{while: result == null, max-iterations: 3}}")

    body = Step(id="turn", **INNERMOST)
    loop = Loop(body=body, turns_max=3, condition="result == null")
    assert step == Step(id="s", verb=loop, **OUTERMOST, **UNDO)


def test_a_map_is_around_a_loop_which_is_around_the_verb():
    step = step_of(
        f"{GET}, {MODIFIERS}, map: {{items: inputs.hosts}}, "
        "loop: {until: 'result.ok', max-iterations: 3, delay: PT1M}"
    )

    turn = Step(id="turn", **INNERMOST)
    loop = Loop(body=turn, turns_max=3, until="result.ok", delay_seconds=60.0)
    item = Step(id="item", verb=loop, **UNDO)
    assert step == Step(id="s", verb=Map(items="inputs.hosts", name="item", body=item), **OUTERMOST)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", {}),
        (", max-concurrency: 7", {"concurrency": 7}),
        (", tolerate-failures: 3", {"failures_max": 3}),
        (", tolerate-failures: {count: 3}", {"failures_max": 3}),
        (", tolerate-failures: {percent: 12.5}", {"failures_percent_max": 12.5}),
        (", join: {count: 2}", {"enough": Enough(count=2)}),
        (", join: {count: 2, cancel-rest: true}", {"enough": Enough(count=2, cancel_rest=True)}),
    ],
)
def test_a_map_says_how_many_at_once_and_how_many_may_fail(text, fields):
    step = step_of(f"{GET}, map: {{items: inputs.hosts, as: host{text}}}")

    body = Step(id="item", verb=PING)
    assert step.verb == Map(items="inputs.hosts", name="host", body=body, **fields)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", {}),
        (", max-parallel: 2", {"concurrency": 2}),
        (", fail-fast: false", {"fail_fast": False}),
        (", exclude: [{a: 1}]", {"exclude": ({"a": 1},)}),
        (", join: {count: 2}", {"enough": Enough(count=2), "fail_fast": False}),
        (
            ", join: {count: 1, cancel-rest: true}, fail-fast: true",
            {"enough": Enough(count=1, cancel_rest=True)},
        ),
    ],
)
def test_a_matrix_says_what_to_leave_out_and_when_it_ends(text, fields):
    step = step_of(f"{GET}, strategy: {{matrix: {{a: [1, 2], b: ['x']}}{text}}}")

    body = Step(id="cell", verb=PING)
    axes: dict[str, Json] = {"a": [1, 2], "b": ["x"]}
    assert step.verb == Matrix(axes=axes, body=body, **fields)


def test_an_axis_may_be_known_only_when_the_step_starts():
    step = step_of(f"{GET}, strategy: {{matrix: {{host: '${{{{ inputs.hosts }}}}'}}}}")

    assert isinstance(step.verb, Matrix)
    assert step.verb.axes == {"host": "${{ inputs.hosts }}"}


# --- states ----------------------------------------------------------------------------------


def test_a_machine_has_states_and_no_steps():
    plan = state_of("{transitions: [{after: PT1M, to: end}]}")

    assert (plan.kind, plan.initial, plan.steps) == ("states", "s", {})
    assert plan.states == {
        "s": StateNode(id="s", transitions=(Transition(on=On.AFTER, to="end", seconds=60.0),)),
        "end": StateNode(id="end", final="succeeded"),
    }


@pytest.mark.parametrize(
    ("state", "transition"),
    [
        (
            f"{GET}, transitions: [{{on-success: true, to: end}}]",
            Transition(on=On.SUCCESS, to="end"),
        ),
        (f"{GET}, transitions: [{{on-error: true, to: end}}]", Transition(on=On.ERROR, to="end")),
        (
            "approval: {limit: 1}, transitions: [{on-outcome: approved, to: end}]",
            Transition(on=On.OUTCOME, name="approved", to="end"),
        ),
        (
            "approval: {limit: 1}, transitions: [{on-success: true, to: end}]",
            Transition(on=On.SUCCESS, to="end"),
        ),
        (
            (
                "wait: {event: {type: a.b, correlate: {}}}, "
                "transitions: [{event: a.b, if: event.data.x, set: {last: event.id}, to: end}]"
            ),
            Transition(
                on=On.EVENT,
                name="a.b",
                condition="event.data.x",
                values={"last": "event.id"},
                to="end",
            ),
        ),
        (
            (
                f"{GET}, transitions: [{{after: PT1H, set: {{round: vars.round + 1}}, to: end, "
                "continue-as-new: true}]"
            ),
            Transition(
                on=On.AFTER,
                seconds=3600.0,
                values={"round": "vars.round + 1"},
                to="end",
                continue_as_new=True,
            ),
        ),
    ],
)
def test_a_transition_becomes_what_it_says(state, transition):
    assert state_of(f"{{{state}}}").states["s"].transitions == (transition,)


def test_a_state_listens_to_events_and_knows_when_it_is_stuck():
    state = state_of(
        "{events: [{event: a.b, correlate: {run: run.id}, if: event.data.x, "
        "set: {last: event.data}, to: end}, {event: c, correlate: {}}], "
        "transitions: [{event: c, to: s}], "
        "stuck: {after: P1D, to: end, notify: {users: [anna], groups: [ops]}}}"
    ).states["s"]

    assert state.events == (
        StateEvent(
            type="a.b",
            correlate={"run": "run.id"},
            condition="event.data.x",
            values={"last": "event.data"},
            to="end",
        ),
        StateEvent(type="c", to=""),
    )
    notify: dict[str, Json] = {"users": ["anna"], "groups": ["ops"]}
    assert state.stuck == Stuck(seconds=86400.0, to="end", notify=notify)
    assert state.step is None


def test_the_verb_of_a_state_is_a_step_of_its_id_with_its_modifiers():
    state = state_of(
        f"{{{GET}, map: {{items: inputs.hosts, as: host}}, retry: {{max: 1}}, mutex: m, "
        "transitions: [{on-success: true, to: end}]}"
    ).states["s"]

    body = Step(id="item", verb=PING, retry=Retry(retries_max=1))
    assert state.step == Step(
        id="s", verb=Map(items="inputs.hosts", name="host", body=body), mutex="m"
    )


@pytest.mark.parametrize("result", ["succeeded", "rejected", "cancelled", "expired", "failed"])
def test_a_final_state_has_the_outcome_of_the_run(result):
    plan = plan_of(f"initial: s\nstates: {{s: {{final: true, result: {result}}}}}\n", kind="states")

    assert plan.states["s"] == StateNode(id="s", final=result)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", {}),
        (", max: 3", {"run_count_max": 3}),
        (", on-conflict: cancel-newest", {"on_conflict": OnConflict.CANCEL_NEWEST}),
        (", on-conflict: cancel-in-progress", {"on_conflict": OnConflict.CANCEL_IN_PROGRESS}),
    ],
)
def test_a_concurrency_group_says_how_many_and_what_becomes_of_one_more(text, fields):
    made = plan_of(f"concurrency: {{group: g-1{text}}}\nsteps:\n  a: {{{GET}}}\n")

    assert made.concurrency == Concurrency(group="g-1", **fields)
    assert plan_from_json(plan_to_json(made)) == made


def test_without_a_group_the_plan_is_written_as_it_always_was():
    assert "concurrency" not in plan_to_json(plan_of(f"steps:\n  a: {{{GET}}}\n"))
