"""What changed between two versions, and how much it matters."""

import pytest

from approvals.domain.comparing import compare_blocks
from countersign.testing.compiling import compile_definition
from engine.domain.comparing import ChangeClass, compare_plans, worst_of

BASE = """
schema: flow/v1
kind: dag
name: x
title: Pay
inputs: {type: object, properties: {amount: {type: integer, description: In cents.}}}
steps:
  look: {uses: x/look@1}
  ask:
    needs: [look]
    approval:
      title: Pay it
      subject: {amount: "inputs.amount", found: "steps.look.outputs.result"}
      stages:
      - {id: peer, approvers: {groups: [team]}, quorum: {count: 2, reject: 1}}
      - {id: boss, approvers: {users: [bo, ben]}, quorum: {count: 1}}
      exclude: [version-authors, "user.name == 'x'"]
      confirm: I have looked
      form: {type: object, required: [ticket], properties: {ticket: {type: string}}}
      expires: {after: P1D, then: reject}
  pay: {needs: [ask], uses: x/pay@1, retry: {max: 1}}
  tell: {needs: [pay], uses: x/tell@1, effect: Tells.}
outputs: {paid: steps.pay.outputs.result}
"""


def plan_of(text):
    compilation = compile_definition(text)
    assert compilation.plan is not None, compilation.problems
    return compilation.plan


def compare(before, after):
    comparers = {"approval": compare_blocks}
    return compare_plans(plan_of(before), plan_of(after), comparers=comparers)


def changed(*pairs, base=BASE):
    after = base
    for old, new in pairs:
        assert old in after, old
        after = after.replace(old, new, 1)
    return compare(base, after)


def told(changes):
    return [(item.kind.value, item.step, item.field) for item in changes]


def test_the_same_text_has_no_changes():
    assert changed() == ()
    assert worst_of(()) is None


def test_comments_and_layout_are_no_change():
    assert changed(("name: x\n", "# why\nname: x\n")) == ()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("title: Pay\n", "title: Pay out\n", [("cosmetic", "", "title")]),
        (  # what follows is what an approver is told
            "effect: Tells.",
            "effect: Says.",
            [("cosmetic", "ask", "if_approved"), ("cosmetic", "tell", "effect")],
        ),
        ("description: In cents.", "description: In cent.", [("cosmetic", "", "inputs.amount")]),
        ("title: Pay it", "title: Pay it now", [("cosmetic", "ask", "title")]),
        (
            "properties: {amount",
            "properties: {note: {type: string}, amount",
            [("additive", "", "inputs.note")],
        ),
        (
            "outputs: {paid",
            "outputs: {looked: steps.look.outputs.result, paid",
            [("additive", "", "outputs.looked")],
        ),
        ("subject: {", 'subject: {run: "run.number", ', [("additive", "ask", "subject.run")]),
        ("retry: {max: 1}", "retry: {max: 2}", [("behavioural", "pay", "retry")]),
        ("uses: x/tell@1", "uses: x/tell@2", [("behavioural", "tell", "verb")]),
        ("type: integer", "type: number", [("behavioural", "", "inputs.amount")]),
        ("paid: steps.pay", "paid: steps.look", [("behavioural", "", "outputs.paid")]),
        (
            "  tell: {needs: [pay], uses: x/tell@1, effect: Tells.}\n",
            "",
            [("cosmetic", "ask", "if_approved"), ("behavioural", "tell", "")],
        ),
        ("count: 2", "count: 3", [("behavioural", "ask", "stages.peer.quorum.count")]),
        ("after: P1D", "after: PT1H", [("behavioural", "ask", "expires.after")]),
        (
            "users: [bo, ben]",
            "users: [bo]",
            [("behavioural", "ask", "stages.boss.approvers.users")],
        ),
        ("exclude: [", "exclude: [earlier-deciders, ", [("behavioural", "ask", "exclude")]),
    ],
)
def test_a_change_has_a_class(old, new, expected):
    assert told(changed((old, new))) == expected


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("count: 2", "count: 1", "stages.peer.quorum.count"),
        ("reject: 1", "reject: 2", "stages.peer.quorum.reject"),
        ("groups: [team]", "groups: [team, all]", "stages.peer.approvers.groups"),
        ("users: [bo, ben]", "users: [bo, bea]", "stages.boss.approvers.users"),
        ("{id: boss,", '{id: boss, when: "inputs.amount > 9",', "stages.boss.when"),
        (
            "      - {id: boss, approvers: {users: [bo, ben]}, quorum: {count: 1}}\n",
            "",
            "stages.boss",
        ),
        ("[version-authors, ", "[", "exclude"),
        ("user.name == 'x'", "user.name == 'y'", "exclude"),
        ("exclude: [version-authors, \"user.name == 'x'\"]", "exclude: []", "exclude"),
        ("      confirm: I have looked\n", "", "confirm"),
        ("required: [ticket], ", "", "form"),
        (', found: "steps.look.outputs.result"', "", "subject.found"),
        ("after: P1D", "after: P2D", "expires.after"),
        ("      expires: {after: P1D, then: reject}\n", "", "expires"),
        ("    needs: [look]\n", '    needs: [look]\n    if: "inputs.amount > 9"\n', "if"),
    ],
)
def test_what_lets_more_through_weakens_governance(old, new, field):
    changes = changed((old, new))

    assert ("governance-weakening", "ask", field) in told(changes)
    assert worst_of(changes) is ChangeClass.WEAKENING


