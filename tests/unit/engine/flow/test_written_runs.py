"""Definitions as written, driven to their end: what the language promises, the decider does."""

import pytest

from engine.domain.events import EventKind
from tests.fakes.flow import DATA, compile_text
from tests.pure_run import FailsError, PlainWait, PureRun

HEAD = """schema: flow/v1
kind: {kind}
name: x
inputs: {{type: object, properties: {{hosts: {{}}}}}}
vars: {{round: 0}}
"""


def plan_of(source):
    compilation = compile_text(source, verbs={"approval": PlainWait()}, functions=None)
    assert compilation.plan is not None, compilation.problems
    return compilation.plan


def run_of(text, *, kind="dag", inputs=None, **named):
    plan = plan_of(HEAD.format(kind=kind) + text)
    return PureRun(plan=plan, inputs=inputs or {}, variables={"round": 0}, **named).drive()


def get(url="u"):
    return f"uses: http/request@1, with: {{method: GET, url: '{url}'}}"


def arguments_of(run, step):
    return [arguments["url"] for key, _, arguments in run.executed if key.startswith(step)]


# --- the reference documents -------------------------------------------------------------------


def example(name, **named):
    plan = plan_of((DATA / "examples" / f"{name}.yaml").read_text())
    return PureRun(plan=plan, **named)


def incident(**actions):
    return example(
        "incident",
        inputs={"severity": "critical", "service": "shop", "fingerprint": "f"},
        actions={
            "enrich": lambda _: {"hosts": ["a", "b", "c"], "severity": "critical"},
            **actions,
        },
        calls={"remediate@^1": {"version": "v", "digest": "d"}},
    ).drive()


def test_an_incident_nobody_acknowledges_is_paged_diagnosed_and_remediated():
    run = incident().wait(15 * 60)

    assert run.outcome("ack") == "succeeded"
    assert run.state.steps["ack#1"].outputs["winner"] == "nobody"
    assert run.outcome("page_manager") == "succeeded"
    assert [run.outcome(f"diagnose#1/item#{number}") for number in (1, 2, 3)] == ["succeeded"] * 3
    run.resolve("approve_fix", "approved", {"form": {"plan": "restart"}})
    run.end_child("remediate#1/turn#1", "succeeded", {"healthy": False})
    run.wait(60)
    run.end_child("remediate#1/turn#2", "succeeded", {"healthy": True})

    assert run.closed == "succeeded"
    emitted = [event for event in run.events if event.kind is EventKind.EVENT_EMITTED]
    assert [event.data["type"] for event in emitted] == ["incident.closed"]


def test_an_incident_that_clears_by_itself_needs_nobody():
    run = incident()

    run.receive("ack#1/cleared#1", "com.alertmanager.resolved", {"fingerprint": "f"})

    assert run.state.steps["ack#1"].outputs["winner"] == "cleared"
    assert [run.outcome(step) for step in ("page_manager", "diagnose", "approve_fix")] == [
        "skipped",
        "skipped",
        "unreached",
    ]
    assert run.outcome("close") == "succeeded"


def test_a_remediation_that_never_heals_is_undone_and_the_run_goes_on():
    run = incident().wait(15 * 60)
    run.resolve("approve_fix", "approved", {"form": {"plan": "restart"}})

    for turn in range(1, 6):
        run.end_child(f"remediate#1/turn#{turn}", "succeeded", {"healthy": False})
        if turn < 5:
            run.wait(60)

    assert run.error_kind("remediate") == "max-iterations"
    assert [key for key, _, _ in run.executed if "remediate" in key] == ["compensate/remediate#1"]
    assert run.outcome("close") == "succeeded"
    assert run.closed == "succeeded"  # `continue` has absorbed it


def release(**actions):
    return example(
        "release",
        inputs={"ref": "v1", "env": "production", "amount": 0},
        variables={"deployer": "http://127.0.0.1:9000"},
        actions={
            "scan": lambda _: {"critical": 0, "report_sha256": "x"},
            "deploy": lambda _: {"json": {"previous": "v0"}},
            **actions,
        },
    ).drive()


def test_a_release_tests_three_combinations_and_waits_for_people():
    run = release()

    tested = [args for key, _, args in run.executed if key.startswith("test#1/cell")]
    assert [(item["python"], item["db"]) for item in tested] == [
        ("3.11", "postgres"),
        ("3.11", "mysql"),
        ("3.12", "postgres"),
    ]
    run.resolve("approve", "approved")

    assert run.closed == "succeeded"
    assert run.outputs == {"previous": "v0"}


def test_a_release_whose_smoke_test_fails_is_rolled_back():
    def smoke(_):
        raise FailsError

    run = release(smoke=smoke).resolve("approve", "approved")

    undone = [args for key, _, args in run.executed if key == "compensate/deploy#1"]
    assert [item["json"] for item in undone] == [{"to": "v0"}]
    assert run.closed == "failed"


def test_a_contract_goes_back_to_the_draft_and_keeps_its_round():
    run = example(
        "contract",
        inputs={"document_sha256": "a", "author": "anna", "value": 0},
        variables={"round": 0, "document": "a"},
    ).drive()
    for number in (1, 2):
        run.receive(f"draft#{number}", "document.submitted", {"sha256": f"b{number}"})
        run.resolve(f"review#{number}", "rejected" if number == 1 else "approved")

    assert run.closed == "succeeded"
    assert run.state.variables == {"round": 2, "document": "b2"}


