"""The page of exports: asking, how far they are, the file, and what is wrong with a form."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from audit.exports import running
from audit.exports.models import Export
from core.kernel import ids
from engine.models import Run
from tests.integration.audit.logs import seal
from tests.integration.portal_runs.conftest import queries_of, text, words

PATH = "/ledger/exports/"


@pytest.fixture
def exported(archive, settings, tmp_path):
    """Return an archive whose ledger is sealed, and whose exports have a folder."""
    settings.LEDGER_EXPORTS_DIR = tmp_path / "exports"
    seal()
    return archive


def fill(archive, name="aud", **typed):
    browser = archive.browse(name)
    page = browser.get(PATH)
    fields = {"kind": "whole", "format": "bundle", "run_id": "", "project": ""}
    fields |= {"since": "", "until": "", "key": hidden(page, "key"), "owner": hidden(page, "owner")}
    fields["csrfmiddlewaretoken"] = hidden(page, "csrfmiddlewaretoken")
    return browser.post(PATH, {**fields, **typed})


def hidden(page, name):
    return text(page).partition(f'name="{name}" value="')[2].partition('"')[0]


def finish():
    for row in Export.objects.filter(status__in=["queued", "running"]):
        while running.run_export(export_id=row.pk):
            pass


def test_an_export_is_asked_for_written_and_offered(exported):
    empty = words(exported.browse("aud").get(PATH))
    asked = fill(exported)
    waiting = exported.browse("aud").get(PATH)
    finish()
    ready = exported.browse("aud").get(PATH)

    export = Export.objects.get()
    assert "No exports yet" in empty
    assert asked.status_code == 303
    assert 'data-poll="2"' in text(waiting)
    assert "Queued" in words(waiting)
    assert 'data-poll="0"' in text(ready)
    assert f"/api/v1/ledger/exports/{export.pk}/download/" in text(ready)
    assert export.sha256 in text(ready)
    assert "not sealed yet" in words(ready)


def test_a_file_is_downloaded_by_whoever_is_signed_in(exported):
    fill(exported)
    finish()
    export = Export.objects.get()

    answer = exported.browse("aud").get(f"/api/v1/ledger/exports/{export.pk}/download/")

    assert answer.status_code == 200
    assert len(b"".join(answer.streaming_content)) == export.size_bytes


def test_how_far_it_is_is_a_share_and_a_number(exported):
    fill(exported)
    Export.objects.update(status="running", done_count=30, total_count=120)

    page = text(exported.browse("aud").get(PATH))

    assert '<progress max="120" value="30"' in page
    assert "30 of 120" in page


def test_a_run_and_a_project_are_exported_by_who_audits_the_project(exported):
    run = Run.objects.earliest("pk")

    by_run = fill(exported, "paul", kind="run", run_id=f" {run.pk} ", format="csv")
    by_project = fill(exported, "paul", kind="project", project=exported.slug, since="", until="")
    everything = fill(exported, "paul", kind="whole")

    assert (by_run.status_code, by_project.status_code) == (303, 303)
    assert everything.status_code == 422
    assert sorted(Export.objects.values_list("kind", flat=True)) == ["project", "run"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"kind": "run", "run_id": "seven"}, "Write the run's id"),
        ({"kind": "run", "run_id": "0198c0de-0000-7000-8000-000000000001"}, "nothing on record"),
        ({"kind": "project", "project": "nowhere"}, "nothing on record"),
        ({"kind": "period"}, "both ends"),
        ({"kind": "period", "since": "soon", "until": "2026-01-01"}, "is no time"),
        ({"kind": "period", "since": "2026-02-01", "until": "2026-01-01"}, "after `since`"),
        ({"kind": "all"}, "Choose what"),
    ],
)
def test_what_is_wrong_is_said_in_place_and_nothing_typed_is_lost(exported, typed, said):
    page = fill(exported, **typed)

    assert page.status_code == 422
    assert said in words(page)
    for value in set(typed.values()) - {"all"}:
        assert value in text(page)
    assert not Export.objects.exists()


def test_the_form_begins_as_the_address_says(exported):
    run = Run.objects.earliest("pk")

    page = text(exported.browse("aud").get(f"{PATH}?run_id={run.pk}"))

    assert f'value="{run.pk}"' in page
    assert '<option value="run" selected>' in page


def test_sending_a_form_twice_asks_once(exported):
    assert fill(exported, key="once").status_code == 303
    assert fill(exported, key="once").status_code == 303

    assert Export.objects.count() == 1


def test_an_export_is_cancelled(exported):
    fill(exported)
    export = Export.objects.get()
    browser = exported.browse("aud")
    token = hidden(browser.get(PATH), "csrfmiddlewaretoken")

    answer = browser.post(f"{PATH}{export.pk}/cancel/", {"csrfmiddlewaretoken": token})

    assert answer.status_code == 303
    assert "Cancelled" in words(browser.get(PATH))


def test_why_it_failed_is_said_in_words(exported):
    fill(exported)
    Export.objects.update(status="failed", error_code="audit.export_too_large")

    assert "over 4 GiB" in words(exported.browse("aud").get(PATH))


def test_who_audits_nothing_sees_no_exports_of_others(exported):
    fill(exported)
    finish()
    page = exported.browse("stan").get(PATH)

    assert "No exports yet" in words(page)


def test_the_page_costs_the_same_however_many_there_are(exported):
    fill(exported)
    browser = exported.browse("aud")
    few = queries_of(browser, PATH)
    for number in range(1, 12):
        row = Export.objects.earliest("pk")
        row.pk, row.idempotency_key = ids.uuid7(), f"k{number}"
        row.created_at = now() - timedelta(minutes=number)
        row._state.adding = True
        row.save(force_insert=True)

    assert queries_of(browser, PATH) == few


def test_a_nul_in_a_field_is_said_in_place(exported):
    answer = fill(exported, kind="project", project="ac\x00me")

    assert answer.status_code == 422
    assert "No project has such a name." in words(answer)
