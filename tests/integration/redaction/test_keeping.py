"""What a legal hold keeps of entries that are told by no run: streams of accounts and workflows."""

from datetime import timedelta

import pytest

from approvals.models import Comment
from audit.domain.errors import RedactionHeldError
from audit.domain.redaction import HoldKind, Part, Target, TargetKind
from audit.models import Entry, Payload
from audit.redactions import covering
from audit.redactions.models import Redaction
from audit.services import erasing
from audit.services.holds import place_hold, release_hold
from audit.services.redactions import approve_redaction
from audit.services.retention import execute_retention, set_retention
from core.identity.services.people import deactivate_user
from core.toolkit.db import read_database_clock
from engine.services.rerunning import Wish, rerun


def hold(archive, kind, target_id):
    return place_hold(
        principal=archive.principal("ross"), kind=kind, target_id=target_id, reason="Case 12"
    )


def saved_version():
    """Return the entry that has the reason for saving a version, and its payload's name."""
    return Entry.objects.filter(kind="version.saved").order_by("pk").first(), "message"


@pytest.mark.parametrize("kind", [HoldKind.PROJECT, HoldKind.WORKFLOW, HoldKind.PERSON])
def test_a_hold_keeps_entries_of_a_workflow(archive, kind):
    entry, name = saved_version()
    target = Target(kind=TargetKind.ENTRY, id=entry.stream, seq=entry.seq, name=name)
    order = archive.order(target)
    approve_redaction(principal=archive.principal("ross"), redaction_id=order)
    made = hold(
        archive,
        kind,
        {
            HoldKind.PROJECT: archive.project.pk,
            HoldKind.WORKFLOW: entry.stream,
            HoldKind.PERSON: archive.users["otto"].person_id,
        }[kind],
    )

    with pytest.raises(RedactionHeldError):
        archive.order(target)
    assert erasing.execute_orders() == 0
    assert "A legal hold keeps this" in Redaction.objects.get(pk=order).blocked
    assert Payload.objects.get(entry=entry, name=name).value is not None

    release_hold(principal=archive.principal("rita"), hold_id=made, reason="Case closed")
    assert erasing.execute_orders() == 1
    assert Payload.objects.get(entry=entry, name=name).value is None


def test_a_hold_on_who_acted_keeps_an_entry_of_a_run(archive):
    run = archive.play()
    vote = Entry.objects.get(kind="vote.cast")
    hold(archive, HoldKind.PERSON, archive.users["ann"].person_id)

    with pytest.raises(RedactionHeldError):
        archive.order(Target(kind=TargetKind.ENTRY, id=vote.stream, seq=vote.seq, name="comment"))
    assert run.redacted_at is None


def test_a_hold_on_who_decided_keeps_the_run_that_took_the_form(archive):
    run = archive.play()
    set_retention(
        principal=archive.principal("rita"),
        project_slug=archive.slug,
        part=Part.RUNS,
        period="P1D",
        reason="policy 7",
    )
    made = hold(archive, HoldKind.PERSON, archive.users["ann"].person_id)
    at = read_database_clock() + timedelta(days=2)

    execute_retention(now=at)
    run.refresh_from_db()
    assert run.redacted_at is None

    release_hold(principal=archive.principal("rita"), hold_id=made, reason="over")
    execute_retention(now=at)
    run.refresh_from_db()
    assert run.redacted_at is not None


def test_a_hold_on_who_ran_it_again_keeps_the_rerun(archive):
    run = archive.play()
    archive.user("nora", "requester", "operator")
    again = rerun(
        principal=archive.principal("nora"), run_id=run.pk, wish=Wish(step="last"), reason="again"
    )
    archive.settle()
    archive.approve(again.run_id)
    hold(archive, HoldKind.PERSON, archive.users["nora"].person_id)

    with pytest.raises(RedactionHeldError):
        archive.order(Target(kind=TargetKind.RUN, id=run.pk))


@pytest.mark.parametrize("kind", [HoldKind.PROJECT, HoldKind.WORKFLOW, HoldKind.RUN])
def test_a_hold_keeps_the_comments_of_a_person_who_is_erased(archive, kind):
    run = archive.play()
    person = archive.users["ann"]
    target = Target(kind=TargetKind.PERSON, id=person.person_id)
    deactivate_user(principal=archive.system, user_id=person.pk)
    made = hold(
        archive,
        kind,
        {
            HoldKind.PROJECT: archive.project.pk,
            HoldKind.WORKFLOW: run.workflow_id,
            HoldKind.RUN: run.pk,
        }[kind],
    )
    order = archive.order(target)
    approve_redaction(principal=archive.principal("ross"), redaction_id=order)

    assert erasing.execute_orders() == 0
    assert Comment.objects.count() == 1
    about = Payload.objects.filter(entry__subject=str(person.pk))
    assert about.exists()
    assert not about.exclude(value=None).exists()  # no hold keeps what accounts say
    assert "A legal hold keeps this" in Redaction.objects.get(pk=order).blocked

    release_hold(principal=archive.principal("rita"), hold_id=made, reason="Case closed")
    assert erasing.execute_orders() == 1
    assert not Comment.objects.exists()


def test_a_hold_on_a_person_stops_their_erasure_between_two_streams(archive, monkeypatch):
    archive.play()
    person = archive.users["ann"]
    deactivate_user(principal=archive.system, user_id=person.pk)
    order = archive.order(Target(kind=TargetKind.PERSON, id=person.person_id))
    approve_redaction(principal=archive.principal("ross"), redaction_id=order)
    check, asked = covering.check_held, []

    def check_then_hold(members):
        check(members)
        asked.append(members)
        if len(asked) == 1:  # the rows are erased now; the entries come next
            hold(archive, HoldKind.PERSON, person.person_id)

    monkeypatch.setattr(erasing, "check_held", check_then_hold)

    assert erasing.execute_orders() == 0
    assert "A legal hold keeps this" in Redaction.objects.get(pk=order).blocked
    about = Payload.objects.filter(entry__actor=str(person.pk))
    assert not about.filter(value=None).exists()


@pytest.mark.parametrize(
    "typed",
    [
        {"act": "retain", "project": "ac\x00me", "part": "runs", "period": "P4D"},
        {
            "act": "request",
            "target": "entry",
            "target_id": "00000000-0000-0000-0000-000000000009",
            "seq": "1",
            "name": "com\x00ment",
            "basis": "other",
            "reason": "why",
        },
    ],
)
def test_a_nul_in_a_field_is_said_in_place(archive, typed):
    answer = archive.browse("rita").post("/ledger/redactions/", {**typed, "retain_reason": "why"})

    assert answer.status_code == 422
    assert "Nothing was done" in answer.content.decode()
