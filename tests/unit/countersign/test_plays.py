"""Runs in memory: each construct, and that what was played replays as a run of the server would."""

import pytest

from countersign.testing.cases import read_cases
from countersign.testing.compiling import EVALUATOR, VERBS, compile_definition
from countersign.testing.judging import judge
from countersign.testing.plays import Played, PlayError, play
from engine.domain.decider import Decider
from engine.domain.state import RunState

FLOW = "schema: flow/v1\nkind: dag\nname: x\n"


def run(definition: str, case: str) -> Played:
    """Play a case, and check that its record folds to the same state."""
    compilation = compile_definition(definition)
    assert compilation.plan is not None, compilation.problems
    file = read_cases("definition: x\n" + case)
    assert not file.problems, file.problems
    played = play(compilation.plan, file.cases[0])
    if played.outcome != "refused":
        decider = Decider(plan=compilation.plan, evaluator=EVALUATOR, verbs=VERBS)
        folded = decider.fold(RunState(), played.events)
        assert folded.steps == played.state.steps
        assert folded.closing == played.state.closing
    return played


def holds(definition: str, case: str) -> None:
    """Play a case whose expectations hold."""
    played = run(definition, case)
    expect = read_cases("definition: x\n" + case).cases[0].expect
    assert [str(item) for item in judge(played, expect)] == []


APPROVAL = (
    FLOW
    + """
inputs: {type: object, properties: {amount: {type: integer, default: 5}}}
steps:
  pay:
    approval:
      title: "Pay ${{ inputs.amount }}"
      risk: "inputs.amount > 10 ? 'high' : 'low'"
      subject: {amount: "inputs.amount"}
      stages:
      - {id: peer, approvers: {groups: [team]}, quorum: {count: 1}}
      - {id: boss, when: "inputs.amount > 10", approvers: {groups: [boss]}, quorum: {count: 1}}
      form:
        type: object
        required: [ticket]
        properties: {ticket: {type: string}}
      expires: {after: PT1H, then: expire}
  send: {needs: [pay], uses: bank/send@1, with: {amount: "${{ inputs.amount }}"}}
outputs: {ticket: "steps.pay.outputs.form.ticket"}
"""
)
YES = "decisions: {pay: {outcome: approve, form: {ticket: T1}, after: PT59M}}\n"
PAID = "results: {send: {result: {}}}\n"


def test_a_yes_lets_the_run_go_on():
    holds(
        APPROVAL,
        YES
        + PAID
        + """
expect:
  outcome: succeeded
  outputs: {ticket: T1}
  asked: {pay: {title: Pay 5, risk: low, stages: [peer], subject: {amount: 5}}}
  ran: [send]
  took: PT59M
""",
    )


def test_an_expiry_comes_before_a_decision_of_the_same_instant():
    late = YES.replace("PT59M", "PT1H")

    holds(APPROVAL, late + PAID + "expect: {outcome: expired, not-ran: [send], took: PT1H}\n")


def test_a_run_nobody_decides_expires_and_one_without_expiry_waits():
    holds(APPROVAL, "expect: {outcome: expired}\n")
    forever = APPROVAL.replace("      expires: {after: PT1H, then: expire}\n", "")
    holds(forever, "expect: {outcome: waiting, waits-for: [pay]}\n")


def test_a_form_that_does_not_hold_fails_the_case():
    with pytest.raises(PlayError, match="form that does not hold"):
        run(APPROVAL, "decisions: {pay: approve}\nexpect: {outcome: succeeded}\n")


def test_a_result_nobody_gave_fails_the_case_and_names_the_arguments():
    with pytest.raises(PlayError, match=r"send#1 executes bank/send@1 with .*'amount': 5"):
        run(APPROVAL, YES + "expect: {outcome: succeeded}\n")


def test_inputs_that_do_not_match_are_refused():
    holds(APPROVAL, "inputs: {amount: many}\nexpect: {outcome: refused, problem: integer}\n")


