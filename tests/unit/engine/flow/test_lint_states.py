"""What is wrong with a state machine, and where.

In the sources below `»` stands before the character a problem must point at and is taken out.
"""

# ruff: noqa: E501 - one case is one line

import pytest

from tests.fakes.flow import SmallVerb, compile_text
from tests.fakes.marked import assert_problem

HEAD = "schema: flow/v1\nkind: states\nname: x\ninputs: {type: object, properties: {ref: {}, hosts: {}}}\nvars: {round: 0}\n"
START = f"{HEAD}initial: s\nstates:\n"
END = "  end: {final: true}\n"
GET = "uses: http/request@1, with: {method: GET, url: u}"
AWAIT = "wait: {event: {type: a.b, correlate: {}}}"
LATER = "transitions: [{after: PT1M, to: end}]"

# fmt: off
MISTAKES = [
    # --- the whole ---
    (f"{HEAD}»states:\n  s: {{{LATER}}}\n{END}", "misplaced_key", "/states", "`states` goes only with `initial`."),
    (f"schema: flow/v1\nkind: dag\nname: x\ninitial: s\n»states:\n  s: {{{LATER}}}\n{END}", "misplaced_key", "/states", "`states` goes only with `kind: states`."),
    (f"»{START}  s: {{{LATER}}}\n{END}steps: {{}}\n".replace("steps: {}", f"steps: {{a: {{{GET}}}}}"), "one_verb", "", "The definition has `steps` and `states`, and only one can be."),
    (f"{HEAD}initial: »ss\nstates:\n  s: {{{LATER}}}\n{END}", "unknown_state", "/initial", "There is no state `ss`. Did you mean `s`?"),
    (f"{HEAD}initial: S\nstates:\n  »S: {{{LATER}}}\n{END}", "wrong_value", "/states/S", "The name `S`"),
    # --- what a state may have ---
    *((f"{START}  s: {{{GET}, »{key}: {value}, {LATER}}}\n{END}", "unknown_key", f"/states/s/{key}", f"There is no key `{key}`") for key, value in [("needs", "[]"), ("if", "'true'"), ("join", "all"), ("on-error", "{then: fail}")]),
    (f"{START}  »s: {{{GET}, wait: {{timer: PT1M}}, {LATER}}}\n{END}", "one_verb", "/states/s", "`uses` and `wait`"),
    (f"{START}  s: {{{LATER}}}\n  end: {{final: true, »emit: {{type: a}}}}\n", "misplaced_key", "/states/end/emit", "A final state ends the run, so it has no `emit`."),
    (f"{START}  s: {{{LATER}}}\n  end: {{final: true, »transitions: [{{after: PT1M, to: s}}]}}\n", "misplaced_key", "/states/end/transitions", "it has no `transitions`"),
    (f"{START}  s: {{{LATER}}}\n  end: {{final: »false}}\n", "wrong_value", "/states/end/final", "`final` must be `true`, not `false`."),
    (f"{START}  s: {{{LATER}, »result: failed}}\n{END}", "misplaced_key", "/states/s/result", "`result` goes only with `final`."),
    (f"{START}  s: {{{LATER}}}\n  end: {{final: true, result: »done}}\n", "wrong_value", "/states/end/result", "`succeeded`, `rejected`"),
    # --- transitions ---
    (f"{START}  s: {{transitions: [{{after: PT1M, to: »ennd}}, {{after: PT2M, to: end}}]}}\n{END}", "unknown_state", "/states/s/transitions/0/to", "There is no state `ennd`. Did you mean `end`?"),
    (f"{START}  s: {{transitions: [»{{after: PT1M}}]}}\n{END}", "missing_key", "/states/s/transitions/0", "`to` is missing"),
    (f"{START}  s: {{transitions: [»{{to: end}}]}}\n{END}", "one_verb", "/states/s/transitions/0", "needs one of `event`, `on-outcome`, `on-success`, `on-error` or `after`"),
    (f"{START}  s: {{{GET}, transitions: [»{{on-success: true, on-error: true, to: end}}]}}\n{END}", "one_verb", "/states/s/transitions/0", "`on-success` and `on-error`"),
    (f"{START}  s: {{{GET}, transitions: [{{on-success: »1, to: end}}]}}\n{END}", "wrong_type", "/states/s/transitions/0/on-success", "must be `true` or `false`"),
    (f"{START}  s: {{transitions: [{{after: »PT0S, to: end}}]}}\n{END}", "bad_duration", "/states/s/transitions/0/after", "`after` is over zero"),
    (f"{START}  s: {{transitions: [{{after: PT1M, if: »'1', to: end}}]}}\n{END}", "bad_expression", "/states/s/transitions/0/if", "never true or false"),
    (f"{START}  s: {{transitions: [{{after: PT1M, set: {{»rund: '1'}}, to: end}}]}}\n{END}", "unknown_field", "/states/s/transitions/0/set/rund", "`vars` does not declare `rund`, so it cannot be set. Did you mean `round`?"),
    (f"{START}  s: {{transitions: [{{after: PT1M, set: {{round: »vars.rond}}, to: end}}]}}\n{END}", "unknown_field", "/states/s/transitions/0/set/round", "There is no `vars.rond`"),
    (f"{START}  s: {{transitions: [{{after: PT1M, if: »event.data.x, to: end}}]}}\n{END}", "unknown_field", "/states/s/transitions/0/if", "No trigger of this definition brings an `event`"),
    (f"{START}  s: {{{AWAIT}, transitions: [{{event: a.b, if: »evnt.data.x, to: end}}]}}\n{END}", "bad_expression", "/states/s/transitions/0/if", "Did you mean `event`?"),
    # --- transitions nothing can take ---
    (f"{START}  s: {{transitions: [{{event: »a.b, to: end}}]}}\n{END}", "dead_transition", "/states/s/transitions/0/event", "The state listens to no `a.b`"),
    (f"{START}  s: {{{AWAIT}, transitions: [{{event: »a.c, to: end}}]}}\n{END}", "dead_transition", "/states/s/transitions/0/event", "Did you mean `a.b`?"),
    (f"{START}  s: {{events: [{{event: a.b, correlate: {{}}, to: end}}], transitions: [{{event: »a.b, to: end}}]}}\n{END}", "dead_transition", "/states/s/transitions/0/event", "says with `to` where this event leads"),
    *((f"{START}  s: {{transitions: [{{{kind}: »{value}, to: end}}]}}\n{END}", "dead_transition", f"/states/s/transitions/0/{kind}", f"The state does nothing, so `{kind}` never answers.") for kind, value in [("on-outcome", "approved"), ("on-success", "true"), ("on-error", "true")]),
    (f"{START}  s: {{{GET}, transitions: [{{on-outcome: »approved, to: end}}]}}\n{END}", "dead_transition", "/states/s/transitions/0/on-outcome", "`uses` never ends approved"),
    (f"{START}  s: {{approval: {{limit: 1}}, transitions: [{{on-outcome: »succeeded, to: end}}]}}\n{END}", "dead_transition", "/states/s/transitions/0/on-outcome", "`approval` never ends succeeded"),
    (f"{START}  s: {{call: other@1, transitions: [{{on-outcome: »approved, to: end}}]}}\n{END}", "dead_transition", "/states/s/transitions/0/on-outcome", "`call` never ends approved"),
    (f"{START}  s: {{approval: {{limit: 1}}, transitions: [{{on-outcome: »changes-requested, to: end}}]}}\n{END}", "not_implemented", "/states/s/transitions/0/on-outcome", "`changes-requested`"),
    (f"{START}  s: {{{GET}, transitions: [{{on-success: true, to: end}}, »{{on-success: true, to: s}}]}}\n{END}", "dead_transition", "/states/s/transitions/1", "A transition before this one answers the same"),
    (f"{START}  s: {{transitions: [{{after: PT1M, to: end}}, »{{after: PT60S, if: vars.round == 0, to: end}}]}}\n{END}", "dead_transition", "/states/s/transitions/1", "has no `if`"),
    # --- events ---
    (f"{START}  s: {{events: [»{{event: a.b, to: end}}]}}\n{END}", "missing_key", "/states/s/events/0", "so that one event cannot move every run by accident"),
    (f"{START}  s: {{events: [{{event: »a.b, correlate: {{}}}}], {LATER}}}\n{END}", "dead_transition", "/states/s/events/0/event", "Nothing follows from this event"),
    (f"{START}  s: {{events: [{{event: a.b, correlate: {{}}, to: end}}, {{event: »a.b, correlate: {{run: run.id}}, to: s}}]}}\n{END}", "dead_transition", "/states/s/events/1/event", "The state listens to `a.b` already."),
    (f"{START}  s: {{{AWAIT}, events: [{{event: »a.b, correlate: {{}}, to: end}}]}}\n{END}", "dead_transition", "/states/s/events/0/event", "listens to `a.b` already"),
    (f"{START}  s: {{events: [{{event: a.b, correlate: {{}}, to: »ennd}}], {LATER}}}\n{END}", "unknown_state", "/states/s/events/0/to", "There is no state `ennd`"),
    (f"{START}  s: {{events: [{{event: a.b, correlate: {{}}, »if: event.data.x}}], transitions: [{{event: a.b, to: end}}]}}\n{END}", "misplaced_key", "/states/s/events/0/if", "`if` goes only with `to`."),
    (f"{START}  s: {{events: [{{event: a.b, correlate: {{id: »event.id}}, to: end}}]}}\n{END}", "unknown_field", "/states/s/events/0/correlate/id", "brings an `event`"),
    (f"{START}  s: {{{GET}, compensate: {{{GET}}}, transitions: [{{on-success: true, to: s, continue-as-new: »true}}, {{after: PT1M, to: end}}]}}\n{END}", "bad_compensation", "/states/s/transitions/0/continue-as-new", "A successor cannot undo"),
    # --- stuck ---
    (f"{START}  s: {{{LATER}, stuck: »{{after: P1D}}}}\n{END}", "wrong_value", "/states/s/stuck", "at least 2 keys"),
    (f"{START}  s: {{{LATER}, stuck: {{after: P1D, to: »ennd}}}}\n{END}", "unknown_state", "/states/s/stuck/to", "There is no state `ennd`"),
    (f"{START}  s: {{{LATER}, stuck: {{after: »P9999D, to: end}}}}\n{END}", "bad_duration", "/states/s/stuck/after", "at most P3660D"),
    (f"{START}  s: {{{LATER}, stuck: {{after: P1D, notify: »{{}}}}}}\n{END}", "wrong_value", "/states/s/stuck/notify", "at least 1 key"),
    # --- ways ---
    (f"{START}  s: {{{LATER}}}\n  »t: {{{LATER}}}\n{END}", "unreachable_state", "/states/t", "No way leads to `t` from `s`."),
    (f"{START}  s: {{{LATER}}}\n{END}  »other: {{final: true}}\n", "unreachable_state", "/states/other", "No way leads to `other`"),
    (f"{START}  s: {{transitions: [{{after: PT1M, to: end}}, {{after: PT2M, to: t}}]}}\n  »t: {{{GET}}}\n{END}", "dead_end", "/states/t", "No way leads out of `t`"),
    (f"{HEAD}initial: s\n»states:\n  s: {{transitions: [{{after: PT1M, to: s}}]}}\n", "no_final", "/states", "A run could never end: no final state can be reached."),
    # --- ids, reading ---
    (f"{START}  s: {{steps: {{»end: {{{GET}}}}}, transitions: [{{on-success: true, to: end}}]}}\n{END}", "duplicate_id", "/states/s/steps/end", "There is a `end` in line 9 already"),
    (f"{START}  s: {{transitions: [{{after: PT1M, to: t}}]}}\n  t: {{{GET}, transitions: [{{on-success: true, if: »steps.s.outcome == '', to: end}}]}}\n{END}", "unknown_step", "/states/t/transitions/0/if", "The state `s` does nothing"),
    (f"{START}  s: {{wait: {{until: »steps.t.outputs.result}}, transitions: [{{on-success: true, to: t}}]}}\n  t: {{{GET}, transitions: [{{on-success: true, to: end}}]}}\n{END}", "not_upstream", "/states/s/wait/until", "No way leads from `t` to `s`, so it has not ended there."),
    (f"{START}  s: {{wait: {{until: »steps.s.outputs.result}}, transitions: [{{on-success: true, to: end}}]}}\n{END}", "not_upstream", "/states/s/wait/until", "`s` cannot read itself"),
    (f"{START}  s: {{{GET}, transitions: [{{on-success: true, if: »steps.t.outcome == '', to: t}}]}}\n  t: {{{GET}, transitions: [{{on-success: true, to: end}}]}}\n{END}", "not_upstream", "/states/s/transitions/0/if", "No way leads from `t` to `s`"),
    (f"{START}  s: {{steps: {{i: {{{GET}, if: »steps.s.outcome == ''}}}}, transitions: [{{on-success: true, to: end}}]}}\n{END}", "not_upstream", "/states/s/steps/i/if", "`s` holds this"),
    (f"{START}  s: {{{GET}, transitions: [{{on-success: true, if: »steps.s.outputs.x == 1, to: end}}]}}\n{END}", "unknown_field", "/states/s/transitions/0/if", "only `result`"),
]
DOUBTS = [
    (f"{START}  s: {{transitions: [{{after: PT1M, to: end}}, {{after: PT2M, to: t}}]}}\n  »t: {{transitions: [{{after: PT1M, to: t}}]}}\n{END}", "no_way_to_final", "/states/t", "From `t` no final state can be reached."),
    (f"{START}  s: {{call: »x@1, transitions: [{{on-success: true, to: end}}]}}\n{END}", "recursion", "/states/s/call", "calls itself"),
]
RIGHT = [
    f"  s: {{{GET}, transitions: [{{on-success: true, if: steps.s.outputs.result == 1, to: end}}, {{on-error: true, if: \"steps.s.error.kind == 'timeout'\", to: s}}, {{on-error: true, to: end}}]}}\n",
    "  s: {approval: {limit: 1}, transitions: [{on-outcome: approved, to: end}, {on-outcome: overridden, to: end}, {on-error: true, to: end}]}\n",
    "  s: {race: [{id: y, approval: {limit: 1}}, {id: z, wait: {timer: PT1M}}], transitions: [{on-outcome: approved, if: steps.s.outputs.winner == 'y', to: end}, {on-success: true, to: end}]}\n",
    f"  s: {{{AWAIT}, transitions: [{{event: a.b, if: event.data.x, set: {{round: event.data.n}}, to: end}}, {{event: a.b, to: s}}]}}\n",
    "  s: {events: [{event: a.b, correlate: {run: run.id}}], transitions: [{event: a.b, if: event.data.x, to: end}, {event: a.b, to: s}]}\n",
    f"  s: {{{GET}, transitions: [{{on-success: true, to: t}}]}}\n  t: {{wait: {{until: steps.s.outputs.result}}, transitions: [{{on-success: true, to: s}}], stuck: {{after: P1D, to: end}}}}\n",
    f"  s: {{{GET}, map: {{items: inputs.hosts, as: host}}, transitions: [{{on-outcome: failed, to: end}}, {{on-success: true, if: steps.s.outputs.failed == 0, to: end}}]}}\n",
    f"  s: {{{GET}, {LATER}}}\n",
    f"  s: {{steps: {{i: {{{GET}}}, j: {{{GET}, needs: [i], if: steps.i.error == null}}}}, outputs: {{x: steps.j.outputs.result}}, transitions: [{{on-success: true, if: steps.s.outputs.x == 1, to: end}}]}}\n",
]
# fmt: on


