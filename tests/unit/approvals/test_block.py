"""What an author may write in an approval block."""

import copy
from typing import Any
from uuid import UUID

import pytest

from approvals.domain.exclusion import USER_FIELDS, Account
from approvals.domain.opening import rule_of
from approvals.domain.rule import KEYWORDS_DEFAULT, AfterExpiry, Keyword
from approvals.verbs import ApprovalVerb
from engine.domain.verbs import CheckScope
from tests.fakes.evaluator import TableEvaluator

VERB = ApprovalVerb()
EVALUATOR = TableEvaluator(
    answers={
        "inputs.amount > 5": True,
        "user.username == 'bob'": False,
        "200": 200,
        "size(user . team) > 0": True,
    },
    broken=["1 / 0"],
)
MINIMAL: dict[str, Any] = {
    "stages": [{"id": "peer", "approvers": {"groups": ["engineers"]}}],
    "expires": {"after": "PT72H"},
}


def scope(*, effects=()):
    return CheckScope(
        step="approve_fix",
        path="/steps/approve_fix/approval",
        names=("inputs", "vars", "steps", "run"),
        evaluator=EVALUATOR,
        effects=effects,
    )


def check(block, **kwargs):
    return VERB.check(block, scope=scope(**kwargs))


def block_with(**changes):
    return {**copy.deepcopy(MINIMAL), **changes}


def problems_of(block):
    return {(problem.path, problem.code) for problem in check(block).problems}


def the_problem(block):
    [problem] = check(block).problems
    assert problem.path.startswith("/steps/approve_fix/approval")
    short = problem.path.removeprefix("/steps/approve_fix/approval")
    return short, problem.code.removeprefix("approvals.block."), problem.message


def test_a_minimal_block_is_filled_with_every_default():
    checked = check(MINIMAL)

    assert checked.problems == ()
    assert checked.body == {
        "title": "Approve fix",
        "if_approved": "The run goes on.",
        "if_rejected": "The run stops here; what comes after this step does not happen.",
        "confirm": None,
        "kind": "other",
        "risk": {"level": "medium"},
        "amount": None,
        "subject": {"inputs": "inputs"},
        "form": None,
        "expires": {"after_seconds": 72 * 3600, "then": "reject"},
        "stages": [
            {
                "id": "peer",
                "when": None,
                "approvers": {"users": [], "groups": ["engineers"], "permissions": []},
                "quorum": {"count": 1, "reject": 1},
            }
        ],
        "exclude": {
            "keywords": ["initiator", "on-behalf-of", "rerunner", "agent-owner"],
            "expressions": [],
        },
    }


def test_a_full_block_is_read_as_written():
    block = block_with(
        title="Release ${{ inputs.ref }}",
        kind="deploy",
        risk="inputs.risk",
        amount={"value": "inputs.amount", "currency": "EUR"},
        subject={"scan": "steps.scan.outputs"},
        confirm="I checked the rollback plan",
        outcomes=["reject", "approve"],
        mode="sequence",
        exclude=["version-authors", "earlier-deciders", "user.username == 'bob'"],
        form={"type": "object", "properties": {"ticket": {"type": "string"}}},
        expires={"after": "PT1H", "then": "fail"},
        **{"if-approved": "It goes live.", "if-rejected": "Nothing happens."},
    )
    block["stages"].append(
        {
            "id": "board",
            "when": "inputs.amount > 5",
            "approvers": {
                "any-of": [{"users": ["ann", "bob"]}, {"permission": "publish_workflow"}]
            },
            "quorum": {"count": 2, "reject": 2},
        }
    )

    checked = check(block)

    assert checked.problems == ()
    assert checked.body["risk"] == {"expression": "inputs.risk"}
    assert checked.body["amount"] == {"value": "inputs.amount", "currency": "EUR"}
    assert checked.body["if_approved"] == "It goes live."
    assert checked.body["expires"] == {"after_seconds": 3600, "then": "fail"}
    assert checked.body["exclude"] == {
        "keywords": [
            "initiator",
            "on-behalf-of",
            "rerunner",
            "agent-owner",
            "version-authors",
            "earlier-deciders",
        ],
        "expressions": ["user.username == 'bob'"],
    }
    assert checked.body["stages"][1] == {
        "id": "board",
        "when": "inputs.amount > 5",
        "approvers": {
            "users": ["ann", "bob"],
            "groups": [],
            "permissions": ["publish_workflow"],
        },
        "quorum": {"count": 2, "reject": 2},
    }