RETRIED = FLOW + "steps: {a: {uses: x/y@1, retry: {max: 2, initial: PT10S, jitter: false}}}\n"


def test_each_attempt_takes_the_next_result_and_backoff_takes_time():
    holds(
        RETRIED,
        """
results:
  a: [{error: transient}, {error: transient}, {result: 1}]
expect:
  outcome: succeeded
  steps: {a: {outcome: succeeded, attempts: 3, outputs: {result: 1}}}
  took: PT30S
""",
    )


def test_a_list_that_is_used_up_fails_the_case():
    case = "results: {a: [{error: transient}]}\nexpect: {outcome: succeeded}\n"

    with pytest.raises(PlayError, match="no more than 1 results"):
        run(RETRIED, case)


def test_an_attempt_that_takes_too_long_times_out():
    definition = FLOW + "steps: {a: {uses: x/y@1, timeout: PT1M, retry: {max: 0}}}\n"

    holds(
        definition,
        """
results: {a: {result: 1, takes: PT2M}}
expect: {outcome: failed, steps: {a: {error: timeout}}, took: PT1M}
""",
    )


def test_parallel_steps_take_the_longest_of_their_times():
    definition = FLOW + "steps: {a: {uses: x/y@1}, b: {uses: x/y@1}, c: {uses: x/y@1}}\n"

    holds(
        definition,
        """
results:
  a: {result: 1, takes: PT1M}
  b: {result: 1, takes: PT3M}
  c: {result: 1, takes: PT2M}
expect: {outcome: succeeded, took: PT3M}
""",
    )


def test_a_mutex_lets_one_step_through_after_the_other():
    definition = FLOW + "steps: {a: {uses: x/y@1, mutex: one}, b: {uses: x/y@1, mutex: one}}\n"

    holds(
        definition,
        """
results:
  a: {result: 1, takes: PT1M}
  b: {result: 1, takes: PT3M}
expect: {outcome: succeeded, took: PT4M}
""",
    )


def test_items_of_a_map_have_results_of_their_own():
    definition = (
        FLOW
        + """
steps:
  each:
    map: {items: "[1, 2, 3]", as: n, tolerate-failures: {count: 1}}
    uses: x/y@1
    with: {n: "${{ n }}"}
    retry: {max: 0}
outputs: {failed: "steps.each.outputs.failed"}
"""
    )

    holds(
        definition,
        """
results:
  each: {result: fine}
  each#1/item#2: {error: permanent}
expect:
  outcome: succeeded
  outputs: {failed: 1}
  steps: {each#1/item#2: failed, each#1/item#3: succeeded}
""",
    )


RACE = (
    FLOW
    + """
steps:
  first:
    race:
    - {id: paid, wait: {event: {type: payment.received, correlate: {order: "'o1'"}}}}
    - {id: late, wait: {timer: P1D}}
  ship: {needs: [first], if: "steps.first.outputs.winner == 'paid'", uses: x/ship@1}
"""
)


def test_an_event_that_matches_wins_against_time():
    holds(
        RACE,
        """
results: {ship: {result: 1}}
events:
- {after: PT1H, type: payment.received, data: {order: o2}}
- {after: PT2H, type: payment.received, data: {order: o1}}
expect: {outcome: succeeded, ran: [ship], took: PT2H, waits-for: []}
""",
    )


def test_time_wins_where_no_event_matches():
    holds(
        RACE,
        """
events: [{after: PT1H, type: payment.received, data: {order: o2}}]
expect: {outcome: succeeded, not-ran: [ship], steps: {ship: skipped}, took: P1D}
""",
    )


def test_an_event_may_come_before_the_wait_it_is_for():
    definition = (
        FLOW
        + """
steps:
  slow: {wait: {timer: PT1H}}
  hear: {needs: [slow], wait: {event: {type: a.b, correlate: {}}}}
"""
    )

    holds(definition, "events: [{type: a.b}]\nexpect: {outcome: succeeded, took: PT1H}\n")


