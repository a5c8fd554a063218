"""Receipts of decisions on a request's page: offered once sealed, and for whoever sees it."""

import json
import re

import pytest

from approvals.models import Vote
from audit.domain.entry import read_entry
from countersign import verify as verifier
from tests.integration.audit import logs
from tests.integration.portal.conftest import bar, text


@pytest.fixture
def decided(office, browse):
    """Return a request that Ann approved on its page, and her browser."""
    request = office.open()
    browser = browse("ann")
    address = f"/inbox/{request.pk}/"
    sent = {**bar(browser.get(address)), "decision": "approve", "comment": "looks right"}
    assert browser.post(address, sent).status_code == 303
    return request, browser


def test_a_decision_is_being_sealed_and_then_has_a_receipt(decided, tmp_path):
    request, browser = decided
    address = f"/inbox/{request.pk}/"
    vote = Vote.objects.get(request=request)
    link = f"{address}votes/{vote.pk}/receipt/"

    before = text(browser.get(address))
    early = browser.get(link)

    assert "being sealed" in before
    assert link not in before
    assert "What a receipt is good for" in before
    assert early.status_code == 409
    assert "not sealed yet" in text(early)

    logs.seal()
    after = text(browser.get(address))
    assert "being sealed" not in after
    assert re.search(rf'href="{link}" download>Receipt', after)
    answer = browser.get(link)
    assert answer["Content-Type"] == "application/json"
    assert f"A-{request.number}" in answer["Content-Disposition"]
    file = tmp_path / "receipt.json"
    file.write_bytes(answer.content)
    keys = verifier.read_keys([logs.KEY.verifier.text], [])
    verifier.verify_path(file, verifier.Request(keys=keys, origin=logs.ORIGIN))
    found = json.loads(answer.content)
    view = read_entry(found["entry"].encode())
    assert (view.kind, view.seq, view.stream) == ("vote.cast", vote.seq, request.pk)
    assert view.data["decision"] == "approve"
    assert [item["name"] for item in found["payloads"]] == ["comment"]


def test_there_is_no_receipt_for_who_may_not_see_the_request(office, decided, browse):
    request, browser = decided
    logs.seal()
    vote = Vote.objects.get(request=request)
    office.user("stan")

    assert browse("stan").get(f"/inbox/{request.pk}/votes/{vote.pk}/receipt/").status_code == 404
    assert browser.get(f"/inbox/{request.pk}/votes/{request.pk}/receipt/").status_code == 404


def test_a_request_nobody_decided_speaks_of_no_receipts(office, browse):
    request = office.open()

    assert "receipt" not in text(browse("ann").get(f"/inbox/{request.pk}/")).lower()