def test_what_happens_if_approved_defaults_to_the_effects_of_later_steps():
    checked = check(MINIMAL, effects=("Replaces the running version.", "Tells ${{ inputs.who }}."))

    assert checked.body["if_approved"] == "Replaces the running version. Tells ${{ inputs.who }}."


def test_only_an_empty_exclude_removes_the_defaults():
    nobody = check(block_with(exclude=[]))
    more = check(block_with(exclude=["version-authors"]))

    assert nobody.problems == ()
    assert nobody.body["exclude"] == {"keywords": [], "expressions": []}
    assert set(more.body["exclude"]["keywords"]) == {*KEYWORDS_DEFAULT, Keyword.VERSION_AUTHORS}


def test_excluding_editors_is_refused_by_name_while_nobody_can_edit():
    checked = check(block_with(exclude=["version-authors", "editors"]))

    (problem,) = checked.problems
    assert problem.code == "approvals.block.not_available"
    assert problem.path.endswith("/exclude/1")
    assert problem.severity == "error"
    assert "'editors' is not available" in problem.message
    assert "`edit:`" in problem.message


def test_a_misspelt_keyword_is_not_told_to_be_editors():
    (problem,) = check(block_with(exclude=["editor"])).problems

    assert problem.code == "approvals.block.wrong_value"
    assert "editors" not in problem.message


@pytest.mark.parametrize(
    "key",
    [
        "edit",
        "hold",
        "step-up",
        "link-only",
        "delegation",
        "vote-change",
        "on-voter-loss",
        "max-rounds",
        "on-change",
        "remind",
        "escalate",
        "auto",
        "break-glass",
    ],
)
def test_a_key_of_a_later_version_is_refused_by_name(key):
    path, code, message = the_problem(block_with(**{key: {}}))

    assert (path, code) == (f"/{key}", "not_available")
    assert message == f"{key!r} is not available in this version"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"mode": "parallel"}, "/mode"),
        ({"outcomes": ["approve", "reject", "request-changes"]}, "/outcomes/2"),
        ({"expires": {"after": "PT1H", "calendar": "business"}}, "/expires/calendar"),
        ({"expires": {"after": "PT1H", "at": "inputs.when"}}, "/expires/at"),
        ({"expires": {"after": "PT1H", "then": "escalate"}}, "/expires/then"),
        ({"expires": {"after": "PT1H", "then": "approve"}}, "/expires/then"),
    ],
)
def test_a_value_of_a_later_version_is_refused_by_name(changes, path):
    found, code, _ = the_problem(block_with(**changes))

    assert (found, code) == (path, "not_available")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"fields": ["a"]}, "/fields"),
        ({"quorum": {"percent": 50}}, "/quorum/percent"),
        ({"quorum": {"all": True}}, "/quorum/all"),
        ({"quorum": {"first": True}}, "/quorum/first"),
        ({"quorum": {"of-each": {"security": 1}}}, "/quorum/of-each"),
        ({"approvers": {"groups": ["a"], "expr": "true"}}, "/approvers/expr"),
        ({"approvers": {"groups": ["a"], "all-of": []}}, "/approvers/all-of"),
    ],
)
def test_a_stage_key_of_a_later_version_is_refused_by_name(changes, path):
    block = copy.deepcopy(MINIMAL)
    block["stages"][0].update(changes)

    found, code, _ = the_problem(block)

    assert (found, code) == (f"/stages/0{path}", "not_available")


def test_an_unknown_key_is_refused_with_a_suggestion():
    path, code, message = the_problem(block_with(expire={"after": "PT1H"}))

    assert (path, code) == ("/expire", "unknown_key")
    assert "did you mean 'expires'?" in message


def test_an_unknown_key_like_nothing_known_gets_no_suggestion():
    _, _, message = the_problem(block_with(zzzzzz=1))

    assert message == "there is no key 'zzzzzz'"


def test_a_key_with_slashes_and_tildes_is_pointed_at_correctly():
    path, _, _ = the_problem(block_with(**{"a/b~c": 1}))

    assert path == "/a~1b~0c"