def test_a_run_hears_what_it_sends_itself_once():
    definition = (
        FLOW
        + """
steps:
  tell: {emit: {type: a.b, data: {n: 1}}}
  hear: {needs: [tell], wait: {event: {type: a.b, correlate: {n: "1"}}}}
  again: {needs: [hear], wait: {event: {type: a.b, correlate: {n: "1"}}}}
"""
    )

    holds(
        definition,
        "expect: {outcome: waiting, waits-for: [again], sent: [{type: a.b, data: {n: 1}}]}\n",
    )


def test_a_call_ends_as_the_case_says():
    definition = (
        FLOW
        + """
steps:
  sub: {call: other@^1, with: {a: 1}, outputs: {got: "result.got"}}
outputs: {got: "steps.sub.outputs.got"}
"""
    )

    holds(
        definition,
        """
results: {sub: {outcome: succeeded, outputs: {got: 7}, takes: PT5M}}
expect: {outcome: succeeded, outputs: {got: 7}, took: PT5M}
""",
    )
    holds(definition, "results: {sub: {outcome: rejected}}\nexpect: {outcome: rejected}\n")


ASKING = FLOW + "steps: {a: {uses: x/y@1, retry: {max: 0}, on-error: {then: ask}}}\n"


def test_a_question_is_answered():
    holds(
        ASKING,
        """
results: {a: [{error: permanent}, {result: 1}]}
decisions: {a: {outcome: retry, after: PT1H}}
expect: {outcome: succeeded, took: PT1H}
""",
    )


def test_an_answer_of_the_wrong_kind_fails_the_case():
    case = "results: {a: {error: permanent}}\ndecisions: {a: approve}\n"

    with pytest.raises(PlayError, match="asks a question"):
        run(ASKING, case + "expect: {outcome: failed}\n")


def test_a_cancelled_run_undoes_nothing_it_had_not_done():
    holds(
        APPROVAL,
        PAID + "cancel: {after: PT10M, reason: no}\nexpect: {outcome: cancelled, took: PT10M}\n",
    )


def test_compensations_succeed_unless_the_case_says_otherwise():
    definition = (
        FLOW
        + """
steps:
  a: {uses: x/do@1, compensate: {uses: x/undo@1}}
  b: {needs: [a], uses: x/do@1, retry: {max: 0}}
"""
    )

    holds(
        definition,
        """
results: {a: {result: 1}, b: {error: permanent}}
expect: {outcome: failed, ran: [compensate/a], steps: {compensate/a: succeeded}}
""",
    )
    holds(
        definition,
        """
results: {a: {result: 1}, b: {error: permanent}, compensate/a: {error: permanent}}
expect: {outcome: failed, steps: {compensate/a: failed}}
""",
    )


def test_pure_actions_are_computed():
    definition = (
        FLOW
        + """
steps:
  sum: {uses: transform/cel@1, with: {expression: "a + b", values: {a: 1, b: 2}}}
outputs: {sum: "steps.sum.outputs.result"}
"""
    )

    holds(definition, "expect: {outcome: succeeded, outputs: {sum: 3}}\n")


def test_secrets_are_named_and_never_needed():
    definition = FLOW + (
        "secrets: [PAY_KEY]\nsteps: {a: {uses: x/y@1, with: {key: '${{ secrets.PAY_KEY }}'}}}\n"
    )

    holds(definition, "results: {a: {result: 1}}\nexpect: {outcome: succeeded}\n")


def test_a_run_of_a_concurrency_group_has_its_turn_at_once():
    definition = FLOW + (
        "concurrency: {group: one, max: 1, on-conflict: queue}\nsteps: {a: {uses: x/y@1}}\n"
    )

    holds(definition, "results: {a: {result: 1}}\nexpect: {outcome: succeeded}\n")