def test_a_contract_nobody_submits_is_abandoned():
    run = example("contract", variables={"round": 0, "document": "a"}, skips_time=True).drive()

    assert run.closed == "cancelled"


# --- what is seen from where -------------------------------------------------------------------


def test_each_instance_of_a_map_is_undone_with_its_own_item_and_outputs():
    def fails(_):
        raise FailsError

    run = run_of(
        "steps:\n"
        "  m:\n"
        "    map: {items: inputs.hosts, as: host}\n"
        f"    {get('${{ host }}').replace(', with', chr(10) + '    with')}\n"
        "    outputs: {was: result.was}\n"
        "    compensate:\n"
        "      uses: http/request@1\n"
        "      with: {method: GET, url: '${{ host }}/${{ steps.m.outputs.was }}'}\n"
        f"  last: {{needs: [m], {get()}}}\n",
        inputs={"hosts": ["a", "b"]},
        actions={"m": lambda args: {"was": f"{args['url']}0"}, "last": fails},
    )

    assert run.closed == "failed"
    assert sorted(arguments_of(run, "compensate/")) == ["a/a0", "b/b0"]


def test_a_loop_around_a_group_decides_by_what_the_group_puts_out():
    counts = iter(range(9))
    run = run_of(
        "steps:\n"
        "  poll:\n"
        "    loop: {until: result.seen >= 2, max-iterations: 9}\n"
        f"    steps: {{look: {{{get()}, outputs: {{n: result.n}}}}, "
        f"note: {{needs: [look], {get('${{ steps.look.outputs.n }}')}}}}}\n"
        "    outputs: {seen: steps.look.outputs.n}\n"
        "outputs: {seen: steps.poll.outputs.seen}\n",
        actions={"look": lambda _: {"n": next(counts)}},
    )

    assert run.closed == "succeeded"
    assert run.outputs == {"seen": 2}
    assert arguments_of(run, "poll#1/turn#3/note") == [2]


def test_steps_inside_see_the_names_and_the_steps_around_them():
    run = run_of(
        "steps:\n"
        f"  first: {{{get()}, outputs: {{port: '80'}}}}\n"
        "  each:\n"
        "    needs: [first]\n"
        "    strategy: {matrix: {zone: [x, y]}}\n"
        "    steps:\n"
        "      inner:\n"
        "        map: {items: inputs.hosts, as: host}\n"
        "        uses: http/request@1\n"
        "        with: {method: GET, url: '${{ matrix.zone }}${{ host }}"
        "${{ steps.first.outputs.port }}'}\n",
        inputs={"hosts": ["a", "b"]},
    )

    assert run.closed == "succeeded"
    assert sorted(arguments_of(run, "each")) == ["xa80", "xb80", "ya80", "yb80"]


def test_a_variable_that_was_set_is_seen_by_what_begins_later():
    run = run_of(
        "steps:\n"
        "  one: {set: {round: vars.round + 1}}\n"
        "  two: {needs: [one], set: {round: vars.round + 10}}\n"
        "outputs: {round: vars.round}\n"
    )

    assert run.outputs == {"round": 11}


@pytest.mark.parametrize(("join", "outcome"), [("any", "succeeded"), ("{count: 2}", "unreached")])
def test_some_needs_may_be_enough(join, outcome):
    def fails(_):
        raise FailsError

    run = run_of(
        "steps:\n"
        f"  a: {{{get()}}}\n"
        f"  b: {{{get()}, on-error: {{then: continue}}}}\n"
        f"  c: {{needs: [a, b], join: {join}, emit: {{type: done}}}}\n",
        actions={"b": fails},
    )

    assert run.outcome("c") == outcome


# --- machines ----------------------------------------------------------------------------------

MACHINE = """initial: s
states:
  s:
    events: [{event: a.b, correlate: {}}]
    transitions:
      - {event: a.b, if: event.data.ok, set: {round: event.data.n}, to: end}
      - {event: a.b, if: event.data.again, to: s}
    stuck: {after: P1D, to: late}
  end: {final: true}
  late: {final: true, result: failed}
outputs: {round: vars.round}
"""


def test_an_event_without_a_target_takes_the_first_transition_that_holds():
    run = run_of(MACHINE, kind="states")
    run.receive("s#1/event#1", "a.b", {"ok": False, "again": True})
    run.receive("s#2/event#1", "a.b", {"ok": True, "n": 7})

    assert run.closed == "succeeded"
    assert run.outputs == {"round": 7}


def test_a_state_in_which_nothing_happens_is_left_as_stuck():
    run = run_of(MACHINE, kind="states").wait(86_400)

    assert run.closed == "failed"


def test_a_machine_goes_on_as_another_run_where_it_says_so():
    run = run_of(
        "initial: s\nstates:\n"
        f"  s: {{{get()}, transitions: [{{on-success: true, if: vars.round < 1, "
        "set: {round: vars.round + 1}, to: s, continue-as-new: true}, "
        "{on-success: true, to: end}]}\n  end: {final: true}\n",
        kind="states",
    )

    assert run.closed == "continued"
    assert run.state.closing is not None
    assert run.state.closing.carried == {"state": "s", "vars": {"round": 1}}


def test_every_run_reads_back_as_it_went():
    for run in (incident().wait(15 * 60), release(), run_of(MACHINE, kind="states")):
        assert run.replayed().steps == run.state.steps