@pytest.mark.parametrize(
    ("changes", "path", "code"),
    [
        ({"title": ""}, "/title", "wrong_type"),
        ({"title": 3}, "/title", "wrong_type"),
        ({"title": "${{ nope + 1 }}"}, "/title", "expression"),
        ({"kind": "Deploy"}, "/kind", "wrong_value"),
        ({"kind": 7}, "/kind", "wrong_value"),
        ({"risk": 3}, "/risk", "wrong_type"),
        ({"risk": "critical"}, "/risk", "expression"),
        ({"amount": 3}, "/amount", "wrong_type"),
        ({"amount": {"value": 200, "currency": "euro"}}, "/amount/currency", "wrong_value"),
        ({"amount": {"value": 200}}, "/amount/currency", "wrong_value"),
        ({"amount": {"currency": "EUR"}}, "/amount/value", "wrong_type"),
        ({"subject": {}}, "/subject", "wrong_type"),
        ({"subject": "inputs"}, "/subject", "wrong_type"),
        ({"subject": {"a b": "inputs"}}, "/subject/a b", "wrong_value"),
        ({"subject": {"own": "subject"}}, "/subject/own", "expression"),
        ({"outcomes": "approve"}, "/outcomes", "wrong_type"),
        ({"outcomes": ["approve"]}, "/outcomes", "wrong_value"),
        ({"outcomes": ["approve", "approve"]}, "/outcomes", "wrong_value"),
        ({"mode": "any"}, "/mode", "wrong_value"),
        ({"stages": []}, "/stages", "wrong_value"),
        ({"stages": {}}, "/stages", "wrong_type"),
        ({"stages": ["peer"]}, "/stages/0", "wrong_type"),
        ({"exclude": "initiator"}, "/exclude", "wrong_type"),
        ({"exclude": ["initator"]}, "/exclude/0", "wrong_value"),
        ({"exclude": ["nobody.is ="]}, "/exclude/0", "expression"),
        ({"exclude": [3]}, "/exclude/0", "wrong_type"),
        ({"form": []}, "/form", "form"),
        ({"form": {"type": "string"}}, "/form/type", "form"),
        ({"expires": "PT1H"}, "/expires", "wrong_type"),
        ({"expires": {}}, "/expires/after", "wrong_value"),
        ({"expires": {"after": 3}}, "/expires/after", "wrong_value"),
        ({"expires": {"after": "P1Y"}}, "/expires/after", "wrong_value"),
        ({"expires": {"after": "PT0S"}}, "/expires/after", "wrong_value"),
        ({"expires": {"after": "P900D"}}, "/expires/after", "wrong_value"),
        ({"expires": {"after": "PT1H", "then": "rejct"}}, "/expires/then", "wrong_value"),
    ],
)
def test_a_wrong_value_is_refused_where_it_stands(changes, path, code):
    found, found_code, _ = the_problem(block_with(**changes))

    assert (found, found_code) == (path, code)


@pytest.mark.parametrize(
    ("changes", "path", "code"),
    [
        ({"id": "Peer"}, "/id", "wrong_value"),
        ({"id": 3}, "/id", "wrong_value"),
        ({"when": 3}, "/when", "wrong_type"),
        ({"when": "nope nope"}, "/when", "expression"),
        ({"approvers": None}, "/approvers", "wrong_type"),
        ({"approvers": {}}, "/approvers", "wrong_value"),
        ({"approvers": {"groups": []}}, "/approvers/groups", "wrong_value"),
        ({"approvers": {"groups": [""]}}, "/approvers/groups/0", "wrong_type"),
        ({"approvers": {"permission": "decide"}}, "/approvers/permission", "wrong_value"),
        ({"approvers": {"any-of": 3}}, "/approvers/any-of", "wrong_type"),
        ({"approvers": {"any-of": [{"groups": "a"}]}}, "/approvers/any-of/0/groups", "wrong_type"),
        ({"quorum": 2}, "/quorum", "wrong_type"),
        ({"quorum": {"count": 0}}, "/quorum/count", "wrong_value"),
        ({"quorum": {"count": 101}}, "/quorum/count", "wrong_value"),
        ({"quorum": {"count": True}}, "/quorum/count", "wrong_type"),
        ({"quorum": {"reject": "1"}}, "/quorum/reject", "wrong_type"),
    ],
)
def test_a_wrong_value_in_a_stage_is_refused_where_it_stands(changes, path, code):
    block = copy.deepcopy(MINIMAL)
    block["stages"][0].update(changes)

    problems = [problem for problem in check(block).problems if problem.severity == "error"]

    assert [(item.path, item.code) for item in problems] == [
        (f"/steps/approve_fix/approval/stages/0{path}", f"approvals.block.{code}")
    ]


