"""Whom a rule keeps from deciding."""

from uuid import UUID

import pytest

from approvals.domain.authority import DecisionTarget, denial
from approvals.domain.exclusion import (
    Account,
    Excluded,
    Roles,
    excluded_by_expression,
    excluded_persons,
    sentence,
)
from approvals.domain.rule import Exclusions, Keyword
from core.identity.domain.principal import Principal
from core.kernel.record import Actor, ActorKind, Origin, Via
from tests.fakes.evaluator import TableEvaluator

ANN, BOB, CID, DAN, EVE, FAY, GUS = (UUID(int=number) for number in range(1, 8))
ROLES = Roles(
    initiator=ANN,
    on_behalf_of=BOB,
    rerunners=(CID,),
    agent_owner=DAN,
    editors=(EVE,),
    version_authors=(FAY, GUS),
    earlier_deciders=(BOB,),
)
EVALUATOR = TableEvaluator(
    answers={
        "is bob": lambda names: "bob" in str(names["user"]),
        "never": False,
        "not a boolean": "yes",
    },
    broken=["boom"],
)


def account(person_id, username):
    return Account(
        user_id=UUID(int=person_id.int + 100),
        person_id=person_id,
        username=username,
        name=username.title(),
        email="",
        groups=("engineers",),
    )


def by_expression(expressions, *accounts):
    return excluded_by_expression(
        Exclusions(expressions=expressions),
        accounts=accounts,
        variables={"inputs": {}},
        evaluator=EVALUATOR,
    )


@pytest.mark.parametrize(
    ("keyword", "people"),
    [
        (Keyword.INITIATOR, (ANN,)),
        (Keyword.ON_BEHALF_OF, (BOB,)),
        (Keyword.RERUNNER, (CID,)),
        (Keyword.AGENT_OWNER, (DAN,)),
        (Keyword.EDITORS, (EVE,)),
        (Keyword.VERSION_AUTHORS, (FAY, GUS)),
        (Keyword.EARLIER_DECIDERS, (BOB,)),
    ],
)
def test_each_keyword_excludes_who_stands_in_that_relation(keyword, people):
    excluded = excluded_persons(Exclusions(keywords=(keyword,)), ROLES)

    assert [(item.person_id, item.reason) for item in excluded] == [
        (person, keyword.value) for person in people
    ]
    assert excluded_persons(Exclusions(keywords=()), ROLES) == ()
    assert excluded_persons(Exclusions(keywords=(keyword,)), Roles()) == ()


def test_a_person_excluded_for_two_reasons_has_both():
    excluded = excluded_persons(
        Exclusions(keywords=(Keyword.INITIATOR, Keyword.VERSION_AUTHORS)),
        Roles(initiator=ANN, version_authors=(ANN, ANN)),
    )

    assert [item.reason for item in excluded] == ["initiator", "version-authors"]


def test_an_expression_excludes_whom_it_holds_for():
    excluded = by_expression(("never", "is bob"), account(ANN, "ann"), account(BOB, "bob"))

    assert excluded == (Excluded(person_id=BOB, reason="expression", expression="is bob"),)


def test_one_matching_account_excludes_the_person_once():
    excluded = by_expression(
        ("is bob",), account(ANN, "ann"), account(ANN, "bob"), account(ANN, "bob")
    )

    assert [item.person_id for item in excluded] == [ANN]


@pytest.mark.parametrize(
    ("expression", "error"),
    [("boom", "it does not evaluate"), ("not a boolean", "it is no boolean")],
)
def test_an_expression_that_errs_excludes(expression, error):
    [excluded] = by_expression((expression,), account(ANN, "ann"))

    assert (excluded.person_id, excluded.error) == (ANN, error)
    assert error in sentence(excluded)


def test_the_reason_is_a_sentence_to_the_person():
    for keyword in Keyword:
        assert sentence(Excluded(person_id=ANN, reason=keyword.value)).startswith(("You", "Th"))
    held = Excluded(person_id=ANN, reason="expression", expression="is bob")
    assert sentence(held) == "The rule excludes you: 'is bob' holds for you."


def principal(kind):
    return Principal(
        user_id=UUID(int=1),
        person_id=ANN,
        username="ann",
        name="Ann",
        kind=kind,
        is_active=True,
        origin=Origin(actor=Actor(id="1", kind=kind), via=Via.API),
    )


def target(**changes):
    facts = {"stage": "peer", "is_approver": True, **changes}
    return DecisionTarget(request_id=UUID(int=9), number=9, **facts)


def test_an_approver_is_not_denied():
    assert denial(principal(ActorKind.PERSON), target()) is None


def test_something_that_is_no_request_is_judged_by_kind_alone():
    assert denial(principal(ActorKind.PERSON), None) is None
    assert denial(principal(ActorKind.SERVICE), None) is not None


@pytest.mark.parametrize("kind", [ActorKind.AGENT, ActorKind.SERVICE, ActorKind.SYSTEM])
def test_software_never_decides(kind):
    assert denial(principal(kind), target()) == "Only people decide; software may ask and wait."


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"stage": None}, "No stage of this request is open."),
        ({"is_approver": False}, "You are not among the approvers of the stage 'peer'."),
        ({"has_decided": True}, "You have already decided in the stage 'peer'."),
        (
            {"excluded": (Excluded(person_id=ANN, reason="initiator"),)},
            "You asked for this, and who asks may not decide.",
        ),
    ],
)
def test_a_person_is_denied_for_a_reason(changes, reason):
    assert denial(principal(ActorKind.PERSON), target(**changes)) == reason