@pytest.mark.parametrize(("source", "code", "path", "words"), MISTAKES)
def test_a_mistake_is_named_where_it_is(source, code, path, words):
    assert_problem(source, code=code, path=path, words=words)


@pytest.mark.parametrize(("source", "code", "path", "words"), DOUBTS)
def test_a_doubt_is_a_warning(source, code, path, words):
    assert_problem(source, code=code, path=path, words=words, severity="warning")


@pytest.mark.parametrize("states", RIGHT)
def test_what_is_right_has_no_problem(states):
    compilation = compile_text(f"{START}{states}{END}outputs: {{a: vars.round}}\n")

    assert compilation.problems == ()
    assert compilation.plan is not None


def test_the_outputs_of_a_machine_read_what_its_states_did():
    source = f"{START}  s: {{{GET}, transitions: [{{on-success: true, to: end}}]}}\n{END}"

    assert compile_text(f"{source}outputs: {{a: steps.s.outputs.result}}\n").problems == ()
    (problem,) = compile_text(f"{source}outputs: {{a: steps.end.outcome}}\n").problems
    assert problem.code == "flow.unknown_step"


def test_ways_are_not_judged_while_a_target_is_unknown():
    (problem,) = compile_text(
        f"{START}  s: {{transitions: [{{after: PT1M, to: nowhere}}]}}\n{END}"
    ).problems

    assert problem.code == "flow.unknown_state"


def test_an_approval_is_told_the_effect_of_the_state_that_approving_leads_to():
    verb = SmallVerb()
    compile_text(
        f"{START}  s: {{approval: {{limit: 1}}, transitions: [{{on-outcome: approved, to: t}}, "
        f"{{on-outcome: rejected, to: u}}]}}\n"
        f"  t: {{{GET}, effect: pays, transitions: [{{on-success: true, to: end}}]}}\n"
        f"  u: {{{GET}, effect: refuses, transitions: [{{on-success: true, to: end}}]}}\n{END}",
        verb=verb,
    )

    assert verb.scopes[0].effects == ("pays",)
    assert verb.scopes[0].path == "/states/s/approval"