def test_two_ways_of_naming_approvers_need_any_of():
    block = copy.deepcopy(MINIMAL)
    block["stages"][0]["approvers"] = {"users": ["ann"], "groups": ["engineers"]}

    path, code, message = the_problem(block)

    assert (path, code) == ("/stages/0/approvers", "wrong_value")
    assert "any-of" in message


def test_a_person_named_twice_counts_once():
    block = copy.deepcopy(MINIMAL)
    block["stages"][0]["approvers"] = {"users": ["ann", "ann"]}

    assert check(block).body["stages"][0]["approvers"]["users"] == ["ann"]


def test_a_count_the_named_people_cannot_reach_is_refused():
    block = copy.deepcopy(MINIMAL)
    block["stages"][0].update({"approvers": {"users": ["ann"]}, "quorum": {"count": 2}})
    enough = copy.deepcopy(block)
    enough["stages"][0]["approvers"]["users"].append("bob")

    path, code, message = the_problem(block)

    assert (path, code) == ("/stages/0/quorum/count", "unsatisfiable")
    assert message == "2 people are needed and 1 are named"
    assert check(enough).problems == ()


def test_two_stages_with_one_id_are_refused():
    block = copy.deepcopy(MINIMAL)
    block["stages"].append(copy.deepcopy(block["stages"][0]))

    path, code, _ = the_problem(block)

    assert (path, code) == ("/stages/1/id", "duplicate")


def test_missing_stages_are_refused():
    path, code, _ = the_problem({"expires": {"after": "PT1H"}})

    assert (path, code) == ("/stages", "missing_key")


@pytest.mark.parametrize("expression", ["user.nam == 'x'", "size(user . team) > 0"])
def test_a_field_that_no_user_has_is_refused(expression):
    path, code, _ = the_problem(block_with(exclude=["initiator", expression]))

    assert (path, code) == ("/exclude/1", "wrong_value")


@pytest.mark.parametrize(
    "expression", ["user.name == 'user.nam'", 'inputs.a == "user.nam"', "user.groups.size() > 1"]
)
def test_a_field_that_users_have_is_no_problem_nor_is_a_text_that_looks_like_one(expression):
    assert check(block_with(exclude=[expression])).problems == ()


def test_expressions_know_exactly_the_fields_that_accounts_show():
    account = Account(
        user_id=UUID(int=1), person_id=UUID(int=2), username="", name="", email="", groups=()
    )

    assert tuple(account.variable()) == USER_FIELDS


def test_a_block_that_is_no_mapping_is_refused():
    path, code, _ = the_problem("approve")

    assert (path, code) == ("", "wrong_type")


def test_waiting_for_ever_and_conditions_everywhere_are_only_warned_about():
    block = copy.deepcopy(MINIMAL)
    del block["expires"]
    block["stages"][0]["when"] = "inputs.amount > 5"

    checked = check(block)

    assert {problem.severity for problem in checked.problems} == {"warning"}
    assert problems_of(block) == {
        ("/steps/approve_fix/approval/expires", "approvals.block.no_expiry"),
        ("/steps/approve_fix/approval/stages", "approvals.block.all_conditional"),
    }
    assert checked.body["expires"] is None


def test_every_problem_is_reported_at_once():
    block = block_with(kind="x", risk=1, mode="parallel", nope=1)

    assert len(check(block).problems) == 4


def test_the_frozen_rule_of_a_request_is_that_of_its_block():
    body = check(block_with(exclude=["version-authors", "user.username == 'bob'"])).body
    prepared = VERB.prepare(body, variables={"inputs": {}}, evaluator=EVALUATOR)

    rule = rule_of(prepared)

    assert rule.after_expiry is AfterExpiry.REJECT
    assert rule.exclusions.expressions == ("user.username == 'bob'",)
    assert [stage.key for stage in rule.stages] == ["peer"]
    assert rule_of({**prepared, "expires": None}).after_expiry is None
