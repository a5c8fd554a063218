"""Who may order that something is erased, what keeps it, and what is on record of it."""

from datetime import timedelta

import pytest

from audit import store
from audit.domain.errors import (
    RedactionDecidedError,
    RedactionHeldError,
    RedactionInvalidError,
    RedactionMissingError,
    RedactionOpenError,
)
from audit.domain.redaction import (
    LEDGER_STREAM_ID,
    HoldKind,
    LegalBasis,
    Order,
    Part,
    Target,
    TargetKind,
)
from audit.models import Payload
from audit.redactions.models import Redaction, Retention
from audit.redactions.retaining import look_ahead
from audit.services import erasing
from audit.services.holds import place_hold, release_hold
from audit.services.redactions import (
    approve_redaction,
    decline_redaction,
    foresee,
    request_redaction,
)
from audit.services.retention import execute_retention, set_retention
from core.identity.domain.errors import AccessForbiddenError
from core.identity.models import User
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.people import create_machine, create_user, deactivate_user
from core.identity.services.roles import assign_role
from core.kernel.ids import uuid7
from core.kernel.record import ActorKind
from core.toolkit.db import read_database_clock
from engine.models import Run
from engine.services.rerunning import Wish, rerun
from tests.integration.redaction.conftest import find_marker


@pytest.fixture
def run(archive):
    return archive.play()


@pytest.fixture
def target(run):
    return Target(kind=TargetKind.RUN, id=run.pk)


def kinds():
    return [item.kind for item in store.read_verified(stream=LEDGER_STREAM_ID, limit=1_000)]


def approve(archive, order, *, by="ross"):
    approve_redaction(principal=archive.principal(by), redaction_id=order)


# --- two people ------------------------------------------------------------------------------


def test_nothing_is_erased_before_a_second_person_approves(archive, target):
    order = archive.order(target)

    assert erasing.execute_orders() == 0
    assert find_marker() != {}

    approve(archive, order)
    assert erasing.execute_orders() == 1
    assert kinds()[:2] == ["redaction.requested", "redaction.approved"]
    assert kinds()[-1] == "redaction.completed"


def test_who_asked_does_not_approve_whatever_account_they_use(archive, target):
    order = archive.order(target)
    archive.users["rita2"] = create_user(
        principal=archive.system,
        username="rita2",
        name="Rita again",
        person_id=archive.users["rita"].person_id,
    )
    assign_role(
        principal=archive.system,
        role="records_officer",
        scope_id=GLOBAL_SCOPE_ID,
        user_id=archive.users["rita2"].pk,
    )

    for who in ("rita", "rita2"):
        with pytest.raises(AccessForbiddenError, match="Who asked for a redaction"):
            approve(archive, order, by=who)

    assert Redaction.objects.get(pk=order).status == "requested"


@pytest.mark.parametrize("who", ["mara", "otto", "alma", "vera"])
def test_it_takes_a_permission_of_its_own(archive, target, who):
    order = archive.order(target)

    with pytest.raises(AccessForbiddenError):
        archive.order(target, by=who)
    with pytest.raises(AccessForbiddenError):
        approve(archive, order, by=who)
    with pytest.raises(AccessForbiddenError):
        foresee(principal=archive.principal(who), target=target)


@pytest.mark.parametrize("kind", [ActorKind.SERVICE, ActorKind.AGENT])
def test_a_machine_neither_asks_nor_approves(archive, target, kind):
    archive.users["bot"] = create_machine(
        principal=archive.system,
        username="bot",
        name="Bot",
        kind=kind,
        owner_id=archive.users["ross"].pk,
    )
    assign_role(
        principal=archive.system,
        role="records_officer",
        scope_id=GLOBAL_SCOPE_ID,
        user_id=archive.users["bot"].pk,
    )
    order = archive.order(target)

    with pytest.raises(AccessForbiddenError, match="Only people"):
        archive.order(target, by="bot")
    with pytest.raises(AccessForbiddenError, match="Only people"):
        approve(archive, order, by="bot")


def test_whoever_runs_commands_on_the_server_orders_nothing(archive, target):
    with pytest.raises(AccessForbiddenError):
        request_redaction(
            principal=archive.system,
            order=Order(target=target, basis=LegalBasis.OTHER, reason="because"),
        )


def test_a_deployment_may_need_one_person_only(archive, target, settings):
    settings.REDACTION_SECOND_PERSON = False

    archive.order(target)

    assert erasing.execute_orders() == 1
    assert find_marker() == {}


def test_an_order_is_decided_once(archive, target):
    order = archive.order(target)
    decline_redaction(principal=archive.principal("ross"), redaction_id=order, reason="No")

    with pytest.raises(RedactionDecidedError):
        approve(archive, order)
    with pytest.raises(RedactionDecidedError):
        decline_redaction(principal=archive.principal("ross"), redaction_id=order, reason="No")
    assert erasing.execute_orders() == 0
    assert find_marker() != {}
    assert kinds() == ["redaction.requested", "redaction.declined"]