MACHINE = """
schema: flow/v1
kind: states
name: m
initial: draft
vars: {rounds: 0}
states:
  draft:
    wait: {event: {type: doc.sent, correlate: {}}}
    transitions: [{event: doc.sent, to: review, set: {rounds: "vars.rounds + 1"}}]
  review:
    approval:
      title: "Review ${{ string(vars.rounds) }}"
      stages: [{id: one, approvers: {groups: [team]}, quorum: {count: 1}}]
      expires: {after: P7D, then: expire}
    transitions:
    - {on-outcome: approved, to: done}
    - {on-outcome: rejected, to: draft}
  done: {final: true, result: succeeded}
outputs: {rounds: "vars.rounds"}
"""


def test_visits_of_a_machine_are_decided_one_after_the_other():
    holds(
        MACHINE,
        """
events: [{after: PT1H, type: doc.sent}, {after: PT5H, type: doc.sent}]
decisions: {review: [reject, approve]}
expect:
  outcome: succeeded
  outputs: {rounds: 2}
  steps: {review#1: rejected, review#2: approved}
  took: PT5H
""",
    )


POLLING = """
schema: flow/v1
kind: states
name: m
initial: idle
states:
  idle:
    wait: {timer: PT1M}
    transitions: [{on-success: true, to: check}]
  check:
    uses: x/check@1
    transitions:
    - {on-success: true, if: "steps.check.outputs.result == 'done'", to: done}
    - {on-success: true, to: idle}
  done: {final: true, result: succeeded}
"""


def test_a_machine_that_goes_in_circles_ends_as_it_does_on_the_server():
    holds(POLLING, "results: {check: {result: again}}\nexpect: {outcome: failed}\n")


def test_a_run_that_needs_too_many_moves_is_given_up():
    plan = compile_definition(POLLING).plan
    text = "definition: x\nresults: {check: {result: again}}\nexpect: {outcome: failed}\n"
    (case,) = read_cases(text).cases
    assert plan is not None

    with pytest.raises(PlayError, match="has not ended after 50 moves"):
        play(plan, case, move_count_max=50)


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ("{outcome: rejected}", "outcome: expected rejected, got succeeded"),
        ("{outputs: {ticket: T2}}", 'outputs.ticket: expected "T2", got "T1"'),
        ("{outputs: {other: 1}}", "outputs.other: expected 1, got nothing; there is: ticket"),
        ("{steps: {send: failed}}", "steps.send: expected failed, got succeeded"),
        ("{steps: {nobody: failed}}", "steps.nobody: expected a step, got no such step"),
        ("{steps: {send: {attempts: 2}}}", "steps.send.attempts: expected 2, got 1"),
        ("{steps: {send: {error: x}}}", "steps.send.error: expected x, got no error"),
        ("{ran: [nobody]}", "ran.nobody: expected to begin, got it never began"),
        ("{not-ran: [send]}", "not-ran.send: expected never to begin, got send#1 began"),
        ("{waits-for: [pay]}", "waits-for: expected pay, got nothing"),
        ("{asked: {pay: {risk: high}}}", 'asked.pay.risk: expected "high", got "low"'),
        ("{asked: {send: {risk: high}}}", "asked.send: expected to be asked, got it was not"),
        ("{sent: [{type: a.b}]}", 'sent: expected [{"type":"a.b"}], got []'),
        ("{took: PT1H}", "took: expected PT1H, got PT59M"),
        ("{problem: fire}", "problem: expected 'fire' in it, got nothing went wrong"),
    ],
)
def test_what_does_not_hold_is_named(expect, said):
    case = YES + PAID + f"expect: {expect}\n"

    differences = judge(run(APPROVAL, case), read_cases("definition: x\n" + case).cases[0].expect)

    assert len(differences) == 1
    assert str(differences[0]).startswith(said)
