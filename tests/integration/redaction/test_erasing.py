"""Every copy of what was ordered to be erased is gone, and everything still verifies."""

import json
from io import StringIO

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command

from approvals.models import Request
from audit import store
from audit.domain.redaction import LEDGER_STREAM_ID, Target, TargetKind
from audit.models import Entry, Payload
from audit.redactions.models import Redaction
from audit.selectors.redacted import find_note
from audit.services import erasing
from audit.services.redactions import approve_redaction
from core.identity.seed import seed
from engine import loading
from engine.domain.errors import RunRedactedError
from engine.models import Run
from engine.selectors.runs import get_run, list_run_events, list_run_steps
from engine.selectors.step_views import StepFilters
from engine.services.rerunning import Wish, rerun
from tests.integration.redaction.conftest import MARKER, Archive, find_marker


def _leaves():
    return list(Entry.objects.order_by("pk").values_list("pk", "leaf", "body"))


def _of(run):
    return Target(kind=TargetKind.RUN, id=run.pk)


def _told(kind="payload.redacted"):
    entries = store.read_verified(stream=LEDGER_STREAM_ID, limit=1_000)
    return [entry for entry in entries if entry.kind == kind]


def test_the_marker_is_everywhere_before(archive):
    archive.play()

    assert {
        "audit_payload.value",
        "engine_run.title",
        "engine_cache.result",
        "engine_inbox.data",
        "approvals_request.subject",
        "approvals_request.title",
        "approvals_request.form_values",
        "approvals_comment.text",
    } <= find_marker().keys()


def test_a_redacted_run_leaves_no_copy_of_its_values(archive):
    run = archive.play(key="k-1")
    started = rerun(
        principal=archive.principal("mara"),
        run_id=run.pk,
        wish=Wish(step="last"),
        reason=f"once more for {MARKER}",
    )
    archive.settle()
    archive.approve(started.run_id)

    archive.redact_run(run)

    assert find_marker() == {}
    # The run, its child, its rerun and that one's, the run that its event started.
    assert Run.objects.filter(redacted_at=None).count() == 0
    assert not Request.objects.filter(redacted_at=None).exists()


def test_values_of_other_runs_stay(archive):
    run = archive.play()
    other = archive.play(who="Anders-0815")

    archive.redact_run(run)

    assert find_marker() == {}
    assert find_marker("Anders-0815")["engine_run.title"] == 3
    assert get_run(principal=archive.principal("vera"), run_id=other.pk).inputs == {
        "who": "Anders-0815",
        "fails": False,
    }


def test_no_leaf_changes_and_each_place_is_named(archive):
    run = archive.play()
    before = _leaves()

    order = archive.redact_run(run)

    assert _leaves()[: len(before)] == before
    told = [entry for entry in _told() if entry.data["stream"] == str(run.pk)]
    places = {(seq, name) for entry in told for seq, name, _ in entry.data["places"]}
    erased = set(
        Payload.objects.filter(entry__stream=run.pk, value=None).values_list("entry__seq", "name")
    )
    assert places == erased
    assert not Payload.objects.filter(entry__stream=run.pk, value__isnull=False).exists()
    assert {entry.data["order"] for entry in told} == {str(order)}
    assert told[0].data["requested_by"] == str(archive.users["rita"].pk)
    assert told[0].data["approved_by"] == str(archive.users["ross"].pk)
    assert told[0].data["basis"] == "gdpr_17"
    assert told[0].data["copies"]["engine_run"] == 1
    done = _told("redaction.completed")[0]
    assert done.data["payloads"] == Redaction.objects.get(pk=order).payload_count


def test_again_changes_nothing(archive):
    run = archive.play()
    order = archive.redact_run(run)
    before, told = _leaves(), len(_told())
    Redaction.objects.filter(pk=order).update(status="approved")

    assert erasing.execute_order(order=Redaction.objects.get(pk=order)) is True

    assert len(_told()) == told
    assert len(_leaves()) == len(before) + 1  # that it is done


def test_what_reads_a_redacted_run_says_so(archive):
    run = archive.play()
    principal = archive.principal("vera")
    assert get_run(principal=principal, run_id=run.pk).unreadable == ""  # and kept in memory
    archive.redact_run(run)

    detail = get_run(principal=principal, run_id=run.pk)

    assert detail.unreadable.startswith("Redacted on ")
    assert detail.unreadable.endswith(" by order of Rita, approved by Ross.")
    assert (detail.inputs, detail.outputs, detail.steps) == (None, {}, ())
    assert detail.run.redacted_at is not None
    filters = StepFilters()
    assert list_run_steps(principal=principal, run_id=run.pk, filters=filters, limit=9) == []
    events = list_run_events(principal=principal, run_id=run.pk, limit=100)
    assert (events[0].payloads, "inputs" in events[0].erased) == ({}, True)
    note = find_note(stream=run.pk)
    assert note is not None
    assert note.requested_by == "Rita"