def test_a_step_that_no_longer_waits_for_a_gate_weakens_governance():
    changes = changed(("pay: {needs: [ask]", "pay: {needs: [look]"))

    weakened = [item for item in changes if item.kind is ChangeClass.WEAKENING]
    assert [(item.step, item.message) for item in weakened] == [
        ("pay", "no longer waits for ask"),
        ("tell", "no longer waits for ask"),
    ]


def test_a_gate_of_which_another_need_is_enough_is_no_gate():
    changes = changed(("pay: {needs: [ask]", "pay: {needs: [ask, look], join: any"))

    assert ("governance-weakening", "pay", "needs") in told(changes)


def test_one_more_gate_on_the_way_is_not_weaker():
    gate = "{needs: [ask], approval: {title: Sure, stages: [{id: a, approvers: {groups: [g]}}]}}"

    changes = changed(
        ("  tell: {needs: [pay]", f"  again: {gate}\n  tell: {{needs: [pay]"),
        ("pay: {needs: [ask]", "pay: {needs: [again]"),
    )

    assert worst_of(changes) is ChangeClass.BEHAVIOURAL


def test_a_gate_that_is_removed_weakens_governance():
    start, _, rest = BASE.partition("  ask:")
    without = start + "  pay: {needs: [look]" + rest.partition("  pay: {needs: [ask]")[2]

    assert ("governance-weakening", "ask", "") in told(compare(BASE, without))


GROUPED = """
schema: flow/v1
kind: dag
name: x
steps:
  all:
    steps:
      ask: {approval: {title: Sure, stages: [{id: a, approvers: {groups: [g]}}]}}
      act: {needs: [ask], uses: x/act@1}
  after: {needs: [all], uses: x/act@1}
"""


def test_gates_inside_groups_count_for_what_follows():
    changes = changed(("  after: {needs: [all], ", "  after: {"), base=GROUPED)

    assert ("governance-weakening", "after", "needs") in told(changes)
    inner = changed(("act: {needs: [ask], ", "act: {"), base=GROUPED)
    assert told([item for item in inner if item.kind is ChangeClass.WEAKENING]) == [
        ("governance-weakening", "all/act", "needs")
    ]


MACHINE = """
schema: flow/v1
kind: states
name: m
initial: review
states:
  review:
    approval: {title: Sure, stages: [{id: a, approvers: {groups: [g]}}]}
    events: [{event: stopped, correlate: {}, to: refused}]
    transitions: [{on-outcome: approved, to: done}, {on-outcome: rejected, to: refused}]
  refused: {final: true, result: rejected}
  done: {final: true, result: succeeded}
"""


def test_the_ways_out_of_a_gate_are_part_of_it():
    before, after = "{on-outcome: rejected, to: refused}", "{on-outcome: rejected, to: done}"

    changes = changed((before, after), base=MACHINE)

    assert told(changes) == [("governance-weakening", "review", "transitions")]


def test_a_verb_nobody_can_compare_weakens_with_any_change():
    before, after = plan_of(BASE), plan_of(BASE.replace("Pay it", "Pay"))

    changes = compare_plans(before, after, comparers={})

    assert told(changes) == [("governance-weakening", "ask", "approval")]