@pytest.mark.parametrize(
    ("basis", "reason", "path"),
    [
        (LegalBasis.RETENTION, "why", "/basis"),
        (LegalBasis.GDPR_17, " ", "/reason"),
        (LegalBasis.GDPR_17, "x" * 2_001, "/reason"),
        (LegalBasis.GDPR_17, "a\x00b", "/reason"),
    ],
)
def test_a_malformed_order_says_where(archive, target, basis, reason, path):
    with pytest.raises(RedactionInvalidError) as caught:
        request_redaction(
            principal=archive.principal("rita"),
            order=Order(target=target, basis=basis, reason=reason),
        )
    assert [problem.path for problem in caught.value.problems] == [path]


@pytest.mark.parametrize("kind", list(TargetKind))
def test_what_is_not_there_is_missing(archive, kind):
    with pytest.raises(RedactionMissingError):
        archive.order(Target(kind=kind, id=uuid7(), seq=1 if kind is TargetKind.ENTRY else 0))


# --- only what is closed ---------------------------------------------------------------------


def test_a_run_that_is_open_is_refused_and_so_is_one_whose_rerun_is(archive, run, target):
    started = archive.start("everything", by="mara", inputs={"who": "x", "fails": False})
    with pytest.raises(RedactionOpenError):
        archive.order(Target(kind=TargetKind.RUN, id=started.run_id))
    again = rerun(
        principal=archive.principal("mara"), run_id=run.pk, wish=Wish(step="last"), reason="again"
    )

    with pytest.raises(RedactionOpenError, match=f"run {again.number} is not closed"):
        archive.order(target)


def test_an_order_waits_for_a_run_that_was_started_since(archive, run, target):
    order = archive.order(target)
    approve(archive, order)
    again = rerun(
        principal=archive.principal("mara"), run_id=run.pk, wish=Wish(step="last"), reason="again"
    )

    assert erasing.execute_orders() == 0
    assert "is not closed" in Redaction.objects.get(pk=order).blocked
    assert find_marker() != {}

    archive.settle()
    archive.approve(again.run_id)
    assert erasing.execute_orders() == 1
    assert find_marker() == {}


# --- holds -----------------------------------------------------------------------------------


def hold(archive, kind, target_id):
    return place_hold(
        principal=archive.principal("ross"), kind=kind, target_id=target_id, reason="Case 12"
    )


def held_by(archive, run, kind):
    return {
        HoldKind.PROJECT: archive.project.pk,
        HoldKind.WORKFLOW: run.workflow_id,
        HoldKind.RUN: run.pk,
        HoldKind.PERSON: archive.users["mara"].person_id,
    }[kind]


@pytest.mark.parametrize("kind", list(HoldKind))
def test_a_hold_keeps_what_belongs_to_it_and_the_refusal_names_it(archive, run, target, kind):
    order = archive.order(target)
    approve(archive, order)
    made = hold(archive, kind, held_by(archive, run, kind))

    with pytest.raises(RedactionHeldError) as caught:
        archive.order(target)
    assert caught.value.details["hold"] == str(made)
    assert erasing.execute_orders() == 0
    assert "A legal hold keeps this" in Redaction.objects.get(pk=order).blocked

    release_hold(principal=archive.principal("rita"), hold_id=made, reason="Case closed")
    assert erasing.execute_orders() == 1
    assert find_marker() == {}
    assert {"hold.placed", "hold.released"} <= set(kinds())


def test_a_hold_on_another_run_keeps_nothing_of_this(archive, target):
    other = archive.play(who="b")
    hold(archive, HoldKind.RUN, other.pk)

    archive.redact(target)

    assert find_marker() == {}


def test_a_hold_is_released_once(archive, run):
    made = hold(archive, HoldKind.RUN, run.pk)
    release_hold(principal=archive.principal("rita"), hold_id=made, reason="over")

    with pytest.raises(RedactionDecidedError):
        release_hold(principal=archive.principal("rita"), hold_id=made, reason="over")


@pytest.mark.parametrize("who", ["mara", "alma"])
def test_holding_and_retaining_take_the_permission(archive, run, who):
    with pytest.raises(AccessForbiddenError):
        place_hold(
            principal=archive.principal(who), kind=HoldKind.RUN, target_id=run.pk, reason="x"
        )
    with pytest.raises(AccessForbiddenError):
        retain(archive, Part.RUNS, "P1D", by=who)


# --- a person --------------------------------------------------------------------------------


