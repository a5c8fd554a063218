"""What a person saw is what they decide: digests, forms, confirmations."""

import pytest

from approvals.domain import errors
from approvals.models import Vote
from approvals.services.decide import decide
from core.kernel import ids
from tests.integration.approvals.conftest import stage
from tests.world import fold

FORM = {
    "type": "object",
    "required": ["risk"],
    "properties": {"risk": {"enum": ["low", "high"]}, "ticket": {"type": "string"}},
}


def test_a_digest_of_something_else_is_refused(office):
    request = office.open()

    for sent in ("00" * 32, "zz", "00"):
        with pytest.raises(errors.SubjectChangedError) as caught:
            office.decide(request, "ann", digest_hex=sent)
        assert caught.value.details["digest"] == bytes(request.shown_digest).hex()
    with pytest.raises(errors.DigestRequiredError):
        office.decide(request, "ann", digest_hex="")
    assert not Vote.objects.exists()


def test_form_values_of_the_first_approval_are_what_the_next_one_signs(office):
    request = office.open(stage("peer", groups=["board"], count=3), form=FORM)
    seen = bytes(request.shown_digest).hex()
    office.decide(request, "ann", form={"risk": "low"})

    with pytest.raises(errors.SubjectChangedError) as caught:
        office.decide(request, "bob", digest_hex=seen, form={"risk": "low"})
    assert caught.value.details["changed"] == ["form"]
    assert caught.value.details["form"] == {"risk": "low"}
    with pytest.raises(errors.EditRefusedError):
        office.decide(request, "bob", form={"risk": "high"})
    office.decide(request, "bob", form={"risk": "low"})
    result = office.decide(request, "cid")

    assert result.outcome == "approved"
    office.hand.drive(request.run_id)
    closing = fold(request.run_id).closing
    assert closing is not None
    assert closing.outputs == {"form": {"risk": "low"}}


def test_a_bad_form_is_refused_whole_and_the_request_stays_open(office):
    request = office.open(form=FORM, confirm="I checked")

    with pytest.raises(errors.DecisionInvalidError) as caught:
        office.decide(request, "ann", form={"risk": "x", "ticket": 1})

    assert [problem.path for problem in caught.value.problems] == [
        "/confirmed",
        "/form/risk",
        "/form/ticket",
    ]
    result = office.decide(request, "ann", form={"risk": "low"}, confirmed=True)
    assert result.outcome == "approved"


def test_rejecting_needs_a_comment_and_no_form(office):
    request = office.open(form=FORM, confirm="I checked")

    with pytest.raises(errors.DecisionInvalidError):
        office.decide(request, "ann", "reject", comment="")
    assert office.decide(request, "ann", "reject").outcome == "rejected"


@pytest.mark.parametrize("comment", ["a\x00b", "\ud800", "x" * 2001])
def test_a_comment_that_cannot_be_kept_is_refused(office, comment):
    with pytest.raises(errors.DecisionInvalidError):
        office.decide(office.open(), "ann", comment=comment)


@pytest.mark.parametrize(
    "sent", [{"decision": "maybe"}, {"idempotency_key": "x" * 201}, {"idempotency_key": "a\x00"}]
)
def test_a_malformed_command_is_refused(office, sent):
    with pytest.raises(errors.DecisionInvalidError):
        office.decide(office.open(), "ann", **sent)


def test_a_request_that_does_not_exist_is_missing(office):
    with pytest.raises(errors.RequestMissingError):
        decide(
            principal=office.principal("ann"),
            request_id=ids.uuid7(),
            decision="approve",
            digest_hex="00" * 32,
        )