def test_a_process_that_still_holds_the_state_does_not_show_it(archive):
    run = archive.play()
    get_run(principal=archive.principal("vera"), run_id=run.pk)
    kept = loading._states.find(run.pk)
    assert kept is not None
    archive.redact_run(run)
    loading._states.keep(run.pk, kept)  # as in a process that knows of nothing

    assert get_run(principal=archive.principal("vera"), run_id=run.pk).inputs is None
    assert loading._states.find(run.pk) is None


def test_a_redacted_run_is_not_run_again(archive):
    run = archive.play()
    archive.redact_run(run)

    for step in ("last", ""):
        with pytest.raises(RunRedactedError):
            rerun(
                principal=archive.principal("mara"),
                run_id=run.pk,
                wish=Wish(step=step),
                reason="again",
            )


def test_replaying_a_redacted_run_says_redacted_and_not_corrupt(archive):
    run = archive.play()
    archive.redact_run(run)
    out = StringIO()

    with pytest.raises(SystemExit) as ended:
        call_command("replay", str(run.pk), "--json", stdout=out)

    assert ended.value.code == 3
    (told,) = json.loads(out.getvalue())["runs"]
    assert told["redacted"] is True
    assert "has been erased" in told["unreadable"]


def test_one_payload_of_an_entry_is_erased_alone(archive):
    run = archive.play()
    request = Request.objects.get(run_id=run.pk)
    vote = Entry.objects.get(stream=request.pk, kind="vote.cast")
    target = Target(kind=TargetKind.ENTRY, id=request.pk, seq=vote.seq, name="comment")

    archive.redact(target)

    assert "approvals_comment.text" not in find_marker()
    names = Payload.objects.filter(entry=vote, value=None).values_list("name", flat=True)
    assert list(names) == ["comment"]
    assert get_run(principal=archive.principal("vera"), run_id=run.pk).unreadable == ""


def test_a_reason_in_a_run_goes_and_the_run_still_folds(archive):
    run = archive.play()
    again = rerun(
        principal=archive.principal("mara"), run_id=run.pk, wish=Wish(step="last"), reason="Why"
    )
    archive.settle()
    archive.approve(again.run_id)

    archive.redact(Target(kind=TargetKind.ENTRY, id=again.run_id, seq=1, name="reason"))

    detail = get_run(principal=archive.principal("vera"), run_id=again.run_id)
    assert (detail.unreadable, detail.run.redacted_at) == ("", None)
    assert (
        "reason"
        in list_run_events(principal=archive.principal("vera"), run_id=again.run_id, limit=1)[
            0
        ].erased
    )


@pytest.fixture
def real_archive(transactional_db):
    """An archive whose transactions commit."""
    seed(apps)
    return Archive()


def _verify():
    out = StringIO()
    call_command("verify_ledger", "--json", stdout=out, stderr=out)
    return json.loads(out.getvalue())


def test_the_ledger_verifies_after_a_redaction_and_not_if_one_is_not_on_record(real_archive):
    run = real_archive.play()
    real_archive.redact_run(run)

    found = _verify()

    assert found["verified"] is True
    assert found["erased"] > 20

    other = real_archive.play(who="b")
    Payload.objects.filter(entry__stream=other.pk, entry__seq=1, name="inputs").update(
        salt=None, value=None
    )
    with pytest.raises(CommandError, match="its redaction on record"):
        _verify()


class _KilledError(BaseException):
    """The keeper dies."""


def test_a_keeper_that_dies_in_between_leaves_an_order_that_is_finished(real_archive, monkeypatch):
    run = real_archive.play()
    order = real_archive.order(_of(run))
    approve_redaction(principal=real_archive.principal("ross"), redaction_id=order)
    monkeypatch.setattr("core.kernel.limits.REDACTION_PLACE_COUNT_MAX", 4)
    record = erasing._record
    count: list[int] = []

    def dies(*arguments, **named):
        if len(count) == 3:
            raise _KilledError
        count.append(1)
        return record(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(erasing, "_record", dies)
        with pytest.raises(_KilledError):
            erasing.execute_orders()

    assert find_marker() != {}
    assert _verify()["verified"] is True  # whatever is gone is on record
    assert erasing.execute_orders() == 1
    assert find_marker() == {}
    assert _verify()["verified"] is True
    assert Redaction.objects.get(pk=order).status == "done"
