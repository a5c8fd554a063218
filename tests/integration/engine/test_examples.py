"""The example definitions, lived to every outcome they can have; their world is in `living.py`."""

import json
from typing import Any

import pytest
from django.core import mail

from approvals.domain import errors
from approvals.models import Request
from core.kernel.record import Via
from countersign import TransientError
from engine.domain.errors import DefinitionInvalidError
from engine.models import Inbox, Run
from engine.services.definitions import save_version
from engine.services.runs import cancel_run
from tests.fakes.flow import DATA
from tests.integration.engine.living import (
    answer_sick,
    ended,
    made_by,
    opened_place,
    outcomes,
    paths,
)
from tests.world import fold

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place(monkeypatch, settings):
    settings.HTTP_PRIVATE_ALLOWED = ["127.0.0.1"]
    with opened_place(monkeypatch) as place:
        yield place


# --- release -------------------------------------------------------------------------------------

FORM = {"form": {"risk": "low", "ticket": "CHG-7"}, "confirmed": True}


def test_a_clean_release_to_staging_needs_nobody(place):
    place.publish("release")

    run = place.start("release", ref="v2", env="staging")

    assert ended(run) == "succeeded"
    assert not Request.objects.exists()
    assert outcomes(run)["approve"] == "skipped"
    assert made_by(run) == {"previous": "1.0.0"}
    assert paths(place) == ["/deploy", "/healthz"]
    cells = [told for name, told in place.doings.called if name == "release.run_tests"]
    assert sorted((item["python"], item["db"]) for item in cells) == [
        ("3.11", "mysql"),
        ("3.11", "postgres"),
        ("3.12", "postgres"),
    ]


def test_a_release_to_production_is_approved_and_deployed(place):
    place.publish("release")
    run = place.start("release", ref="v2", env="production")
    assert ended(run) == "WAITING"
    assert paths(place) == []

    place.decide(run, "ann", **FORM)

    assert ended(run) == "succeeded"
    assert outcomes(run)["approve"] == "approved"
    assert paths(place) == ["/deploy", "/healthz"]


def test_a_dear_release_needs_the_board_too(place):
    place.publish("release")
    run = place.start("release", ref="v2", env="production", amount=1_000_001)
    place.decide(run, "ann", **FORM)
    assert ended(run) == "WAITING"
    place.decide(run, "ben", confirmed=True)

    place.decide(run, "cleo", confirmed=True)

    assert ended(run) == "succeeded"


def test_findings_ask_for_an_approval_even_on_staging(place):
    place.doings.critical = 2
    place.publish("release")
    run = place.start("release", ref="v2", env="staging")
    assert place.request(run).risk == "high"

    place.decide(run, "ben", **FORM)

    assert ended(run) == "succeeded"


def test_a_rejected_release_deploys_nothing(place):
    place.publish("release")
    run = place.start("release", ref="v2", env="production")

    place.decide(run, "ann", no=True)

    assert ended(run) == "rejected"
    assert paths(place) == []


def test_a_release_nobody_decides_is_rejected_in_the_end(place):
    place.publish("release")
    run = place.start("release", ref="v2", env="production")

    place.wait(hours=71)
    assert ended(run) == "WAITING"
    place.wait(hours=2)

    assert ended(run) == "rejected"
    assert paths(place) == []


def test_a_release_whose_smoke_test_fails_is_rolled_back(place):
    place.site.answer = answer_sick
    place.publish("release")
    run = place.start("release", ref="v2", env="staging")
    while ended(run) == "WAITING":  # between its attempts
        place.wait(minutes=1)

    assert ended(run) == "failed"
    assert paths(place) == ["/deploy", *["/healthz"] * 4, "/rollback"]
    assert json.loads(place.site.received[-1].body) == {"to": "1.0.0"}
    assert outcomes(run)["deploy"] == "succeeded"
    assert outcomes(run)["smoke"] == "failed"


def test_a_release_whose_tests_fail_in_one_cell_goes_no_further(place):
    place.doings.broken = "mysql"
    place.publish("release")

    run = place.start("release", ref="v2", env="production")

    assert ended(run) == "failed"
    assert not Request.objects.exists()
    assert paths(place) == []
    assert outcomes(run)["test"] == "failed"
    assert outcomes(run)["approve"] == "unreached"


def test_a_release_that_is_cancelled_asks_nobody_any_more(place):
    place.publish("release")
    run = place.start("release", ref="v2", env="production")

    cancel_run(principal=place.principals["mara"], run_id=run.pk, reason="a typo")
    place.settle()

    assert ended(run) == "cancelled"
    assert paths(place) == []


# --- incident ------------------------------------------------------------------------------------

FIX = {"form": {"plan": "restart"}}


@pytest.fixture
def incident(place):
    place.publish("remediate")
    place.publish("incident")

    def start():
        return place.start(
            "incident", via=Via.API, severity="high", service="shop", fingerprint="f1"
        )

    return start


