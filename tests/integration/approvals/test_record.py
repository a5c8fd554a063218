"""What the ledger holds of deciding verifies as a whole."""

from io import StringIO

import pytest
from django.core.management import call_command

from core.kernel.errors import PlatformError
from tests.integration.approvals.conftest import PEER, kinds, new_office, stage


@pytest.mark.django_db(transaction=True)
def test_everything_that_happened_to_a_request_verifies(transactional_db):
    office = new_office()
    request = office.open(
        stage("peer", groups=["board"], count=2), PEER | {"id": "two"}, exclude=["version-authors"]
    )
    office.decide(request, "ann", comment="fine")
    office.decide(request, "ann")
    with pytest.raises(PlatformError):
        office.decide(request, "mara")
    office.decide(request, "bob")
    office.decide(request, "cid", "reject", stage="two")
    with pytest.raises(PlatformError):
        office.decide(request, "ann", "reject")
    assert request.run_id is not None
    office.hand.drive(request.run_id)
    report = StringIO()

    call_command("verify_ledger", stdout=report)

    assert kinds(request) == [
        "request.opened",
        "vote.cast",
        "decision.repeated",
        "decision.refused",
        "vote.cast",
        "stage.closed",
        "stage.opened",
        "vote.cast",
        "stage.closed",
        "request.closed",
        "decision.refused",
    ]