def test_a_person_is_erased_once_their_accounts_are_closed(archive, run):
    person = archive.users["ann"]
    target = Target(kind=TargetKind.PERSON, id=person.person_id)
    with pytest.raises(RedactionOpenError, match="the account ann is still open"):
        archive.order(target)
    deactivate_user(principal=archive.system, user_id=person.pk)

    archive.redact(target)

    row = User.objects.get(pk=person.pk)
    assert (row.name, row.email, row.username[:9]) == ("Redacted", "", "redacted-")
    assert find_marker("ann@example.org") == {}
    assert "approvals_comment.text" not in find_marker()
    wrote = Payload.objects.filter(entry__actor=str(person.pk), name__in=["comment", "source"])
    assert wrote.exists()
    assert not wrote.exclude(value=None).exists()
    # Others' values stay.
    assert find_marker()["engine_run.title"] == 3


# --- retention -------------------------------------------------------------------------------


def retain(archive, part, period, *, by="rita"):
    set_retention(
        principal=archive.principal(by),
        project_slug=archive.slug,
        part=part,
        period=period,
        reason="policy 7",
    )


def later(days):
    return read_database_clock() + timedelta(days=days)


def test_what_is_over_its_time_goes_and_what_is_not_stays(archive, run):
    retain(archive, Part.RUNS, "P400D")
    retain(archive, Part.REQUESTS, "P30D")

    assert execute_retention(now=later(29)) == 0
    assert find_marker() != {}
    assert execute_retention(now=later(31)) == 1  # the request
    assert {"approvals_request.subject", "approvals_comment.text"}.isdisjoint(find_marker())
    assert "engine_run.title" in find_marker()
    assert execute_retention(now=later(401)) == 3
    assert find_marker() == {}
    assert execute_retention(now=later(401)) == 0
    told = [
        item
        for item in store.read_verified(stream=LEDGER_STREAM_ID, limit=1_000)
        if item.kind == "payload.redacted"
    ]
    assert {item.data["basis"] for item in told} == {"retention"}
    assert {item.data["part"] for item in told} == {"runs", "requests"}


def test_nothing_goes_without_a_period(archive, run):
    retain(archive, Part.RUNS, "P1D")
    retain(archive, Part.RUNS, "")

    assert execute_retention(now=later(4_000)) == 0
    assert find_marker() != {}
    assert kinds().count("retention.changed") == 2


def test_addresses_go_and_the_run_stays_readable(archive, run):
    retain(archive, Part.ADDRESSES, "P7D")

    assert execute_retention(now=later(8)) > 0

    streams = Payload.objects.filter(entry__stream=run.pk, name="source")
    assert streams.exists()
    assert not streams.exclude(value=None).exists()
    assert Run.objects.get(pk=run.pk).redacted_at is None
    assert find_marker()["engine_run.title"] == 3


def test_a_hold_keeps_what_is_over_its_time_until_it_is_released(archive, run):
    retain(archive, Part.RUNS, "P1D")
    made = hold(archive, HoldKind.RUN, run.pk)

    execute_retention(now=later(2))
    assert find_marker() != {}
    (outlook,) = look_ahead(now=later(2))
    assert outlook.held_count == 1

    release_hold(principal=archive.principal("rita"), hold_id=made, reason="over")
    execute_retention(now=later(2))
    assert Run.objects.get(pk=run.pk).redacted_at is not None


def test_a_run_is_kept_as_long_as_what_ran_it_again(archive, run):
    retain(archive, Part.RUNS, "P1D")
    rerun(
        principal=archive.principal("mara"), run_id=run.pk, wish=Wish(step="last"), reason="again"
    )

    execute_retention(now=later(2))

    assert Run.objects.get(pk=run.pk).redacted_at is None


def test_a_dry_run_counts_what_an_execution_erases(archive, run):
    retain(archive, Part.RUNS, "P1D")
    at = later(2)
    (outlook,) = look_ahead(now=at)
    before = Payload.objects.filter(value=None).count()

    count = execute_retention(now=at)

    assert outlook.is_whole
    assert sum(streams for _, streams, _ in outlook.months) == count
    erased = Payload.objects.filter(value=None).count() - before
    assert sum(payloads for *_, payloads in outlook.months) == erased
    assert look_ahead(now=at)[0].months == ()


def test_a_pass_goes_on_where_the_last_one_stopped(archive, run, monkeypatch):
    monkeypatch.setattr("core.kernel.limits.RETENTION_STREAM_COUNT_MAX", 1)
    retain(archive, Part.RUNS, "P1D")
    at = later(2)

    counts = [execute_retention(now=at) for _ in range(5)]

    assert sum(counts) == 3
    assert max(counts) == 1
    assert Retention.objects.get().looked_id is None


@pytest.mark.parametrize("period", ["P0D", "400", "P1M", "P40000D", "P1D "])
def test_a_period_is_whole_days(archive, period):
    with pytest.raises(RedactionInvalidError):
        retain(archive, Part.RUNS, period)