def closed(run):
    """Return the events that told that an incident is over."""
    return [
        item
        for item in Inbox.objects.filter(type="incident.closed")
        if item.data == {"run": str(run.pk)}
    ]


def acknowledge(place, run):
    place.send("incident.acknowledged", run=str(run.pk))


def test_an_alert_that_clears_by_itself_is_closed(place, incident):
    run = incident()

    place.send("com.alertmanager.resolved", fingerprint="f1")

    assert ended(run) == "succeeded"
    assert outcomes(run) == {
        "enrich": "succeeded",
        "ack": "succeeded",
        "page_manager": "skipped",
        "diagnose": "skipped",
        "approve_fix": "unreached",
        "remediate": "unreached",
        "close": "succeeded",
    }
    assert len(closed(run)) == 1


def test_an_incident_is_acknowledged_diagnosed_and_healed(place, incident):
    run = incident()
    acknowledge(place, run)
    assert mail.outbox == []

    place.decide(run, "ann", **FIX)

    assert ended(run) == "succeeded"
    assert place.doings.count("incident.diagnose") == 1
    assert [told for name, told in place.doings.called if name == "incident.act"] == [
        {"plan": "restart"}
    ]
    child = Run.objects.get(parent_id=run.pk)
    assert ended(child) == "succeeded"
    assert made_by(child) == {"healthy": True}
    assert len(closed(run)) == 1


def test_an_incident_nobody_acknowledges_pages_the_manager(place, incident):
    run = incident()
    place.wait(minutes=14)
    assert mail.outbox == []

    place.wait(minutes=2)

    assert [m.subject for m in mail.outbox] == ["Nobody acknowledged shop"]
    place.decide(run, "ann", **FIX)
    assert ended(run) == "succeeded"


def test_a_fifth_of_the_hosts_may_stay_silent(place, incident):
    place.doings.hosts = [f"h{number}" for number in range(10)]
    place.doings.dumb_hosts = {"h2", "h7"}
    run = incident()
    acknowledge(place, run)

    assert place.request(run)
    outputs: Any = fold(run.pk).steps["diagnose#1"].outputs
    assert outputs["failed"] == 2
    assert outputs["items"][1:3] == ["h1 is slow", None]


def test_more_silent_hosts_fail_the_diagnosis(place, incident):
    place.doings.hosts = [f"h{number}" for number in range(10)]
    place.doings.dumb_hosts = {"h2", "h7", "h9"}
    run = incident()

    acknowledge(place, run)

    assert ended(run) == "failed"
    assert outcomes(run)["diagnose"] == "failed"
    assert not Request.objects.exists()


def test_a_critical_incident_needs_the_owner_of_the_service_too(place, incident):
    place.doings.severity = "critical"
    run = incident()
    acknowledge(place, run)
    place.decide(run, "ann", **FIX)
    assert ended(run) == "WAITING"

    place.decide(run, "ben")

    assert ended(run) == "succeeded"


@pytest.mark.parametrize("how", ["rejected", "expired"])
def test_a_fix_nobody_wants_is_not_made(place, incident, how):
    run = incident()
    acknowledge(place, run)

    if how == "rejected":
        place.decide(run, "ann", no=True)
    else:
        place.wait(minutes=31)

    assert ended(run) == "rejected"
    assert place.doings.count("incident.act") == 0


def test_a_service_heals_at_the_third_try(place, incident):
    place.doings.sick_count = 2
    run = incident()
    acknowledge(place, run)
    place.decide(run, "ann", **FIX)
    assert ended(run) == "WAITING"

    place.wait(minutes=1.1)
    place.wait(minutes=1.1)

    assert ended(run) == "succeeded"
    assert Run.objects.filter(parent_id=run.pk, outcome="succeeded").count() == 3
    assert place.doings.count("incident.restore") == 0


def test_a_service_that_never_heals_is_restored_and_the_incident_closed(place, incident):
    place.doings.sick_count = 99
    run = incident()
    acknowledge(place, run)
    place.decide(run, "ann", **FIX)
    for _ in range(5):
        place.wait(minutes=1.1)

    assert ended(run) == "succeeded"
    error = fold(run.pk).steps["remediate#1"].error
    assert error is not None
    assert error.kind == "max-iterations"
    assert Run.objects.filter(parent_id=run.pk).count() == 5
    assert place.doings.count("incident.restore") == 1
    assert len(closed(run)) == 1


def test_a_remedy_that_fails_is_taken_back_too(place, incident):
    place.doings.act_errors = [ValueError("no such unit")]
    run = incident()
    acknowledge(place, run)

    place.decide(run, "ann", **FIX)

    assert ended(run) == "succeeded"
    assert ended(Run.objects.get(parent_id=run.pk)) == "failed"
    assert outcomes(run)["remediate"] == "failed"
    assert place.doings.count("incident.restore") == 1
    assert len(closed(run)) == 1


# --- remediate -----------------------------------------------------------------------------------


def test_a_remedy_is_tried_again_after_a_hitch(place):
    place.doings.act_errors = [TransientError("busy"), TransientError("busy")]
    place.publish("remediate")
    run = place.start("remediate", plan="failover")
    while ended(run) == "WAITING":
        place.wait(minutes=1)

    assert ended(run) == "succeeded"
    assert place.doings.count("incident.act") == 3
    assert made_by(run) == {"healthy": True}


def test_a_remedy_gives_up_after_two_more_tries(place):
    place.doings.act_errors = [TransientError("busy") for _ in range(3)]
    place.publish("remediate")
    run = place.start("remediate", plan="failover")
    while ended(run) == "WAITING":
        place.wait(minutes=1)

    assert ended(run) == "failed"
    assert place.doings.count("incident.act") == 3
    assert place.doings.count("incident.probe") == 0


# --- contract ------------------------------------------------------------------------------------


@pytest.fixture
def contract(place):
    place.publish("contract")

    def start(**inputs):
        inputs = {"document_sha256": "0" * 64, "author": "zoe", **inputs}
        return place.start("contract", **inputs)

    return start


def submit(place, run, digit):
    place.send("document.submitted", run=str(run.pk), sha256=digit * 64)


def test_a_contract_is_signed(place, contract):
    run = contract()
    submit(place, run, "1")
    assert place.request(run).title == "Contract, round 1"

    place.decide(run, "ann")

    assert ended(run) == "succeeded"


def test_a_rejected_contract_is_submitted_again(place, contract):
    run = contract()
    submit(place, run, "1")
    place.decide(run, "ann", no=True)
    assert fold(run.pk).variables == {"round": 1, "document": "1" * 64}
    assert ended(run) == "WAITING"

    submit(place, run, "2")
    assert place.request(run).title == "Contract, round 2"
    place.decide(run, "ann")

    assert ended(run) == "succeeded"
    assert fold(run.pk).variables == {"round": 2, "document": "2" * 64}


def test_a_contract_is_rejected_for_good_in_its_fifth_round(place, contract):
    run = contract()
    for digit in "12345":
        assert ended(run) == "WAITING"
        submit(place, run, digit)
        place.decide(run, "ann", no=True)

    assert ended(run) == "rejected"
    assert Request.objects.filter(run_id=run.pk).count() == 5


@pytest.mark.parametrize(
    ("how", "outcome"), [("approves", "succeeded"), ("rejects", "rejected"), ("sleeps", "rejected")]
)
def test_an_overdue_contract_goes_to_counsel_who(place, contract, how, outcome):
    run = contract()
    submit(place, run, "1")
    place.wait(days=5.1)
    assert place.request(run).title == "Overdue contract, counsel decides"

    if how == "sleeps":
        place.wait(days=3.1)
    else:
        place.decide(run, "dora", no=how == "rejects")

    assert ended(run) == outcome


def test_a_contract_is_withdrawn_while_it_is_reviewed(place, contract):
    run = contract()
    submit(place, run, "1")

    place.send("document.withdrawn", run=str(run.pk))

    assert ended(run) == "cancelled"
    assert [item.status for item in Request.objects.filter(run_id=run.pk)] == ["closed"]


def test_a_contract_nobody_submits_is_abandoned(place, contract):
    run = contract()
    place.wait(days=29)
    assert ended(run) == "WAITING"

    place.wait(days=1.1)

    assert ended(run) == "cancelled"


def test_a_big_contract_needs_two_of_finance(place, contract):
    run = contract(value=5_000_001)
    submit(place, run, "1")
    place.decide(run, "ann")
    place.decide(run, "ben")
    assert ended(run) == "WAITING"

    place.decide(run, "cleo")

    assert ended(run) == "succeeded"


def test_the_author_of_a_contract_decides_nothing(place, contract):
    run = contract(author="ann")
    submit(place, run, "1")

    with pytest.raises(errors.MayNotDecideError):
        place.decide(run, "ann")


# --- what is not there yet -----------------------------------------------------------------------

NOT_YET = {
    "release": {
        "of-each",
        "delegation",
        "remind",
        "escalate",
        "on-change",
    },
    "incident": {"escalate", "break-glass"},
    "contract": {"2", "percent", "calendar", "escalate", "on-change", "on-outcome"},
}


@pytest.mark.parametrize("name", sorted(NOT_YET))
def test_an_original_is_refused_with_every_key_that_is_not_there_yet(place, name):
    source = (DATA / "originals" / f"{name}.yaml").read_text()

    with pytest.raises(DefinitionInvalidError) as caught:
        save_version(
            principal=place.world.principal("otto"), project_slug=place.world.slug, source=source
        )

    problems = [item for item in caught.value.problems if item.severity == "error"]
    assert {item.path.rpartition("/")[2] for item in problems} >= NOT_YET[name]
    assert all("not available in this version" in item.message for item in problems)
